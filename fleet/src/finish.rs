//! Finish: counts the rows, writes the summary, and `_SUCCESS` if every input has its row.
//!
//! It decides by the same comparison of listings as check, and prices the run; it sends no mail and knows no
//! queue.

use serde::{Deserialize, Serialize};

use super::pricing::Pricing;
use super::problem::Problem;
use super::{FleetError, FleetRun, page};
use crate::address::Address;
use tagfleet_cost::Cost;
use tagfleet_cost::forecast::Estimate;
use tagfleet_cost::usage::{self, Usage};
use tagfleet_cost::variance::{PlanVariance, RunFacts};
use tagfleet_pipeline::record;
use tagfleet_pipeline::reduce::{self, Counted, Groups, ReduceError, RowCounts};
use tagfleet_pipeline::run::{ModelRecord, RunId, RunRequest};
use tagfleet_pipeline::shard::ShardId;
use tagfleet_pipeline::split;
use tagfleet_pipeline::tags::table::RunTable;
use tagfleet_report::binding::Binding;
use tagfleet_report::command::quoted;
use tagfleet_report::html::Report;
use tagfleet_report::mail::cause_in_words;
use tagfleet_report::{SUMMARY_VERSION, State, Summary, TAGFLEET_VERSION, TopTags, throughput};

/// The result of finish for the state machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The state of the run.
    pub state: State,
    /// Inputs.
    pub images: u64,
    /// Rows with tags.
    pub tagged: u64,
    /// Rows without.
    pub failed: u64,
    /// Shards without a part.
    pub missing: u64,
}

/// What a run is priced with.
#[derive(Clone, Debug)]
pub struct Priced {
    /// The prices, or why there are none.
    pub pricing: Result<Pricing, String>,
    /// Seconds since 1970.
    pub now: u64,
}

/// Ends a run: `problem` is what the last round of infer met, `priced` makes its bill.
///
/// Two calls may overlap if an abandoned one is still running, and a late part may have come between what
/// each of them saw. A call that finds a contradicting result of the other one repeats the work: what is
/// complete stays so.
///
/// # Errors
/// See [`FleetError`]; doing it again is harmless.
pub async fn finish(
    fleet: &FleetRun,
    problem: Option<&Problem>,
    priced: &Priced,
) -> Result<Finished, FleetError> {
    let finished = finish_once(fleet, problem, priced).await?;
    let is_contradicted = match finished.state {
        State::Complete => read_summary(fleet).await?.state != State::Complete,
        _ => fleet.output.exists(&fleet.keys.success()).await?,
    };
    if is_contradicted { finish_once(fleet, problem, priced).await } else { Ok(finished) }
}

async fn finish_once(
    fleet: &FleetRun,
    problem: Option<&Problem>,
    priced: &Priced,
) -> Result<Finished, FleetError> {
    let output = fleet.output.as_ref();
    let request = fleet.request().await?;
    let groups = reduce::groups(output, &fleet.keys, request.vector.as_ref()).await?;
    let missing = compact_rest(fleet, &request, &groups).await?;
    let counts = counts(fleet, &groups, &missing).await?;
    let records = usage::records(output, &fleet.keys).await?;
    // Before they are added up: a curve shows the workers' records, without the minute that a killed one is
    // charged.
    let throughput = throughput::of_fleet(&records.records);
    let mut summary = summary(fleet, &request, &counts, &missing, records.sum(), problem).await?;
    summary.ended = priced.now;
    price(fleet, &mut summary, priced).await?;
    output.put(&fleet.keys.table_definition(), statements(fleet, &request.model).into()).await?;
    let report = Report { summary: &summary, request: &request, tags: &counts.tags, throughput: &throughput };
    page::store(output, &fleet.keys, &report).await?;
    match summary.state {
        State::Complete => reduce::finish(output, &fleet.keys, &summary).await?,
        State::Interrupted | State::Incomplete | State::StoppedAtBudget => {
            record::replace(output, &fleet.keys.summary(), &summary).await?;
        }
    }
    Ok(Finished {
        state: summary.state,
        images: summary.images,
        tagged: summary.tagged,
        failed: summary.all_failed(),
        missing: missing.len() as u64,
    })
}

/// Compacts all parts that are there; returns the shards that have none. Workers of a round whose time ran
/// out may have put parts after their groups were compacted, and may put more now: it is repeated until both
/// listings agree, so that every shard is either missing or in a result file.
async fn compact_rest(
    fleet: &FleetRun,
    request: &RunRequest,
    groups: &Groups,
) -> Result<Vec<ShardId>, ReduceError> {
    let output = fleet.output.as_ref();
    let earlier = fleet.earlier(request);
    let compaction = fleet.compaction(request, earlier.as_ref());
    let mut missing = reduce::missing(output, &fleet.keys).await?;
    loop {
        compaction.all(groups, &missing).await?;
        let still = reduce::missing(output, &fleet.keys).await?;
        if still == missing {
            return Ok(missing);
        }
        missing = still;
    }
}

/// The counts of all that is there but for the shards in `missing`.
async fn counts(fleet: &FleetRun, groups: &Groups, missing: &[ShardId]) -> Result<RowCounts, ReduceError> {
    let output = fleet.output.as_ref();
    if missing.is_empty() {
        reduce::total(output, &fleet.keys, groups).await
    } else {
        reduce::counts_in(output, &fleet.keys, groups, missing).await
    }
}

/// Adds the bill, and puts it next to the summary; if there is none, the reason.
async fn price(fleet: &FleetRun, summary: &mut Summary, priced: &Priced) -> Result<(), FleetError> {
    let usage = summary.usage.clone().unwrap_or_default();
    let pricing = priced.pricing.as_ref().map_err(Clone::clone);
    match pricing.and_then(|pricing| pricing.bill(fleet, &usage, summary.images, priced.now)) {
        Ok(mut cost) => {
            if !usage.foreign.is_empty() {
                cost.notes.push(usage.foreign.in_words());
            }
            cost.plan = fleet.valid.request.plan.clone().map(|plan| beside(plan, summary, &usage, &cost));
            let key = fleet.keys.cost();
            record::replace(fleet.output.as_ref(), &key, &cost).await?;
            summary.cost = Some(cost);
        }
        Err(why) => summary.cost_problem = Some(why),
    }
    Ok(())
}

/// The plan and the actual figures.
fn beside(plan: Estimate, summary: &Summary, usage: &Usage, cost: &Cost) -> PlanVariance {
    let not_done = summary.images.saturating_sub(summary.rows);
    let done = RunFacts { images: summary.rows, not_done, engine: &summary.engine };
    PlanVariance::new(plan, &done, usage, cost)
}

async fn summary(
    fleet: &FleetRun,
    request: &RunRequest,
    counts: &RowCounts,
    missing: &[ShardId],
    usage: Usage,
    problem: Option<&Problem>,
) -> Result<Summary, FleetError> {
    let splits = reduce::range_splits(fleet.output.as_ref(), &fleet.keys).await?;
    let is_complete = missing.is_empty();
    let vcpus: u64 = usage.machines.iter().map(|machine| machine.vcpus).sum();
    Ok(Summary {
        version: SUMMARY_VERSION,
        run: fleet.run.clone(),
        state: state(is_complete, problem),
        images: split::inputs(&splits),
        since: request.since.clone(),
        difference: split::difference(&splits),
        flips: (is_complete && request.since.is_some()).then_some(counts.flips),
        max_flips: fleet.valid.request.max_flips,
        skipped: split::skipped(&splits),
        rows: counts.rows(),
        tagged: counts.tagged,
        failed: counts.failed.clone(),
        tags: TopTags::new(&counts.tags, Counted::of_run(request)),
        second_decoder: counts.second_decoder,
        slowest: counts.slowest.clone(),
        missing_shards: missing.iter().map(ToString::to_string).collect(),
        model: request.model.name.clone(),
        model_sha256: request.model.sha256.clone(),
        warning: request.model.warning.clone(),
        engine: request.engine.to_string(),
        threads: usize::try_from(vcpus).unwrap_or(usize::MAX),
        // Each worker finds its own library; its log names it.
        batch_size: 0,
        images_here: usage.machines.iter().map(|machine| machine.images).sum(),
        seconds_here: usage.infer_seconds as f64,
        results: results(fleet),
        ended: 0,
        tagfleet: TAGFLEET_VERSION.to_owned(),
        command: fleet.valid.request.command.clone(),
        working_folder: None,
        retry: (counts.all_failed() > 0).then(|| retry(fleet)),
        device: usage.device.as_ref().and_then(Binding::new),
        cost: None,
        cost_problem: None,
        problem: if is_complete { None } else { problem_in_words(&fleet.run, problem, &usage) },
        usage: Some(usage),
    })
}

fn state(is_complete: bool, problem: Option<&Problem>) -> State {
    match problem {
        _ if is_complete => State::Complete,
        Some(problem) if problem.is_budget() => State::StoppedAtBudget,
        _ => State::Incomplete,
    }
}

/// The workers' own messages, because the state machine knows only that they ended; else its own.
fn problem_in_words(run: &RunId, problem: Option<&Problem>, usage: &Usage) -> Option<String> {
    let is_of_limit = |problem: &&Problem| problem.is_budget() || problem.is_price_unknown();
    if let Some(stopped) = problem.filter(is_of_limit) {
        return Some(stopped.cause.clone());
    }
    if let Some(why) = &usage.too_many_denied {
        return Some(format!(
            "{why}; permit reading them and run `tagfleet resume {run}`, or accept them as failed rows with `tagfleet resume \
             {run} --accept-denied`"
        ));
    }
    if let Some((why, workers)) = usage.most_common_failure() {
        return Some(format!("{workers} workers failed: {why}"));
    }
    problem.map(|problem| format!("{}: {}", problem.error, cause_in_words(&problem.cause)))
}

/// What makes the run's rows known to Athena.
fn statements(fleet: &FleetRun, model: &ModelRecord) -> String {
    let (bucket, prefix) = (fleet.valid.output.bucket.clone(), fleet.keys.runs());
    let (runs, results) = (Address { bucket, prefix }.to_string(), results(fleet));
    RunTable { runs: &runs, results: &results, run: &fleet.run, model }.statements()
}

/// The place of the rows, for people.
fn results(fleet: &FleetRun) -> String {
    Address { bucket: fleet.valid.output.bucket.clone(), prefix: fleet.keys.results() }.to_string()
}

/// The command that tags the failed images again and keeps the other rows.
fn retry(fleet: &FleetRun) -> String {
    quoted(["tagfleet", "submit", "--retry", fleet.run.as_str()])
}

/// The summary of a run that came to its end.
///
/// # Errors
/// If it did not, or it cannot be read.
pub async fn read_summary(fleet: &FleetRun) -> Result<Summary, FleetError> {
    Ok(record::read(fleet.output.as_ref(), &fleet.keys.summary()).await?)
}
