//! An unfinished run in the same output that a command does not resume, because it has other options.
//!
//! A changed option starts a new run, while the unfinished one may be nearly done. It changes nothing.

use tagfleet_pipeline::run::{RunId, RunRequest};

/// A note about `run`, whose request is `stored`, for a command that asks for something else.
pub(super) fn note(run: &RunId, stored: &RunRequest, asked: &RunRequest) -> String {
    format!(
        "run {run} in this output is unfinished and is left alone, because it has {}: to resume it, run its own command",
        differences(stored, asked).join(" and ")
    )
}

fn differences(stored: &RunRequest, asked: &RunRequest) -> Vec<&'static str> {
    let parts = [
        ("other images", stored.input != asked.input),
        ("another model", stored.model != asked.model),
        ("another engine", stored.engine != asked.engine),
        ("other tag options", stored.tags != asked.tags),
        ("another --output or --vector", stored.vector != asked.vector),
        ("another --since or --retry", stored.since != asked.since),
    ];
    let differ: Vec<&str> = parts.iter().filter(|(_, differs)| *differs).map(|(part, _)| *part).collect();
    // The other fields follow from the version of the program.
    if differ.is_empty() { vec!["another version of tagfleet"] } else { differ }
}
