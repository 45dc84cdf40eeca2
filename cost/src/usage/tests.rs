//! Records that are added up.

use super::*;
use crate::bill::{Extras, bill};
use crate::prices::PriceBook;
use crate::testing::usage_of_a_worker;
use bytes::Bytes;
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::run::{RunId, RunKeys};

fn worker(began: u64, updated: u64, spot: bool) -> UsageRecord {
    let life_cycle = Some(if spot { "spot" } else { "on-demand" }.to_owned());
    UsageRecord::Worker(WorkerUsage {
        version: USAGE_VERSION,
        machine: Machine { instance_type: Some("c7g.xlarge".to_owned()), zone: None, life_cycle },
        machine_vcpus: Some(8),
        launched: spot.then(|| began - 60),
        began,
        updated,
        ended: Some(WorkerEnd::QueueEmpty),
        vcpus: 4,
        tagged: 90,
        failed: 10,
        ..WorkerUsage::default()
    })
}

#[tokio::test]
async fn records_are_added_up() {
    let (output, run) = (MemoryBucket::default(), RunId::try_from("r".to_owned()).unwrap());
    let keys = RunKeys::in_bucket("", &run);
    let call = FunctionUsage {
        version: USAGE_VERSION,
        function: "splitter".to_owned(),
        action: "split".to_owned(),
        began: 900,
        milliseconds: 250,
        memory_mb: 2048,
        requests: Requests::default(),
    };
    let records = [
        ("worker-a", worker(1000, 1100, true)),
        ("worker-b", worker(1010, 1200, true)),
        ("worker-c", worker(1000, 1001, false)),
        ("call-a", UsageRecord::Function(call.clone())),
        ("call-b", UsageRecord::Function(call)),
    ];
    for (name, record) in &records {
        put(&output, &keys, name, record).await.unwrap();
    }
    insta::assert_json_snapshot!(total(&output, &keys).await.unwrap());
}

fn killed(updated: u64) -> UsageRecord {
    let UsageRecord::Worker(killed) = worker(1000, updated, false) else { panic!("a worker") };
    UsageRecord::Worker(WorkerUsage { ended: None, ..killed })
}

fn call(function: &str, action: &str, began: u64) -> UsageRecord {
    let (function, action) = (function.to_owned(), action.to_owned());
    let (milliseconds, memory_mb, requests) = (250, 2048, Requests::default());
    let version = USAGE_VERSION;
    UsageRecord::Function(FunctionUsage {
        version,
        function,
        action,
        began,
        milliseconds,
        memory_mb,
        requests,
    })
}

#[test]
fn a_killed_worker_is_billed_a_minute_more_or_until_the_next_check() {
    let seconds = |records: Vec<UsageRecord>| sum(records).machines[0].seconds;
    assert_eq!(seconds(vec![killed(1100)]), 160);
    assert_eq!(seconds(vec![killed(1100), call("reducer", "check", 1150)]), 150);
    // The check before the round, and one long after it.
    let checks = [call("reducer", "check", 990), call("reducer", "check", 5000)];
    assert_eq!(seconds(vec![killed(1100), checks[0].clone(), checks[1].clone()]), 160);
    assert_eq!(seconds(vec![worker(1000, 1100, false), call("reducer", "check", 1150)]), 100);
}

#[test]
fn only_workers_of_the_latest_execution_stopped_at_its_budget() {
    let stopped = |began| {
        let UsageRecord::Worker(stopped) = worker(began, began + 10, false) else { panic!("a worker") };
        UsageRecord::Worker(WorkerUsage { ended: Some(WorkerEnd::BudgetShareSpent), ..stopped })
    };
    let usage =
        sum(vec![stopped(1000), call("splitter", "plan", 2000), stopped(2001), call("splitter", "plan", 1)]);
    assert_eq!((usage.planned_at, usage.shares_spent), (Some(2000), 1));
}

#[test]
fn the_end_of_a_worker_is_stored_as_a_word_and_old_texts_stay_readable() {
    let ends = [
        (WorkerEnd::QueueEmpty, r#""queue_empty""#),
        (WorkerEnd::SpotInterruption, r#""spot_interruption""#),
        (WorkerEnd::Failed("no memory".to_owned()), r#"{"failed":"no memory"}"#),
        (WorkerEnd::Other("failed: no memory".to_owned()), r#""failed: no memory""#),
    ];
    for (end, stored) in ends {
        assert_eq!(serde_json::to_string(&end).unwrap(), stored);
        assert_eq!(serde_json::from_str::<WorkerEnd>(stored).unwrap(), end);
    }
}

#[test]
fn requests_are_added_by_stage_and_a_call_counts_only_its_own() {
    let mut before = Requests::default();
    before.count("s3:GetObject");
    let mut now = before.clone();
    now.count("s3:GetObject");
    now.count("sqs:SendMessage");
    let own = now.since(&before);
    assert_eq!((own.0["s3:GetObject"].calls, own.0["sqs:SendMessage"].calls), (1, 1));
    let used = |function: &str| {
        let UsageRecord::Function(call) = call(function, "x", 1) else { panic!("a call") };
        UsageRecord::Function(FunctionUsage { requests: own.clone(), ..call })
    };
    let UsageRecord::Worker(worker) = worker(1000, 1100, true) else { panic!("a worker") };
    let worker = UsageRecord::Worker(WorkerUsage { requests: own.clone(), ..worker });
    let usage = sum(vec![used("splitter"), used("splitter"), worker, used("reducer")]);
    let calls: Vec<_> = usage
        .requests
        .iter()
        .map(|(stage, requests)| (stage.as_str(), requests.0["s3:GetObject"].calls))
        .collect();
    assert_eq!(calls, [("infer", 1), ("reduce", 1), ("split", 2)]);
}

#[test]
fn a_pause_between_two_executions_is_not_time_of_the_workers() {
    assert_eq!(covered(vec![(1000, 1100), (5000, 5010), (1050, 1200)]), 210);
    assert_eq!(covered(vec![]), 0);
}

/// Records are in a bucket: every writer of the bucket can change their numbers.
#[test]
fn the_largest_numbers_add_up_to_a_bill_and_do_not_overflow() {
    let most = RequestCount { calls: u64::MAX, bytes_out: u64::MAX, bytes_in: u64::MAX, chunks: u64::MAX };
    let requests = Requests([("s3:GetObject".to_owned(), most)].into());
    let UsageRecord::Worker(worker) = worker(60, u64::MAX, false) else { panic!() };
    let threads = ThreadTime { waiting_milliseconds: u64::MAX, tagging_milliseconds: u64::MAX };
    let machine = Machine { instance_type: Some("c7a.2xlarge".to_owned()), ..worker.machine };
    let worker = WorkerUsage {
        machine,
        tagged: u64::MAX,
        failed: u64::MAX,
        vcpus: u32::MAX,
        machine_vcpus: None,
        requests: requests.clone(),
        ended: None,
        threads,
        gpu: Some(Gpu { name: String::new(), count: u32::MAX }),
        device: Some(DeviceTime {
            wall_milliseconds: u64::MAX,
            decode_milliseconds: u64::MAX,
            transfer_milliseconds: u64::MAX,
            compute_milliseconds: u64::MAX,
        }),
        ..worker
    };
    let late = WorkerUsage { began: u64::MAX, ..worker.clone() };
    let call = FunctionUsage {
        version: USAGE_VERSION,
        function: "splitter".to_owned(),
        action: "plan".to_owned(),
        began: u64::MAX,
        milliseconds: u64::MAX,
        memory_mb: u32::MAX,
        requests,
    };
    let workers = [worker.clone(), worker, late].map(UsageRecord::Worker);
    let calls = [call.clone(), call].map(UsageRecord::Function);
    let records = [workers.to_vec(), calls.to_vec()].concat();
    let usage = sum(records);
    assert_eq!(usage.machines[0].images, u64::MAX);
    let extras = Extras { region: "us-east-1".to_owned(), images: 1, ..Extras::default() };
    let cost = bill(&usage, &extras, &PriceBook::built_in().unwrap()).unwrap();
    assert!(cost.total_usd.is_finite());
    assert_eq!(cost.total_usd, cost.lines.iter().map(|line| line.usd).sum::<f64>());
}

#[tokio::test]
async fn a_record_that_was_cut_off_is_named_with_its_remedy() {
    let output = MemoryBucket::default();
    let keys = RunKeys::in_bucket("tags/", &RunId::try_from("run".to_owned()).unwrap());
    for name in ["worker-1", "worker-2"] {
        put(&output, &keys, name, &UsageRecord::Worker(usage_of_a_worker())).await.unwrap();
    }
    let key = keys.usage("worker-1");
    output.put(&key, Bytes::from_static(b"{\"kind\":\"worker\",")).await.unwrap();
    let message = total(&output, &keys).await.unwrap_err().to_string();
    assert!(
        message.starts_with(&key) && message.contains(": delete this object and resume the run"),
        "{message}"
    );
    output.delete(&key);
    assert_eq!(total(&output, &keys).await.unwrap().workers(), 1);
}
