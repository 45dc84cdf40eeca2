//! What the state machine hands to a step and gets back: numbers and short words, never keys.
//!
//! No payload grows with the number of images. The names here are those of `infra/state-machine.asl.json`.

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::budget::{self, Allowed, Limit, Work};
use super::problem::Problem;
use super::request::Device;
use super::{FleetError, FleetRun, Stack, deadline, manifest};
use tagfleet_cost::assumptions::{DEFAULT_WORKERS, IMAGES_PER_WORKER};
use tagfleet_cost::usage::{self, Usage, UsageRecord};
use tagfleet_pipeline::denied;
use tagfleet_pipeline::filter::Skipped;
use tagfleet_pipeline::infer::ROUNDS;
use tagfleet_pipeline::queue::{Messages, Queue};
use tagfleet_pipeline::record;
use tagfleet_pipeline::reduce;
use tagfleet_pipeline::run::{Ranges, RunId};
use tagfleet_pipeline::shard::ShardId;
use tagfleet_pipeline::split::{self, RangeSplit, RangeTask, SplitProgress};

/// The result of plan, for the state machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Where results go, `s3://bucket/tags/`, for the workers.
    pub output: String,
    /// The queue of this execution.
    pub queue_url: String,
    /// Ranges to split, from 0.
    pub ranges: u32,
    /// What workers run on.
    pub device: Device,
    /// True if an earlier execution had planned the run already.
    pub resumed: bool,
    /// Whether a mail is wanted.
    pub notify: bool,
}

/// The result of a call of split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitResult {
    /// False if it has to be called again.
    pub done: bool,
    /// Images of the range so far.
    pub images: u64,
    /// Shards of the range so far.
    pub shards: u32,
}

/// The result of check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// All shards.
    pub shards: u64,
    /// Those without a part.
    pub missing: u64,
    /// Whether infer is to run (again).
    pub again: bool,
    /// The number of workers.
    pub workers: u32,
    /// Dollars that each of them may spend, as their environment takes it; empty if there is no limit.
    pub share_usd: String,
    /// Why no round starts although something is missing, if that is the run's limit.
    pub stopped: Option<Problem>,
    /// Compaction groups, from 0.
    pub groups: u32,
    /// The last shard that was sent again, where the call ended before all were: it has to be called again
    /// with it. Else empty.
    pub more: String,
}

/// The result of compact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// Rows of the group's results so far.
    pub rows: u64,
}

/// Splits range `number` until it is done or `stop` is cancelled.
///
/// # Errors
/// See [`FleetError`].
pub async fn split(
    stack: &Stack,
    fleet: &FleetRun,
    queue: &dyn Queue,
    number: u32,
    stop: &CancellationToken,
) -> Result<SplitResult, FleetError> {
    let (output, keys) = (fleet.output.as_ref(), &fleet.keys);
    let ranges: Ranges = record::read(output, &keys.ranges()).await?;
    let Some(range) = ranges.ranges.get(number as usize) else {
        return Err(FleetError::NoSuch { run: fleet.run.clone(), what: "range", number });
    };
    let request = fleet.request().await?;
    let source = manifest::source(stack, fleet).await?.since(fleet.earlier(&request));
    let task = RangeTask { number, range, run: &fleet.run, output, keys, queue };
    if output.exists(&keys.range_split(number)).await? {
        let record: RangeSplit = record::read(output, &keys.range_split(number)).await?;
        split::restore(&source, task, &record).await?;
        return Ok(said(&SplitProgress::Done(record)));
    }
    let reached = split::split_range(&source, task, request.max_shard_images(), stop).await?;
    Ok(said(&reached))
}

fn said(reached: &SplitProgress) -> SplitResult {
    let (done, record) = match reached {
        SplitProgress::Done(record) => (true, record),
        SplitProgress::Stopped(record) => (false, record),
    };
    SplitResult { done, images: record.images, shards: record.shards }
}

/// What the state machine knows when it asks to check.
#[derive(Clone, Copy)]
pub struct CheckInput<'a> {
    /// 0 after split, then the number of rounds of infer that count.
    pub round: u32,
    /// True if an earlier execution had planned the run.
    pub resumed: bool,
    /// Shards without a part at the last check; none at the first.
    pub before: Option<u64>,
    /// What the last round met, where it failed.
    pub problem: Option<&'a Problem>,
    /// Workers that the stack can run at once.
    pub most_workers: u32,
    /// vCPUs of each.
    pub vcpus: u32,
    /// Seconds since 1970.
    pub now: u64,
    /// What the run may cost, where it has a limit.
    pub limit: Option<Limit<'a>>,
    /// What the call that asks has used so far: it is not among the records yet.
    pub used: Option<&'a UsageRecord>,
    /// The last shard that an earlier call sent again, which ended before all were.
    pub sent: Option<ShardId>,
    /// When to end before all are sent again; some are in any case.
    pub stop: Option<&'a CancellationToken>,
}

/// Compares shards and parts after split or after a round of infer, and decides whether infer runs (again).
/// Then what is missing is sent again, unless split has just sent all of it or the queue holds as many
/// messages already.
///
/// # Errors
/// See [`FleetError`].
pub async fn check(
    fleet: &FleetRun,
    queue: &dyn Queue,
    asked: CheckInput<'_>,
) -> Result<CheckResult, FleetError> {
    let output = fleet.output.as_ref();
    let splits = reduce::range_splits(output, &fleet.keys).await?;
    if split::inputs(&splits) == 0 {
        return Err(FleetError::Unusable(nothing_to_tag(&split::skipped(&splits))));
    }
    let missing = reduce::missing(output, &fleet.keys).await?;
    let groups = reduce::groups(output, &fleet.keys, fleet.request().await?.vector.as_ref()).await?;
    let mut checked = CheckResult {
        shards: splits.iter().map(|split: &RangeSplit| u64::from(split.shards)).sum(),
        missing: missing.len() as u64,
        again: false,
        workers: 1,
        share_usd: String::new(),
        stopped: None,
        groups: u32::try_from(groups.groups.len()).unwrap_or(u32::MAX),
        more: String::new(),
    };
    if missing.is_empty() {
        return Ok(checked);
    }
    denied::forget(output, &fleet.keys, &missing).await?;
    let mut usage = usage::total(output, &fleet.keys).await?;
    if let Some(used) = asked.used {
        usage.add(used);
    }
    let work = work(&splits, &missing, &checked);
    checked.again = is_worth_a_round(&asked, missing.len() as u64, &usage);
    checked.workers = wanted(fleet, &asked, missing.len() as u64, work.images, &usage);
    if let Some(limit) = &asked.limit {
        match keep(limit, fleet, &asked, &work, &usage, &mut checked) {
            Err(FleetError::PriceUnknown(why)) => {
                checked.again = false;
                checked.stopped = Some(budget::price_unknown(&fleet.run, &why));
            }
            kept => kept?,
        }
    }
    if checked.again && (asked.before.is_some() || asked.round > 0 || asked.resumed) {
        let more = send_again(fleet, queue, &asked, &missing).await?;
        checked.more = more.map(String::from).unwrap_or_default();
    }
    Ok(checked)
}

/// Sends what is missing again, unless the queue holds as many messages, as it does after a round whose time
/// ran out.
async fn send_again(
    fleet: &FleetRun,
    queue: &dyn Queue,
    asked: &CheckInput<'_>,
    missing: &[ShardId],
) -> Result<Option<ShardId>, FleetError> {
    if asked.sent.is_none() && is_spared(asked, queue.messages().await?, missing.len() as u64) {
        return Ok(None);
    }
    let never = CancellationToken::new();
    let stop = asked.stop.unwrap_or(&never);
    Ok(split::send_shards_behind(queue, &fleet.run, missing, asked.sent, stop).await?)
}

fn nothing_to_tag(skipped: &Skipped) -> String {
    if skipped.is_empty() {
        "no object passes include and exclude: nothing to tag".to_owned()
    } else {
        format!("every object that passes is skipped ({}): nothing to tag", skipped.in_words())
    }
}

/// Whether there are as many messages as missing shards. It is unknown which shards they are of, so a later
/// round must be able to make up for one that is not among them. Most must be visible, because those in a
/// dead worker's hand come too late for a round that ends when it finds nothing.
fn is_spared(asked: &CheckInput<'_>, messages: Messages, missing: u64) -> bool {
    let comes_again = asked.problem.is_some_and(Problem::is_timeout) || asked.round + 1 < ROUNDS;
    comes_again && messages.all() >= missing && messages.in_hand <= messages.visible
}

/// What there is to do, for what is missing and for the whole run.
fn work(splits: &[RangeSplit], missing: &[ShardId], checked: &CheckResult) -> Work {
    let of_shard = |shard: &ShardId| {
        splits.get(shard.range as usize)?.shard_images.get(shard.number as usize).copied().map(u64::from)
    };
    let images = || missing.iter().filter_map(of_shard);
    Work {
        images: images().sum(),
        fewest: images().min().unwrap_or(0),
        all_images: splits.iter().map(|split| split.images).sum(),
        shards: checked.shards,
        groups: u64::from(checked.groups),
    }
}

/// Divides what is left of the limit, or stops the run there.
fn keep(
    limit: &Limit<'_>,
    fleet: &FleetRun,
    asked: &CheckInput<'_>,
    work: &Work,
    usage: &Usage,
    checked: &mut CheckResult,
) -> Result<(), FleetError> {
    if !checked.again {
        // The rounds are over. Where workers stopped at their shares it is the limit that ended them.
        if asked.problem.is_none() && usage.shares_spent > 0 {
            checked.stopped = Some(limit.ended(&fleet.run, work, usage)?);
        }
        return Ok(());
    }
    let is_first = asked.round == 0 && asked.before.is_none();
    match limit.allows(&fleet.run, work, checked.workers, usage, is_first)? {
        Allowed::Workers(workers, share) => {
            checked.workers = workers;
            checked.share_usd = share.to_string();
        }
        Allowed::Nothing(problem) => {
            checked.again = false;
            checked.stopped = Some(problem);
        }
    }
    Ok(())
}

/// Whether another round may do what the last one left. It may not if no machine could be had, if nothing was
/// done and its time ran out or its workers gave a reason, or if more images are denied than the run takes.
fn is_worth_a_round(asked: &CheckInput<'_>, missing: u64, usage: &Usage) -> bool {
    if usage.too_many_denied.is_some() {
        return false;
    }
    let Some(problem) = asked.problem else { return asked.round < ROUNDS };
    if asked.round >= ROUNDS || problem.is_no_capacity() {
        return false;
    }
    let is_stuck = asked.before == Some(missing);
    if is_stuck && problem.is_timeout() {
        return false;
    }
    !is_stuck || usage.failures.is_empty()
}

/// As many as the request allows and the round needs, and no more than the stack may hold.
fn wanted(fleet: &FleetRun, asked: &CheckInput<'_>, shards: u64, images: u64, usage: &Usage) -> u32 {
    let needed = fleet
        .valid
        .deadline
        .map(|deadline| deadline::workers(deadline, images, usage, asked.vcpus, asked.now));
    workers(fleet.valid.request.workers, needed, shards, images).min(asked.most_workers.max(1))
}

/// `needed` are those that a deadline asks for; never more than there are shards.
fn workers(asked: Option<u32>, needed: Option<u64>, shards: u64, images: u64) -> u32 {
    let wanted = match (asked.map(u64::from), needed) {
        (Some(asked), Some(needed)) => asked.min(needed),
        (Some(asked), None) => asked,
        (None, Some(needed)) => needed,
        (None, None) => images.div_ceil(IMAGES_PER_WORKER).min(DEFAULT_WORKERS),
    };
    u32::try_from(wanted.min(shards)).unwrap_or(u32::MAX).max(1)
}

/// Compacts what there is of group `number`, unless that is done already.
///
/// # Errors
/// See [`FleetError`].
pub async fn compact(fleet: &FleetRun, number: u32) -> Result<Compacted, FleetError> {
    let output = fleet.output.as_ref();
    let request = fleet.request().await?;
    let groups = reduce::groups(output, &fleet.keys, request.vector.as_ref()).await?;
    let Some(group) = groups.groups.get(number as usize) else {
        return Err(FleetError::NoSuch { run: fleet.run.clone(), what: "group", number });
    };
    let earlier = fleet.earlier(&request);
    let counts = fleet.compaction(&request, earlier.as_ref()).group(number, group).await?;
    Ok(Compacted { rows: counts.rows() })
}

/// The run of this id as text from a state machine.
///
/// # Errors
/// If it is not a run id.
pub fn run_id(text: &str) -> Result<RunId, FleetError> {
    RunId::try_from(text.to_owned()).map_err(|error| FleetError::Unusable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_round_gets_one_worker_and_a_large_one_a_hundred() {
        assert_eq!(workers(None, None, 1, 200), 1);
        assert_eq!(workers(None, None, 40, 50_001), 2);
        assert_eq!(workers(None, None, 30_000, 300_000_000), 100);
        assert_eq!(workers(Some(20), None, 3, 600), 3);
        assert_eq!(workers(Some(500), None, 30_000, 300_000_000), 500);
        assert_eq!(workers(None, None, 0, 0), 1);
        assert_eq!(workers(None, Some(347), 30_000, 300_000_000), 347);
        assert_eq!(workers(Some(20), Some(347), 30_000, 300_000_000), 20);
        assert_eq!(workers(Some(500), Some(3), 30_000, 300_000_000), 3);
    }
}
