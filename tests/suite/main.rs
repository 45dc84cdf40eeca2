//! End-to-end tests: the real command on real files, and the rules that hold for the whole tree.

mod bad_input;
mod demo;
mod hostile;
mod inputs;
mod parity;
mod readme;
mod resume;
mod tidy;
mod vectors;
