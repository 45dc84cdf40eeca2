//! Splits one range: lists it, cuts it into shards, and continues behind those that exist.
//!
//! A call can be stopped anywhere and run twice at once. It never looks at other ranges.

use futures::stream::TryStreamExt;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{RangeSplit, Source, SplitError, send_shards};
use crate::bucket::{Bucket, KeyRange, Put};
use crate::filter::{Skipped, SkippedRun};
use crate::queue::Queue;
use crate::record::{self, RecordError};
use crate::run::{RunId, RunKeys};
use crate::shard::{Image, MAX_IMAGE_BYTES, Shard, ShardId};

/// How far a call of [`split_range`] came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitProgress {
    /// The range is split to its end.
    Done(RangeSplit),
    /// It was asked to stop; another call continues. This is the result so far.
    Stopped(RangeSplit),
}

/// Splits one range of a run, or continues from the end of an earlier call, until it is done or `stop` is
/// set. No shard gets more than `max_images`. Messages go out once the range is done, in an order that
/// spreads over the key space: in key order all workers would use one partition of the bucket.
///
/// A call that is asked to stop has read one page at least, and the next one starts behind it, so that calls
/// come to an end.
///
/// # Errors
/// Nothing is lost then: call it again.
pub async fn split_range(
    source: &Source,
    (range_number, range): (u32, &KeyRange),
    max_images: usize,
    (output, queue): (&dyn Bucket, &dyn Queue),
    run: (&RunId, &RunKeys),
    stop: &CancellationToken,
) -> Result<SplitProgress, SplitError> {
    let mut splitter = Splitter::new(range_number, (output, queue), run);
    let after = splitter.go_on().await?.or_else(|| range.after.clone());
    let mut open = ShardBuilder::default();
    let mut pages = source.pages(&KeyRange { after, ..range.clone() });
    while let Some(page) = pages.try_next().await? {
        splitter.skipped.extend(page.skipped);
        for image in page.images {
            if splitter.is_passed(&image) {
                continue;
            }
            if let Some(full) = open.push(image, splitter.record.shards, max_images) {
                splitter.commit(full, &mut open).await?;
            }
        }
        if stop.is_cancelled() {
            splitter.commit_all(&mut open).await?;
            return Ok(SplitProgress::Stopped(splitter.stop(page.last_key).await?));
        }
    }
    splitter.commit_all(&mut open).await?;
    Ok(SplitProgress::Done(splitter.finish().await?))
}

/// The position of a stopped call, so that the next one need not read every shard again.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    version: u32,
    /// What there was, without the skipped files below.
    record: RangeSplit,
    /// The last key of the last shard.
    last_key: Option<String>,
    /// The last key that was listed, input or not.
    after: Option<String>,
    /// Skipped files behind the last shard.
    skipped: Skipped,
}

/// The images that will be the next shard.
#[derive(Default)]
pub(super) struct ShardBuilder {
    pub(super) images: Vec<Image>,
    bytes: u64,
}

impl ShardBuilder {
    /// Adds `image` and returns shard `number` if it is full: as many images as it may hold, or fewer if they
    /// would have too many bytes together.
    pub(super) fn push(&mut self, image: Image, number: u32, max_images: usize) -> Option<Vec<Image>> {
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

    pub(super) fn add(&mut self, image: Image) {
        self.bytes = self.bytes.saturating_add(image.size.unwrap_or(0));
        self.images.push(image);
    }

    pub(super) fn take(&mut self) -> Vec<Image> {
        self.bytes = 0;
        std::mem::take(&mut self.images)
    }
}

pub(super) struct Splitter<'a> {
    range: u32,
    output: &'a dyn Bucket,
    queue: &'a dyn Queue,
    run: (&'a RunId, &'a RunKeys),
    record: RangeSplit,
    last_key: Option<String>,
    /// Listed and not yet counted with a shard.
    skipped: Vec<SkippedRun>,
    /// The same of earlier calls, all before those.
    skipped_before: Skipped,
}

impl<'a> Splitter<'a> {
    pub(super) fn new(
        range: u32,
        (output, queue): (&'a dyn Bucket, &'a dyn Queue),
        run: (&'a RunId, &'a RunKeys),
    ) -> Self {
        let record = RangeSplit { version: 1, ..RangeSplit::default() };
        Self {
            range,
            output,
            queue,
            run,
            record,
            last_key: None,
            skipped: Vec::new(),
            skipped_before: Skipped::default(),
        }
    }

    /// Skips the shards of earlier calls; returns the key behind which to continue. Shards never change, so
    /// those that a cursor counts are not read.
    async fn go_on(&mut self) -> Result<Option<String>, SplitError> {
        let keys = self.run.1;
        let mut after = None;
        if let Some(cursor) = self.cursor().await? {
            self.record = cursor.record;
            self.last_key = cursor.last_key;
            self.skipped_before = cursor.skipped;
            after = cursor.after;
        }
        let counted = self.record.shards.checked_sub(1);
        let counted = counted.map(|number| keys.shard(ShardId { range: self.range, number }));
        let newer = KeyRange { after: counted, ..KeyRange::prefix(&keys.shards_of(self.range)) };
        let mut shards = self.output.list(&newer);
        while let Some(page) = shards.try_next().await? {
            for id in page.iter().filter_map(|object| keys.shard_of(&object.key)) {
                let shard = record::read_shard(self.output, keys, id).await?;
                self.pass(&shard);
            }
        }
        Ok(after.max(self.last_key.clone()))
    }

    async fn cursor(&self) -> Result<Option<Cursor>, SplitError> {
        Ok(record::read_if_present(self.output, &self.run.1.range_cursor(self.range)).await?)
    }

    fn is_passed(&self, image: &Image) -> bool {
        self.last_key.as_ref().is_some_and(|last| image.key <= *last)
    }

    async fn commit_all(&mut self, open: &mut ShardBuilder) -> Result<(), SplitError> {
        while !open.images.is_empty() {
            let rest = open.take();
            self.commit(rest, open).await?;
        }
        Ok(())
    }

    /// Stores `images` as the next shard. If another splitter was first, its shard counts: images of ours
    /// beyond it go back to `open`.
    pub(super) async fn commit(
        &mut self,
        images: Vec<Image>,
        open: &mut ShardBuilder,
    ) -> Result<(), SplitError> {
        let id = ShardId { range: self.range, number: self.record.shards };
        let key = self.run.1.shard(id);
        let last = images.last().map(|image| image.key.as_str());
        let skipped = self.uncounted(|run| Some(run.last_key.as_str()) <= last);
        let ours = Shard { id, images, skipped };
        let stored = ours.encode().map_err(|error| RecordError::Shard { key: key.clone(), error })?;
        if self.output.put_if_absent(&key, stored).await? == Put::Created {
            self.pass(&ours);
            return Ok(());
        }
        let winner = record::read_shard(self.output, self.run.1, id).await?;
        self.pass(&winner);
        let left_over: Vec<Image> = ours.images.into_iter().chain(open.take()).collect();
        for image in left_over {
            if !self.is_passed(&image) {
                open.add(image);
            }
        }
        Ok(())
    }

    fn pass(&mut self, shard: &Shard) {
        self.record.add(&shard.images);
        self.record.skipped.merge(&shard.skipped);
        self.skipped_before = Skipped::default();
        self.last_key = shard.images.last().map(|image| image.key.clone());
        let last_key = &self.last_key;
        self.skipped.retain(|run| Some(&run.last_key) > last_key.as_ref());
    }

    /// Skipped files that no shard counts yet: those of earlier calls, and those of this one that are meant.
    fn uncounted(&self, is_meant: impl Fn(&SkippedRun) -> bool) -> Skipped {
        let mut uncounted = self.skipped_before.clone();
        for run in self.skipped.iter().filter(|run| is_meant(run)) {
            uncounted.merge(&run.skipped);
        }
        uncounted
    }

    /// Notes how far this call came; `listed` is the last key of its last page.
    async fn stop(mut self, listed: Option<String>) -> Result<RangeSplit, SplitError> {
        let skipped = self.uncounted(|_| true);
        let behind = skipped.clone();
        let cursor = Cursor {
            version: 1,
            record: self.record.clone(),
            last_key: self.last_key.clone(),
            after: listed.max(self.last_key.clone()),
            skipped,
        };
        let key = self.run.1.range_cursor(self.range);
        record::replace(self.output, &key, &cursor).await?;
        self.record.skipped.merge(&behind);
        Ok(self.record)
    }

    /// Sends every message of the range before it is recorded as done. The next call makes up for one that is
    /// killed in between, and a message that is sent twice is harmless.
    async fn finish(mut self) -> Result<RangeSplit, SplitError> {
        let behind = self.uncounted(|_| true);
        self.record.skipped.merge(&behind);
        let shards: Vec<ShardId> =
            (0..self.record.shards).map(|number| ShardId { range: self.range, number }).collect();
        send_shards(self.queue, self.run.0, &shards).await?;
        let key = self.run.1.range_split(self.range);
        match record::create(self.output, &key, &self.record).await? {
            Put::Created => Ok(self.record),
            Put::AlreadyThere => Ok(record::read(self.output, &key).await?),
        }
    }
}
