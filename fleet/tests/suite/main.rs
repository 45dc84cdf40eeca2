//! Whole runs of a fleet in memory: under injected faults, and at any scale.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests fail by panicking and say what they measured"
)]

mod load;
mod storm;
