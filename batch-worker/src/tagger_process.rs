//! The process in which the worker decodes pictures and runs the model: this program once more, as its own
//! child.
//!
//! If a picture crashes it, the worker continues; see the model crate's `isolation`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tagfleet_model::decode::Limits;
use tagfleet_model::engine::EngineRecord;
use tagfleet_model::folder::Model;
use tagfleet_model::isolation::{self, Isolation, Patience, Program, Setup};
use tagfleet_pipeline::run::RunRequest;

use crate::log;

/// The argument that starts this program as that process.
const ARGUMENT: &str = "tagger-process";
/// The file that runs now.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Starts it with `model` in the engine that `request` names, and no other, on this many threads. An image
/// fails after `image_time`.
pub(crate) fn start(
    model: Model,
    request: &RunRequest,
    threads: usize,
    image_time: Duration,
) -> anyhow::Result<Isolation> {
    let setup = Setup {
        model,
        engine: EngineRecord::try_from(&request.engine)?,
        options: request.tags.clone(),
        limits: Limits { max_bytes: request.max_image_bytes, ..Limits::default() },
        threads,
    };
    let program = Program { path: THIS_PROGRAM.into(), arguments: vec![ARGUMENT.into()] };
    let patience = Patience { tagging: image_time, ..Patience::default() };
    Isolation::start(program, &setup, patience)
        .with_context(|| format!("the model cannot be run with {}", request.engine))
}

/// Whether this process is that child.
pub(crate) fn is_this() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// Serves as that process until its parent closes the pipe. Its stdout is its parent's alone.
pub(crate) fn serve() -> ExitCode {
    match isolation::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => log::failure(&error, 1),
    }
}
