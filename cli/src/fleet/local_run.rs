//! Refuses a run of this machine in a command for fleets, with what to do instead.
//!
//! It only checks whether a path exists.

use std::path::Path;

use tagfleet_pipeline::run::RunId;

use crate::exit::{Failure, bad_input};

/// How to resume a run of this machine.
pub(super) const REMEDY: &str = "a run on this machine resumes with the same `tagfleet run` command";

/// Refuses what cannot be a run of the fleet, before AWS is asked for it.
pub(super) fn refuse(run: &str) -> Result<(), Failure> {
    if run.contains('/') || Path::new(run).exists() {
        return Err(bad_input(format!(
            "{run} is a path, not the ID of a fleet run: {REMEDY}, and `tagfleet report` shows it"
        )));
    }
    RunId::try_from(run.to_owned()).map(|_| ()).map_err(bad_input)
}
