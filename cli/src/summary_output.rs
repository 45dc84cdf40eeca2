//! Prints the summary of a run as text or JSON, and returns the exit code.
//!
//! What to do next differs between one machine and a fleet; the commands print it.

use tagfleet_report::{State, Summary};

use crate::exit::{Exit, Failure, broken, print, print_json};

/// Prints the summary.
pub(crate) fn report(summary: &Summary, json: bool) -> Result<Exit, Failure> {
    if json {
        print_json(&serde_json::to_string_pretty(summary).map_err(broken)?)?;
    } else {
        print(&summary.text())?;
    }
    Ok(match summary.state {
        State::Complete if summary.has_too_many_flips() => Exit::TooManyFlips,
        State::Complete if summary.all_failed() == 0 => Exit::Finished,
        State::Complete => Exit::FailedImages,
        State::Interrupted | State::Incomplete | State::StoppedAtBudget => Exit::Resumable,
    })
}
