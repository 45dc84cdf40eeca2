//! The checks after any faults: one row for each input, exact counts, objects that are written once, and the
//! usage of every worker.

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

use super::fixture::{Fixture, vector};
use super::worker::{Death, Life, recorded};

/// The rows of all result files, each of which is in key order, in key order.
pub(super) async fn results(fixture: &Fixture) -> Rows {
    let mut rows = Rows::new();
    for (key, bytes) in fixture.objects(&KeyRange::prefix(&fixture.keys.results())).await {
        let of_file = rows_of(bytes);
        assert!(of_file.is_sorted_by(|a, b| a.key < b.key), "{key} is in key order");
        rows.extend(of_file);
    }
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}

/// Every row of a part is in exactly one result file, whatever is missing.
pub(super) async fn assert_nothing_done_is_withheld(fixture: &Fixture) {
    let mut done = Rows::new();
    for (_, bytes) in fixture.objects(&KeyRange::prefix(&fixture.keys.parts())).await {
        done.extend(rows_of(bytes));
    }
    done.sort_by(|a, b| a.key.cmp(&b.key));
    let mut there = results(fixture).await;
    if fixture.since.is_some() {
        // Others are kept.
        there.retain(|row| done.binary_search_by(|done| done.key.cmp(&row.key)).is_ok());
    }
    assert_same(&there, &done);
}

/// Denied images are rows, no more of them than the run takes, and those that are counted.
pub(super) async fn assert_denied(fixture: &Fixture, rows: &Rows) {
    let denied = rows.iter().filter(|row| row.texts[1].as_deref() == Some("denied")).count();
    assert_eq!(denied, rows.iter().filter(|row| row.key.ends_with("denied")).count());
    assert!(fixture.accepts_denied || denied as u64 <= denied::most(rows.len() as u64));
    let announced = denied::announced(&fixture.own, &fixture.keys).await.unwrap();
    assert!(
        announced <= denied as u64,
        "{announced} are announced of {denied}: what nobody did is taken back"
    );
}

/// The run is complete, and all of its records agree; returns its rows.
pub(super) async fn assert_complete(fixture: &Fixture) -> Rows {
    let rows: Rows = results(fixture).await;
    let keys: Vec<&String> = rows.iter().map(|row| &row.key).collect();
    assert_eq!(
        keys,
        fixture.inputs().await.iter().collect::<Vec<_>>(),
        "one row for each input, in key order"
    );
    let summary = read_summary(&fixture.fleet().await).await.unwrap();
    assert_eq!(summary.state, State::Complete);
    assert_eq!(summary.missing_shards, Vec::<String>::new());
    assert_eq!((summary.images, summary.rows), (rows.len() as u64, rows.len() as u64));
    assert_counted(&summary, &rows, fixture);
    assert_denied(fixture, &rows).await;
    assert!(fixture.own.exists(&fixture.keys.success()).await.unwrap());
    assert_written_once(fixture).await;
    rows
}

/// Every checkpoint that was left holds rows of the run as they are; returns how many there are.
pub(super) async fn assert_checkpoints(fixture: &Fixture, rows: &Rows) -> usize {
    let vector = vector();
    let (output, run, keys) = (&fixture.own, &fixture.run, &fixture.keys);
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

fn assert_counted(summary: &Summary, rows: &Rows, fixture: &Fixture) {
    let mut failed: BTreeMap<String, u64> = BTreeMap::new();
    for code in rows.iter().filter_map(|row| row.texts[1].clone()) {
        *failed.entry(code).or_default() += 1;
    }
    assert_eq!(summary.failed, failed);
    assert_eq!(summary.tagged + failed.values().sum::<u64>(), rows.len() as u64);
    let second = rows.iter().filter(|row| row.key.ends_with("second")).count();
    match fixture.since {
        // It is not known of a kept row.
        Some(_) => assert!(summary.second_decoder <= second as u64),
        None => assert_eq!(summary.second_decoder, second as u64),
    }
}

/// No object that a run depends on was written twice.
async fn assert_written_once(fixture: &Fixture) {
    let all = KeyRange::prefix(&fixture.keys.work());
    let pages: Vec<Vec<Object>> = fixture.own.list(&all).try_collect().await.unwrap();
    let keys = &fixture.keys;
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
    for object in fixture.own.list(&KeyRange::prefix(&keys.results())).try_concat().await.unwrap() {
        assert_eq!(object.etag, "v0", "{} was written again", object.key);
    }
}

/// The records of an incomplete run are true: a late process may have added to it since.
pub(super) async fn assert_incomplete(fixture: &Fixture, finished: &Finished) {
    let summary = read_summary(&fixture.fleet().await).await.unwrap();
    assert!(!fixture.own.exists(&fixture.keys.success()).await.unwrap(), "{finished:?}");
    assert_eq!(summary.missing_shards.len() as u64, finished.missing);
    let missing = images_of(fixture, &summary.missing_shards).await;
    assert_eq!(summary.rows + missing, summary.images, "the missing shards are counted exactly: {summary:?}");
    assert_eq!(summary.images, fixture.inputs().await.len() as u64);
    let still = reduce::missing(&fixture.own, &fixture.keys).await.unwrap();
    let unnamed = still.iter().find(|shard| !summary.missing_shards.contains(&shard.to_string()));
    assert_eq!(unnamed, None, "missing and not named");
    let keys: Vec<String> = results(fixture).await.into_iter().map(|row| row.key).collect();
    assert!(keys.is_sorted_by(|a, b| a < b), "each row once");
    let rows = keys.len() as u64;
    assert!(
        (summary.rows..=summary.images).contains(&rows),
        "{rows} rows are there of {} done",
        summary.rows
    );
}

async fn images_of(fixture: &Fixture, shards: &[String]) -> u64 {
    let mut images = 0;
    for shard in shards {
        let id = ShardId::parse(shard).unwrap();
        let shard = read_shard(&fixture.own, &fixture.keys, id).await.unwrap();
        images += shard.images.len() as u64 + shard.kept.map_or(0, |kept| kept.difference.kept);
    }
    images
}

/// Every worker that has left a record is counted, for no less than its record and no more than a minute
/// beyond its life.
pub(super) async fn assert_usage(fixture: &Fixture, lives: &BTreeMap<String, (Life, Death)>) {
    let records = recorded(fixture).await;
    let (mut least, mut most) = (0, 0);
    for (name, record) in &records {
        let (life, _) = lives.get(name).unwrap_or_else(|| panic!("{name} never lived"));
        least += record.updated - record.began;
        most += life.ended - life.began + RECORD_SECONDS;
    }
    let total = usage::total(&fixture.own, &fixture.keys).await.unwrap();
    assert_eq!(total.workers(), records.len() as u64);
    let seconds: u64 = total.machines.iter().map(|machine| machine.seconds).sum();
    assert!((least..=most).contains(&seconds), "{seconds} s of {least} to {most}");
}
