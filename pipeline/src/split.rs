//! Split: list the source (or take a list of keys) -> shards -> one message each.
//!
//! A range can be split in one go, stopped and taken up again, or split twice at once: a shard is put only where it is
//! not there yet, and whoever comes second reads the winner and goes on behind its last key. Nothing here reads an image.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bucket::{Bucket, BucketError, KeyRange, Put};
use crate::filter::Filter;
use crate::queue::{Queue, QueueError};
use crate::run::{RunId, RunKeys};
use crate::shard::{Image, MAX_IMAGE_BYTES, Shard, ShardError, ShardId};

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

/// Keys of a named source that are handed on at once.
const NAMED_PAGE: usize = 1000;

/// What a range was split into; stored when the range is done, so its presence says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeSplit {
    /// Always 1.
    pub version: u32,
    /// Shards of this range, numbered from 0.
    pub shards: u32,
    /// Images in them.
    pub images: u64,
    /// Bytes of those, where they were listed.
    pub bytes: u64,
    /// Empty objects whose key ends in `/`: what consoles draw folders with, no images.
    pub folder_markers: u64,
}

/// Where the images of a range come from.
#[derive(Clone)]
pub enum Source {
    /// They are listed.
    Listed(Arc<dyn Bucket>, Filter),
    /// They were named; sorted and without duplicates.
    Named(Arc<Vec<String>>),
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
    /// A shard that is there already cannot be read.
    #[error("{key}: {error}")]
    Shard {
        /// The object.
        key: String,
        /// What is wrong with it.
        error: ShardError,
    },
    /// A stored record cannot be read.
    #[error("{key}: not a record of this tagfleet: {error}")]
    Record {
        /// The object.
        key: String,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

impl Source {
    /// The images of `range` in key order, in pages, with the folder markers of each page counted.
    ///
    /// # Errors
    /// The stream ends with the first error of the source.
    pub fn pages(&self, range: &KeyRange) -> BoxStream<'static, Result<(Vec<Image>, u64), BucketError>> {
        match self {
            Self::Listed(bucket, filter) => {
                let filter = filter.clone();
                let images = move |page| filter.images(page);
                bucket.list(range).map_ok(images).boxed()
            }
            Self::Named(keys) => {
                let count = keys.len();
                let (keys, range) = (keys.clone(), range.clone());
                let named = move |page: usize| {
                    let page = &keys[page..keys.len().min(page + NAMED_PAGE)];
                    let inside = page.iter().filter(|key| range.contains(key)).cloned();
                    Ok((inside.map(Image::named).collect(), 0))
                };
                stream::iter((0..count).step_by(NAMED_PAGE).map(named)).boxed()
            }
        }
    }
}

/// Counts the inputs of `range` without writing anything: what split would make of it.
///
/// # Errors
/// Where the source cannot be listed.
pub async fn dry_run(source: &Source, range: &KeyRange) -> Result<RangeSplit, BucketError> {
    let mut record = RangeSplit { version: 1, ..RangeSplit::default() };
    let mut open = OpenShard::default();
    let mut pages = source.pages(range);
    while let Some((images, folder_markers)) = pages.try_next().await? {
        record.folder_markers += folder_markers;
        for image in images {
            if let Some(full) = open.push(image, record.shards, usize::MAX) {
                record.add(&full);
            }
        }
    }
    if !open.images.is_empty() {
        record.add(&open.images);
    }
    Ok(record)
}

/// Splits one range of a run and sends a message for each shard; or goes on where an earlier call was stopped. No shard
/// gets more than `max_images`.
///
/// # Errors
/// Nothing is lost then: call it again.
pub async fn split_range(
    source: &Source,
    (range_number, range): (u32, &KeyRange),
    max_images: usize,
    output: &dyn Bucket,
    queue: &dyn Queue,
    run: (&RunId, &RunKeys),
) -> Result<RangeSplit, SplitError> {
    let mut splitter =
        Splitter { range: range_number, output, queue, run, record: RangeSplit::default(), last_key: None };
    splitter.record.version = 1;
    splitter.pass_existing_shards().await?;
    let rest = KeyRange { after: splitter.last_key.clone().or_else(|| range.after.clone()), ..range.clone() };
    let mut open = OpenShard::default();
    let mut pages = source.pages(&rest);
    while let Some((images, folder_markers)) = pages.try_next().await? {
        splitter.record.folder_markers += folder_markers;
        for image in images {
            if splitter.is_passed(&image) {
                continue;
            }
            if let Some(full) = open.push(image, splitter.record.shards, max_images) {
                splitter.commit(full, &mut open).await?;
            }
        }
    }
    while !open.images.is_empty() {
        let rest = open.take();
        splitter.commit(rest, &mut open).await?;
    }
    splitter.finish().await
}

/// The images that will be the next shard.
#[derive(Default)]
struct OpenShard {
    images: Vec<Image>,
    bytes: u64,
}

impl OpenShard {
    /// Adds `image` and returns shard `number` where it is full: as many images as it may hold, or fewer where they
    /// would have too many bytes together.
    fn push(&mut self, image: Image, number: u32, max_images: usize) -> Option<Vec<Image>> {
        let size = image.size.unwrap_or(0);
        if !self.images.is_empty() && self.bytes.saturating_add(size) > MAX_IMAGE_BYTES {
            let full = self.take();
            self.add(image);
            return Some(full);
        }
        self.add(image);
        let is_full = self.images.len() >= ShardId { range: 0, number }.max_images().min(max_images);
        is_full.then(|| self.take())
    }

    fn add(&mut self, image: Image) {
        self.bytes = self.bytes.saturating_add(image.size.unwrap_or(0));
        self.images.push(image);
    }

    fn take(&mut self) -> Vec<Image> {
        self.bytes = 0;
        std::mem::take(&mut self.images)
    }
}

struct Splitter<'a> {
    range: u32,
    output: &'a dyn Bucket,
    queue: &'a dyn Queue,
    run: (&'a RunId, &'a RunKeys),
    record: RangeSplit,
    last_key: Option<String>,
}

impl Splitter<'_> {
    /// Passes the shards that are there already. Only the last one's message may not have been sent, for a message is
    /// sent before the next shard is put; sending it twice is harmless.
    async fn pass_existing_shards(&mut self) -> Result<(), SplitError> {
        let keys = self.run.1;
        let mut shards = self.output.list(&KeyRange::prefix(&keys.shards_of(self.range)));
        while let Some(page) = shards.try_next().await? {
            for id in page.iter().filter_map(|object| keys.shard_of(&object.key)) {
                let shard = read_shard(self.output, keys, id).await?;
                self.pass(&shard.images);
            }
        }
        match self.record.shards {
            0 => Ok(()),
            shards => self.send(ShardId { range: self.range, number: shards - 1 }).await,
        }
    }

    fn is_passed(&self, image: &Image) -> bool {
        self.last_key.as_ref().is_some_and(|last| image.key <= *last)
    }

    /// Stores `images` as the next shard. Where another splitter was first, its shard counts: what ours has beyond it
    /// goes back to `open`.
    async fn commit(&mut self, images: Vec<Image>, open: &mut OpenShard) -> Result<(), SplitError> {
        let id = ShardId { range: self.range, number: self.record.shards };
        let key = self.run.1.shard(id);
        let ours = Shard { id, images };
        let stored = ours.encode().map_err(|error| SplitError::Shard { key: key.clone(), error })?;
        if self.output.put_if_absent(&key, stored).await? == Put::Created {
            self.pass(&ours.images);
            return self.send(id).await;
        }
        let winner = read_shard(self.output, self.run.1, id).await?;
        self.pass(&winner.images);
        let left_over: Vec<Image> = ours.images.into_iter().chain(open.take()).collect();
        for image in left_over {
            if !self.is_passed(&image) {
                open.add(image);
            }
        }
        self.send(id).await
    }

    fn pass(&mut self, images: &[Image]) {
        self.record.add(images);
        self.last_key = images.last().map(|image| image.key.clone());
    }

    async fn send(&self, shard: ShardId) -> Result<(), SplitError> {
        send_shards(self.queue, self.run.0, &[shard]).await?;
        Ok(())
    }

    async fn finish(self) -> Result<RangeSplit, SplitError> {
        let key = self.run.1.range_split(self.range);
        let bytes = serde_json::to_vec(&self.record)
            .map_err(|error| SplitError::Record { key: key.clone(), error })?;
        match self.output.put_if_absent(&key, Bytes::from(bytes)).await? {
            Put::Created => Ok(self.record),
            Put::AlreadyThere => read_json(self.output, &key).await,
        }
    }
}

impl RangeSplit {
    fn add(&mut self, images: &[Image]) {
        self.shards += 1;
        self.images += images.len() as u64;
        // Sparse files may claim more together than fits.
        for size in images.iter().filter_map(|image| image.size) {
            self.bytes = self.bytes.saturating_add(size);
        }
    }
}

/// Sends the messages of these shards.
///
/// # Errors
/// Where the queue cannot be used; sending all of them again is harmless.
pub async fn send_shards(queue: &dyn Queue, run: &RunId, shards: &[ShardId]) -> Result<(), QueueError> {
    let mut bodies = Vec::with_capacity(shards.len());
    for shard in shards {
        let message = ShardMessage { version: 1, run: run.clone(), shard: *shard };
        let unwritable =
            |error: serde_json::Error| QueueError { queue: run.to_string(), detail: error.to_string() };
        bodies.push(serde_json::to_string(&message).map_err(unwritable)?);
    }
    queue.send(&bodies).await
}

/// Reads a shard's inputs.
///
/// # Errors
/// Where it is missing or cannot be read.
pub async fn read_shard(output: &dyn Bucket, keys: &RunKeys, id: ShardId) -> Result<Shard, SplitError> {
    let key = keys.shard(id);
    let stored = output.get(&key, None, MAX_RECORD_BYTES).await?;
    Shard::decode(&stored.bytes).map_err(|error| SplitError::Shard { key, error })
}

const MAX_RECORD_BYTES: u64 = 64 << 20;

/// Reads one of the run's JSON records.
///
/// # Errors
/// Where it is missing or cannot be read.
pub async fn read_json<T: for<'de> Deserialize<'de>>(
    output: &dyn Bucket,
    key: &str,
) -> Result<T, SplitError> {
    let stored = output.get(key, None, MAX_RECORD_BYTES).await?;
    serde_json::from_slice(&stored.bytes).map_err(|error| SplitError::Record { key: key.to_owned(), error })
}

#[cfg(test)]
mod tests;
