//! Whole runs in memory: through storms, against a model of the protocol, with any sizes and orders, and at any scale.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests fail by panicking and say what they measured"
)]

mod damaged;
mod load;
mod protocol;
mod rows;
mod same_answer;
mod stopped;
mod storm;
