//! The status of a fleet run: its latest execution, its objects, its workers' records.
//!
//! Shards done are found by listing, as the run itself finds them; rates and failures come from the workers'
//! records and are only for people. It reads, and changes nothing.

mod poller;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tagfleet_aws::executions::Execution;
use tagfleet_cost::usage::{Machine, WorkerUsage};
use tagfleet_fleet::problem::{INCOMPLETE, PRICE_UNKNOWN, STOPPED_AT_BUDGET};
use tagfleet_pipeline::filter::Skipped;
use tagfleet_pipeline::run::RunId;
use tagfleet_pipeline::shard::ShardId;
use tagfleet_pipeline::shard::kept::Difference;
use tagfleet_pipeline::split::{self, RangeSplit};
use tagfleet_report::{State, Summary};

use super::jobs::Jobs;
pub(super) use poller::{StatusPoller, summary};

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RunState {
    /// Its request is checked and its key space is cut into ranges.
    Planning,
    /// Its inputs are listed.
    Splitting,
    /// Workers tag.
    Running,
    /// Every shard has its part; parts become results.
    Reducing,
    /// Every input has its row.
    Complete,
    /// Some shards could not be tagged.
    Incomplete,
    /// What it may cost is spent.
    StoppedAtBudget,
    /// It has a limit, and a price that this needs is not known any more.
    PriceUnknown,
    /// An error ended it.
    Failed,
    /// A user ended it.
    Cancelled,
    /// No execution of it is known: it was never started, or long ago.
    Stopped,
}

/// How many of all are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Completion {
    pub(super) done: u64,
    pub(super) all: u64,
}

/// Workers of one kind of machine, of the latest execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Workers {
    pub(super) machine: Machine,
    /// Those that have not recorded why they ended; a killed worker never does.
    pub(super) running: u64,
    pub(super) ended: u64,
}

/// What a run has cost so far, all its executions together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct RunCost {
    /// `None` if a price is not known.
    pub(super) usd: Option<f64>,
    /// The same for all images, if some are not done.
    pub(super) projected_usd: Option<f64>,
    /// What it may cost.
    pub(super) max_usd: Option<f64>,
    /// Why the cost is not known.
    pub(super) problem: Option<String>,
}

/// The status of a run. Times are seconds since 1970, UTC.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RunStatus {
    pub(super) run: RunId,
    pub(super) state: RunState,
    /// The name of the latest execution.
    pub(super) execution: Option<String>,
    pub(super) started: Option<u64>,
    pub(super) stopped: Option<u64>,
    /// None until split has ended: how many there are is not known before.
    pub(super) shards: Option<Completion>,
    pub(super) images: Option<Completion>,
    /// Shards that split has written so far, if it has not ended.
    pub(super) shards_so_far: u64,
    /// Files that are not meant as images and were not read.
    #[serde(skip_serializing_if = "Skipped::is_empty")]
    pub(super) skipped: Skipped,
    /// How the inputs differ from those of the earlier run that it continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) difference: Option<Difference>,
    /// Failed images, those of shards that came again counted again.
    pub(super) failed: u64,
    pub(super) images_per_second: Option<f64>,
    pub(super) seconds_left: Option<u64>,
    pub(super) workers: Vec<Workers>,
    /// The run's latest job, while it may have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jobs: Option<Jobs>,
    pub(super) cost: Option<RunCost>,
    pub(super) error: Option<String>,
    pub(super) cause: Option<String>,
    /// Where the rows are, or will be.
    pub(super) results: Option<String>,
}

/// What is known of a run at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    execution: Option<Execution>,
    /// It was started a moment ago, and Step Functions may not show it yet.
    is_starting: bool,
    is_planned: bool,
    /// None until every range is split.
    splits: Option<Vec<RangeSplit>>,
    shards_so_far: u64,
    parts: BTreeSet<ShardId>,
    /// Of all executions.
    workers: Vec<WorkerUsage>,
    /// The latest job, as of when the records were read.
    jobs: Option<Jobs>,
    /// What all records cost together, or which price is not known; none before they were read.
    spent: Option<Result<f64, String>>,
    max_usd: Option<f64>,
    summary: Option<Summary>,
    results: Option<String>,
}

impl RunState {
    /// True if nothing happens any more.
    pub(super) fn is_end(self) -> bool {
        !matches!(self, Self::Planning | Self::Splitting | Self::Running | Self::Reducing)
    }

    /// The state in one word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Splitting => "splitting",
            Self::Running => "running",
            Self::Reducing => "reducing",
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::StoppedAtBudget => "stopped at budget",
            Self::PriceUnknown => "stopped: a price is unknown",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
        }
    }
}

impl RunStatus {
    pub(super) fn new(run: &RunId, snapshot: &Snapshot) -> Self {
        let workers = snapshot.workers_of_execution();
        let (shards, images) = (snapshot.shards(), snapshot.images());
        let state = snapshot.state(shards);
        let rate = rate(&workers);
        let left = images.map(|images| images.all.saturating_sub(images.done) as f64);
        let seconds_left = match (state, left, rate) {
            (RunState::Running, Some(left), Some(rate)) => Some((left / rate).round() as u64),
            _ => None,
        };
        let execution = snapshot.execution.as_ref();
        Self {
            run: run.clone(),
            state,
            execution: execution.map(|execution| execution.name.clone()),
            started: execution.map(|execution| execution.started),
            stopped: execution.and_then(|execution| execution.stopped),
            shards,
            images,
            shards_so_far: snapshot.shards_so_far,
            skipped: snapshot.skipped(),
            difference: snapshot.difference(),
            failed: snapshot.failed(),
            images_per_second: rate,
            seconds_left,
            workers: by_machine(&workers),
            jobs: snapshot.jobs.clone(),
            cost: snapshot.cost(images),
            error: execution.and_then(|execution| execution.error.clone()),
            cause: execution.and_then(|execution| execution.cause.clone()),
            results: snapshot.results.clone(),
        }
    }
}

impl Snapshot {
    fn state(&self, shards: Option<Completion>) -> RunState {
        let summary = self.summary.as_ref().map(|summary| summary.state);
        let Some(execution) = &self.execution else {
            if self.is_starting {
                return RunState::Planning;
            }
            return if summary == Some(State::Complete) { RunState::Complete } else { RunState::Stopped };
        };
        if execution.is_running() {
            return match shards {
                None if !self.is_planned => RunState::Planning,
                None => RunState::Splitting,
                Some(shards) if shards.done < shards.all => RunState::Running,
                Some(_) => RunState::Reducing,
            };
        }
        if execution.is_aborted() {
            return RunState::Cancelled;
        }
        match execution.error.as_deref() {
            _ if execution.has_succeeded() && summary == Some(State::Incomplete) => RunState::Incomplete,
            _ if execution.has_succeeded() => RunState::Complete,
            Some(INCOMPLETE) => RunState::Incomplete,
            Some(STOPPED_AT_BUDGET) => RunState::StoppedAtBudget,
            Some(PRICE_UNKNOWN) => RunState::PriceUnknown,
            _ => RunState::Failed,
        }
    }

    /// From the summary if there is one of a complete run: what only stages read may have expired.
    fn shards(&self) -> Option<Completion> {
        let all = self.splits.as_ref()?.iter().map(|split| u64::from(split.shards)).sum();
        Some(Completion { done: self.parts.len() as u64, all })
    }

    fn images(&self) -> Option<Completion> {
        if let Some(summary) = self.complete() {
            return Some(Completion { done: summary.rows, all: summary.images });
        }
        let splits = self.splits.as_ref()?;
        let images_of =
            |shard: &ShardId| splits.get(shard.range as usize)?.shard_images.get(shard.number as usize);
        let done = self.parts.iter().filter_map(images_of).map(|images| u64::from(*images)).sum();
        Some(Completion { done, all: splits.iter().map(|split| split.images).sum() })
    }

    fn skipped(&self) -> Skipped {
        match (self.complete(), &self.splits) {
            (Some(summary), _) => summary.skipped.clone(),
            (None, splits) => split::skipped(splits.as_deref().unwrap_or_default()),
        }
    }

    fn difference(&self) -> Option<Difference> {
        match (self.complete(), &self.splits) {
            (Some(summary), _) => summary.difference,
            (None, splits) => split::difference(splits.as_deref().unwrap_or_default()),
        }
    }

    fn failed(&self) -> u64 {
        match self.complete() {
            Some(summary) => summary.all_failed(),
            None => self.workers.iter().map(|worker| worker.failed).sum(),
        }
    }

    /// The bill of an ended run; before that the records, and a projection from the images done so far.
    fn cost(&self, images: Option<Completion>) -> Option<RunCost> {
        let max_usd = self.max_usd;
        if let Some(cost) = self.summary.as_ref().and_then(|summary| summary.cost.as_ref()) {
            return Some(RunCost { usd: Some(cost.total_usd), projected_usd: None, max_usd, problem: None });
        }
        let (usd, problem) = match self.spent.clone()? {
            Ok(usd) => (Some(usd), None),
            Err(problem) => (None, Some(problem)),
        };
        let open = images.filter(|images| images.done > 0 && images.done < images.all);
        let projected_usd = usd.zip(open).map(|(usd, images)| usd / images.done as f64 * images.all as f64);
        Some(RunCost { usd, projected_usd, max_usd, problem })
    }

    fn complete(&self) -> Option<&Summary> {
        self.summary.as_ref().filter(|summary| summary.state == State::Complete)
    }

    /// Those of earlier executions do not show how fast this one is.
    fn workers_of_execution(&self) -> Vec<&WorkerUsage> {
        let since = self.execution.as_ref().map_or(0, |execution| execution.started);
        self.workers.iter().filter(|worker| worker.began >= since).collect()
    }
}

/// Images per second from the first worker's start to the last one's last record.
fn rate(workers: &[&WorkerUsage]) -> Option<f64> {
    let began = workers.iter().map(|worker| worker.began).min()?;
    let updated = workers.iter().map(|worker| worker.updated).max()?;
    let images: u64 = workers.iter().map(|worker| worker.tagged + worker.failed).sum();
    let seconds = updated.saturating_sub(began);
    (images > 0 && seconds > 0).then(|| images as f64 / seconds as f64)
}

fn by_machine(workers: &[&WorkerUsage]) -> Vec<Workers> {
    let mut machines: BTreeMap<&Machine, (u64, u64)> = BTreeMap::new();
    for worker in workers {
        let (running, ended) = machines.entry(&worker.machine).or_default();
        *(if worker.ended.is_none() { running } else { ended }) += 1;
    }
    let workers = |(machine, (running, ended)): (&Machine, (u64, u64))| Workers {
        machine: machine.clone(),
        running,
        ended,
    };
    machines.into_iter().map(workers).collect()
}
