//! Splits one range: lists it, cuts it into shards, and continues behind those that exist.
//!
//! A call can be stopped anywhere and run twice at once. It never looks at other ranges.

use futures::stream::TryStreamExt;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::comparison::Comparison;
use super::{RangeSplit, Source, SplitError, send_shards};
use crate::bucket::{Bucket, BucketError, KeyRange, Put};
use crate::earlier::EarlierRun;
use crate::filter::Skipped;
use crate::inputs::SkippedRun;
use crate::queue::Queue;
use crate::record::{self, RecordError};
use crate::run::{RunId, RunKeys};
use crate::shard::{Image, MAX_IMAGE_BYTES, Shard, ShardId};
use crate::tags::parquet;
use crate::tags::slowest::Slowest;

/// How far a call of [`split_range`] came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitProgress {
    /// The range is split to its end.
    Done(RangeSplit),
    /// It was asked to stop; another call continues. This is the result so far.
    Stopped(RangeSplit),
}

/// A range of a run, and where its shards and messages go.
#[derive(Clone, Copy)]
pub struct RangeTask<'a> {
    /// Its number in the run.
    pub number: u32,
    /// Its keys.
    pub range: &'a KeyRange,
    /// The run.
    pub run: &'a RunId,
    /// Where the run has its objects.
    pub output: &'a dyn Bucket,
    /// The keys of these.
    pub keys: &'a RunKeys,
    /// Gets a message for each shard.
    pub queue: &'a dyn Queue,
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
    task: RangeTask<'_>,
    max_images: usize,
    stop: &CancellationToken,
) -> Result<SplitProgress, SplitError> {
    let mut splitter = Splitter::new(task, source.earlier());
    let mut after = splitter.pass_existing().await?.or_else(|| task.range.after.clone());
    while !splitter.is_at_end {
        let rest = KeyRange { after: after.clone(), ..task.range.clone() };
        match splitter.cut(source, &rest, max_images, stop).await? {
            Reached::End => break,
            Reached::Page(listed) => return Ok(SplitProgress::Stopped(splitter.stop(listed).await?)),
            Reached::Overtaken => {
                splitter.skipped.clear();
                after = splitter.last_key.clone();
            }
        }
    }
    Ok(SplitProgress::Done(splitter.finish().await?))
}

/// Where a pass over the rest of a range ended.
enum Reached {
    /// At the end of the range.
    End,
    /// Behind a page, because it was asked to stop; with the last key that was listed.
    Page(Option<String>),
    /// At a shard that another splitter had put. The rest is listed again behind it, because it may have seen
    /// other objects.
    Overtaken,
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
    images: Vec<Image>,
    bytes: u64,
}

impl ShardBuilder {
    /// Whether the shard would have too many bytes with `image`. A single image of any size is a shard.
    pub(super) fn is_full_before(&self, image: &Image) -> bool {
        let bytes = self.bytes.saturating_add(image.size.unwrap_or(0));
        !self.images.is_empty() && bytes > MAX_IMAGE_BYTES
    }

    pub(super) fn push(&mut self, image: Image) {
        self.bytes = self.bytes.saturating_add(image.size.unwrap_or(0));
        self.images.push(image);
    }

    /// Whether shard `number` has as many images as it may hold.
    pub(super) fn is_full(&self, number: u32, max_images: usize) -> bool {
        self.images.len() >= ShardId { range: 0, number }.max_images().min(max_images)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    pub(super) fn take(&mut self) -> Vec<Image> {
        self.bytes = 0;
        std::mem::take(&mut self.images)
    }
}

/// What will be the next shard: its images, and the rows next to them that an earlier run has.
#[derive(Default)]
pub(super) struct OpenShard {
    pub(super) images: ShardBuilder,
    comparison: Option<Comparison>,
}

impl OpenShard {
    pub(super) fn is_empty(&self) -> bool {
        self.images.is_empty() && self.comparison.as_ref().is_none_or(Comparison::is_empty)
    }

    fn is_full(&self, number: u32, max_images: usize) -> bool {
        self.images.is_full(number, max_images) || self.comparison.as_ref().is_some_and(Comparison::is_full)
    }

    /// Counts the rows up to `listed` that have no input.
    async fn pass(&mut self, listed: Option<&str>) -> Result<(), BucketError> {
        match (&mut self.comparison, listed) {
            (Some(comparison), Some(listed)) => comparison.pass(listed).await,
            _ => Ok(()),
        }
    }

    /// The same to the end of the range.
    async fn pass_all(&mut self, range: &KeyRange) -> Result<(), BucketError> {
        match &mut self.comparison {
            Some(comparison) => comparison.pass_all(range.up_to.clone()).await,
            None => Ok(()),
        }
    }

    /// Adds an input, unless its row is kept.
    async fn push(&mut self, image: Image) -> Result<(), BucketError> {
        let is_kept = match &mut self.comparison {
            Some(comparison) => comparison.keeps(&image).await?,
            None => false,
        };
        if !is_kept {
            self.images.push(image);
        }
        Ok(())
    }
}

pub(super) struct Splitter<'a> {
    task: RangeTask<'a>,
    earlier: Option<&'a EarlierRun>,
    record: RangeSplit,
    last_key: Option<String>,
    /// Whether the last shard reaches to the end of the range.
    is_at_end: bool,
    /// Listed and not yet counted with a shard.
    skipped: Vec<SkippedRun>,
    /// The same of earlier calls, all before those.
    skipped_before: Skipped,
}

impl<'a> Splitter<'a> {
    pub(super) fn new(task: RangeTask<'a>, earlier: Option<&'a EarlierRun>) -> Self {
        Self {
            task,
            earlier,
            record: RangeSplit { version: 1, ..RangeSplit::default() },
            last_key: None,
            is_at_end: false,
            skipped: Vec::new(),
            skipped_before: Skipped::default(),
        }
    }

    /// Passes the shards of earlier calls; returns the key behind which to continue. Shards never change, so
    /// those that a cursor counts are not read.
    async fn pass_existing(&mut self) -> Result<Option<String>, SplitError> {
        let keys = self.task.keys;
        let mut after = None;
        if let Some(cursor) = self.cursor().await? {
            self.record = cursor.record;
            self.last_key = cursor.last_key;
            self.skipped_before = cursor.skipped;
            after = cursor.after;
        }
        let counted = self.record.shards.checked_sub(1);
        let counted = counted.map(|number| keys.shard(ShardId { range: self.task.number, number }));
        let newer = KeyRange { after: counted, ..KeyRange::prefix(&keys.shards_of(self.task.number)) };
        let mut shards = self.task.output.list(&newer);
        while let Some(page) = shards.try_next().await? {
            for id in page.iter().filter_map(|object| keys.shard_of(&object.key)) {
                let shard = record::read_shard(self.task.output, keys, id).await?;
                self.pass(&shard).await?;
            }
        }
        Ok(after.max(self.last_key.clone()))
    }

    /// Cuts the inputs of `range` into shards, and the rows that an earlier run has there.
    async fn cut(
        &mut self,
        source: &Source,
        range: &KeyRange,
        max_images: usize,
        stop: &CancellationToken,
    ) -> Result<Reached, SplitError> {
        let comparison = match self.earlier {
            Some(earlier) => Some(Comparison::start(earlier, range).await?),
            None => None,
        };
        let mut open = OpenShard { images: ShardBuilder::default(), comparison };
        let mut pages = source.pages(range);
        while let Some(page) = pages.try_next().await? {
            self.skipped.extend(page.skipped);
            if !self.cut_page(page.images, &mut open, max_images).await? {
                return Ok(Reached::Overtaken);
            }
            if stop.is_cancelled() {
                open.pass(page.last_key.as_deref()).await?;
                let is_ours = open.is_empty() || self.commit(&mut open).await?;
                return Ok(if is_ours { Reached::Page(page.last_key) } else { Reached::Overtaken });
            }
        }
        open.pass_all(range).await?;
        let is_ours = open.is_empty() || self.commit(&mut open).await?;
        Ok(if is_ours { Reached::End } else { Reached::Overtaken })
    }

    /// Puts every shard that is full; false if another splitter was first.
    async fn cut_page(
        &mut self,
        images: Vec<Image>,
        open: &mut OpenShard,
        max_images: usize,
    ) -> Result<bool, SplitError> {
        for image in images {
            if open.images.is_full_before(&image) && !self.commit(open).await? {
                return Ok(false);
            }
            open.push(image).await?;
            if open.is_full(self.record.shards, max_images) && !self.commit(open).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn cursor(&self) -> Result<Option<Cursor>, SplitError> {
        Ok(record::read_if_present(self.task.output, &self.task.keys.range_cursor(self.task.number)).await?)
    }

    /// Stores what is open as the next shard; false if another splitter was first, whose shard counts.
    pub(super) async fn commit(&mut self, open: &mut OpenShard) -> Result<bool, SplitError> {
        let id = ShardId { range: self.task.number, number: self.record.shards };
        let key = self.task.keys.shard(id);
        let kept = open.comparison.as_mut().map(Comparison::take);
        let mut ours = Shard { id, images: open.images.take(), skipped: Skipped::default(), kept };
        let end = ours.end();
        ours.skipped = self.uncounted(|run| end.is_none_or(|end| run.last_key.as_str() <= end));
        let stored = ours.encode().map_err(|error| RecordError::Shard { key: key.clone(), error })?;
        let is_ours = self.task.output.put_if_absent(&key, stored).await? == Put::Created;
        if is_ours {
            self.pass(&ours).await?;
        } else {
            let winner = record::read_shard(self.task.output, self.task.keys, id).await?;
            self.pass(&winner).await?;
        }
        Ok(is_ours)
    }

    async fn pass(&mut self, shard: &Shard) -> Result<(), SplitError> {
        if let (true, Some(earlier)) = (shard.images.is_empty(), self.earlier) {
            self.put_empty_part(shard.id, earlier).await?;
        }
        self.record.add(shard);
        self.record.skipped.merge(&shard.skipped);
        self.skipped_before = Skipped::default();
        self.is_at_end = shard.end().is_none();
        self.last_key = shard.end().map(str::to_owned);
        let last_key = &self.last_key;
        self.skipped.retain(|run| last_key.as_ref().is_some_and(|last_key| run.last_key > *last_key));
        Ok(())
    }

    /// A shard that only keeps rows is done as it is, without a worker.
    async fn put_empty_part(&self, id: ShardId, earlier: &EarlierRun) -> Result<(), SplitError> {
        let key = self.task.keys.part(id);
        let part = parquet::encode_part(&[], &earlier.columns, &Slowest::default());
        let part = part.map_err(|error| SplitError::Part { key: key.clone(), error })?;
        self.task.output.put_if_absent(&key, part).await?;
        Ok(())
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
        let key = self.task.keys.range_cursor(self.task.number);
        record::replace(self.task.output, &key, &cursor).await?;
        self.record.skipped.merge(&behind);
        Ok(self.record)
    }

    /// Sends every message of the range before it is recorded as done. The next call makes up for one that is
    /// killed in between, and a message that is sent twice is harmless.
    async fn finish(mut self) -> Result<RangeSplit, SplitError> {
        let behind = self.uncounted(|_| true);
        self.record.skipped.merge(&behind);
        let numbers = (0..self.record.shards).filter(|number| self.record.images_of(*number) > 0);
        let shards: Vec<ShardId> =
            numbers.map(|number| ShardId { range: self.task.number, number }).collect();
        send_shards(self.task.queue, self.task.run, &shards).await?;
        let key = self.task.keys.range_split(self.task.number);
        match record::create(self.task.output, &key, &self.record).await? {
            Put::Created => Ok(self.record),
            Put::AlreadyThere => Ok(record::read(self.task.output, &key).await?),
        }
    }
}
