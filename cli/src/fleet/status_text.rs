//! The status of a fleet run as text: some lines for a person, one line for a log.
//!
//! Pure; it reads nothing.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::time::Duration;

use tagfleet_cost::usage::Machine;
use tagfleet_pipeline::format::{clock, count};

use super::run_status::{RunCost, RunState, RunStatus, Workers};

/// The status of a run, for a person; `resume` is the command that resumes it.
pub(super) fn text(run_status: &RunStatus, resume: &str, now: u64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, run_status, resume, now);
    text
}

fn write(text: &mut String, run_status: &RunStatus, resume: &str, now: u64) -> std::fmt::Result {
    let run = &run_status.run;
    writeln!(text, "run      {run}: {}{}", run_status.state.word(), since(run_status, now))?;
    match run_status.shards {
        Some(shards) => writeln!(text, "shards   {} of {} done", shards.done, shards.all)?,
        None if run_status.state == RunState::Splitting => {
            writeln!(text, "shards   {} so far", run_status.shards_so_far)?;
        }
        None => {}
    }
    if let Some(images) = run_status.images {
        let [done, all, failed] = [images.done, images.all, run_status.failed].map(count);
        writeln!(text, "images   {done} of {all} done, {failed} failed")?;
    }
    if let Some(difference) = &run_status.difference {
        writeln!(text, "since    {difference}")?;
    }
    if !run_status.skipped.is_empty() {
        writeln!(text, "skipped  {}", run_status.skipped.in_words())?;
    }
    if let Some(rate) = run_status.images_per_second {
        writeln!(text, "speed    {rate:.1} images/s{}", left(run_status))?;
    }
    for (number, workers) in run_status.workers.iter().enumerate() {
        writeln!(text, "{}{}", if number == 0 { "workers  " } else { "         " }, of_machine(workers))?;
    }
    if let Some(jobs) = run_status.jobs.as_ref().filter(|_| run_status.state == RunState::Running) {
        writeln!(text, "batch    {}", jobs.in_words())?;
    }
    if let Some(cost) = &run_status.cost {
        writeln!(text, "cost     {}", of_cost(cost))?;
    }
    if let (RunState::StoppedAtBudget | RunState::PriceUnknown, Some(cause)) =
        (run_status.state, &run_status.cause)
    {
        writeln!(text, "cause    {cause}")?;
    }
    if let (RunState::Failed | RunState::Cancelled, Some(error)) = (run_status.state, &run_status.error) {
        writeln!(
            text,
            "cause    {error}: {}",
            run_status.cause.as_deref().unwrap_or("nothing more is known")
        )?;
    }
    match (run_status.state, &run_status.results) {
        (RunState::Complete, Some(results)) => writeln!(text, "results  {results}"),
        (RunState::StoppedAtBudget, Some(_)) => writeln!(text, "resume   {resume} --max-usd N"),
        (
            RunState::Incomplete
            | RunState::PriceUnknown
            | RunState::Failed
            | RunState::Cancelled
            | RunState::Stopped,
            Some(_),
        ) => {
            writeln!(text, "resume   {resume}")
        }
        _ => Ok(()),
    }
}

/// ` for 1:05`, ` after 1:05`, and the number of the execution if it is not the first.
fn since(run_status: &RunStatus, now: u64) -> String {
    let (Some(started), Some(execution)) = (run_status.started, &run_status.execution) else {
        return String::new();
    };
    let duration = clock(Duration::from_secs(run_status.stopped.unwrap_or(now).saturating_sub(started)));
    let word = if run_status.state.is_end() { "after" } else { "for" };
    let which = if *execution == run_status.run.to_string() {
        String::new()
    } else {
        format!(" (execution {execution})")
    };
    format!(" {word} {duration}{which}")
}

fn left(run_status: &RunStatus) -> String {
    match run_status.seconds_left {
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
fn of_cost(cost: &RunCost) -> String {
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

/// The status in one line, for a log.
pub(super) fn line(run_status: &RunStatus) -> String {
    let mut line = run_status.state.word().to_owned();
    if let (Some(shards), Some(images)) = (run_status.shards, run_status.images) {
        line.push_str(&format!(
            ": {}/{} shards, {}/{} images ({} %), {} failed",
            count(shards.done),
            count(shards.all),
            count(images.done),
            count(images.all),
            u128::from(images.done) * 100 / u128::from(images.all.max(1)),
            count(run_status.failed)
        ));
    } else if run_status.state == RunState::Splitting {
        line.push_str(&format!(": {} shards so far", run_status.shards_so_far));
    }
    if let Some(rate) = run_status.images_per_second {
        line.push_str(&format!(", {rate:.1} images/s{}", left(run_status)));
    }
    if let Some(cost) = run_status.cost.as_ref().filter(|cost| cost.usd.is_some()) {
        line.push_str(&format!(", {}", of_cost(cost)));
    }
    line
}
