//! The worker's log: a few lines of JSON on stdout, which AWS Batch hands to CloudWatch.
//!
//! Never one per image, never a secret. Where stdout is closed there is nobody to tell, and the work goes on.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

/// Writes one line: what happened, and what there is to say of it.
pub(crate) fn event(event: &str, mut fields: Value) {
    fields["event"] = Value::from(event);
    let _ = writeln!(io::stdout(), "{fields}");
}

/// Says why the process ends, and gives its exit code.
pub(crate) fn failure(error: &impl Display, code: u8) -> ExitCode {
    event("failed", json!({"error": error.to_string(), "exit_code": code}));
    ExitCode::from(code)
}
