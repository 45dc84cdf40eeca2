//! What holds after a storm, seen from outside: in the bucket's objects and in what AWS Batch tells of its jobs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tagfleet_tests::fleet::Fleet;
use tagfleet_tests::rows::batches;

use super::chaos_stack::Baseline;
use super::schedule::{Caller, Census};

/// How AWS Batch tells that a process was killed.
const KILLED: u64 = 128 + 9;
/// How a worker ends that was told to stop and gave its shards back.
const INTERRUPTED: u64 = 75;
/// A worker's last record counts the request that writes it once; all workers together may have to send it so often again.
const LAST_RECORDS_AGAIN: u64 = 16;

fn json_of(fleet: &Fleet, key: &str) -> Value {
    let bytes = fleet.cloud.get(key);
    assert!(bytes.is_some(), "{key} is not there");
    serde_json::from_slice(&bytes.unwrap_or_default()).unwrap()
}

pub(super) fn summary(fleet: &Fleet, run: &str) -> Value {
    json_of(fleet, &format!("tags/{run}/summary.json"))
}

/// A run writes below its own prefixes only.
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

/// A complete run: its summary counts what a quiet run's counts, and says what every worker used. No disturbance ends a
/// worker, only so many full disks do.
pub(super) fn all_is_told(fleet: &Fleet, run: &str, quiet: &Baseline, full_disks: u64) {
    let summary = summary(fleet, run);
    for field in
        ["state", "images", "rows", "tagged", "failed", "second_decoder", "missing_shards", "model_sha256"]
    {
        assert_eq!(summary[field], quiet.summary[field], "{field} of {summary}");
    }
    assert_eq!(summary["state"], json!("complete"), "{summary}");
    assert_eq!(summary["rows"].as_u64(), Some(quiet.rows.len() as u64), "{summary}");
    let failed = summary["usage"]["failures"].as_object().map_or(0, |failures| {
        failures.iter().filter(|(why, _)| !why.contains("cannot be written to this machine")).count()
    });
    assert_eq!(failed, 0, "workers failed: {}", summary["usage"]["failures"]);
    workers_are_accounted_for(fleet, run, &summary, full_disks);
    it_is_priced(fleet, run);
    only_the_dead_letter_queue_is_left(fleet);
}

/// Every worker that was started has a record, unless it was killed before it could write one; all records are added up.
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

/// Every request that came from workers, of which none was killed or told to stop, is in their records, and no other.
pub(super) fn requests_are_counted(fleet: &Fleet, run: &str, census: &Census) {
    let (mut seen, mut counted) = (BTreeMap::new(), BTreeMap::new());
    for ((_, name), count) in census.iter().filter(|((caller, _), _)| *caller == Caller::Worker) {
        let operation = match name.split(' ').next().unwrap_or_default() {
            "s3:HeadObject" => "s3:GetObject",
            "s3:HeadBucket" => "s3:ListBucket",
            operation => operation,
        };
        *seen.entry(operation.to_owned()).or_default() += *count;
    }
    for key in fleet.cloud.keys(&format!("tags/work/{run}/usage/worker-")) {
        for (operation, count) in json_of(fleet, &key)["requests"].as_object().unwrap() {
            *counted.entry(operation.clone()).or_default() += count["calls"].as_u64().unwrap();
        }
    }
    let puts = "s3:PutObject";
    let again = seen[puts] - counted.insert(puts.to_owned(), seen[puts]).unwrap_or(0_u64);
    assert!(again <= LAST_RECORDS_AGAIN, "{again} of {} PUTs are in no record", seen[puts]);
    assert_eq!(counted, seen);
}

/// The names of the records of all workers that were started for a run, and their exit codes, where there is one.
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

/// The bill's total is the sum of its lines.
fn it_is_priced(fleet: &Fleet, run: &str) {
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

/// An incomplete run names exactly the shards without a part, and counts exactly the rows that there are.
pub(super) fn what_is_missing_is_told(fleet: &Fleet, run: &str) {
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
