//! The whole AWS path on the emulator: the real template, the real functions, real worker processes, the real command.

mod faults;
mod policy;
mod requests;
mod whole;
