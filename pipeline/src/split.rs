//! Split: list the source (or take a list of keys) -> shards -> one message each.
//!
//! A range can be split in one go, stopped and resumed, or split twice at once: a shard is put only if it
//! does not exist. The second process reads the winner's shard and continues behind its last key. Nothing in
//! it reads an image.

mod comparison;
pub mod cut;
mod duplicates;
mod preview;
mod range;
mod restore;
mod source;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::bucket::BucketError;
use crate::filter::Skipped;
use crate::queue::{Queue, QueueError};
use crate::record::RecordError;
use crate::run::RunId;
use crate::shard::kept::Difference;
use crate::shard::{Image, Shard, ShardId};
use crate::tags::parquet::TableError;

pub use duplicates::{DuplicateCounter, Duplicates, copies_in_words};
pub use preview::{Preview, PreviewPage, dry_run, preview_pages};
pub use range::{RangeTask, SplitProgress, split_range};
pub use restore::restore;
pub use source::{Picks, Source};

/// Messages that are sent in one call of a queue: between two of them a sender may stop.
const SHARDS_A_CALL: usize = 1_000;

/// A message is a pointer to a shard, never its keys: one billed unit whatever the shard's size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardMessage {
    /// Always 1.
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// The shard.
    pub shard: ShardId,
}

/// The shards of a range; stored when the range is done, so its presence means that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeSplit {
    /// Always 1.
    pub version: u32,
    /// Shards of this range, numbered from 0.
    pub shards: u32,
    /// Images in them.
    pub images: u64,
    /// Bytes of those, if they were listed.
    pub bytes: u64,
    /// Files that are not meant as images.
    #[serde(default, skip_serializing_if = "Skipped::is_empty")]
    pub skipped: Skipped,
    /// Images of each shard, by its number.
    pub shard_images: Vec<u32>,
    /// Rows of an earlier run that each shard keeps, by its number; empty if the run continues none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shard_kept: Vec<u32>,
    /// How the inputs differ from those of the earlier run, if the run continues one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// Why a range could not be split.
#[derive(Debug, Error)]
pub enum SplitError {
    /// Source or output failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A record or a shard cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The part of a shard that only keeps rows cannot be written.
    #[error("{key}: {error}")]
    Part {
        /// The object.
        key: String,
        /// What is wrong.
        error: TableError,
    },
    /// A shard is gone, and the source has another number of images in its place.
    #[error(
        "{key}: it is gone, and cannot be made again because its inputs were added to or removed: start a new run"
    )]
    Changed {
        /// The object.
        key: String,
    },
}

impl SplitError {
    /// The bucket's error, if source or output failed.
    #[must_use]
    pub fn bucket_error(&self) -> Option<&BucketError> {
        match self {
            Self::Bucket(error) => Some(error),
            Self::Record(error) => error.bucket_error(),
            _ => None,
        }
    }
}

/// All that was skipped in these ranges.
#[must_use]
pub fn skipped(splits: &[RangeSplit]) -> Skipped {
    let mut skipped = Skipped::default();
    for split in splits {
        skipped.merge(&split.skipped);
    }
    skipped
}

/// How the inputs of these ranges differ from those of an earlier run; `None` if the run continues none.
#[must_use]
pub fn difference(splits: &[RangeSplit]) -> Option<Difference> {
    let mut all = None;
    for difference in splits.iter().filter_map(|split| split.difference) {
        all.get_or_insert(Difference::default()).add(&difference);
    }
    all
}

/// Inputs in these ranges: images, and rows that are kept.
#[must_use]
pub fn inputs(splits: &[RangeSplit]) -> u64 {
    splits.iter().map(|split| split.images + split.difference.map_or(0, |difference| difference.kept)).sum()
}

impl RangeSplit {
    /// Images that shard `number` has to tag.
    #[must_use]
    pub fn images_of(&self, number: u32) -> u64 {
        self.shard_images.get(number as usize).copied().map_or(0, u64::from)
    }

    /// Rows that shard `number` gives: an image has one each, and some are kept.
    #[must_use]
    pub fn rows_of(&self, number: u32) -> u64 {
        self.images_of(number) + self.shard_kept.get(number as usize).copied().map_or(0, u64::from)
    }

    fn add(&mut self, shard: &Shard) {
        self.add_images(&shard.images);
        if let Some(kept) = &shard.kept {
            self.shard_kept.push(u32::try_from(kept.difference.kept).unwrap_or(u32::MAX));
            self.difference.get_or_insert_default().add(&kept.difference);
        }
    }

    fn add_images(&mut self, images: &[Image]) {
        self.shards += 1;
        self.shard_images.push(u32::try_from(images.len()).unwrap_or(u32::MAX));
        self.images += images.len() as u64;
        // Sparse files may claim more together than fits.
        for size in images.iter().filter_map(|image| image.size) {
            self.bytes = self.bytes.saturating_add(size);
        }
    }
}

/// Sends the messages of these shards, in an order that looks random and is always the same.
///
/// # Errors
/// If the queue cannot be used; sending all of them again is harmless.
pub async fn send_shards(queue: &dyn Queue, run: &RunId, shards: &[ShardId]) -> Result<(), QueueError> {
    let never = CancellationToken::new();
    send_shards_behind(queue, run, shards, None, &never).await.map(|_| ())
}

/// The same for those after `after` in that order, until `stop` is set; returns the last one that was sent if
/// others are left. Some are sent in any case.
///
/// # Errors
/// As [`send_shards`].
pub async fn send_shards_behind(
    queue: &dyn Queue,
    run: &RunId,
    shards: &[ShardId],
    after: Option<ShardId>,
    stop: &CancellationToken,
) -> Result<Option<ShardId>, QueueError> {
    let place = |shard: &ShardId| (scattered(shard), *shard);
    let after = after.as_ref().map(place);
    let mut shuffled: Vec<ShardId> =
        shards.iter().copied().filter(|shard| after.is_none_or(|after| place(shard) > after)).collect();
    shuffled.sort_unstable_by_key(place);
    let mut chunks = shuffled.chunks(SHARDS_A_CALL).peekable();
    while let Some(chunk) = chunks.next() {
        let bodies: Vec<String> = chunk.iter().map(|shard| body(run, *shard)).collect::<Result<_, _>>()?;
        queue.send(&bodies).await?;
        if stop.is_cancelled() && chunks.peek().is_some() {
            return Ok(chunk.last().copied());
        }
    }
    Ok(None)
}

fn body(run: &RunId, shard: ShardId) -> Result<String, QueueError> {
    let message = ShardMessage { version: 1, run: run.clone(), shard };
    let unwritable =
        |error: serde_json::Error| QueueError { queue: run.to_string(), detail: error.to_string() };
    serde_json::to_string(&message).map_err(unwritable)
}

/// The finaliser of SplitMix64 over both numbers: neighbours land far from each other.
fn scattered(shard: &ShardId) -> u64 {
    let mut bits =
        (u64::from(shard.range) << 32 | u64::from(shard.number)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
