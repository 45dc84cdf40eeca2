//! Exit codes and how an error is told: one line on stderr that names the thing and what to do.
//!
//! The codes are part of what scripts rely on; `tagfleet run --help` lists them.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for is done.
    Finished = 0,
    /// Something broke that is not the user's doing, or not to be told from it: a full disk, a failing engine, a bug.
    Broken = 1,
    /// Bad usage or bad input. The same code as clap's.
    BadInput = 2,
    /// The run is complete, and some images have failed rows.
    FailedImages = 3,
    /// The run is not complete; the same command goes on.
    Resumable = 4,
}

/// An error and the code it ends with.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

/// Bad usage or bad input.
pub(crate) fn bad_input(message: impl Display) -> Failure {
    Failure { exit: Exit::BadInput, message: message.to_string() }
}

/// Anything else that stops a command.
pub(crate) fn broken(message: impl Display) -> Failure {
    Failure { exit: Exit::Broken, message: message.to_string() }
}

/// Prints the error, if it is one, and gives the process's exit code.
pub(crate) fn code(outcome: Result<Exit, Failure>) -> ExitCode {
    let exit = outcome.unwrap_or_else(|failure| {
        // Where stderr is closed there is nobody to tell.
        let _ = writeln!(io::stderr(), "error: {}", printable(&failure.message));
        failure.exit
    });
    ExitCode::from(exit as u8)
}

/// Text with no control characters but line breaks: names of files may hold any, and a terminal obeys them.
pub(crate) fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(plain).collect()
}
