//! Compaction: the parts of a group -> result files, once and for all.
//!
//! A group is compacted in slices. The first slice has every part that exists, which is all of them unless
//! the run ended without some; later parts make further slices. The parts of a slice are recorded before it
//! is written, and a second process reads the record. So a file always gets the same rows, from any process
//! and any number of times: no row is in two files, none is lost, and nothing is overwritten. It sorts
//! nothing and never waits for a part.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::merge::{KeptFiles, ResultFile};
use super::slices::{Place, all_slices, choose, counted, fetch_part, recorded};
use super::{Counted, Group, Groups, ReduceError, RowCounts, blocking, range_splits};
use crate::bucket::Bucket;
use crate::earlier::EarlierRun;
use crate::record;
use crate::run::{RunId, RunKeys, VectorType};
use crate::shard::ShardId;
use crate::split;
use crate::tags::parquet::TableWriter;

/// Parts that are fetched ahead of the one that is copied.
const FETCHES_AHEAD: usize = 4;
/// A run whose parts are compacted.
#[derive(Clone, Copy)]
pub struct Compaction<'a> {
    /// Where its objects are.
    pub output: &'a dyn Bucket,
    /// The run.
    pub run: &'a RunId,
    /// The keys of its objects.
    pub keys: &'a RunKeys,
    /// How a vector is stored, in runs that keep one.
    pub vector: Option<VectorType>,
    /// The run whose rows it keeps, if it continues one.
    pub earlier: Option<&'a EarlierRun>,
    /// Which tags are compared with those of that run.
    pub counted: Counted,
}

impl Compaction<'_> {
    /// Copies every part of group `number` that is there, and that no earlier call has copied, into a result
    /// file, with the rows that its shards keep; counts all that were copied so far. It may be called at any
    /// time and again.
    ///
    /// # Errors
    /// If a part or a kept row cannot be read, or a file not be written.
    pub async fn group(&self, number: u32, group: &Group) -> Result<RowCounts, ReduceError> {
        let (output, keys) = (self.output, self.keys);
        let mut open: BTreeSet<ShardId> = group.shards.iter().copied().collect();
        let mut all = RowCounts::default();
        for slice in 0.. {
            if open.is_empty() {
                break;
            }
            let place = (number, slice);
            let recorded = recorded(output, keys, place, group).await?;
            let Some(shards) = (match recorded {
                Some(shards) => Some(shards),
                None => choose(output, keys, place, &open).await?,
            }) else {
                break;
            };
            let counts = match counted(output, keys, place).await? {
                Some(counts) => counts,
                None => self.write(place, &shards).await?,
            };
            all.add(&counts);
            open.retain(|shard| shards.binary_search(shard).is_err());
        }
        Ok(all)
    }

    /// Compacts every group of which a part is there that no earlier call has copied.
    ///
    /// # Errors
    /// As [`Compaction::group`].
    pub async fn all(&self, groups: &Groups, missing: &[ShardId]) -> Result<(), ReduceError> {
        let missing: BTreeSet<&ShardId> = missing.iter().collect();
        let mut all = all_slices(self.output, self.keys, groups);
        while let Some((number, slices)) = all.try_next().await? {
            let Some(group) = groups.groups.get(number as usize) else { continue };
            let written = slices.iter().filter(|slice| slice.counts.is_some());
            let copied: usize = written.map(|slice| slice.shards.len()).sum();
            let there = group.shards.iter().filter(|shard| !missing.contains(shard)).count();
            // Each takes much memory, so they come one after the other.
            if copied < there {
                self.group(number, group).await?;
            }
        }
        Ok(())
    }

    /// Copies the parts of a slice into its file, in key order, and stores its counts next to it.
    async fn write(&self, (number, slice): Place, shards: &[ShardId]) -> Result<RowCounts, ReduceError> {
        let (output, keys) = (self.output, self.keys);
        let key = keys.result(number, slice);
        let of_table = |error| ReduceError::Table(key.clone(), error);
        let mut result = ResultFile::new(TableWriter::new(self.run, self.vector).map_err(of_table)?);
        let kept = match self.earlier {
            Some(earlier) => {
                Some(KeptFiles { output, keys, earlier, files: earlier.open().await?, counted: self.counted })
            }
            None => None,
        };
        let fetch = |shard: &ShardId| fetch_part(output, keys, *shard);
        let mut parts = stream::iter(shards.iter().map(fetch)).buffered(FETCHES_AHEAD);
        while let Some((shard, part)) = parts.try_next().await? {
            result = match &kept {
                Some(kept) => kept.merge(result, shard, part).await?,
                None => {
                    let copied = blocking(move || result.copy(part)).await;
                    copied.map_err(|error| ReduceError::Table(keys.part(shard), error))?
                }
            };
        }
        let counts = result.counts;
        let table = result.writer.finish(counts.second_decoder).map_err(of_table)?;
        output.put_if_absent(&key, table).await?;
        record::create(output, &keys.compacted(number, slice), &counts).await?;
        Ok(counts)
    }
}

/// The counts of a run whose every group is compacted, checked against its inputs.
///
/// # Errors
/// [`ReduceError::Miscounted`] if rows and inputs differ in number.
pub async fn total(output: &dyn Bucket, keys: &RunKeys, groups: &Groups) -> Result<RowCounts, ReduceError> {
    let mut total = RowCounts::default();
    let mut all = all_slices(output, keys, groups);
    while let Some((_, slices)) = all.try_next().await? {
        for slice in &slices {
            total.add(slice.counts.as_ref().unwrap_or(&RowCounts::default()));
        }
    }
    let images = split::inputs(&range_splits(output, keys).await?);
    match total.rows() {
        rows if rows == images => Ok(total),
        rows => Err(ReduceError::Miscounted { rows, images }),
    }
}
