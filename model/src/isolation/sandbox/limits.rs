//! How much memory the child may take, and that it leaves no file and no core behind.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::super::setup::Setup;
use crate::engine::{Device, available_memory};

/// No child gets less, however little is free at its start: 1 GiB.
const LEAST_MEMORY: u64 = 1 << 30;

/// Sets the limits of this process. A device's driver maps far more than it uses, and keeps files in memory.
pub(super) fn set(setup: &Setup) -> io::Result<()> {
    limit(Resource::Core, 0)?;
    if setup.engine.device == Device::Cuda {
        return Ok(());
    }
    limit(Resource::Fsize, 0)?;
    match available_memory() {
        Some(free) => limit(Resource::Data, free.max(LEAST_MEMORY)),
        None => Ok(()),
    }
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}
