//! Polls a run, and requests nothing twice that cannot have changed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use tagfleet_aws::executions::Execution;
use tagfleet_cost::usage::{self, Records, UsageRecord, WorkerUsage};
use tagfleet_fleet::pricing::Pricing;
use tagfleet_fleet::{FleetError, FleetRun};
use tagfleet_pipeline::bucket::{BucketError, KeyRange, Kind};
use tagfleet_pipeline::record::{self, RecordError};
use tagfleet_pipeline::reduce::{self, ReduceError};
use tagfleet_pipeline::run::RunId;
use tagfleet_pipeline::shard::ShardId;
use tagfleet_report::Summary;

use super::{RunStatus, Snapshot};
use crate::connection;
use crate::exit::{Failure, broken};
use crate::fleet::executions::Executions;
use crate::fleet::jobs::Jobs;
use crate::fleet::stack::{FleetStack, FoundRun};
use crate::run_id::{now, started_at};

/// There may be thousands of workers: their records are read again only after this long.
const RECORDS_EVERY: Duration = Duration::from_secs(60);
/// An execution that was started longer ago than this is shown by Step Functions, which is eventually
/// consistent.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// A run that is polled.
pub(in crate::fleet) struct StatusPoller<'a> {
    stack: &'a FleetStack,
    found: FoundRun,
    /// The execution that this command started, an ARN, and when.
    started: Option<(String, Instant)>,
    snapshot: Snapshot,
    records_read: Option<Instant>,
    /// Read once.
    pricing: Option<Result<Pricing, String>>,
}

impl<'a> StatusPoller<'a> {
    pub(in crate::fleet) fn new(stack: &'a FleetStack, found: FoundRun) -> Self {
        Self { stack, found, started: None, snapshot: Snapshot::default(), records_read: None, pricing: None }
    }

    /// Polls the execution with this ARN, which was started just now, and not an earlier one of the run.
    pub(in crate::fleet) fn started(stack: &'a FleetStack, found: FoundRun, execution: String) -> Self {
        Self { started: Some((execution, Instant::now())), ..Self::new(stack, found) }
    }

    /// The stack that it is a run of.
    pub(in crate::fleet) fn stack(&self) -> &FleetStack {
        self.stack
    }

    /// The command that resumes the run.
    pub(in crate::fleet) fn resume(&self) -> String {
        self.stack.command(&format!("resume {}", self.found.run))
    }

    /// The run that is polled.
    pub(in crate::fleet) fn run(&self) -> &RunId {
        &self.found.run
    }

    /// The status of the run now.
    pub(in crate::fleet) async fn poll(&mut self) -> Result<RunStatus, Failure> {
        self.snapshot.execution = self.execution().await?;
        self.snapshot.is_starting = self.snapshot.execution.is_none() && self.was_started_just_now();
        if let Some(fleet) = self.found.fleet.clone() {
            self.read_objects(&fleet).await.map_err(broken)?;
        }
        Ok(RunStatus::new(&self.found.run, &self.snapshot))
    }

    /// What is known of the execution; `None` if Step Functions shows none, as it may for a moment after a
    /// start.
    async fn execution(&self) -> Result<Option<Execution>, Failure> {
        let known = self.snapshot.execution.as_ref().map(|execution| execution.arn.as_str());
        let Some(arn) = known.or(self.started.as_ref().map(|(arn, _)| arn.as_str())) else {
            return Ok(Executions::of(self.stack, &self.found.run).await?.latest());
        };
        match self.stack.aws.describe_execution(arn).await {
            Ok(execution) => Ok(Some(execution)),
            Err(error) if error.kind == Kind::Missing && known.is_none() => Ok(None),
            Err(error) => Err(connection::of_service(error)),
        }
    }

    /// By this command, or by another one, of which only the run's id shows the time.
    fn was_started_just_now(&self) -> bool {
        match &self.started {
            Some((_, at)) => at.elapsed() < SHOWN_WITHIN,
            None => started_at(&self.found.run)
                .is_some_and(|at| now().saturating_sub(at) < SHOWN_WITHIN.as_secs()),
        }
    }

    /// The summary of a run that has ended; `None` if it ended without.
    pub(in crate::fleet) fn summary(&self) -> Option<&Summary> {
        self.snapshot.summary.as_ref()
    }

    async fn read_objects(&mut self, fleet: &FleetRun) -> Result<(), FleetError> {
        let (output, keys) = (fleet.output.as_ref(), &fleet.keys);
        let is_running =
            self.snapshot.is_starting || self.snapshot.execution.as_ref().is_some_and(Execution::is_running);
        self.snapshot.results = Some(format!("s3://{}/{}", fleet.valid.output.bucket, keys.results()));
        self.snapshot.is_planned = self.snapshot.is_planned || output.exists(&keys.ranges()).await?;
        if !self.snapshot.is_planned {
            return Ok(self.read_summary(fleet, is_running).await?);
        }
        if self.snapshot.splits.is_none() {
            self.snapshot.splits = match reduce::range_splits(output, keys).await {
                Err(ReduceError::NotSplit(_)) => None,
                splits => Some(splits?),
            };
        }
        match self.snapshot.splits {
            None => self.snapshot.shards_so_far = shards(fleet, &keys.shards()).await?.len() as u64,
            Some(_) => self.snapshot.parts = shards(fleet, &keys.parts()).await?,
        }
        if !is_running || self.records_read.is_none_or(|read| read.elapsed() > RECORDS_EVERY) {
            self.read_workers(fleet, is_running).await?;
        }
        Ok(self.read_summary(fleet, is_running).await?)
    }

    async fn read_workers(&mut self, fleet: &FleetRun, is_running: bool) -> Result<(), FleetError> {
        let records = usage::records(fleet.output.as_ref(), &fleet.keys).await?;
        self.snapshot.workers = records.records.iter().filter_map(worker).collect();
        self.snapshot.spent = Some(self.spent(records).await);
        self.snapshot.max_usd = self.limit(fleet).await?;
        self.snapshot.jobs = if is_running { Jobs::of(self.stack, fleet).await } else { None };
        self.records_read = Some(Instant::now());
        Ok(())
    }

    /// The cost of the records; an unknown price is reported, and does not stop the command.
    async fn spent(&mut self, records: Records) -> Result<f64, String> {
        if self.pricing.is_none() {
            self.pricing = Some(pricing(self.stack).await);
        }
        match &self.pricing {
            Some(Ok(pricing)) => pricing.usd(&records.sum()),
            Some(Err(why)) => Err(why.clone()),
            None => Err("no prices were read".to_owned()),
        }
    }

    async fn limit(&self, fleet: &FleetRun) -> Result<Option<f64>, FleetError> {
        Ok(self.stack.limit(fleet).await?.map(|limit| limit.max_usd))
    }

    /// An earlier execution may have left a summary: it counts only once this one has ended.
    async fn read_summary(&mut self, fleet: &FleetRun, is_running: bool) -> Result<(), RecordError> {
        self.snapshot.summary = if is_running { None } else { summary(fleet).await? };
        Ok(())
    }
}

/// The shards that have an object below `prefix`.
async fn shards(fleet: &FleetRun, prefix: &str) -> Result<BTreeSet<ShardId>, BucketError> {
    let mut shards = BTreeSet::new();
    let mut pages = fleet.output.list(&KeyRange::prefix(prefix));
    while let Some(page) = pages.try_next().await? {
        shards.extend(page.iter().filter_map(|object| fleet.keys.shard_of(&object.key)));
    }
    Ok(shards)
}

fn worker(record: &UsageRecord) -> Option<WorkerUsage> {
    match record {
        UsageRecord::Worker(worker) => Some(worker.clone()),
        UsageRecord::Function(_) => None,
    }
}

async fn pricing(stack: &FleetStack) -> Result<Pricing, String> {
    let region = stack.aws.region().ok_or("no region is set, so no prices are known")?;
    Pricing::load(&stack.bucket(), region).await.map_err(|error| error.to_string())
}

/// The summary that the run's latest end left; `None` if it left none.
pub(in crate::fleet) async fn summary(fleet: &FleetRun) -> Result<Option<Summary>, RecordError> {
    record::read_if_present(fleet.output.as_ref(), &fleet.keys.summary()).await
}
