//! Whole runs in memory: against a model of the protocol, with any sizes and orders.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod damaged;
mod protocol;
mod same_answer;
mod since;
mod stopped;
