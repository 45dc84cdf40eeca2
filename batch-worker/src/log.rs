//! The worker's log: a few lines of JSON on stdout, which AWS Batch hands to CloudWatch.
//!
//! Never one per image, never a secret. If stdout is closed, there is no reader, and the work continues.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

/// Writes one line: an event and its details.
pub(crate) fn event(event: &str, mut fields: Value) {
    fields["event"] = Value::from(event);
    let _ = writeln!(io::stdout(), "{fields}");
}

/// Logs why the process ends, and returns its exit code.
pub(crate) fn failure(error: &impl Display, code: u8) -> ExitCode {
    event("failed", json!({"error": error.to_string(), "exit_code": code}));
    ExitCode::from(code)
}
