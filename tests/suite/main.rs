//! End-to-end tests: the real command on real files, and the rules that hold for the whole tree.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and print what they measured"
)]

mod analysis;
mod aws;
mod bad_input;
mod contracts;
mod crash;
mod definition;
mod demo;
mod denied;
mod deploy;
mod device;
mod docs;
mod download;
mod emulator;
mod errors;
mod fit;
mod fleet;
mod fleet_cli;
mod functions;
mod hostile;
mod hub;
mod image;
mod inputs;
mod lists;
mod load;
mod login;
mod machine;
mod manifests;
mod names;
mod network;
mod origins;
mod parity;
mod readme;
mod report;
mod resume;
mod schemas;
mod security;
mod show;
mod since;
mod stop;
mod storm;
mod telemetry;
mod tidy;
mod variables;
mod vectors;
mod wheel;
mod worker;
