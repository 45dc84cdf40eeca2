//! The process in which `tagfleet run` decodes pictures and runs the model: this program once more, as its
//! own child.
//!
//! If a picture crashes it, its parent continues; see the model crate's `isolation`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

use tagfleet_model::isolation::{self, Program};

use crate::exit::{Exit, Failure, bad_input, broken};

/// The first argument of that process.
pub(crate) const SUBCOMMAND: &str = "tagger-process";

/// This program as that process.
pub(crate) fn program() -> io::Result<Program> {
    Ok(Program { path: this_program()?, arguments: vec![SUBCOMMAND.into()] })
}

/// The file that runs now, even if an update has put another in its place.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn this_program() -> io::Result<std::path::PathBuf> {
    Ok("/proc/self/exe".into())
}

#[cfg(not(target_os = "linux"))]
fn this_program() -> io::Result<std::path::PathBuf> {
    std::env::current_exe()
}

/// Serves as that process until its parent closes the pipe.
pub(crate) fn serve() -> Result<Exit, Failure> {
    if !is_started_by_tagfleet().map_err(broken)? {
        return Err(bad_input(format!(
            "{SUBCOMMAND} is what tagfleet starts for itself: use `tagfleet run`"
        )));
    }
    isolation::serve().map_err(broken)?;
    Ok(Exit::Finished)
}

/// Its parent talks to it through a pipe; a person has a terminal, a file or nothing there.
fn is_started_by_tagfleet() -> io::Result<bool> {
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    Ok(stdin.metadata()?.file_type().is_fifo())
}
