//! The commands that analyse results: `evaluate` against a truth, `diff` against another run.
//!
//! They find runs and files, and write pages and pictures around what the analysis crate computes.

pub(crate) mod diff;
pub(crate) mod evaluate;
pub(crate) mod found_run;
pub(crate) mod names;
mod page;
mod pictures;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tagfleet_analysis::AnalysisError;
use tagfleet_report::State;

use crate::exit::{Failure, bad_input, broken, tell};
use found_run::FoundRun;

/// Names a folder for what is written, and makes it.
fn folder(out: &Path) -> Result<(), Failure> {
    fs::create_dir_all(out).map_err(|error| bad_input(format!("--out {}: {error}", out.display())))
}

/// Writes a file into the folder, in the place of an earlier one.
fn write(out: &Path, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf, Failure> {
    let path = out.join(name);
    fs::write(&path, contents)
        .map_err(|error| broken(format!("{}: cannot be written: {error}", path.display())))?;
    Ok(path)
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(value).map_err(broken)? + "\n")
}

/// An error that the user can fix is bad input.
fn failure(error: AnalysisError) -> Failure {
    match error {
        AnalysisError::NothingInCommon { .. } | AnalysisError::NoFolders => bad_input(error),
        AnalysisError::Rows(_) | AnalysisError::Write(_) => broken(error),
    }
}

/// Warns about a run without all rows, which can be analysed.
async fn warn_if_incomplete(found: &FoundRun) -> Result<(), Failure> {
    let summary = found.summary().await?;
    if summary.state != State::Complete {
        tell(&format!(
            "warning: run {} is not complete: {} of {} images have a row",
            found.run, summary.rows, summary.images
        ));
    }
    Ok(())
}
