//! The slices of a group: which parts each result file has, as they are recorded.
//!
//! A slice is recorded before its file is written, and the first record counts. It copies no row.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use serde::{Deserialize, Serialize};

use super::{Group, Groups, ReduceError, RowCounts, sizes_in};
use crate::bucket::{Bucket, BucketError, KeyRange};
use crate::record;
use crate::run::RunKeys;
use crate::shard::ShardId;

/// Groups whose records are read at once.
const GROUPS_AT_ONCE: usize = 16;
/// More than any part: 10,000 rows of a vector of 4,096 floats.
const MAX_PART_BYTES: u64 = 1 << 30;

/// The stored form of a slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SliceRecord {
    /// Always 1.
    version: u32,
    /// In key order, at least one.
    #[serde(with = "super::spans")]
    shards: Vec<ShardId>,
}

/// The parts of a group that make one result file, in key order.
pub(super) struct Slice {
    pub(super) shards: Vec<ShardId>,
    /// `None` if the file may not be there yet.
    pub(super) counts: Option<RowCounts>,
}

/// The place of a slice: its group and its number in it, both from 0.
pub(super) type Place = (u32, u32);

/// The slices of every group by its number, as they are recorded.
pub(super) fn all_slices<'a>(
    output: &'a dyn Bucket,
    keys: &'a RunKeys,
    groups: &'a Groups,
) -> BoxStream<'a, Result<(u32, Vec<Slice>), ReduceError>> {
    let numbers = (0..).take(groups.groups.len());
    let read = move |number| slices(output, keys, number, groups);
    stream::iter(numbers.map(read)).buffered(GROUPS_AT_ONCE).boxed()
}

async fn slices(
    output: &dyn Bucket,
    keys: &RunKeys,
    number: u32,
    groups: &Groups,
) -> Result<(u32, Vec<Slice>), ReduceError> {
    let (mut slices, mut shards) = (Vec::new(), 0);
    let Some(group) = groups.groups.get(number as usize) else { return Ok((number, slices)) };
    while shards < group.shards.len() {
        let place = (number, u32::try_from(slices.len()).unwrap_or(u32::MAX));
        let Some(found) = recorded(output, keys, place, group).await? else { break };
        shards += found.len();
        slices.push(Slice { shards: found, counts: counted(output, keys, place).await? });
    }
    Ok((number, slices))
}

/// The shards of a slice, if they are recorded.
pub(super) async fn recorded(
    output: &dyn Bucket,
    keys: &RunKeys,
    (number, slice): Place,
    group: &Group,
) -> Result<Option<Vec<ShardId>>, ReduceError> {
    let record: Option<SliceRecord> = record::read_if_present(output, &keys.slice(number, slice)).await?;
    if let Some(record) = record {
        return Ok(Some(record.shards));
    }
    // Earlier versions compacted whole groups only, and recorded no more than the counts.
    let is_whole = slice == 0 && counted(output, keys, (number, slice)).await?.is_some();
    Ok(is_whole.then(|| group.shards.clone()))
}

/// Records a slice of all shards in `open` that have their part, by one listing; `None` if none has. If
/// another call was first, its slice counts.
pub(super) async fn choose(
    output: &dyn Bucket,
    keys: &RunKeys,
    (number, slice): Place,
    open: &BTreeSet<ShardId>,
) -> Result<Option<Vec<ShardId>>, ReduceError> {
    let (Some(first), Some(last)) = (open.first(), open.last()) else { return Ok(None) };
    // Less than the first part's key, and greater than that of any part before it.
    let mut before = keys.part(*first);
    before.pop();
    let range =
        KeyRange { after: Some(before), up_to: Some(keys.part(*last)), ..KeyRange::prefix(&keys.parts()) };
    let parts = sizes_in(output, keys, &range).await?;
    let shards: Vec<ShardId> = open.iter().filter(|shard| parts.contains_key(shard)).copied().collect();
    if shards.is_empty() {
        return Ok(None);
    }
    let key = keys.slice(number, slice);
    record::create(output, &key, &SliceRecord { version: 1, shards }).await?;
    let record: SliceRecord = record::read(output, &key).await?;
    Ok(Some(record.shards))
}

pub(super) async fn fetch_part(
    output: &dyn Bucket,
    keys: &RunKeys,
    shard: ShardId,
) -> Result<(ShardId, Bytes), BucketError> {
    let fetched = output.get(&keys.part(shard), None, MAX_PART_BYTES).await?;
    Ok((shard, fetched.bytes))
}

/// The counts of a slice whose file is there.
pub(super) async fn counted(
    output: &dyn Bucket,
    keys: &RunKeys,
    (number, slice): Place,
) -> Result<Option<RowCounts>, ReduceError> {
    Ok(record::read_if_present(output, &keys.compacted(number, slice)).await?)
}
