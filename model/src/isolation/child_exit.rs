//! How a child ended that should not have, in words. It decides nothing.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use tagfleet_pipeline::tags::{Cause, Failure, Outcome};

/// How a child died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildExit {
    /// By a signal: its number.
    Signal(i32),
    /// It ended by itself: its exit code.
    Exit(i32),
    /// It was silent for this long and was killed.
    Hung(Duration),
    /// It sent an invalid answer, or waiting for it failed: the reason.
    Lost(String),
}

impl ChildExit {
    pub(super) fn of(status: ExitStatus) -> Self {
        match (status.signal(), status.code()) {
            (Some(signal), _) => Self::Signal(signal),
            (None, Some(code)) => Self::Exit(code),
            (None, None) => Self::Lost(status.to_string()),
        }
    }

    /// The outcome of the image that it died on.
    pub(super) fn outcome(&self) -> Outcome {
        let cause = if matches!(self, Self::Hung(_)) { Cause::Hung } else { Cause::Crashed };
        Outcome::Failed(Failure::new(cause, self.to_string()))
    }
}

impl fmt::Display for ChildExit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => write!(formatter, "signal {signal}"),
            Self::Exit(code) => write!(formatter, "exit code {code}"),
            Self::Hung(patience) => write!(formatter, "no answer within {} s", patience.as_secs_f64()),
            Self::Lost(what) => formatter.write_str(what),
        }
    }
}
