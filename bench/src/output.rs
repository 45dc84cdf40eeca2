//! Output for people: figures on stdout, progress on stderr, one line for an error.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// Prints to stderr. A closed stderr stops nothing.
pub(crate) fn progress(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints the figures to stdout. They are in their file too, so that a closed stdout loses nothing.
pub(crate) fn print(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Lets no engine report to its maker; see the model crate's `telemetry`.
pub(crate) fn quiet_engines() -> anyhow::Result<()> {
    tagfleet_model::engine::telemetry::disable().map_err(anyhow::Error::msg)
}

/// Prints the error if there is one, and returns the process's exit code.
pub(crate) fn code(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
