//! Makes missing shards of a split range again: a user deleted them because they were damaged.
//!
//! The record of the range has the number of images of each, and its neighbours the keys around it. If the
//! source now has another number of images there, nothing is made: no run mixes two listings. Other changes
//! of an image (its size, its etag) are taken as they are now. It never looks at parts.

use std::collections::BTreeSet;

use futures::stream::TryStreamExt;

use super::range::RangeTask;
use super::{RangeSplit, Source, SplitError};
use crate::bucket::{Bucket, KeyRange};
use crate::filter::Skipped;
use crate::inputs::SkippedRun;
use crate::record::{self, RecordError};
use crate::run::RunKeys;
use crate::shard::{Image, Shard, ShardId};

/// Lists the images of every missing shard of a range again. One listing of the range's shards if none
/// is missing.
///
/// # Errors
/// [`SplitError::Changed`] if the source has more or fewer images than a shard had.
pub async fn restore(source: &Source, task: RangeTask<'_>, record: &RangeSplit) -> Result<(), SplitError> {
    let RangeTask { output, keys, .. } = task;
    let found = shards(output, keys, task.number).await?;
    for (number, images) in (0..).zip(&record.shard_images) {
        let id = ShardId { range: task.number, number };
        if found.contains(&id) {
            continue;
        }
        let bounds = bounds(task, id, &found).await?;
        let Some(shard) = listed(source, &bounds, id, *images as usize).await? else {
            return Err(SplitError::Changed { key: keys.shard(id) });
        };
        let stored = shard.encode().map_err(|error| RecordError::Shard { key: keys.shard(id), error })?;
        output.put_if_absent(&keys.shard(id), stored).await?;
    }
    Ok(())
}

async fn shards(output: &dyn Bucket, keys: &RunKeys, range: u32) -> Result<BTreeSet<ShardId>, SplitError> {
    let mut found = BTreeSet::new();
    let mut pages = output.list(&KeyRange::prefix(&keys.shards_of(range)));
    while let Some(page) = pages.try_next().await? {
        found.extend(page.iter().filter_map(|object| keys.shard_of(&object.key)));
    }
    Ok(found)
}

/// Between which keys the images of a shard are.
struct Bounds {
    /// Behind the last image of the shard before.
    range: KeyRange,
    /// Before the first image of the next shard, if that is there.
    before: Option<String>,
}

async fn bounds(task: RangeTask<'_>, id: ShardId, found: &BTreeSet<ShardId>) -> Result<Bounds, SplitError> {
    let RangeTask { output, keys, .. } = task;
    let mut bounds = Bounds { range: task.range.clone(), before: None };
    if let Some(number) = id.number.checked_sub(1) {
        // It is there, or was just made.
        let before = record::read_shard(output, keys, ShardId { number, ..id }).await?;
        bounds.range.after = before.images.last().map(|image| image.key.clone());
    }
    let next = ShardId { number: id.number + 1, ..id };
    if found.contains(&next) {
        let next = record::read_shard(output, keys, next).await?;
        bounds.before = next.images.first().map(|image| image.key.clone());
    }
    Ok(bounds)
}

/// The shard with this many images, or `None` if the source has another number of them.
async fn listed(
    source: &Source,
    bounds: &Bounds,
    id: ShardId,
    count: usize,
) -> Result<Option<Shard>, SplitError> {
    let is_behind = |key: &str| bounds.before.as_deref().is_some_and(|before| key >= before);
    let (mut images, mut runs): (Vec<Image>, Vec<SkippedRun>) = (Vec::new(), Vec::new());
    let mut pages = source.pages(&bounds.range);
    while let Some(page) = pages.try_next().await? {
        runs.extend(page.skipped);
        images.extend(page.images.into_iter().filter(|image| !is_behind(&image.key)));
        let is_over = page.last_key.as_deref().is_some_and(is_behind);
        if is_over || images.len() > count {
            break;
        }
    }
    if bounds.before.is_none() {
        // The next one is missing too, or there is none: what is left is its, or was added since.
        images.truncate(count);
    }
    let last = images.last().map(|image| image.key.as_str());
    let mut skipped = Skipped::default();
    for run in runs.iter().filter(|run| Some(run.last_key.as_str()) <= last) {
        skipped.merge(&run.skipped);
    }
    Ok((images.len() == count).then_some(Shard { id, images, skipped, kept: None }))
}
