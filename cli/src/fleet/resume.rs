//! `tagfleet resume`: a further execution of a run that ended before it was complete.
//!
//! It works after any stop, because a run finds what is missing by itself.

use serde_json::json;
use tagfleet_fleet::FleetRun;
use tagfleet_fleet::budget::{LIMIT_VERSION, LimitOf, LimitOverride};
use tagfleet_fleet::request::is_limit;
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::run::StackKeys;
use tagfleet_report::State;

use super::executions::{self, Executions};
use super::local_run;
use super::run_status::{StatusPoller, summary};
use super::stack::FleetStack;
use super::watch;
use crate::args::ResumeOptions;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json, tell};

pub(super) async fn resume(options: &ResumeOptions) -> Result<Exit, Failure> {
    local_run::refuse(&options.run)?;
    let found = FleetStack::find(&options.stack).await;
    let stack = found.map_err(|failure| failure.with_remedy(local_run::REMEDY))?;
    let found = stack.run(&options.run).await?;
    let run = &found.run;
    let Some(fleet) = &found.fleet else {
        return Err(bad_input(format!(
            "the request of run {run} is wrong, and would be again: correct it and submit it again"
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
            "run {run} is complete: there is nothing to do; `{}` starts another",
            stack.command("submit")
        )));
    }
    limit(&stack, fleet, options.max_usd).await?;
    if options.accept_denied {
        let accepted = StackKeys::denied_accepted(run);
        stack.bucket().put(&accepted, "{}\n".into()).await.map_err(broken)?;
    }
    let name = executions.next_name(run);
    let execution = executions::start(&stack, run, &name).await?;
    if options.wait {
        if !options.quiet {
            tell(&format!("resumed run {run} (execution {name})"));
        }
        return watch::wait(StatusPoller::started(&stack, found, execution), options.quiet, options.json)
            .await;
    }
    if options.json {
        print_json(&json!({"run": run, "execution": execution}).to_string())?;
    } else {
        print(&format!(
            "resumed run {run} (execution {name})\nwatch it with: {}\n",
            stack.command(&format!("status {run} --watch"))
        ))?;
    }
    Ok(Exit::Finished)
}

/// Stores a new limit; a run that stopped at its limit needs a higher one.
async fn limit(stack: &FleetStack, fleet: &FleetRun, max_usd: Option<f64>) -> Result<(), Failure> {
    if max_usd.is_some_and(|max_usd| !is_limit(max_usd)) {
        return Err(bad_input("--max-usd: give dollars, more than 0"));
    }
    let run = &fleet.run;
    let summary = summary(fleet).await.map_err(broken)?;
    let is_spent = summary.is_some_and(|summary| summary.state == State::StoppedAtBudget);
    let before = stack.limit(fleet).await.map_err(broken)?;
    // A limit of the stack may be higher by now.
    let own = before.filter(|before| before.of == LimitOf::Request).map(|before| before.max_usd);
    if let Some(before) = own.filter(|before| is_spent && max_usd.unwrap_or(0.0) <= *before) {
        return Err(bad_input(format!(
            "run {run} is stopped at its budget of ${before}: give more with `{}`, N above {before}",
            stack.command(&format!("resume {run} --max-usd N"))
        )));
    }
    let Some(max_usd) = max_usd else { return Ok(()) };
    if let Some(rules) = &stack.outputs.rules {
        rules.check_limit("--max-usd", max_usd).map_err(bad_input)?;
    }
    let stored = serde_json::to_vec(&LimitOverride { version: LIMIT_VERSION, max_usd }).map_err(broken)?;
    stack.bucket().put(&StackKeys::limit(run), stored.into()).await.map_err(broken)
}
