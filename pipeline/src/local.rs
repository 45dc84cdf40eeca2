//! The local run: split, infer, reduce in one process, over the same ports as on AWS.
//!
//! It does what the state machine does there, step by step, and any of its steps may have been done by an
//! earlier process that was killed. It decides nothing that the stages do not; it never names a directory or
//! a bucket.

use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::bucket::Kind;
use crate::denied;
use crate::earlier::EarlierRun;
use crate::infer::{InferError, ROUNDS, Stop, Worker, infer};
use crate::queue::{MemoryQueue, QueueError};
use crate::record::{self, RecordError};
use crate::reduce::{self, Compaction, Counted, ReduceError, RowCounts};
use crate::run::{Ranges, RunRequest};
use crate::shard::ShardId;
use crate::split::{self, RangeTask, Source, SplitError};
use crate::tagger::{Tagger, TaggerError};

/// How a local run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum LocalOutcome {
    /// Every input has its row; here they are counted, and the results are written.
    Complete(RowCounts),
    /// It was asked to stop; what is committed stays.
    Interrupted,
    /// These shards have no part after the last round.
    Incomplete(Vec<ShardId>),
}

/// Why a local run failed; what is committed stays, and it can be taken up again.
#[derive(Debug, Error)]
pub enum RunError {
    /// Split failed.
    #[error("split: {0}")]
    Split(#[from] SplitError),
    /// Infer failed.
    #[error("infer: {0}")]
    Infer(#[from] InferError),
    /// The model could not be loaded for another thread.
    #[error(transparent)]
    Tagger(#[from] TaggerError),
    /// Reduce failed.
    #[error("reduce: {0}")]
    Reduce(#[from] ReduceError),
    /// A record cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl RunError {
    /// Whether it ended because the output has no room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let error = match self {
            Self::Infer(InferError::Full(error)) => Some(error),
            Self::Split(error) => error.bucket_error(),
            Self::Reduce(error) => error.bucket_error(),
            Self::Record(error) => error.bucket_error(),
            _ => None,
        };
        error.is_some_and(|error| error.kind == Kind::Full)
    }
}

/// Loads one tagger per thread; called once per round.
pub type Taggers<'a> = dyn Fn() -> Result<Vec<Box<dyn Tagger>>, TaggerError> + Sync + 'a;

/// Runs `request` to its end, from the point that an earlier process reached, or until `stop` is set.
///
/// # Errors
/// See [`RunError`]; calling it again resumes.
pub async fn run(
    request: &RunRequest,
    ranges: &Ranges,
    source: &Source,
    worker: &Worker,
    taggers: &Taggers<'_>,
    stop: &Stop,
) -> Result<LocalOutcome, RunError> {
    let output = worker.output.as_ref();
    let earlier = EarlierRun::new(request, &worker.output, &worker.run, &worker.keys);
    let source = source.clone().since(earlier.clone());
    let is_fresh = !output.exists(&worker.keys.ranges()).await.map_err(ReduceError::from)?;
    record::create(output, &worker.keys.request(), request).await?;
    record::create(output, &worker.keys.ranges(), ranges).await?;
    // Both can be dropped at any point and done again.
    tokio::select! {
        biased;
        () = stop.asked_for() => return Ok(LocalOutcome::Interrupted),
        split = split_all(request, ranges, &source, worker, is_fresh) => split?,
    }

    let missing = infer_rounds(worker, taggers, stop, is_fresh).await?;
    if !missing.is_empty() && stop.is_asked_for() {
        return Ok(LocalOutcome::Interrupted);
    }
    tokio::select! {
        biased;
        () = stop.now.cancelled() => Ok(LocalOutcome::Interrupted),
        ended = compact_all(worker, request, earlier.as_ref(), missing) => ended,
    }
}

/// Infers until nothing is missing, the last round is over, or `stop` is set; returns what is missing then.
async fn infer_rounds(
    worker: &Worker,
    taggers: &Taggers<'_>,
    stop: &Stop,
    is_queued: bool,
) -> Result<Vec<ShardId>, RunError> {
    let mut missing = reduce::missing(worker.output.as_ref(), &worker.keys).await?;
    denied::forget(worker.output.as_ref(), &worker.keys, &missing).await?;
    begin(worker, &missing).await?;
    for round in 1..=ROUNDS {
        if missing.is_empty() || stop.is_asked_for() {
            break;
        }
        if round > 1 || !is_queued {
            split::send_shards(worker.queue.as_ref(), &worker.run, &missing).await?;
        }
        infer(worker.clone(), taggers()?, stop).await?;
        missing = reduce::missing(worker.output.as_ref(), &worker.keys).await?;
    }
    Ok(missing)
}

/// Splits what is not split yet. If an earlier process started, all missing shards are sent after split has
/// ended, so messages of split itself go nowhere.
async fn split_all(
    request: &RunRequest,
    ranges: &Ranges,
    source: &Source,
    worker: &Worker,
    is_fresh: bool,
) -> Result<(), RunError> {
    let nowhere = MemoryQueue::new(Duration::from_secs(1), 1);
    let queue = if is_fresh { worker.queue.as_ref() } else { &nowhere };
    let output = worker.output.as_ref();
    for (number, range) in (0..).zip(&ranges.ranges) {
        let task = RangeTask { number, range, run: &worker.run, output, keys: &worker.keys, queue };
        let is_split =
            worker.output.exists(&worker.keys.range_split(number)).await.map_err(ReduceError::from)?;
        if is_split && !is_fresh {
            let record = record::read(output, &worker.keys.range_split(number)).await?;
            split::restore(source, task, &record).await?;
        }
        if !is_split {
            let max_images = request.max_shard_images();
            // It has no stop signal: the caller drops the whole future if the run is asked to stop.
            let never = CancellationToken::new();
            split::split_range(source, task, max_images, &never).await?;
        }
    }
    Ok(())
}

/// Initialises the progress: the number of images, and how many are already done, in parts and in
/// checkpoints.
async fn begin(worker: &Worker, missing: &[ShardId]) -> Result<(), RunError> {
    let splits = reduce::range_splits(worker.output.as_ref(), &worker.keys).await?;
    let total: u64 = splits.iter().map(|split| split.images).sum();
    let all_shards: u32 = splits.iter().map(|split| split.shards).sum();
    let mut open = 0;
    if missing.len() < all_shards as usize {
        for shard in missing {
            open +=
                record::read_shard(worker.output.as_ref(), &worker.keys, *shard).await?.images.len() as u64;
        }
    } else {
        open = total;
    }
    worker.progress.begin(total, total - open + kept(worker, missing).await?);
    Ok(())
}

/// Rows in checkpoints of the shards in `missing`. One that cannot be used counts when its shard is opened,
/// as a trouble.
async fn kept(worker: &Worker, missing: &[ShardId]) -> Result<u64, RunError> {
    let checkpoints = worker.checkpoints();
    let found = checkpoints.shards().await.map_err(ReduceError::from)?;
    let mut rows = 0;
    for id in missing.iter().filter(|id| found.contains(id)) {
        let shard = record::read_shard(worker.output.as_ref(), &worker.keys, *id).await?;
        rows += checkpoints.read(&shard).await.map_or(0, |kept| kept.len() as u64);
    }
    Ok(rows)
}

/// Compacts what there is. What is missing is not waited for: if it comes later, it is compacted then.
async fn compact_all(
    worker: &Worker,
    request: &RunRequest,
    earlier: Option<&EarlierRun>,
    missing: Vec<ShardId>,
) -> Result<LocalOutcome, RunError> {
    let output = worker.output.as_ref();
    let groups = reduce::groups(output, &worker.keys, worker.vector.as_ref()).await?;
    let vector = worker.vector.as_ref().map(|vector| vector.stored);
    let (run, keys, counted) = (&worker.run, &worker.keys, Counted::of_run(request));
    Compaction { output, run, keys, vector, earlier, counted }.all(&groups, &missing).await?;
    if !missing.is_empty() {
        return Ok(LocalOutcome::Incomplete(missing));
    }
    Ok(LocalOutcome::Complete(reduce::total(output, &worker.keys, &groups).await?))
}

#[cfg(test)]
mod denied_tests;
#[cfg(test)]
mod tests;
