//! `tagfleet status`: how a run of the fleet stands, in a few lines; without a run, the latest executions.
//!
//! It asks and tells; nothing about a run depends on it.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tagfleet_aws::executions::Execution;
use tagfleet_cost::usage::Machine;
use tagfleet_pipeline::number::count;

use super::stack::FleetStack;
use super::standing::{Look, Now, Spent, Standing, Workers};
use super::watch;
use crate::args::StatusOptions;
use crate::bar::clock;
use crate::connection;
use crate::exit::{Exit, Failure, broken, print, print_json};

/// Executions that are listed.
const LATEST: usize = 20;

pub(super) async fn status(options: &StatusOptions) -> Result<Exit, Failure> {
    let stack = FleetStack::find(&options.stack).await?;
    let Some(run) = &options.run else { return list(&stack, options.json).await };
    let mut look = Look::new(&stack, stack.run(run).await?);
    if options.watch {
        return watch::redraw(&mut look).await;
    }
    let standing = look.look().await?;
    if options.json {
        print_json(&serde_json::to_string_pretty(&standing).map_err(broken)?)?
    } else {
        print(&text(&standing, &look.resume(), now()))?
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

/// Seconds since 1970, UTC.
pub(super) fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

/// A line per execution, the newest first.
fn table(executions: &[Execution], now: u64) -> String {
    let width = executions.iter().map(|execution| execution.name.len()).max().unwrap_or(0);
    let mut table = String::new();
    for execution in executions {
        let Execution { name, started, .. } = execution;
        let status = execution.status.to_lowercase();
        let took = clock(Duration::from_secs(execution.stopped.unwrap_or(now).saturating_sub(*started)));
        table.push_str(&format!("{name:width$}  {status:9}  {}  {took:>9}\n", date(*started)));
    }
    table
}

fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "?".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// How a run stands, for a person; `resume` is the command that goes on with it.
pub(super) fn text(standing: &Standing, resume: &str, now: u64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, standing, resume, now);
    text
}

fn write(text: &mut String, standing: &Standing, resume: &str, now: u64) -> std::fmt::Result {
    let run = &standing.run;
    writeln!(text, "run      {run}: {}{}", standing.state.word(), since(standing, now))?;
    match standing.shards {
        Some(shards) => writeln!(text, "shards   {} of {} done", shards.done, shards.all)?,
        None if standing.state == Now::Splitting => {
            writeln!(text, "shards   {} so far", standing.shards_so_far)?;
        }
        None => {}
    }
    if let Some(images) = standing.images {
        let [done, all, failed] = [images.done, images.all, standing.failed].map(count);
        writeln!(text, "images   {done} of {all} done, {failed} failed")?;
    }
    if !standing.skipped.is_empty() {
        writeln!(text, "skipped  {}", standing.skipped.in_words())?;
    }
    if let Some(rate) = standing.images_per_second {
        writeln!(text, "speed    {rate:.1} images/s{}", left(standing))?;
    }
    for (number, workers) in standing.workers.iter().enumerate() {
        writeln!(text, "{}{}", if number == 0 { "workers  " } else { "         " }, of_machine(workers))?;
    }
    if let Some(jobs) = standing.jobs.as_ref().filter(|_| standing.state == Now::Running) {
        writeln!(text, "batch    {}", jobs.in_words())?;
    }
    if let Some(cost) = &standing.cost {
        writeln!(text, "cost     {}", of_cost(cost))?;
    }
    if let (Now::StoppedAtBudget | Now::PriceUnknown, Some(cause)) = (standing.state, &standing.cause) {
        writeln!(text, "cause    {cause}")?;
    }
    if let (Now::Failed | Now::Cancelled, Some(error)) = (standing.state, &standing.error) {
        writeln!(text, "cause    {error}: {}", standing.cause.as_deref().unwrap_or("nothing more is known"))?;
    }
    match (standing.state, &standing.results) {
        (Now::Complete, Some(results)) => writeln!(text, "results  {results}"),
        (Now::StoppedAtBudget, Some(_)) => writeln!(text, "go on    {resume} --max-usd N"),
        (Now::Incomplete | Now::PriceUnknown | Now::Failed | Now::Cancelled | Now::Stopped, Some(_)) => {
            writeln!(text, "go on    {resume}")
        }
        _ => Ok(()),
    }
}

/// ` for 1:05`, ` after 1:05`, and which execution it is where that is not the first.
fn since(standing: &Standing, now: u64) -> String {
    let (Some(started), Some(execution)) = (standing.started, &standing.execution) else {
        return String::new();
    };
    let took = clock(Duration::from_secs(standing.stopped.unwrap_or(now).saturating_sub(started)));
    let word = if standing.state.is_end() { "after" } else { "for" };
    let which = if *execution == standing.run.to_string() {
        String::new()
    } else {
        format!(" (execution {execution})")
    };
    format!(" {word} {took}{which}")
}

fn left(standing: &Standing) -> String {
    match standing.seconds_left {
        Some(seconds) => format!(", {} left", clock(Duration::from_secs(seconds))),
        None => String::new(),
    }
}

/// `12 c7g.xlarge spot us-east-1a, 3 more ended`
fn of_machine(workers: &Workers) -> String {
    let Machine { instance_type, zone, life_cycle } = &workers.machine;
    let kind = instance_type.as_deref().unwrap_or("of an unknown machine");
    let mut text = format!("{} {kind}", workers.running);
    for word in life_cycle.iter().chain(zone) {
        text.push_str(&format!(" {word}"));
    }
    if workers.ended > 0 {
        text.push_str(&format!(", {} ended", workers.ended));
    }
    text
}

/// `$0.1234 so far, about $1.2000 in the end, of at most $5`
fn of_cost(cost: &Spent) -> String {
    let mut text = match (cost.usd, cost.projected_usd) {
        (Some(usd), Some(projected)) => format!("${usd:.4} so far, about ${projected:.4} in the end"),
        (Some(usd), None) => format!("${usd:.4}"),
        (None, _) => format!("not known: {}", cost.problem.as_deref().unwrap_or("nothing was counted yet")),
    };
    if let Some(max_usd) = cost.max_usd {
        text.push_str(&format!(", of at most ${max_usd}"));
    }
    text
}

/// The same in one line, for a log.
pub(super) fn line(standing: &Standing) -> String {
    let mut line = standing.state.word().to_owned();
    if let (Some(shards), Some(images)) = (standing.shards, standing.images) {
        line.push_str(&format!(
            ": {}/{} shards, {}/{} images, {} failed",
            count(shards.done),
            count(shards.all),
            count(images.done),
            count(images.all),
            count(standing.failed)
        ));
    } else if standing.state == Now::Splitting {
        line.push_str(&format!(": {} shards so far", standing.shards_so_far));
    }
    if let Some(rate) = standing.images_per_second {
        line.push_str(&format!(", {rate:.1} images/s{}", left(standing)));
    }
    if let Some(cost) = standing.cost.as_ref().filter(|cost| cost.usd.is_some()) {
        line.push_str(&format!(", {}", of_cost(cost)));
    }
    line
}
