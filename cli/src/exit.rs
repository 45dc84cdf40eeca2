//! Exit codes, and where output goes: results on stdout, the rest on stderr, one line for an error.
//!
//! Scripts rely on the codes; `tagfleet run --help` lists them. A reader that goes away is not an error.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use crate::style::marked;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for is done.
    Finished = 0,
    /// Something broke that is not, or not evidently, the user's doing: a full disk, a failing engine, a bug.
    Broken = 1,
    /// Bad usage or bad input. The same code as clap's.
    BadInput = 2,
    /// The run is complete, and some images have failed rows.
    FailedImages = 3,
    /// The run is not complete; the same command resumes it.
    Resumable = 4,
    /// The run is complete or two runs were compared, and more labels changed than are allowed.
    TooManyFlips = 5,
}

/// An error and the code it ends with.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    /// The messages of the layers below; shown with `--verbose`.
    detail: Option<String>,
}

impl Failure {
    /// Its message.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The code that the process ends with.
    #[cfg(test)]
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The same with `prefix` before its message.
    pub(crate) fn with_prefix(self, prefix: &str) -> Self {
        Self { message: format!("{prefix}{}", self.message), ..self }
    }

    /// The same with one more remedy.
    pub(crate) fn with_remedy(self, remedy: &str) -> Self {
        Self { message: format!("{}; {remedy}", self.message), ..self }
    }

    /// The same with the messages of the layers below.
    pub(crate) fn with_detail(self, detail: Option<&str>) -> Self {
        Self { detail: detail.map(str::to_owned), ..self }
    }
}

/// Bad usage or bad input.
pub(crate) fn bad_input(message: impl Display) -> Failure {
    Failure { exit: Exit::BadInput, message: message.to_string(), detail: None }
}

/// Anything else that stops a command.
pub(crate) fn broken(message: impl Display) -> Failure {
    Failure { exit: Exit::Broken, message: message.to_string(), detail: None }
}

/// Prints the error, if it is one, and gives the process's exit code.
pub(crate) fn code(outcome: Result<Exit, Failure>, is_verbose: bool) -> ExitCode {
    let exit = outcome.unwrap_or_else(|failure| {
        tell(&format!("error: {}", failure.message));
        match &failure.detail {
            Some(detail) if is_verbose => tell(&format!("detail: {detail}")),
            Some(_) => tell("for details, add -v"),
            None => {}
        }
        failure.exit
    });
    ExitCode::from(exit as u8)
}

/// One or more lines for a person, on stderr. If that is closed, there is no reader, and the work continues.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(anstream::stderr(), "{}", marked(&printable(text)));
}

/// The result of a command, on stdout.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    written(io::stdout().write_all(printable(text).as_bytes()))
}

/// The same with the first words of its lines marked, on a terminal.
pub(crate) fn print_marked(text: &str) -> Result<(), Failure> {
    written(anstream::stdout().write_all(marked(&printable(text)).as_bytes()))
}

/// The same for another program: unchanged, unless stdout is a terminal.
pub(crate) fn print_raw(text: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return print(text);
    }
    written(io::stdout().write_all(text.as_bytes()))
}

fn written(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(|error| broken(format!("cannot write to stdout: {error}"))),
    }
}

/// Prints JSON, with characters that control a terminal escaped.
pub(crate) fn print_json(text: &str) -> Result<(), Failure> {
    let mut escaped = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if commands_a_terminal(c) {
            escaped.push_str(&format!("\\u{:04x}", c as u32));
        } else {
            escaped.push(c);
        }
    }
    escaped.push('\n');
    print(&escaped)
}

/// Text without characters that control a terminal, which names of files may hold. Line breaks stay.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if commands_a_terminal(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Control characters but the line break, and those that turn the direction of what follows.
fn commands_a_terminal(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        assert_eq!(
            printable("a\nb\u{1b}[31m\u{9b}1m\u{202e}gpj\t"),
            "a\nb\u{fffd}[31m\u{fffd}1m\u{fffd}gpj\u{fffd}"
        );
    }
}
