//! Whether a denied image is to blame, or the way to it: what one worker knows of that.
//!
//! An image is to blame only if another image of the run can be read before it is denied once more, and after
//! that: between two such reads the way was open. A worker that has read none looks for one in other shards.
//! It never judges errors of other kinds, and it counts a run's denied images only through `denied.rs`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::stream::{self, StreamExt};
use tokio::sync::Mutex as AsyncMutex;

use super::shard_in_progress::ShardInProgress;
use super::{ShardFailure, Worker};
use crate::bucket::{Access, BucketError, Kind};
use crate::denied::{self, TooManyDenied};
use crate::record;
use crate::reduce;
use crate::run::Ranges;
use crate::shard::ShardId;
use crate::split::RangeSplit;

/// At this many denied images of a shard, a worker that has read none tries other shards first.
pub(super) const DOUBTFUL: usize = 64;
/// Other shards in which a worker looks for an image that can be read.
const SHARDS_TRIED: usize = 16;
/// Images that it asks for in all of them together.
const IMAGES_TRIED: usize = 64;
/// Of these at once.
const TRIED_AT_ONCE: usize = 8;
/// No run has more workers. Until each of them has found as many more as this one, what was counted last is
/// good.
const MOST_WORKERS: u64 = 10_000;

/// What one worker knows of denied images.
#[derive(Default)]
pub(super) struct Denials {
    /// The key of an image that it has read.
    witness: Mutex<Option<String>>,
    /// Held while an answer is awaited: shards of one worker are judged one after the other.
    tally: AsyncMutex<Tally>,
}

/// The run's denied images, as far as they were counted.
#[derive(Default)]
struct Tally {
    /// Images of the run; none before they were asked for.
    images: Option<u64>,
    is_accepted: bool,
    /// As of the last count.
    counted: Option<u64>,
    /// Of this worker since then.
    since: u64,
}

impl Denials {
    /// An image was read.
    pub(super) fn saw(&self, key: &str) {
        self.witness().get_or_insert_with(|| key.to_owned());
    }

    /// Whether this worker has read an image.
    pub(super) fn has_seen(&self) -> bool {
        self.witness().is_some()
    }

    fn witness(&self) -> MutexGuard<'_, Option<String>> {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an image of the run can be read now: one that was read before, here or in `shard`, or one in
    /// another shard.
    pub(super) async fn is_way_open(
        &self,
        worker: &Worker,
        shard: &ShardInProgress,
    ) -> Result<bool, ShardFailure> {
        let seen = self.witness().clone();
        let found = match first_readable(worker, seen.into_iter().chain(shard.readable())).await? {
            Some(key) => Some(key),
            None => find_readable(worker, shard.shard.id).await?,
        };
        self.witness().clone_from(&found);
        Ok(found.is_some())
    }

    /// Announces this many denied images of a shard.
    ///
    /// # Errors
    /// [`ShardFailure::Denied`] if the run has more of them than it takes.
    pub(super) async fn announce(
        &self,
        worker: &Worker,
        shard: ShardId,
        images: usize,
        example: &BucketError,
    ) -> Result<(), ShardFailure> {
        let (output, keys) = (worker.output.as_ref(), &worker.keys);
        let mut tally = self.tally.lock().await;
        denied::announce(output, keys, shard, images).await?;
        let all = tally.of_run(worker).await?;
        tally.since += images as u64;
        let most = denied::most(all);
        let at_worst = |tally: &Tally| Some(tally.counted? + tally.since.saturating_mul(MOST_WORKERS));
        if tally.is_accepted || at_worst(&tally).is_some_and(|denied| denied <= most) {
            return Ok(());
        }
        let denied = denied::announced(output, keys).await?;
        (tally.counted, tally.since) = (Some(denied), 0);
        if denied <= most {
            return Ok(());
        }
        denied::announce(output, keys, shard, 0).await?;
        Err(TooManyDenied { denied, images: all, most, example: example.clone() }.into())
    }
}

impl Tally {
    /// Images of the run; asks for them, and whether any number may be denied, the first time.
    async fn of_run(&mut self, worker: &Worker) -> Result<u64, ShardFailure> {
        if let Some(images) = self.images {
            return Ok(images);
        }
        let (output, keys) = (worker.output.as_ref(), &worker.keys);
        self.is_accepted = output.exists(&keys.denied_accepted()).await?;
        let splits = reduce::range_splits(output, keys).await?;
        Ok(*self.images.insert(splits.iter().map(|split| split.images).sum()))
    }
}

/// Whether an object can be read, by its first bytes: more than none are too many here.
async fn is_readable(worker: &Worker, key: &str) -> Result<bool, ShardFailure> {
    match worker.source.get(key, None, 0).await {
        Ok(_) => Ok(true),
        Err(error) => match error.kind {
            Kind::TooLarge => Ok(true),
            Kind::Temporary => Err(error.into()),
            _ => Ok(false),
        },
    }
}

/// The key of an image that can be read now, in shards all over the run.
async fn find_readable(worker: &Worker, but: ShardId) -> Result<Option<String>, ShardFailure> {
    let mut keys = Vec::new();
    let shards = some_shards(worker, but).await?;
    for id in &shards {
        let shard = record::read_shard(worker.output.as_ref(), &worker.keys, *id).await?;
        let readable = shard.images.into_iter().filter(|image| image.access == Access::Readable);
        let all: Vec<String> = readable.map(|image| image.key).collect();
        keys.extend(spread(all.len(), IMAGES_TRIED.div_ceil(shards.len())).map(|index| all[index].clone()));
    }
    first_readable(worker, keys).await
}

/// The first of these keys whose image can be read now.
async fn first_readable(
    worker: &Worker,
    keys: impl IntoIterator<Item = String>,
) -> Result<Option<String>, ShardFailure> {
    let ask = |key: String| async move { is_readable(worker, &key).await.map(|is| is.then_some(key)) };
    let mut asked = stream::iter(keys.into_iter().map(ask)).buffered(TRIED_AT_ONCE);
    while let Some(answer) = asked.next().await {
        if let Some(key) = answer? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// Some shards other than `but`, from the whole key space; empty if split left no record of them.
async fn some_shards(worker: &Worker, but: ShardId) -> Result<Vec<ShardId>, ShardFailure> {
    let (output, keys) = (worker.output.as_ref(), &worker.keys);
    let Some(ranges) = record::read_if_present::<Ranges>(output, &keys.ranges()).await? else {
        return Ok(vec![]);
    };
    let chosen: Vec<usize> = spread(ranges.ranges.len(), SHARDS_TRIED).collect();
    let mut shards = Vec::new();
    for range in (0..).take(ranges.ranges.len()).filter(|range| chosen.contains(&(*range as usize))) {
        let split: Option<RangeSplit> = record::read_if_present(output, &keys.range_split(range)).await?;
        let split = split.unwrap_or_default();
        let few = SHARDS_TRIED.div_ceil(chosen.len());
        let numbers = (0..split.shards).filter(|number| ShardId { range, number: *number } != but);
        let numbers: Vec<u32> = numbers.collect();
        shards.extend(spread(numbers.len(), few).map(|index| ShardId { range, number: numbers[index] }));
    }
    Ok(shards)
}

/// At most `few` of the numbers below `count`, as far from each other as they can be.
fn spread(count: usize, few: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(few);
    (0..taken).map(move |at| at * count / taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_is_spread_over_all() {
        let chosen = |count, few| spread(count, few).collect::<Vec<_>>();
        assert_eq!(chosen(0, 4), [0_usize; 0]);
        assert_eq!(chosen(3, 4), [0, 1, 2]);
        assert_eq!(chosen(100, 4), [0, 25, 50, 75]);
    }
}
