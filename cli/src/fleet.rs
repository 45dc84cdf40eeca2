//! The commands that use a stack on AWS: submit, status, cancel, resume, doctor; a file for each.
//!
//! They read and start; the pipeline decides what a run does, and the state machine its order.

mod cancel;
mod doctor;
mod executions;
mod jobs;
mod local_run;
mod publish;
mod resume;
mod run_status;
pub(crate) mod stack;
mod status;
mod status_text;
pub(crate) mod submit;
mod watch;

use tokio::runtime::Builder;

use crate::args::FleetCommand;
use crate::exit::{Exit, Failure, broken};
pub(crate) use stack::FleetStack;

pub(crate) fn run(command: &FleetCommand) -> Result<Exit, Failure> {
    // Requests only: one thread is enough.
    let runtime = Builder::new_current_thread().enable_all().build().map_err(broken)?;
    runtime.block_on(async {
        match command {
            FleetCommand::Submit(options) => submit::submit(options).await,
            FleetCommand::Status(options) => status::status(options).await,
            FleetCommand::Cancel(options) => cancel::cancel(options).await,
            FleetCommand::Resume(options) => resume::resume(options).await,
            FleetCommand::Doctor(options) => doctor::doctor(options).await,
        }
    })
}
