//! The checks after a disturbed run: the objects of the bucket, and the jobs as AWS Batch describes them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tagfleet_tests::fleet::Fleet;
use tagfleet_tests::rows::batches;

use super::chaos_stack::Baseline;
use super::schedule::{Caller, Census};

/// The exit code that AWS Batch reports for a killed process.
const KILLED: u64 = 128 + 9;
/// The exit code of a worker that was asked to stop and returned its shards.
const INTERRUPTED: u64 = 75;
/// The last record of a worker counts the request that writes it once. All workers together may repeat that
/// request this many times.
const REPEATED_RECORDS: u64 = 16;

fn json_of(fleet: &Fleet, key: &str) -> Value {
    let bytes = fleet.cloud.get(key);
    assert!(bytes.is_some(), "{key} is absent");
    serde_json::from_slice(&bytes.unwrap_or_default()).unwrap()
}

pub(super) fn summary(fleet: &Fleet, run: &str) -> Value {
    json_of(fleet, &format!("tags/{run}/summary.json"))
}

/// Checks that a run writes only below its own prefixes.
pub(super) fn nothing_is_written_elsewhere(fleet: &Fleet, run: &str, before: &BTreeSet<String>) {
    let own = [format!("tags/{run}/"), format!("tags/work/{run}/"), format!("runs/{run}.")];
    let now: BTreeSet<String> = fleet.cloud.keys("").into_iter().collect();
    let is_own = |key: &&String| own.iter().any(|prefix| key.starts_with(prefix));
    let written: Vec<_> = now.difference(before).filter(|key| !is_own(key)).collect();
    let lost: Vec<_> = before.difference(&now).collect();
    // The model is published with the first request.
    let written: Vec<_> = written.into_iter().filter(|key| !key.starts_with("models/")).collect();
    assert!(written.is_empty() && lost.is_empty(), "written: {written:?}, lost: {lost:?}");
}

/// Checks the summary of a complete run: the counts of an undisturbed run, and the usage of every worker.
/// Only full disks may make a worker fail.
pub(super) fn the_summary_is_exact(fleet: &Fleet, run: &str, baseline: &Baseline, full_disks: u64) {
    let summary = summary(fleet, run);
    for field in
        ["state", "images", "rows", "tagged", "failed", "second_decoder", "missing_shards", "model_sha256"]
    {
        assert_eq!(summary[field], baseline.summary[field], "{field} of {summary}");
    }
    assert_eq!(summary["state"], json!("complete"), "{summary}");
    assert_eq!(summary["rows"].as_u64(), Some(baseline.rows.len() as u64), "{summary}");
    let failed = summary["usage"]["failures"].as_object().map_or(0, |failures| {
        failures.iter().filter(|(why, _)| !why.contains("cannot be written to this machine")).count()
    });
    assert_eq!(failed, 0, "workers failed: {}", summary["usage"]["failures"]);
    workers_are_accounted_for(fleet, run, &summary, full_disks);
    the_bill_adds_up(fleet, run);
    only_the_dead_letter_queue_is_left(fleet);
}

/// Checks that every worker has a record, unless it was killed before it wrote one, and that the summary adds
/// them up.
fn workers_are_accounted_for(fleet: &Fleet, run: &str, summary: &Value, full_disks: u64) {
    let mut records = BTreeMap::new();
    for key in fleet.cloud.keys(&format!("tags/work/{run}/usage/worker-")) {
        records.insert(key.clone(), json_of(fleet, &key));
    }
    let mut failed = 0;
    for (name, code) in attempts(fleet, run) {
        let record = records.get(&format!("tags/work/{run}/usage/{name}.json"));
        let has_ended = record.is_some_and(|record| !record["ended"].is_null());
        let was_killed = code.is_none_or(|code| code == KILLED);
        assert!(was_killed || has_ended, "{name} ended by itself and left {record:?}");
        failed += u64::from(!was_killed && code != Some(0) && code != Some(INTERRUPTED));
    }
    assert!(failed <= full_disks, "{failed} workers failed: {:?}", fleet.cloud.logs("/tagfleet/worker"));
    let machines = summary["usage"]["machines"].as_array().unwrap();
    let sum = |field: &str| machines.iter().filter_map(|machine| machine[field].as_u64()).sum::<u64>();
    assert_eq!(sum("workers"), records.len() as u64, "{summary}");
    let counted = |record: &Value| record["tagged"].as_u64().unwrap() + record["failed"].as_u64().unwrap();
    assert_eq!(sum("images"), records.values().map(counted).sum::<u64>(), "{summary}");
}

/// Checks that the records have exactly the requests of the workers. None of them was killed or asked to
/// stop.
pub(super) fn requests_are_counted(fleet: &Fleet, run: &str, census: &Census) {
    let (mut received, mut counted) = (BTreeMap::new(), BTreeMap::new());
    for ((_, name), count) in census.iter().filter(|((caller, _), _)| *caller == Caller::Worker) {
        let operation = match name.split(' ').next().unwrap_or_default() {
            "s3:HeadObject" => "s3:GetObject",
            "s3:HeadBucket" => "s3:ListBucket",
            operation => operation,
        };
        *received.entry(operation.to_owned()).or_default() += *count;
    }
    for key in fleet.cloud.keys(&format!("tags/work/{run}/usage/worker-")) {
        for (operation, count) in json_of(fleet, &key)["requests"].as_object().unwrap() {
            *counted.entry(operation.clone()).or_default() += count["calls"].as_u64().unwrap();
        }
    }
    let puts = "s3:PutObject";
    let repeated = received[puts] - counted.insert(puts.to_owned(), received[puts]).unwrap_or(0_u64);
    assert!(repeated <= REPEATED_RECORDS, "{repeated} of {} PUTs are in no record", received[puts]);
    assert_eq!(counted, received);
}

/// The record names of all workers of a run, and their exit codes; `None` if AWS Batch knows none.
fn attempts(fleet: &Fleet, run: &str) -> Vec<(String, Option<u64>)> {
    let mut attempts = Vec::new();
    for job in fleet.cloud.jobs() {
        let id = job["jobId"].as_str().unwrap().replace(':', "-");
        if job["jobName"] != json!(format!("tagfleet-{run}")) {
            continue;
        }
        for (number, attempt) in (1..).zip(job["attempts"].as_array().unwrap()) {
            attempts.push((format!("worker-{id}-{number}"), attempt["container"]["exitCode"].as_u64()));
        }
    }
    attempts
}

/// Checks that the total of the bill is the sum of its lines.
fn the_bill_adds_up(fleet: &Fleet, run: &str) {
    let cost = json_of(fleet, &format!("tags/{run}/cost.json"));
    let lines = cost["lines"].as_array().unwrap().iter();
    let sum: f64 = lines.map(|line| line["usd"].as_f64().unwrap()).sum();
    let total = cost["total_usd"].as_f64().unwrap();
    assert!(total > 0.0 && (sum - total).abs() < 1e-9, "{cost}");
}

fn only_the_dead_letter_queue_is_left(fleet: &Fleet) {
    let queues = fleet.cloud.emulator().client().call("sqs", "AmazonSQS.ListQueues", &json!({}));
    let queues = queues["QueueUrls"].as_array().unwrap();
    assert_eq!(queues.len(), 1, "{queues:?}");
}

/// Checks that an incomplete run names exactly the shards without a part, and counts exactly its rows.
pub(super) fn the_missing_shards_are_named(fleet: &Fleet, run: &str) {
    let ids = |folder: &str, end: &str| -> BTreeSet<String> {
        let prefix = format!("tags/work/{run}/{folder}/");
        let keys = fleet.cloud.keys(&prefix);
        let id = |key: &String| key.strip_prefix(&prefix)?.strip_suffix(end).map(str::to_owned);
        keys.iter().filter_map(id).collect()
    };
    let (shards, parts) = (ids("shards", ".jsonl.zst"), ids("parts", ".parquet"));
    let summary = summary(fleet, run);
    assert_eq!(summary["state"], json!("incomplete"), "{summary}");
    let missing: Vec<_> = shards.difference(&parts).collect();
    assert!(!missing.is_empty(), "nothing is missing: {summary}");
    assert_eq!(summary["missing_shards"], json!(missing), "{summary}");
    assert_eq!(fleet.cloud.get(&format!("tags/{run}/_SUCCESS")), None);
    let folder = tempfile::tempdir().unwrap();
    for (number, part) in parts.iter().enumerate() {
        let bytes = fleet.cloud.get(&format!("tags/work/{run}/parts/{part}.parquet")).unwrap();
        std::fs::write(folder.path().join(number.to_string()), bytes).unwrap();
    }
    let rows: usize = batches(folder.path()).iter().map(arrow_array::RecordBatch::num_rows).sum();
    assert_eq!(summary["rows"].as_u64(), Some(rows as u64), "{summary}");
}
