//! What holds whatever happened: one row for each input, counts that are exact, objects that are written once, usage that
//! every worker accounts for.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use futures::stream::TryStreamExt;
use tagfleet_pipeline::bucket::{Bucket, KeyRange, Object};
use tagfleet_pipeline::fleet::finish::{Finished, read_summary};
use tagfleet_pipeline::reduce;
use tagfleet_pipeline::report::{State, Summary};
use tagfleet_pipeline::shard::ShardId;
use tagfleet_pipeline::split::read_shard;
use tagfleet_pipeline::tags::parquet;
use tagfleet_pipeline::usage::{self, RECORD_SECONDS};

use super::worker::{Death, Life, recorded};
use super::world::{World, vector};

/// Every column of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FlatRow {
    pub(super) key: String,
    /// Status, code, message, etag.
    pub(super) texts: Vec<Option<String>>,
    /// Width, height, bytes.
    numbers: Vec<Option<i64>>,
    /// Label, index, bits of the score.
    tags: Vec<(String, i32, u32)>,
}

pub(super) type Rows = Vec<FlatRow>;

/// The rows of one stored table.
fn rows_of(bytes: Bytes) -> Rows {
    let batches = parquet::open(bytes).unwrap().batches;
    batches.flat_map(|batch| flat(&batch.unwrap())).collect()
}

fn flat(batch: &RecordBatch) -> Rows {
    let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
    let optional = |name: &str, row| text(name).is_valid(row).then(|| text(name).value(row).to_owned());
    let int = |name: &str, row| {
        let column = batch.column_by_name(name).unwrap().as_primitive::<Int32Type>();
        column.is_valid(row).then(|| i64::from(column.value(row)))
    };
    let sizes = batch.column_by_name("bytes").unwrap().as_primitive::<Int64Type>();
    let tags = batch.column_by_name("tags").unwrap().as_list::<i32>();
    let mut rows = Vec::new();
    for row in 0..batch.num_rows() {
        let list = tags.value(row);
        let list = list.as_struct();
        let (labels, indices) =
            (list.column(0).as_string::<i32>(), list.column(1).as_primitive::<Int32Type>());
        let scores = list.column(2).as_primitive::<Float32Type>();
        let tag = |at| (labels.value(at).to_owned(), indices.value(at), scores.value(at).to_bits());
        rows.push(FlatRow {
            key: text("key").value(row).to_owned(),
            texts: ["status", "error_code", "error_message", "etag"].map(|name| optional(name, row)).to_vec(),
            numbers: vec![
                int("width", row),
                int("height", row),
                sizes.is_valid(row).then(|| sizes.value(row)),
            ],
            tags: (0..labels.len()).map(tag).collect(),
        });
    }
    rows
}

pub(super) fn assert_same(rows: &Rows, quiet: &Rows) {
    for (row, other) in rows.iter().zip(quiet) {
        assert_eq!(row, other, "not as in a quiet run");
    }
    assert_eq!(rows.len(), quiet.len());
}

/// The rows of every group that is compacted; none of one that is not.
pub(super) async fn results(world: &World) -> Vec<Option<Rows>> {
    let groups = reduce::groups(&world.own, &world.keys, Some(&vector())).await.unwrap();
    let mut results = Vec::new();
    for number in (0..).take(groups.groups.len()) {
        let stored = world.own.get(&world.keys.result(number), None, u64::MAX).await;
        results.push(stored.ok().map(|stored| rows_of(stored.bytes)));
    }
    results
}

/// The run is complete, and all of it says so; returns its rows.
pub(super) async fn assert_complete(world: &World) -> Rows {
    let rows: Rows = results(world).await.into_iter().flat_map(Option::unwrap).collect();
    let keys: Vec<&String> = rows.iter().map(|row| &row.key).collect();
    assert_eq!(keys, world.inputs().await.iter().collect::<Vec<_>>(), "one row for each input, in key order");
    let summary = read_summary(&world.fleet().await).await.unwrap();
    assert_eq!(summary.state, State::Complete);
    assert_eq!(summary.missing_shards, Vec::<String>::new());
    assert_eq!((summary.images, summary.rows), (rows.len() as u64, rows.len() as u64));
    assert_counted(&summary, &rows);
    assert!(world.own.exists(&world.keys.success()).await.unwrap());
    assert_written_once(world).await;
    rows
}

fn assert_counted(summary: &Summary, rows: &Rows) {
    let mut failed: BTreeMap<String, u64> = BTreeMap::new();
    for code in rows.iter().filter_map(|row| row.texts[1].clone()) {
        *failed.entry(code).or_default() += 1;
    }
    assert_eq!(summary.failed, failed);
    assert_eq!(summary.tagged + failed.values().sum::<u64>(), rows.len() as u64);
    let second = rows.iter().filter(|row| row.key.ends_with("second")).count();
    assert_eq!(summary.second_decoder, second as u64);
}

/// No object that a run rests on was ever written a second time.
async fn assert_written_once(world: &World) {
    let all = KeyRange::prefix(&world.keys.work());
    let pages: Vec<Vec<Object>> = world.own.list(&all).try_collect().await.unwrap();
    let keys = &world.keys;
    let rewritten = [keys.usages(), keys.all_thumbnails(), keys.range_cursor(0).replace("00000.json", "")];
    for object in pages.concat() {
        if !rewritten.iter().any(|prefix| object.key.starts_with(prefix)) {
            assert_eq!(object.etag, "v0", "{} was written again", object.key);
        }
    }
    for object in world.own.list(&KeyRange::prefix(&keys.results())).try_concat().await.unwrap() {
        assert_eq!(object.etag, "v0", "{} was written again", object.key);
    }
}

/// What the run says of itself while it is incomplete is so: whoever is late may have added to it since.
pub(super) async fn assert_incomplete(world: &World, finished: &Finished) {
    let summary = read_summary(&world.fleet().await).await.unwrap();
    assert!(!world.own.exists(&world.keys.success()).await.unwrap(), "{finished:?}");
    assert_eq!(summary.missing_shards.len() as u64, finished.missing);
    let missing = images_of(world, &summary.missing_shards).await;
    assert_eq!(summary.rows + missing, summary.images, "what is missing is told exactly: {summary:?}");
    assert_eq!(summary.images, world.inputs().await.len() as u64);
    let still = reduce::missing(&world.own, &world.keys).await.unwrap();
    let unnamed = still.iter().find(|shard| !summary.missing_shards.contains(&shard.to_string()));
    assert_eq!(unnamed, None, "missing and not named");
    let whole: Rows = results(world).await.into_iter().flatten().flatten().collect();
    assert!(whole.len() as u64 <= summary.rows, "only whole groups are compacted");
}

async fn images_of(world: &World, shards: &[String]) -> u64 {
    let mut images = 0;
    for shard in shards {
        let id = ShardId::parse(shard).unwrap();
        images += read_shard(&world.own, &world.keys, id).await.unwrap().images.len() as u64;
    }
    images
}

/// Every worker that has left a record is counted, for no less than it told and no more than a minute beyond its life.
pub(super) async fn assert_usage(world: &World, lives: &BTreeMap<String, (Life, Death)>) {
    let records = recorded(world).await;
    let (mut least, mut most) = (0, 0);
    for (name, record) in &records {
        let (life, _) = lives.get(name).unwrap_or_else(|| panic!("{name} never lived"));
        least += record.updated - record.began;
        most += life.ended - life.began + RECORD_SECONDS;
    }
    let total = usage::total(&world.own, &world.keys).await.unwrap();
    assert_eq!(total.workers(), records.len() as u64);
    let seconds: u64 = total.machines.iter().map(|machine| machine.seconds).sum();
    assert!((least..=most).contains(&seconds), "{seconds} s of {least} to {most}");
}
