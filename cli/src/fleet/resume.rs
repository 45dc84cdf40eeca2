//! `tagfleet resume`: a further execution of a run that ended before it was complete.
//!
//! The one way on after any stop: it finds what is missing by itself, whatever the reason.

use serde_json::json;

use super::executions::{self, Executions};
use super::stack::FleetStack;
use super::standing::Look;
use super::watch;
use crate::args::ResumeOptions;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json, tell};

pub(super) async fn resume(options: &ResumeOptions) -> Result<Exit, Failure> {
    let stack = FleetStack::find(&options.stack).await?;
    let found = stack.run(&options.run).await?;
    let run = &found.run;
    let Some(fleet) = &found.fleet else {
        return Err(bad_input(format!(
            "the request of run {run} is wrong, and would be again: correct it and submit it anew"
        )));
    };
    let executions = Executions::of(&stack, run).await?;
    if let Some(running) = executions.running() {
        return Err(bad_input(format!(
            "run {run} is running (execution {}): `{}` shows it, `{}` stops it",
            running.name,
            stack.command(&format!("status {run} --watch")),
            stack.command(&format!("cancel {run}"))
        )));
    }
    if fleet.output.exists(&fleet.keys.success()).await.map_err(broken)? {
        return Err(bad_input(format!(
            "run {run} is complete: there is nothing to do; `{}` begins another",
            stack.command("submit")
        )));
    }
    let name = executions.next_name(run);
    let execution = executions::start(&stack, run, &name).await?;
    if options.wait {
        if !options.quiet {
            tell(&format!("run {run} goes on (execution {name})"));
        }
        return watch::wait(Look::started(&stack, found, execution), options.quiet, options.json).await;
    }
    match options.json {
        true => print_json(&json!({"run": run, "execution": execution}).to_string())?,
        false => print(&format!(
            "run {run} goes on (execution {name})\nto see how it goes: {}\n",
            stack.command(&format!("status {run} --watch"))
        ))?,
    }
    Ok(Exit::Finished)
}
