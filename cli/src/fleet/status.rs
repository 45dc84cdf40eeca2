//! `tagfleet status`: the status of a fleet run in a few lines; without a run, the latest executions.
//!
//! It reads and prints; nothing about a run depends on it.

use std::time::Duration;

use serde_json::json;
use tagfleet_aws::executions::Execution;
use tagfleet_pipeline::format::{clock, date_with_seconds};

use super::local_run;
use super::run_status::StatusPoller;
use super::stack::FleetStack;
use super::status_text::text;
use super::watch;
use crate::args::StatusOptions;
use crate::connection;
use crate::exit::{Exit, Failure, broken, print, print_json};
use crate::run_id::now;

/// Executions that are listed.
const LATEST: usize = 20;

pub(super) async fn status(options: &StatusOptions) -> Result<Exit, Failure> {
    options.run.as_deref().map_or(Ok(()), local_run::refuse)?;
    let stack = FleetStack::find(&options.stack).await?;
    let Some(run) = &options.run else { return list(&stack, options.json).await };
    let mut poller = StatusPoller::new(&stack, stack.run(run).await?);
    if options.watch {
        return watch::redraw(&mut poller).await;
    }
    let run_status = poller.poll().await?;
    if options.json {
        print_json(&serde_json::to_string_pretty(&run_status).map_err(broken)?)?;
    } else {
        print(&text(&run_status, &poller.resume(), now()))?;
    }
    Ok(Exit::Finished)
}

async fn list(stack: &FleetStack, json: bool) -> Result<Exit, Failure> {
    let mut executions =
        stack.aws.list_executions(&stack.outputs.state_machine).await.map_err(connection::of_service)?;
    executions.truncate(LATEST);
    if json {
        let listed: Vec<_> = executions.iter().map(as_json).collect();
        print_json(&serde_json::to_string_pretty(&listed).map_err(broken)?)?;
    } else if executions.is_empty() {
        print(&format!("the stack {} has run nothing yet\n", stack.name))?;
    } else {
        print(&table(&executions, now()))?;
    }
    Ok(Exit::Finished)
}

fn as_json(execution: &Execution) -> serde_json::Value {
    json!({
        "execution": execution.name,
        "status": execution.status.to_lowercase(),
        "started": execution.started,
        "stopped": execution.stopped,
    })
}

/// A line per execution, the newest first.
fn table(executions: &[Execution], now: u64) -> String {
    let width = executions.iter().map(|execution| execution.name.len()).max().unwrap_or(0);
    let mut table = String::new();
    for execution in executions {
        let Execution { name, started, .. } = execution;
        let status = execution.status.to_lowercase();
        let duration = clock(Duration::from_secs(execution.stopped.unwrap_or(now).saturating_sub(*started)));
        let started = date_with_seconds(*started).unwrap_or_else(|| "?".to_owned());
        table.push_str(&format!("{name:width$}  {status:9}  {started}  {duration:>9}\n"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: u64 = 1_795_453_200;

    #[test]
    fn the_latest_executions() {
        let execution = |name: &str, status: &str, stopped| Execution {
            arn: String::new(),
            name: name.to_owned(),
            status: status.to_owned(),
            started: STARTED,
            stopped,
            input: None,
            error: None,
            cause: None,
        };
        let executions = [
            execution("20261123-170000-0a1b2c-2", "RUNNING", None),
            execution("nightly-0a1b2c3d4e5f", "SUCCEEDED", Some(STARTED + 61)),
        ];
        insta::assert_snapshot!(table(&executions, STARTED + 7200), @r"
        20261123-170000-0a1b2c-2  running    2026-11-23 17:00:00 UTC    2:00:00
        nightly-0a1b2c3d4e5f      succeeded  2026-11-23 17:00:00 UTC       1:01
        ");
    }
}
