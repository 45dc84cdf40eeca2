//! What the tests of several crates need: the usage of a worker, and a plan with its actual figures.
//!
//! It never leaves a test.

pub mod variance;

use crate::usage::{Machine, Requests, ThreadTime, USAGE_VERSION, WorkerUsage};

/// The record of a worker that has tagged nothing on a machine that nothing is known of, from second 10 to
/// second 20.
#[must_use]
pub fn usage_of_a_worker() -> WorkerUsage {
    WorkerUsage {
        version: USAGE_VERSION,
        machine: Machine::default(),
        instance: None,
        machine_vcpus: None,
        reclaimed: false,
        launched: None,
        began: 10,
        updated: 20,
        ended: None,
        vcpus: 2,
        tagged: 0,
        failed: 0,
        requests: Requests::default(),
        threads: ThreadTime::default(),
        gpu: None,
        device: None,
    }
}
