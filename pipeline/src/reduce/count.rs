//! Counts rows: of a batch, of a stored part, of the parts of a run that has not ended.
//!
//! It decides nothing; a run that is complete is counted from its compacted groups.

use std::collections::BTreeSet;

use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::slices::{all_slices, fetch_part};
use super::{Groups, ReduceError, RowCounts, TagCounts, blocking, sizes};
use crate::bucket::Bucket;
use crate::checkpoint::Checkpoints;
use crate::record;
use crate::run::{RunId, RunKeys};
use crate::shard::ShardId;
use crate::tags::Row;
use crate::tags::parquet::stored::text;
use crate::tags::parquet::{self, RunColumns, TableError};

/// Parts that are counted at once.
const AT_ONCE: usize = 32;

/// A row is failed if it has an error code.
pub(super) fn count(batch: &RecordBatch) -> Result<RowCounts, TableError> {
    let codes = text(batch, "error_code")?;
    let tags = TagCounts::of_batch(batch)?;
    let mut counts = RowCounts { tagged: codes.null_count() as u64, tags, ..RowCounts::default() };
    for code in codes.iter().flatten() {
        match counts.failed.get_mut(code) {
            Some(count) => *count += 1,
            None => _ = counts.failed.insert(code.to_owned(), 1),
        }
    }
    Ok(counts)
}

/// The counts of the parts that are there, of a run that has not ended.
///
/// # Errors
/// If a part cannot be read.
pub async fn counts_so_far(output: &dyn Bucket, keys: &RunKeys) -> Result<RowCounts, ReduceError> {
    let parts = sizes(output, keys, &keys.parts()).await?;
    count_parts(output, keys, parts.into_keys().collect()).await
}

/// The same with the rows of checkpoints: all that a run keeps that was stopped.
///
/// # Errors
/// If a part or a shard cannot be read. A checkpoint that cannot be used counts for nothing.
pub async fn counts_kept(checkpoints: &Checkpoints<'_>) -> Result<RowCounts, ReduceError> {
    let (output, keys) = (checkpoints.output, checkpoints.keys);
    let parts = sizes(output, keys, &keys.parts()).await?;
    let open = checkpoints.shards().await?.into_iter().filter(|shard| !parts.contains_key(shard));
    let mut counts = RowCounts::default();
    for id in open.collect::<Vec<_>>() {
        let shard = record::read_shard(output, keys, id).await?;
        let rows: Vec<Row> = checkpoints.read(&shard).await.unwrap_or_default().into_values().collect();
        let counted = count_rows(&rows, checkpoints.run);
        counts.add(&counted.map_err(|error| ReduceError::Table(keys.checkpoint(id), error))?);
    }
    counts.add(&count_parts(output, keys, parts.into_keys().collect()).await?);
    Ok(counts)
}

fn count_rows(rows: &[Row], run: &RunId) -> Result<RowCounts, TableError> {
    // No count depends on the model's name.
    let columns = RunColumns { run: run.clone(), model: String::new(), vector: None };
    let counts = count(&parquet::batch(rows, &columns)?)?;
    let second_decoder = rows.iter().filter(|row| row.second_decoder()).count() as u64;
    Ok(RowCounts { second_decoder, ..counts })
}

/// The counts of a split run except for the shards in `missing`, even if parts of these appeared after the
/// listing: so counts and missing shards add up. What is compacted is not counted again.
///
/// # Errors
/// If a part cannot be read.
pub async fn counts_in(
    output: &dyn Bucket,
    keys: &RunKeys,
    groups: &Groups,
    missing: &[ShardId],
) -> Result<RowCounts, ReduceError> {
    let missing: BTreeSet<&ShardId> = missing.iter().collect();
    let mut counts = RowCounts::default();
    let mut open = Vec::new();
    let mut all = all_slices(output, keys, groups);
    while let Some((number, slices)) = all.try_next().await? {
        let Some(group) = groups.groups.get(number as usize) else { continue };
        let mut uncounted: BTreeSet<&ShardId> = group.shards.iter().collect();
        uncounted.retain(|shard| !missing.contains(shard));
        for slice in &slices {
            let is_counted = slice.shards.iter().all(|shard| !missing.contains(shard));
            if let Some(compacted) = slice.counts.as_ref().filter(|_| is_counted) {
                counts.add(compacted);
                uncounted.retain(|shard| slice.shards.binary_search(shard).is_err());
            }
        }
        open.extend(uncounted.into_iter().copied());
    }
    counts.add(&count_parts(output, keys, open).await?);
    Ok(counts)
}

async fn count_parts(
    output: &dyn Bucket,
    keys: &RunKeys,
    shards: Vec<ShardId>,
) -> Result<RowCounts, ReduceError> {
    let count = |shard| count_stored(output, keys, shard);
    let mut counted = stream::iter(shards.into_iter().map(count)).buffer_unordered(AT_ONCE);
    let mut counts = RowCounts::default();
    while let Some(part) = counted.try_next().await? {
        counts.add(&part);
    }
    Ok(counts)
}

async fn count_stored(output: &dyn Bucket, keys: &RunKeys, shard: ShardId) -> Result<RowCounts, ReduceError> {
    let (shard, bytes) = fetch_part(output, keys, shard).await?;
    let counted = blocking(move || count_part(bytes)).await;
    counted.map_err(|error| ReduceError::Table(keys.part(shard), error))
}

fn count_part(part: Bytes) -> Result<RowCounts, TableError> {
    let table = parquet::open(part)?;
    let (second_decoder, slowest) = (table.second_decoder, table.slowest);
    let mut counts = RowCounts { second_decoder, slowest, ..RowCounts::default() };
    for batch in table.batches {
        counts.add(&count(&batch?)?);
    }
    Ok(counts)
}
