//! A run of this machine that is given to a command of the fleet: what to do instead.
//!
//! It looks whether a path exists, and at nothing in it.

use std::path::Path;

use tagfleet_pipeline::run::RunId;

use crate::exit::{Failure, bad_input};

/// What resumes a run that is not the fleet's.
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
