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

use crate::args::FleetCommand;
use crate::exit::{Exit, Failure};
use crate::runtime::block_on;
pub(crate) use stack::FleetStack;

pub(crate) fn run(command: &FleetCommand) -> Result<Exit, Failure> {
    block_on(async {
        match command {
            FleetCommand::Submit(options) => submit::submit(options).await,
            FleetCommand::Status(options) => status::status(options).await,
            FleetCommand::Cancel(options) => cancel::cancel(options).await,
            FleetCommand::Resume(options) => resume::resume(options).await,
            FleetCommand::Doctor(options) => doctor::doctor(options).await,
        }
    })
}
