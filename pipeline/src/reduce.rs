//! Reduce: which shards lack a part · compact groups of parts · finish.
//!
//! Whether a run is complete is found by comparing two listings, shards and parts; the queue is never asked.
//! Groups are fixed once, parts are in key order, so compaction sorts nothing and may be done again at any
//! time. It never reads an image and changes no row.

mod compaction;
mod count;
mod flips;
mod merge;
mod scores;
mod slices;
mod spans;
mod tag_counts;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::stream::{BoxStream, TryStreamExt};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::task::JoinError;

use crate::bucket::{Bucket, BucketError, KeyRange, Object, Put};
use crate::record::{self, RecordError};
use crate::run::remedy::remedy;
use crate::run::{Ranges, RunKeys, Vector, row_bytes};
use crate::shard::ShardId;
use crate::split::RangeSplit;
use crate::tags::parquet::TableError;
use crate::tags::slowest::Slowest;

pub use compaction::{Compaction, total};
pub use count::{counts_in, counts_kept, counts_so_far};
pub use flips::Flips;
pub use scores::{Bin, ScoreCounts};
pub use tag_counts::{Counted, TagCount, TagCounts};

/// Parts of one group have about this many bytes together, but for a single larger part: 256 MB.
const GROUP_BYTES: u64 = 256_000_000;
/// Shards of one group at most, because each costs a request: large images make shards of few rows.
const GROUP_SHARDS: usize = 1000;

/// Why reduce stopped; doing it again is harmless.
#[derive(Debug, Error)]
pub enum ReduceError {
    /// Source or output failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A stored record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A part cannot be read, or a result not be written.
    #[error("{0}: {1}{remedy}", remedy = remedy(.0))]
    Table(String, TableError),
    /// A task panicked or was cancelled.
    #[error("reduce task: {0}")]
    Task(#[from] JoinError),
    /// A range is not split to its end.
    #[error("range {0} is not split yet")]
    NotSplit(u32),
    /// The earlier run has other rows than when they were compared with the inputs.
    #[error(
        "{results}: the rows of the earlier run were changed after shard {shard} was made: start a new run"
    )]
    EarlierChanged {
        /// The prefix of its results.
        results: String,
        /// The shard that keeps some of them.
        shard: ShardId,
    },
    /// The numbers of rows and inputs differ: a bug, or the run's objects were changed.
    #[error("{rows} rows for {images} inputs: the objects of this run were changed")]
    Miscounted {
        /// Rows in all parts.
        rows: u64,
        /// Inputs in all shards.
        images: u64,
    },
}

impl ReduceError {
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

/// Consecutive shards whose parts become one result file, or several where some came later than others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// In key order, at least one.
    #[serde(with = "spans")]
    pub shards: Vec<ShardId>,
}

/// The groups of a run; stored once, then fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// Always 1.
    pub version: u32,
    /// In key order.
    pub groups: Vec<Group>,
}

/// Rows counted while they were copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCounts {
    /// Rows with status `tagged`.
    pub tagged: u64,
    /// Rows with status `failed`, by error code.
    pub failed: BTreeMap<String, u64>,
    /// Tagged images that the first decoder refused and the second read.
    pub second_decoder: u64,
    /// Their tags.
    #[serde(default)]
    pub tags: TagCounts,
    /// Those that took the longest.
    #[serde(default, skip_serializing_if = "Slowest::is_empty")]
    pub slowest: Slowest,
    /// How their tags differ from those of the run before, if the run continues one.
    #[serde(default, skip_serializing_if = "Flips::is_empty")]
    pub flips: Flips,
}

impl RowCounts {
    /// All rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tagged + self.all_failed()
    }

    /// All failed rows.
    #[must_use]
    pub fn all_failed(&self) -> u64 {
        self.failed.values().sum()
    }

    fn add(&mut self, other: &Self) {
        self.tagged += other.tagged;
        self.second_decoder += other.second_decoder;
        self.tags.add(&other.tags);
        self.slowest.add(&other.slowest);
        self.flips.add(&other.flips);
        for (code, count) in &other.failed {
            *self.failed.entry(code.clone()).or_default() += count;
        }
    }
}

/// The result of split for every range, if split has ended.
///
/// # Errors
/// [`ReduceError::NotSplit`] if a range is not done.
pub async fn range_splits(output: &dyn Bucket, keys: &RunKeys) -> Result<Vec<RangeSplit>, ReduceError> {
    let ranges: Ranges = record::read(output, &keys.ranges()).await?;
    let mut splits = Vec::with_capacity(ranges.ranges.len());
    for range in (0..).take(ranges.ranges.len()) {
        let split = record::read_if_present(output, &keys.range_split(range)).await?;
        splits.push(split.ok_or(ReduceError::NotSplit(range))?);
    }
    Ok(splits)
}

/// The shards of a split run that have no part, in id order.
///
/// # Errors
/// If split has not ended or a listing fails.
pub async fn missing(output: &dyn Bucket, keys: &RunKeys) -> Result<Vec<ShardId>, ReduceError> {
    range_splits(output, keys).await?;
    // Both are listed in the order of their ids, so neither is held in memory.
    let mut shards = Listed::new(output, keys, &keys.shards());
    let mut parts = Listed::new(output, keys, &keys.parts());
    let mut part = parts.next().await?;
    let mut missing = Vec::new();
    while let Some(shard) = shards.next().await? {
        while part.is_some_and(|part| part < shard) {
            part = parts.next().await?;
        }
        if part != Some(shard) {
            missing.push(shard);
        }
    }
    Ok(missing)
}

/// The shards that objects below a prefix belong to, in the order of their ids.
struct Listed<'a> {
    keys: &'a RunKeys,
    pages: BoxStream<'static, Result<Vec<Object>, BucketError>>,
    page: std::vec::IntoIter<Object>,
}

impl<'a> Listed<'a> {
    fn new(output: &dyn Bucket, keys: &'a RunKeys, prefix: &str) -> Self {
        let pages = output.list(&KeyRange::prefix(prefix));
        Self { keys, pages, page: Vec::new().into_iter() }
    }

    async fn next(&mut self) -> Result<Option<ShardId>, BucketError> {
        loop {
            if let Some(id) = self.page.find_map(|object| self.keys.shard_of(&object.key)) {
                return Ok(Some(id));
            }
            match self.pages.try_next().await? {
                Some(page) => self.page = page.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

/// The sizes of shards or parts, by shard.
pub(crate) async fn sizes(
    output: &dyn Bucket,
    keys: &RunKeys,
    prefix: &str,
) -> Result<BTreeMap<ShardId, u64>, ReduceError> {
    sizes_in(output, keys, &KeyRange::prefix(prefix)).await
}

async fn sizes_in(
    output: &dyn Bucket,
    keys: &RunKeys,
    range: &KeyRange,
) -> Result<BTreeMap<ShardId, u64>, ReduceError> {
    let mut sizes = BTreeMap::new();
    let mut pages = output.list(range);
    while let Some(page) = pages.try_next().await? {
        sizes.extend(page.iter().filter_map(|object| Some((keys.shard_of(&object.key)?, object.size))));
    }
    Ok(sizes)
}

/// The groups of a split run: fixed the first time, read after that. They follow from the shards alone, so
/// that a run that ends incomplete compacts what there is, and a later one does not start over.
///
/// # Errors
/// If split has not ended.
pub async fn groups(
    output: &dyn Bucket,
    keys: &RunKeys,
    vector: Option<&Vector>,
) -> Result<Groups, ReduceError> {
    if let Some(groups) = record::read_if_present(output, &keys.groups()).await? {
        return Ok(groups);
    }
    let splits = range_splits(output, keys).await?;
    let groups = Groups { version: 1, groups: group(&splits, GROUP_BYTES / row_bytes(vector)) };
    match record::create(output, &keys.groups(), &groups).await? {
        Put::Created => Ok(groups),
        Put::AlreadyThere => Ok(record::read(output, &keys.groups()).await?),
    }
}

/// Consecutive shards with at most `max_rows` together, but for a single larger shard, and at most
/// [`GROUP_SHARDS`].
fn group(splits: &[RangeSplit], max_rows: u64) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut in_group = 0;
    for (range, split) in (0..).zip(splits) {
        for number in 0..split.shards {
            let (shard, rows) = (ShardId { range, number }, split.rows_of(number));
            match groups.last_mut() {
                Some(group) if in_group + rows <= max_rows && group.shards.len() < GROUP_SHARDS => {
                    group.shards.push(shard);
                    in_group += rows;
                }
                _ => {
                    groups.push(Group { shards: vec![shard] });
                    in_group = rows;
                }
            }
        }
    }
    groups
}

/// Writes the summary, and `_SUCCESS` behind it: the last object of a complete run.
///
/// # Errors
/// If they cannot be written.
pub async fn finish<S: Serialize>(
    output: &dyn Bucket,
    keys: &RunKeys,
    summary: &S,
) -> Result<(), ReduceError> {
    record::replace(output, &keys.summary(), summary).await?;
    output.put_if_absent(&keys.success(), Bytes::new()).await?;
    Ok(())
}

/// Reads, decodes or writes a table away from the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TableError> + Send + 'static,
) -> Result<T, TableError> {
    tokio::task::spawn_blocking(work).await.map_err(TableError::from).flatten()
}
