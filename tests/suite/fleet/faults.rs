//! Faults: killed workers, duplicate messages, pictures that kill the process, changed objects, stopped
//! splitters.

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, local_rows, one_picture};
use tagfleet_tests::rows::Row;
use tagfleet_tests::{deadly, project};

/// Checks that every picture has one row, in key order. All are tagged except `failed`: keys with error
/// codes.
pub(super) fn holds_each_once(rows: &[Row], count: usize, failed: &[(&str, &str)]) {
    assert_eq!(rows.len(), count);
    assert!(rows.windows(2).all(|pair| pair[0].key < pair[1].key), "in key order, each once");
    let found: Vec<(&str, &str)> =
        rows.iter().filter_map(|row| Some((row.key.as_str(), row.error_code.as_deref()?))).collect();
    assert_eq!(found, failed);
}

pub(super) fn complete(fleet: &Fleet, run: &str) -> Vec<Row> {
    let (status, ended) = fleet.wait(&fleet.execution(run));
    assert_eq!(status, "SUCCEEDED", "{ended}\n{:?}", fleet.cloud.jobs());
    fleet.rows(run)
}

/// The ID of a running job after the first part: its worker is in the middle of another shard.
pub(super) fn job_in_mid_shard(fleet: &Fleet, run: &str) -> String {
    loop {
        let is_begun = !fleet.cloud.keys(&format!("tags/work/{run}/parts/")).is_empty();
        let running = fleet
            .cloud
            .jobs()
            .into_iter()
            .find(|job| job["status"] == json!("RUNNING") && !job["pid"].is_null());
        if let (true, Some(job)) = (is_begun, running) {
            return job["jobId"].as_str().unwrap().to_owned();
        }
        let ended = fleet.cloud.describe(&fleet.execution(run));
        assert_eq!(ended["status"], json!("RUNNING"), "the run ended before a worker could be killed");
    }
}

#[test]
fn a_worker_killed_in_mid_shard_loses_nothing() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_copies(3000);
    let run = fleet.submit(&fleet.request(&json!({"workers": 1})));
    let job = job_in_mid_shard(&fleet, &run);
    fleet.cloud.emulator().kill(&job, 9);
    holds_each_once(&complete(&fleet, &run), 3000, &[]);
    let jobs = fleet.cloud.jobs();
    assert!(jobs.iter().any(|job| job["status"] == json!("FAILED")), "one was killed: {jobs:?}");
    assert!(jobs.len() >= 2, "another round did the rest: {jobs:?}");
}

#[test]
fn a_worker_on_a_reclaimed_host_is_restarted_by_batch() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_copies(3000);
    let run = fleet.submit(&fleet.request(&json!({"workers": 1})));
    let job = job_in_mid_shard(&fleet, &run);
    fleet.cloud.emulator().reclaim(&job);
    holds_each_once(&complete(&fleet, &run), 3000, &[]);
    let jobs = fleet.cloud.jobs();
    let attempts = jobs.iter().filter_map(|job| job["attempts"].as_array().map(Vec::len)).max();
    assert!(attempts >= Some(2), "{jobs:?}");
}

#[test]
fn duplicate_messages_give_each_row_once() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_copies(1000);
    fleet.cloud.emulator().duplicate_messages();
    let run = fleet.submit(&fleet.request(&json!({"workers": 2})));
    holds_each_once(&complete(&fleet, &run), 1000, &[]);
}

#[test]
fn throttling_is_waited_out() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_copies(300);
    let request = fleet.request(&json!({}));
    fleet.cloud.emulator().slow_down(&format!("{}/photos/0001", fleet.bucket()), 8);
    let run = fleet.submit(&request);
    holds_each_once(&complete(&fleet, &run), 300, &[]);
}

#[test]
fn images_that_always_kill_or_hang_the_process_are_rows() {
    let folder = tempfile::tempdir().unwrap();
    let library = deadly::library(folder.path());
    let options = Options::default()
        .variable("LD_PRELOAD", library.to_str().unwrap())
        .variable("TAGFLEET_IMAGE_SECONDS", "8");
    let fleet = Fleet::deploy(&options, &[]);
    fleet.upload_copies(40);
    let picture = folder.path().join("deadly.jpg");
    let deaths = [
        ("photos/000005.jpg", deadly::KILL),
        ("photos/000020.jpg", deadly::SEGV),
        ("photos/000030.jpg", deadly::HANG),
    ];
    for (key, what) in deaths {
        deadly::write(&picture, what);
        fleet.cloud.put(key, &std::fs::read(&picture).unwrap());
    }
    let run = fleet.submit(&fleet.request(&json!({})));
    holds_each_once(&complete(&fleet, &run), 40, &deaths.map(|(key, _)| (key, "crashed")));
}

#[test]
fn a_run_that_ended_incomplete_is_completed_by_resume() {
    let fleet = Fleet::deploy(&Options::default().time_scale(0.001), &[("CpuImage", "tagfleet/worker:none")]);
    fleet.upload_copies(300);
    let run = fleet.submit(&fleet.request(&json!({})));
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("tagfleet.Incomplete")), "{ended}");
    assert_eq!(fleet.cloud.get(&format!("tags/{run}/_SUCCESS")), None);
    let shown = fleet.tagfleet(&["status", &run]);
    assert!(shown.stdout.contains("incomplete"), "{shown:?}");
    let mut fleet = fleet;
    let template = std::fs::read_to_string(project("infra/template.yaml")).unwrap();
    fleet.cloud.update(&template, &[("CpuImage", tagfleet_tests::cloud::CPU_IMAGE)]);
    let resumed = fleet.tagfleet(&["resume", &run, "--wait"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    holds_each_once(&fleet.rows(&run), 300, &[]);
}

#[test]
fn objects_deleted_and_overwritten_after_split_are_rows() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_copies(10);
    let request = fleet.request(&json!({}));
    let run = "by-hand-1";
    fleet.cloud.put(&format!("runs/{run}.json"), request.to_string().as_bytes());
    let _ = split_by_hand(&fleet, run, 60);
    let bucket = fleet.bucket().to_owned();
    fleet.cloud.delete_object(&bucket, "photos/000003.jpg");
    fleet.cloud.put("photos/000004.jpg", b"another picture");
    fleet.cloud.put("photos/000010.jpg", &one_picture());
    let execution = fleet.cloud.start(run, &json!({"run": run}));
    let (status, ended) = fleet.wait(&execution);
    assert_eq!(status, "SUCCEEDED", "{ended}");
    let failed = [("photos/000003.jpg", "missing"), ("photos/000004.jpg", "changed")];
    holds_each_once(&fleet.rows(run), 10, &failed);
}

/// Plans and splits a run by calls of the function, as the state machine does. Each call of split has this
/// many seconds. Returns the number of ranges and of calls of split.
fn split_by_hand(fleet: &Fleet, run: &str, seconds: u32) -> (u64, u64) {
    let function = fleet.cloud.output("SplitterFunction").to_owned();
    let execution = format!("{run}-split");
    let plan = fleet.cloud.invoke(&function, &json!({"action": "plan", "run": run, "execution": execution}));
    let ranges = plan["ranges"].as_u64().unwrap();
    fleet.cloud.configure(&function, &json!({"Timeout": seconds}));
    let mut calls = 0;
    for range in 0..ranges {
        let split = json!({"action": "split", "run": run, "queue_url": plan["queue_url"], "range": range});
        loop {
            calls += 1;
            let said: Value = fleet.cloud.invoke(&function, &split);
            assert!(said["done"].is_boolean(), "{said}");
            if said["done"] == json!(true) {
                break;
            }
        }
    }
    fleet.cloud.configure(&function, &json!({"Timeout": 60}));
    (ranges, calls)
}

/// The splitter's own tests stop it after each page. Here it runs out of time repeatedly.
#[test]
fn a_splitter_that_runs_out_of_time_continues() {
    let fleet = Fleet::deploy(&Options::default(), &[("SourceBuckets", "shop")]);
    fleet.cloud.emulator().make_bucket("shop");
    let keys: Vec<String> = (0..20_000).map(|number| format!("photos/{number:06}.jpg")).collect();
    fleet.cloud.emulator().fill("shop", &keys, &one_picture());
    let request = fleet.request(&json!({"input": ["s3://shop/photos/"], "include": ["*00.jpg"]}));
    let run = "out-of-time";
    fleet.cloud.put(&format!("runs/{run}.json"), request.to_string().as_bytes());
    // One range, and a quarter of a second for each call of split.
    let ranges = json!({"version": 1, "ranges": [{"prefix": "photos/"}]});
    fleet.cloud.put(&format!("tags/work/{run}/ranges.json"), ranges.to_string().as_bytes());
    let (ranges, calls) = split_by_hand(&fleet, run, 1);
    assert!(calls > ranges, "{calls} calls for {ranges} ranges");
    let execution = fleet.cloud.start(run, &json!({"run": run}));
    let (status, ended) = fleet.wait(&execution);
    assert_eq!(status, "SUCCEEDED", "{ended}");
    holds_each_once(&fleet.rows(run), 200, &[]);
}

#[test]
fn a_cancelled_run_resumes_where_it_stopped() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_demo("photos/");
    fleet.upload_copies(3000);
    let run = fleet.submit(&fleet.request(&json!({"workers": 1})));
    let _ = job_in_mid_shard(&fleet, &run);
    let cancelled = fleet.tagfleet(&["cancel", &run]);
    assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    assert_eq!(fleet.wait(&fleet.execution(&run)).0, "ABORTED");
    let resumed = fleet.tagfleet(&["resume", &run, "--wait"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    let rows = fleet.rows(&run);
    assert_eq!(rows.len(), 3060);
    let demo = local_rows(&project("demo/photos"), "photos/");
    assert!(demo.iter().all(|row| rows.contains(row)));
}
