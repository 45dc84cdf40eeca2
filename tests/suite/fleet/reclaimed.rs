//! Faults of AWS Batch: spot interruptions with notice, jobs that are refused, and jobs that outlive the task
//! that waits for them.

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::Fleet;

use super::faults::{complete, holds_each_once, job_in_mid_shard};

fn attempts(job: &Value) -> Vec<Option<i64>> {
    let attempts = job["attempts"].as_array().unwrap().iter();
    attempts.map(|attempt| attempt["container"]["exitCode"].as_i64()).collect()
}

#[test]
fn a_worker_that_returned_its_shards_is_replaced_in_the_same_round() {
    let options = Options::default().variable("TAGFLEET_GRACE_SECONDS", "0").instance_type("c7a.2xlarge");
    let fleet = Fleet::deploy(&options, &[]);
    fleet.upload_copies(3000);
    let run = fleet.submit(&fleet.request(&json!({"workers": 1})));
    let job = job_in_mid_shard(&fleet, &run);
    fleet.cloud.emulator().reclaim_with_notice(&job);
    holds_each_once(&complete(&fleet, &run), 3000, &[]);
    let jobs = fleet.cloud.jobs();
    assert_eq!(jobs.len(), 1, "no other round: {jobs:?}");
    assert_eq!(attempts(&jobs[0]), [Some(75), Some(0)], "{jobs:?}");
}

#[test]
fn a_job_that_is_not_submitted_at_once_costs_no_round() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_demo("photos/");
    fleet.cloud.emulator().refuse_jobs(3, "TooManyRequestsException", 429);
    fleet.cloud.emulator().refuse_jobs(2, "ServerException", 500);
    let run = fleet.submit(&fleet.request(&json!({})));
    assert_eq!(complete(&fleet, &run).len(), 60);
    let entered = fleet.cloud.states_entered(&fleet.execution(&run));
    assert_eq!(entered.iter().filter(|state| *state == "Infer").count(), 1, "{entered:?}");
}

#[test]
fn a_job_that_is_never_submitted_ends_the_run_with_the_reason() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_demo("photos/");
    fleet.cloud.emulator().refuse_jobs(100, "ServerException", 500);
    let run = fleet.submit(&fleet.request(&json!({})));
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("tagfleet.Incomplete")), "{ended}");
    let shown = fleet.tagfleet(&["status", &run]);
    assert!(shown.stdout.contains("incomplete"), "{shown:?}");
}

/// Six hours are two seconds here. A slow machine does nothing in that time, and then the run ends
/// incomplete.
#[test]
fn workers_that_outlive_their_round_end_before_the_next_one_starts() {
    let mut fleet = Fleet::deploy(&Options::default().variable("TAGFLEET_GRACE_SECONDS", "0"), &[]);
    fleet.upload_copies(4000);
    let definition =
        std::fs::read_to_string(tagfleet_tests::project("infra/state-machine.asl.json")).unwrap();
    let short = definition.replace("\"TimeoutSeconds\": 21600", "\"TimeoutSeconds\": 2");
    assert_ne!(short, definition);
    fleet.cloud.put_into("code", "short.asl.json", short.as_bytes());
    let template = std::fs::read_to_string(tagfleet_tests::project("infra/template.yaml")).unwrap();
    fleet.cloud.update(&template, &[("DefinitionKey", "short.asl.json")]);
    let run = fleet.submit(&fleet.request(&json!({"workers": 1})));
    let execution = fleet.execution(&run);
    let _ = fleet.wait(&execution);
    let entered = fleet.cloud.states_entered(&execution);
    let after_infer = |pair: &[String]| pair[0] == "Infer" && pair[1] == "FindLeftWorkers";
    assert!(entered.windows(2).any(after_infer), "{entered:?}");
    let jobs = fleet.cloud.jobs();
    for job in &jobs {
        assert!(["SUCCEEDED", "FAILED"].contains(&job["status"].as_str().unwrap()), "it was left: {job}");
    }
    assert_eq!(jobs[0]["statusReason"], json!("tagfleet: the round did not end in 6 hours"), "{jobs:?}");
}
