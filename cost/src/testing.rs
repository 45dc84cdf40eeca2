//! Fixtures for the tests of several crates: the usage of a worker, and a plan with its actual figures.
//!
//! It never leaves a test.

pub mod variance;

use crate::usage::{USAGE_VERSION, WorkerUsage};

/// The record of a worker that has tagged nothing on a machine that nothing is known of, from second 10 to
/// second 20.
#[must_use]
pub fn usage_of_a_worker() -> WorkerUsage {
    WorkerUsage { version: USAGE_VERSION, began: 10, updated: 20, vcpus: 2, ..WorkerUsage::default() }
}
