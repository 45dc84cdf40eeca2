//! The brake: how much of a run's limit in dollars the workers of the next round may spend, and each of them.
//!
//! Before a round: `left = limit - spent - reserve`. Spent is the bill of all usage records so far. A worker
//! that runs or was killed counts until a minute after its last record. The reserve is the bill of what
//! reduce will use. Each worker gets an equal share of what is left and takes no new shard once it is spent;
//! the next round divides the rest. So a run may exceed its limit by the shards in progress, and by no more.
//! An unknown price refuses a limited run before it starts, and stops one that has started before its next
//! round. It makes no request and reads no clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::problem::{PRICE_UNKNOWN, Problem, STOPPED_AT_BUDGET};
use tagfleet_cost::assumptions::{KEYS_A_PAGE, REDUCER_MB, ROWS_PER_SECOND};
use tagfleet_cost::usage::{CallUsage, Machine, RequestCount, Requests, USAGE_VERSION, Usage, WorkerUsage};
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::record;
use tagfleet_pipeline::run::{RunId, StackKeys};

use super::FleetError;

/// Dollars of a usage; the error names the price that is not known.
pub type Price<'a> = dyn Fn(&Usage) -> Result<f64, String> + Send + Sync + 'a;

/// The version of a [`LimitOverride`]'s stored form.
pub const LIMIT_VERSION: u32 = 1;

/// Compaction may take this many times what a plan assumes: a reserve that is too small stops nothing in
/// time.
const CAUTION: u64 = 2;
/// What a call of compact takes besides its rows, in milliseconds.
const COMPACT_MILLISECONDS: u64 = 5_000;
/// What the last check, finish and mail take together, in milliseconds.
const LAST_CALLS_MILLISECONDS: u64 = 60_000;
/// The least time that EC2 bills for a machine: no worker costs less.
const LEAST_SECONDS: u64 = 60;

/// A higher limit than the request's, given when the run was taken up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitOverride {
    /// [`LIMIT_VERSION`].
    pub version: u32,
    /// Dollars that the run may cost, all its executions together.
    pub max_usd: f64,
}

/// What a run may cost, and by whose word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunLimit {
    /// Dollars that the run may cost, all its executions together.
    pub max_usd: f64,
    /// Whose limit that is.
    pub of: LimitOf,
}

/// Whose limit a run has, which decides how it can continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitOf {
    /// It was asked for.
    Request,
    /// The stack lets no run cost more.
    Stack,
    /// It is what was left of the day of the latest execution.
    Day {
        /// When that day ends, in seconds since 1970, UTC.
        ends: u64,
    },
}

/// A limit, and what it takes to keep it.
#[derive(Clone, Copy)]
pub struct Limit<'a> {
    /// The limit.
    pub limit: RunLimit,
    /// Prices usage in dollars.
    pub price: &'a Price<'a>,
    /// What workers may run on.
    pub machines: &'a [Machine],
    /// vCPUs of a worker.
    pub vcpus: u32,
}

/// What is to be done in the next round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Images without a row.
    pub images: u64,
    /// Of these, in the smallest shard.
    pub fewest: u64,
    /// Images of the whole run: what reduce has to do.
    pub all_images: u64,
    /// Shards of the whole run.
    pub shards: u64,
    /// Compaction groups of the whole run.
    pub groups: u64,
}

/// What the limit allows.
#[derive(Clone, Debug, PartialEq)]
pub enum Allowed {
    /// The number of workers, and what each may spend.
    Workers(u32, f64),
    /// No round any more.
    Nothing(Problem),
}

/// The limit of a run: the one given last when it was taken up again, else its request's.
///
/// # Errors
/// If it cannot be read.
pub async fn limit_of(
    bucket: &dyn Bucket,
    run: &RunId,
    requested: Option<f64>,
) -> Result<Option<f64>, FleetError> {
    let limit: Option<LimitOverride> = record::read_if_present(bucket, &StackKeys::limit(run)).await?;
    Ok(limit.map(|limit| limit.max_usd).or(requested))
}

/// `2026-12-01 00:00 UTC`, from seconds since 1970.
pub(super) fn utc(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or_default().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

impl Limit<'_> {
    /// Divides what is left among `workers`, or among as few of them as it can pay. If `is_first`, no worker
    /// has run in this execution: then all that is missing has to be affordable.
    ///
    /// # Errors
    /// If a price is not known.
    pub fn allows(
        &self,
        run: &RunId,
        work: &Work,
        workers: u32,
        spent: &Usage,
        is_first: bool,
    ) -> Result<Allowed, FleetError> {
        let of_kms = of_kms(spent);
        let spent = self.usd(spent)?;
        let left = self.limit.max_usd - spent - self.usd(&of_reduce(work))?;
        let fetched = self.usd(&of_fetches(work.images, of_kms))?;
        if is_first && fetched > left {
            let why = format!("to fetch {} images costs ${fetched:.6}", work.images);
            return Ok(Allowed::Nothing(self.stopped(run, spent, left, &why)));
        }
        let least = self.least_of_a_worker(work, of_kms)?;
        // A whole number of workers, or `None` if even one gets too little.
        let affordable = (left / least).clamp(0.0, f64::from(workers)).floor() as u32;
        if affordable == 0 {
            let why = format!("a worker costs ${least:.6} at least");
            return Ok(Allowed::Nothing(self.stopped(run, spent, left, &why)));
        }
        Ok(Allowed::Workers(affordable, left / f64::from(affordable)))
    }

    /// The same answer for a run whose rounds are over, its workers having stopped at their shares.
    ///
    /// # Errors
    /// If a price is not known.
    pub fn ended(&self, run: &RunId, work: &Work, spent: &Usage) -> Result<Problem, FleetError> {
        let spent = self.usd(spent)?;
        let left = self.limit.max_usd - spent - self.usd(&of_reduce(work))?;
        Ok(self.stopped(run, spent, left, "its workers stopped at their shares in every round"))
    }

    /// Whether everything that this run may use has a price.
    ///
    /// # Errors
    /// Names the first one that has none.
    pub fn is_priced(&self) -> Result<(), FleetError> {
        let work = Work { images: 1, fewest: 1, all_images: 1, shards: 1, groups: 1 };
        self.usd(&of_reduce(&work))?;
        self.usd(&of_fetches(1, 0.0))?;
        for machine in self.machines {
            self.usd(&of_worker(machine, self.vcpus))?;
        }
        Ok(())
    }

    /// The cheapest machine for the least time, and the smallest shard's images.
    fn least_of_a_worker(&self, work: &Work, of_kms: f64) -> Result<f64, FleetError> {
        let mut least = f64::INFINITY;
        for machine in self.machines {
            least = least.min(self.usd(&of_worker(machine, self.vcpus))?);
        }
        let machine = if least.is_finite() { least } else { 0.0 };
        Ok(machine + self.usd(&of_fetches(work.fewest, of_kms))?)
    }

    fn usd(&self, usage: &Usage) -> Result<f64, FleetError> {
        (self.price)(usage).map_err(FleetError::PriceUnknown)
    }

    fn stopped(&self, run: &RunId, spent: f64, left: f64, why: &str) -> Problem {
        let (max, left) = (self.limit.max_usd, left.max(0.0));
        let go_on = match self.limit.of {
            LimitOf::Request => format!("to continue: tagfleet resume {run} --max-usd N, with N above {max}"),
            LimitOf::Stack => format!(
                "the stack lets no run cost more (MaxUsdPerRun): to continue, deploy it with a higher one, then: tagfleet \
                 resume {run}"
            ),
            LimitOf::Day { ends } => format!(
                "that is what was left of the day (the stack's MaxUsdPerDay): to continue, from {}: tagfleet resume {run}",
                utc(ends)
            ),
        };
        Problem {
            error: STOPPED_AT_BUDGET.to_owned(),
            cause: format!(
                "${spent:.6} of ${max} is spent and ${left:.6} is left for workers, but {why}; {go_on}"
            ),
        }
    }
}

/// The end of a run that has started, if a price that its limit needs becomes unknown: finished work is kept.
#[must_use]
pub fn price_unknown(run: &RunId, why: &str) -> Problem {
    Problem {
        error: PRICE_UNKNOWN.to_owned(),
        cause: format!(
            "the limit cannot be enforced because a price is unknown: {why}; once it is known, resume with: tagfleet \
             resume {run}"
        ),
    }
}

/// What is still to come once the last worker has ended: each part is read once, each group is written once,
/// and three calls compare, finish and mail.
fn of_reduce(work: &Work) -> Usage {
    let count = |calls| RequestCount { calls, chunks: calls, ..RequestCount::default() };
    let mut requests = Requests::default();
    // Each call reads the run's request and its groups, and looks whether a group is compacted already;
    // finish looks twice.
    requests.0.insert("s3:GetObject".to_owned(), count(work.shards + 9 * (work.groups + 3)));
    requests.0.insert("s3:PutObject".to_owned(), count(4 * (work.groups + 3)));
    requests.0.insert("s3:ListBucket".to_owned(), count(8 * (work.shards / KEYS_A_PAGE + 1)));
    let compaction = work.groups * COMPACT_MILLISECONDS + CAUTION * work.all_images * 1000 / ROWS_PER_SECOND;
    let functions = [
        ("reducer compact", calls(work.groups, compaction)),
        ("reducer finish", calls(3, LAST_CALLS_MILLISECONDS)),
    ];
    Usage {
        functions: functions.into_iter().map(|(name, calls)| (name.to_owned(), calls)).collect(),
        requests: BTreeMap::from([("reduce".to_owned(), requests)]),
        ..Usage::default()
    }
}

fn calls(calls: u64, milliseconds: u64) -> CallUsage {
    CallUsage { calls, milliseconds, mb_milliseconds: milliseconds * REDUCER_MB }
}

/// Of the images that were fetched so far, the share for which S3 asked KMS; 0 if none was fetched yet.
fn of_kms(usage: &Usage) -> f64 {
    let Some(infer) = usage.requests.get("infer") else { return 0.0 };
    let calls = |operation| infer.0.get(operation).map_or(0, |count| count.calls) as f64;
    calls("kms:Decrypt") / calls("s3:GetObject").max(1.0)
}

fn of_fetches(images: u64, of_kms: f64) -> Usage {
    let count = |calls| RequestCount { calls, chunks: calls, ..RequestCount::default() };
    let mut requests = Requests(BTreeMap::from([("s3:GetObject".to_owned(), count(images))]));
    // A whole number of requests, rounded up.
    let asked = (images as f64 * of_kms).ceil() as u64;
    if asked > 0 {
        requests.0.insert("kms:Decrypt".to_owned(), count(asked));
    }
    Usage { requests: BTreeMap::from([("infer".to_owned(), requests)]), ..Usage::default() }
}

/// A worker that ends as soon as it can.
fn of_worker(machine: &Machine, vcpus: u32) -> Usage {
    let worker = WorkerUsage {
        version: USAGE_VERSION,
        machine: machine.clone(),
        updated: LEAST_SECONDS,
        vcpus,
        ..WorkerUsage::default()
    };
    Usage::of_worker(worker)
}

#[cfg(test)]
mod tests;
