//! What holds whatever happened: one row for each input, counts that are exact, objects that are written
//! once, usage that every worker accounts for.

use std::collections::BTreeMap;

use futures::stream::TryStreamExt;
use tagfleet_cost::usage::{self, RECORD_SECONDS};
use tagfleet_fleet::finish::{Finished, read_summary};
use tagfleet_pipeline::bucket::{Bucket, KeyRange, Object};
use tagfleet_pipeline::checkpoint::Checkpoints;
use tagfleet_pipeline::denied;
use tagfleet_pipeline::record::read_shard;
use tagfleet_pipeline::reduce;
use tagfleet_pipeline::shard::ShardId;
use tagfleet_pipeline::tags::Row;
use tagfleet_pipeline::tags::parquet::{RunColumns, encode_part};
use tagfleet_pipeline::tags::slowest::Slowest;
use tagfleet_pipeline::testing::request;
use tagfleet_report::{State, Summary};

use tagfleet_pipeline::testing::rows::{FlatRow, Rows, assert_same, rows_of};

use super::worker::{Death, Life, recorded};
use super::world::{World, vector};

/// The rows of all result files, each of which is in key order, in key order.
pub(super) async fn results(world: &World) -> Rows {
    let mut rows = Rows::new();
    for (key, bytes) in world.objects(&KeyRange::prefix(&world.keys.results())).await {
        let of_file = rows_of(bytes);
        assert!(of_file.is_sorted_by(|a, b| a.key < b.key), "{key} is in key order");
        rows.extend(of_file);
    }
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}

/// Every row of a part is in exactly one result file, whatever is missing.
pub(super) async fn assert_nothing_done_is_withheld(world: &World) {
    let mut done = Rows::new();
    for (_, bytes) in world.objects(&KeyRange::prefix(&world.keys.parts())).await {
        done.extend(rows_of(bytes));
    }
    done.sort_by(|a, b| a.key.cmp(&b.key));
    let mut there = results(world).await;
    if world.since.is_some() {
        // Others are kept.
        there.retain(|row| done.binary_search_by(|done| done.key.cmp(&row.key)).is_ok());
    }
    assert_same(&there, &done);
}

/// Denied images are rows, no more of them than the run takes, and those that are counted.
pub(super) async fn assert_denied(world: &World, rows: &Rows) {
    let denied = rows.iter().filter(|row| row.texts[1].as_deref() == Some("denied")).count();
    assert_eq!(denied, rows.iter().filter(|row| row.key.ends_with("denied")).count());
    assert!(world.accepts_denied || denied as u64 <= denied::most(rows.len() as u64));
    let announced = denied::announced(&world.own, &world.keys).await.unwrap();
    assert!(
        announced <= denied as u64,
        "{announced} are announced of {denied}: what nobody did is taken back"
    );
}

/// The run is complete, and all of its records agree; returns its rows.
pub(super) async fn assert_complete(world: &World) -> Rows {
    let rows: Rows = results(world).await;
    let keys: Vec<&String> = rows.iter().map(|row| &row.key).collect();
    assert_eq!(keys, world.inputs().await.iter().collect::<Vec<_>>(), "one row for each input, in key order");
    let summary = read_summary(&world.fleet().await).await.unwrap();
    assert_eq!(summary.state, State::Complete);
    assert_eq!(summary.missing_shards, Vec::<String>::new());
    assert_eq!((summary.images, summary.rows), (rows.len() as u64, rows.len() as u64));
    assert_counted(&summary, &rows, world);
    assert_denied(world, &rows).await;
    assert!(world.own.exists(&world.keys.success()).await.unwrap());
    assert_written_once(world).await;
    rows
}

/// Every checkpoint that was left holds rows of the run as they are; returns how many there are.
pub(super) async fn assert_checkpoints(world: &World, rows: &Rows) -> usize {
    let vector = vector();
    let (output, run, keys) = (&world.own, &world.run, &world.keys);
    let checkpoints = Checkpoints { output, run, keys, vector: Some(&vector) };
    let found = checkpoints.shards().await.unwrap();
    let columns = RunColumns { run: run.clone(), model: request().model.id(), vector: None };
    let by_key: BTreeMap<&str, &FlatRow> = rows.iter().map(|row| (row.key.as_str(), row)).collect();
    for id in &found {
        let shard = read_shard(output, keys, *id).await.unwrap();
        let kept: Vec<Row> = checkpoints.read(&shard).await.unwrap().into_values().collect();
        assert!(!kept.is_empty(), "an empty checkpoint of {id}");
        for row in rows_of(encode_part(&kept, &columns, &Slowest::default()).unwrap()) {
            assert_eq!(Some(&&row), by_key.get(row.key.as_str()), "a row of the checkpoint of {id}");
        }
    }
    found.len()
}

fn assert_counted(summary: &Summary, rows: &Rows, world: &World) {
    let mut failed: BTreeMap<String, u64> = BTreeMap::new();
    for code in rows.iter().filter_map(|row| row.texts[1].clone()) {
        *failed.entry(code).or_default() += 1;
    }
    assert_eq!(summary.failed, failed);
    assert_eq!(summary.tagged + failed.values().sum::<u64>(), rows.len() as u64);
    let second = rows.iter().filter(|row| row.key.ends_with("second")).count();
    match world.since {
        // It is not known of a kept row.
        Some(_) => assert!(summary.second_decoder <= second as u64),
        None => assert_eq!(summary.second_decoder, second as u64),
    }
}

/// No object that a run rests on was ever written a second time.
async fn assert_written_once(world: &World) {
    let all = KeyRange::prefix(&world.keys.work());
    let pages: Vec<Vec<Object>> = world.own.list(&all).try_collect().await.unwrap();
    let keys = &world.keys;
    let cursors = keys.range_cursor(0).replace("00000.json", "");
    // The mail's pictures belong to the page, which each try to end the run writes again.
    let rewritten = [
        keys.usages(),
        keys.all_thumbnails(),
        keys.checkpoints(),
        keys.all_denied(),
        keys.highlights(),
        cursors,
    ];
    for object in pages.concat() {
        if !rewritten.iter().any(|prefix| object.key.starts_with(prefix)) {
            assert_eq!(object.etag, "v0", "{} was written again", object.key);
        }
    }
    for object in world.own.list(&KeyRange::prefix(&keys.results())).try_concat().await.unwrap() {
        assert_eq!(object.etag, "v0", "{} was written again", object.key);
    }
}

/// The records of an incomplete run are true: a late process may have added to it since.
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
    let keys: Vec<String> = results(world).await.into_iter().map(|row| row.key).collect();
    assert!(keys.is_sorted_by(|a, b| a < b), "each row once");
    let rows = keys.len() as u64;
    assert!(
        (summary.rows..=summary.images).contains(&rows),
        "{rows} rows are there of {} done",
        summary.rows
    );
}

async fn images_of(world: &World, shards: &[String]) -> u64 {
    let mut images = 0;
    for shard in shards {
        let id = ShardId::parse(shard).unwrap();
        let shard = read_shard(&world.own, &world.keys, id).await.unwrap();
        images += shard.images.len() as u64 + shard.kept.map_or(0, |kept| kept.difference.kept);
    }
    images
}

/// Every worker that has left a record is counted, for no less than its record and no more than a minute
/// beyond its life.
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
