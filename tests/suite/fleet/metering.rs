//! The records of a run count every request of each role, as the emulator received them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::Fleet;

use crate::schemas::check;

type Calls = BTreeMap<String, u64>;

/// The requests in the records of a run, by writer: `splitter`, `reducer`, `worker`.
fn counted(fleet: &Fleet, run: &str) -> BTreeMap<String, Calls> {
    let mut counted: BTreeMap<String, Calls> = BTreeMap::new();
    for key in fleet.cloud.keys(&format!("tags/work/{run}/usage/")) {
        let record: Value = serde_json::from_slice(&fleet.cloud.get(&key).unwrap()).unwrap();
        check("usage.json", &record);
        let by = record["function"].as_str().unwrap_or("worker");
        let calls = counted.entry(by.to_owned()).or_default();
        for (operation, count) in record["requests"].as_object().unwrap() {
            *calls.entry(operation.clone()).or_default() += count["calls"].as_u64().unwrap();
        }
    }
    counted
}

/// The requests that the emulator received from the role of this name.
fn seen(fleet: &Fleet, role: &str) -> Calls {
    let calls = fleet.cloud.calls();
    let of_role = calls.as_object().unwrap().iter().find(|(name, _)| name.contains(role));
    let (_, calls) = of_role.unwrap();
    let count = |(action, count): (&String, &Value)| (action.clone(), count.as_u64().unwrap());
    let mut calls: Calls = calls.as_object().unwrap().iter().map(count).collect();
    // A second permission of one request: a queue is created with tags.
    calls.remove("sqs:TagQueue");
    calls
}

#[test]
fn every_request_is_counted_and_no_other() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_copies(700);
    let request = fleet.request(&json!({"workers": 2, "notify": ["ops@example.com"]}));
    // Throttled a few times: a repeated request is counted again.
    fleet.cloud.emulator().slow_down(&format!("{}/photos/", fleet.bucket()), 5);
    check("request.json", &request);
    let run = fleet.submit(&request);
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!(status, "SUCCEEDED", "{ended}");
    let counted = counted(&fleet, &run);
    for (by, role) in [("splitter", "SplitterRole"), ("worker", "WorkerRole"), ("reducer", "ReducerRole")] {
        assert_eq!(counted[by], seen(&fleet, role), "{by}");
    }
    assert!(counted["worker"]["s3:GetObject"] > 700, "{counted:?}");
    let summary: Value =
        serde_json::from_slice(&fleet.cloud.get(&format!("tags/{run}/summary.json")).unwrap()).unwrap();
    check("summary.json", &summary);
    let by_stage = &summary["usage"]["requests"];
    let gets = by_stage["infer"]["s3:GetObject"]["calls"].as_u64();
    assert_eq!(gets, Some(counted["worker"]["s3:GetObject"]), "{summary}");
    assert_eq!(
        by_stage["split"]["sqs:SendMessage"]["calls"].as_u64(),
        Some(counted["splitter"]["sqs:SendMessage"])
    );
}
