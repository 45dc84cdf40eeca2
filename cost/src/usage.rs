//! What a run used: machine time of the workers, calls of the functions. Each user counts its own; reduce
//! adds them up.
//!
//! Each worker and each call of a function writes a record of its own next to the run. A worker rewrites its
//! record regularly, so that a killed worker loses little. It knows no price and reads no clock.

mod device;
mod machines;
mod requests;
mod stored;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use tagfleet_pipeline::progress::ThreadTime;
use tagfleet_pipeline::tagger::DeviceTime;

pub use device::{DeviceUse, Gpu};
pub use machines::MachineTime;
pub use requests::{RequestCount, Requests};
pub use stored::{Foreign, Records, put, records, total};

/// The version of the stored records.
pub const USAGE_VERSION: u32 = 1;

/// Seconds between two records of a worker: a killed worker may have run this long after its last one.
pub const RECORD_SECONDS: u64 = 60;
/// The function that splits; the other one reduces.
const SPLITTER: &str = "splitter";
/// What the splitter is asked first in every execution.
const PLAN: &str = "plan";
/// What the reducer is asked once all workers of a round have ended.
const CHECK: &str = "check";
/// The stage that the workers are.
const INFER: &str = "infer";

/// What one process used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a run has some thousand, held for as long as they are added up"
)]
pub enum UsageRecord {
    /// A worker.
    Worker(WorkerUsage),
    /// One call of a function.
    Function(FunctionUsage),
}

/// A machine, as far as the worker could find out.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// `g6.xlarge`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// `us-east-1a`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// `spot` or `on-demand`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_cycle: Option<String>,
}

impl Machine {
    /// The life cycle of a spot machine, as EC2's metadata service spells it.
    pub const SPOT: &str = "spot";
    /// The life cycle of a machine that is bought on demand.
    pub const ON_DEMAND: &str = "on-demand";

    /// Whether it is a spot machine, as far as is known.
    #[must_use]
    pub fn is_spot(&self) -> bool {
        self.life_cycle.as_deref() == Some(Self::SPOT)
    }
}

/// Why a worker ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WorkerEnd {
    /// The queue was empty.
    QueueEmpty,
    /// A signal asked it to stop.
    Signal,
    /// EC2 sent a spot interruption notice.
    SpotInterruption,
    /// Its share of the run's budget is spent.
    BudgetShareSpent,
    /// More images are denied than the run accepts as failed rows; the error in one line.
    TooManyDenied(String),
    /// It failed; the error in one line.
    Failed(String),
    /// The text of a record that another version wrote.
    #[serde(untagged)]
    Other(String),
}

impl WorkerEnd {
    /// The error of a worker that failed.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        match self {
            Self::TooManyDenied(error) | Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

/// What a worker used and did. Times are seconds since 1970, UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkerUsage {
    /// [`USAGE_VERSION`].
    pub version: u32,
    /// The machine that it ran on.
    pub machine: Machine,
    /// The machine's id, `i-0abc`, if that is known: workers on one machine share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// vCPUs of the whole machine, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_vcpus: Option<u32>,
    /// Whether EC2 gave notice that it takes this spot machine back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reclaimed: bool,
    /// When its machine was launched, if that is known: boot is billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launched: Option<u64>,
    /// Its start.
    pub began: u64,
    /// When it wrote this.
    pub updated: u64,
    /// Why it ended; `None` while it runs, or if it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<WorkerEnd>,
    /// vCPUs of its job.
    pub vcpus: u32,
    /// Images it tagged, those whose rows were lost and came again counted again.
    pub tagged: u64,
    /// Images it failed, likewise.
    pub failed: u64,
    /// What it sent to AWS.
    #[serde(default)]
    pub requests: Requests,
    /// What its threads did with their time.
    #[serde(default)]
    pub threads: ThreadTime,
    /// Its GPU, if it found one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
    /// What its stages did, if a device ran the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceTime>,
}

/// What one call of a function used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FunctionUsage {
    /// [`USAGE_VERSION`].
    pub version: u32,
    /// `splitter` or `reducer`
    pub function: String,
    /// What it was asked to do.
    pub action: String,
    /// Its start, in seconds since 1970.
    #[serde(default)]
    pub began: u64,
    /// Wall time by its own clock, in milliseconds, rounded up: what Lambda bills, except for a cold start.
    pub milliseconds: u64,
    /// Its memory, in MB.
    pub memory_mb: u32,
    /// What it sent to AWS.
    #[serde(default)]
    pub requests: Requests,
}

/// All records of a run, added up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Worker processes, by machine.
    pub machines: Vec<MachineUsage>,
    /// Calls of functions, by name and action: `splitter plan`.
    pub functions: BTreeMap<String, CallUsage>,
    /// Seconds in which at least one worker was there.
    pub infer_seconds: u64,
    /// What was sent to AWS by stage: `split`, `infer`, `reduce`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Requests>,
    /// When the latest execution was planned, in seconds since 1970.
    #[serde(skip)]
    pub planned_at: Option<u64>,
    /// Workers of that execution that ended because their share of the budget was spent.
    #[serde(skip)]
    pub shares_spent: u64,
    /// The message of a worker of that execution that ended because more images are denied than the run
    /// takes.
    #[serde(skip)]
    pub too_many_denied: Option<String>,
    /// What the stages of all workers did whose model ran on a device.
    #[serde(skip)]
    pub device: Option<DeviceUse>,
    /// Errors of workers that failed, and how many workers reported each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
    /// What lies among the records and is not one of them.
    #[serde(default, skip_serializing_if = "Foreign::is_empty")]
    pub foreign: Foreign,
}

/// The workers of one kind of machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MachineUsage {
    /// The kind.
    pub machine: Machine,
    /// Worker processes.
    pub workers: u64,
    /// Their seconds together, from launch if it is known.
    pub seconds: u64,
    /// The same multiplied with the vCPUs of each.
    pub vcpu_seconds: u64,
    /// vCPUs of all together.
    pub vcpus: u64,
    /// Images tagged or failed by them.
    pub images: u64,
    /// Time of whole machines, as EC2 bills it.
    #[serde(default)]
    pub time: MachineTime,
    /// GPUs of all together, with the name in the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
}

/// Calls of one function with one action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CallUsage {
    /// How many.
    pub calls: u64,
    /// Wall time together, in milliseconds.
    pub milliseconds: u64,
    /// Milliseconds multiplied with the memory in MB.
    pub mb_milliseconds: u64,
}

impl Usage {
    /// Adds one record, whose numbers are another process's word: sums end at the largest number. The time of
    /// whole machines is [`Usage::add_machine_time`]'s.
    pub fn add(&mut self, record: &UsageRecord) {
        match record {
            UsageRecord::Worker(worker) => self.add_worker(worker),
            UsageRecord::Function(call) => {
                let name = format!("{} {}", call.function, call.action);
                let calls = self.functions.entry(name).or_default();
                calls.calls += 1;
                calls.milliseconds = calls.milliseconds.saturating_add(call.milliseconds);
                let mb_milliseconds = call.milliseconds.saturating_mul(u64::from(call.memory_mb));
                calls.mb_milliseconds = calls.mb_milliseconds.saturating_add(mb_milliseconds);
                self.add_requests(stage_of(&call.function), &call.requests);
                if call.function == SPLITTER && call.action == PLAN {
                    self.planned_at = self.planned_at.max(Some(call.began));
                }
            }
        }
    }

    fn add_requests(&mut self, stage: &str, requests: &Requests) {
        if !requests.0.is_empty() {
            self.requests.entry(stage.to_owned()).or_default().add(requests);
        }
    }

    fn add_worker(&mut self, worker: &WorkerUsage) {
        self.add_requests(INFER, &worker.requests);
        let machine = self.machine(&worker.machine);
        let seconds = worker.updated.saturating_sub(worker.launched.unwrap_or(worker.began));
        machine.workers += 1;
        let vcpus = u64::from(worker.vcpus);
        machine.seconds = machine.seconds.saturating_add(seconds);
        machine.vcpu_seconds = machine.vcpu_seconds.saturating_add(seconds.saturating_mul(vcpus));
        machine.vcpus += vcpus;
        machine.images = machine.images.saturating_add(worker.tagged).saturating_add(worker.failed);
        if let Some(gpu) = &worker.gpu {
            let all = machine.gpu.get_or_insert_with(|| Gpu { count: 0, ..gpu.clone() });
            all.count = all.count.saturating_add(gpu.count);
        }
        if let Some(used) = worker.device_use() {
            self.device.get_or_insert_default().add(used);
        }
        if let Some(error) = worker.ended.as_ref().and_then(WorkerEnd::failure) {
            *self.failures.entry(error.to_owned()).or_default() += 1;
        }
    }

    /// The most frequent message of the workers that failed.
    #[must_use]
    pub fn most_common_failure(&self) -> Option<(&str, u64)> {
        let most = self.failures.iter().max_by_key(|(_, workers)| **workers);
        most.map(|(why, workers)| (why.as_str(), *workers))
    }

    /// Worker processes of all machines.
    #[must_use]
    pub fn workers(&self) -> u64 {
        self.machines.iter().map(|machine| machine.workers).sum()
    }

    /// What one worker alone used: of its machine its share.
    #[must_use]
    pub fn of_worker(worker: WorkerUsage) -> Self {
        let alone = WorkerUsage { instance: None, ..worker };
        let mut usage = Self::default();
        usage.add(&UsageRecord::Worker(alone.clone()));
        usage.add_machine_time(&[alone]);
        usage
    }
}

/// Adds up all records of a run. A worker without a reason to end counts until a minute after its last
/// record, or until the next check if that is earlier: no check starts before every worker's job has ended.
#[must_use]
pub fn sum(mut records: Vec<UsageRecord>) -> Usage {
    let checks = checks(&records);
    let mut usage = Usage::default();
    let mut workers = Vec::new();
    for record in &mut records {
        if let UsageRecord::Worker(worker) = record {
            worker.updated = last_seen(worker, &checks);
            workers.push(worker.clone());
        }
        usage.add(record);
    }
    usage.add_machine_time(&workers);
    usage.machines.sort_by(|a, b| a.machine.cmp(&b.machine));
    usage.infer_seconds = covered(workers.iter().map(|worker| (worker.began, worker.updated)).collect());
    let since = usage.planned_at.unwrap_or(0);
    for worker in workers.into_iter().filter(|worker| worker.began >= since) {
        match worker.ended {
            Some(WorkerEnd::BudgetShareSpent) => usage.shares_spent += 1,
            Some(WorkerEnd::TooManyDenied(error)) => usage.too_many_denied = Some(error),
            _ => {}
        }
    }
    usage
}

/// The starts of the checks, the earliest first.
fn checks(records: &[UsageRecord]) -> Vec<u64> {
    let mut checks: Vec<u64> = records.iter().filter_map(check_began).collect();
    checks.sort_unstable();
    checks
}

fn check_began(record: &UsageRecord) -> Option<u64> {
    match record {
        UsageRecord::Function(call) if call.action == CHECK && call.began > 0 => Some(call.began),
        _ => None,
    }
}

fn last_seen(worker: &WorkerUsage, checks: &[u64]) -> u64 {
    if worker.ended.is_some() {
        return worker.updated;
    }
    let at_most = worker.updated.saturating_add(RECORD_SECONDS);
    let after = checks.iter().find(|check| **check >= worker.updated);
    after.map_or(at_most, |check| at_most.min(*check))
}

/// The stage that a function belongs to.
pub(crate) fn stage_of(function: &str) -> &'static str {
    if function == SPLITTER { "split" } else { "reduce" }
}

/// The seconds that the spans cover together; pauses between them do not count.
fn covered(mut spans: Vec<(u64, u64)>) -> u64 {
    spans.sort_unstable();
    let (mut seconds, mut until) = (0, 0);
    for (began, ended) in spans {
        seconds += ended.saturating_sub(began.max(until));
        until = until.max(ended);
    }
    seconds
}

#[cfg(test)]
mod tests;
