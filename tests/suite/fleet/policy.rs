//! The actions that the code calls are exactly those that its role allows: what each role called on the emulator against
//! the policies that the stack gave it.
//!
//! The emulator knows who called what and enforces nothing, so this compares names of actions; resources and conditions
//! are for the linters and a reader.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tagfleet_tests::cloud::Cloud;
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::Fleet;

type Actions = BTreeSet<String>;

/// Allowed and not called by anything that runs here, each with its reason.
const NOT_CALLED_HERE: [(&str, &str); 5] = [
    ("logs:CreateLogStream", "Lambda itself writes a function's log, under the function's role"),
    ("logs:PutLogEvents", "the same"),
    ("s3:AbortMultipartUpload", "only where an object of more than 64 MiB could not be uploaded"),
    (
        "states:StopExecution",
        "Step Functions needs it to end a Map's children when a run is cancelled in mid-Map",
    ),
    ("events:PutRule", "Step Functions needs it to learn of a job's end"),
];

fn called(cloud: &Cloud) -> BTreeMap<String, Actions> {
    let calls = cloud.calls();
    let of_role = |(role, actions): (&String, &Value)| {
        (role.clone(), actions.as_object().unwrap().keys().cloned().collect())
    };
    calls.as_object().unwrap().iter().map(of_role).collect()
}

fn iam(cloud: &Cloud, form: &str) -> String {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("{form}&Version=2010-05-08");
    cloud.emulator().client().send("iam", "POST /", &headers, body.as_bytes()).text()
}

/// The texts of all elements of a name.
fn elements<'a>(xml: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    xml.split(open).skip(1).filter_map(|part| Some(part.split_once(close)?.0)).collect()
}

/// The actions that the inline policies of a role allow.
fn allowed(cloud: &Cloud, role: &str) -> Actions {
    let mut actions = Actions::new();
    let listed = iam(cloud, &format!("Action=ListRolePolicies&RoleName={role}"));
    for policy in elements(&listed, "<member>", "</member>") {
        let policy = iam(cloud, &format!("Action=GetRolePolicy&RoleName={role}&PolicyName={policy}"));
        let document = elements(&policy, "<PolicyDocument>", "</PolicyDocument>")[0];
        let document = percent_decode_str(document).decode_utf8().unwrap().replace("&quot;", "\"");
        let document: Value = serde_json::from_str(&document).unwrap();
        for statement in document["Statement"].as_array().unwrap() {
            let action = &statement["Action"];
            let many = action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]);
            actions.extend(many.iter().map(|action| action.as_str().unwrap().to_owned()));
        }
    }
    actions
}

/// Every action that any role called is among those that its policies allow.
pub(super) fn every_call_is_allowed(cloud: &Cloud) {
    for (role, called) in called(cloud) {
        let allowed = allowed(cloud, &role);
        let missing: Vec<_> = called.difference(&allowed).collect();
        assert!(missing.is_empty(), "{role} calls {missing:?}, which its policies do not allow: {allowed:?}");
    }
}

/// The cause of a Map is that of its child, which the state machine has to look for.
fn a_run_whose_shards_were_changed_fails_in_its_map(fleet: &Fleet, request: &Value) {
    let run = "changed-1";
    fleet.cloud.put(&format!("runs/{run}.json"), request.to_string().as_bytes());
    fleet.cloud.put(&format!("tags/work/{run}/shards/00000-0000000.jsonl.zst"), b"no shard");
    let (status, ended) = fleet.wait(&fleet.cloud.start(run, &json!({"run": run})));
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("Broken")), "{ended}");
    assert!(ended["cause"].as_str().unwrap().contains("00000-0000000.jsonl.zst"), "{ended}");
}

/// Both give their shards back, and the array's failure is asked of its children.
fn a_run_whose_workers_are_stopped_has_another_round(fleet: &Fleet, request: &Value) {
    fleet.upload_copies(3000);
    let run = fleet.submit(request);
    let workers = loop {
        let jobs = fleet.cloud.jobs();
        let is_working = |job: &&Value| job["status"] == json!("RUNNING") && !job["pid"].is_null();
        let working: Vec<String> =
            jobs.iter().filter(is_working).map(|job| job["jobId"].as_str().unwrap().to_owned()).collect();
        let has_parts = !fleet.cloud.keys(&format!("tags/work/{run}/parts/")).is_empty();
        if has_parts && working.len() == 2 {
            break working;
        }
    };
    fleet.cloud.emulator().kill(&workers[0], 15);
    fleet.cloud.emulator().kill(&workers[1], 9);
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!(status, "SUCCEEDED", "{ended}");
    assert_eq!(fleet.rows(&run).len(), 3060);
}

#[test]
fn every_role_calls_what_it_may_and_may_what_it_calls() {
    // A worker that is stopped gives its shards back at once.
    let fleet = Fleet::deploy(&Options::default().variable("TAGFLEET_GRACE_SECONDS", "0"), &[]);
    fleet.upload_demo("photos/");
    let request = fleet.request(&json!({"workers": 2, "notify": ["ops@example.com"]}));
    let good = fleet.put_request("good", &request, 1);
    assert_eq!(fleet.wait(&good).0, "SUCCEEDED");
    let mut wrong = request.clone();
    wrong["version"] = json!(0);
    let bad = fleet.put_request("bad", &wrong, 2);
    assert_eq!(fleet.wait(&bad).0, "FAILED");
    a_run_whose_shards_were_changed_fails_in_its_map(&fleet, &request);
    a_run_whose_workers_are_stopped_has_another_round(&fleet, &request);
    every_call_is_allowed(&fleet.cloud);
    let mut idle = BTreeMap::new();
    for (role, called) in called(&fleet.cloud) {
        let not_called: Vec<String> = allowed(&fleet.cloud, &role)
            .difference(&called)
            .filter(|action| NOT_CALLED_HERE.iter().all(|(known, _)| known != action))
            .cloned()
            .collect();
        if !not_called.is_empty() {
            idle.insert(role, not_called);
        }
    }
    assert_eq!(idle, BTreeMap::new(), "allowed, but never called");
}
