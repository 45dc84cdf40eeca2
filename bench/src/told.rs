//! How things are told to people: figures on stdout, what is going on on stderr, one line for an error.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// One or more lines on stderr. Where nobody listens, the work goes on.
pub(crate) fn tell(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The report itself, on stdout. Where nobody listens, it stands in its file.
pub(crate) fn print(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Lets no engine report to its maker; see the model crate's `telemetry`.
pub(crate) fn quiet_engines() -> anyhow::Result<()> {
    tagfleet_model::engine::telemetry::disable().map_err(anyhow::Error::msg)
}

/// Tells the error, if it is one, and gives the process's exit code.
pub(crate) fn code(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
