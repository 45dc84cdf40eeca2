//! Faults of AWS Batch in the emulator: it ends instances, refuses jobs and sets no region.

use std::path::Path;

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;

use super::{REAL, SHORT, at, batch, batch_with, define, ended, ready, submit};

#[test]
fn jobs_are_found_by_their_name_whatever_their_status() {
    let emulator = batch(REAL);
    define(&emulator, "named", "exit 0", &json!({}));
    let job = submit(&emulator, "named", &json!({}));
    at(&emulator, &job, "SUCCEEDED");
    let found = |name: &str| {
        let request = json!({"jobQueue": "jobs", "filters": [{"name": "JOB_NAME", "values": [name]}]});
        emulator.client().post("batch", "/v1/listjobs", &request)["jobSummaryList"].clone()
    };
    assert_eq!((&found("NAMED")[0]["jobId"], &found("name")), (&json!(job), &json!([])));
}

#[test]
fn an_interrupted_instance_gives_notice_first() {
    let options = Options::default().image("shell", Path::new("/bin/sh")).instance_type("c7a.2xlarge");
    let emulator = batch_with(&options.time_scale(SHORT));
    let script = "trap 'echo signal' TERM; echo ready; while :; do :; done";
    define(&emulator, "spot", script, &json!({}));
    let job = submit(&emulator, "spot", &json!({}));
    at(&emulator, &job, "RUNNING");
    ready(&emulator);
    emulator.reclaim_with_notice(&job);
    let job = at(&emulator, &job, "FAILED");
    assert!(job["statusReason"].as_str().unwrap().starts_with("Host EC2"), "{job}");
    let events = json!({"logGroupName": "/aws/batch/job"});
    let log = emulator.client().call("logs", "Logs_20140328.FilterLogEvents", &events).to_string();
    assert!(log.contains("signal"), "{log}");
}

#[test]
fn a_job_has_the_environment_of_its_definition_and_no_region_of_its_own() {
    let emulator = batch(REAL);
    let named = json!({"containerProperties": {"environment": [{"name": "AWS_REGION", "value": "here"}]}});
    define(&emulator, "named", "test \"$AWS_REGION\" = here", &named);
    define(&emulator, "nameless", "test -z \"$AWS_REGION\"", &json!({}));
    for definition in ["named", "nameless"] {
        assert_eq!(ended(&emulator, definition, &json!({}))["status"], "SUCCEEDED", "{definition}");
    }
}

#[test]
fn requests_that_aws_refuses_are_refused() {
    let emulator = batch(REAL);
    let refused = |line: &str, body: &Value| {
        let answer = emulator.client().send("batch", line, &[], body.to_string().as_bytes());
        assert_eq!(answer.status, 400, "{}", answer.text());
        answer.text()
    };
    let job = json!({"jobName": "a", "jobQueue": "jobs", "jobDefinition": "a", "attempts": 3});
    assert!(refused("POST /v1/submitjob", &job).contains("SubmitJob has no attempts"));
    let filter = json!({"jobQueue": "jobs", "filters": [{"name": "JOB_NAME", "value": "a"}]});
    assert!(refused("POST /v1/listjobs", &filter).contains("has no value"));
    emulator.refuse_jobs(1, "TooManyRequestsException", 429);
    let job = json!({"jobName": "a", "jobQueue": "jobs", "jobDefinition": "a"});
    let submit = || emulator.client().send("batch", "POST /v1/submitjob", &[], job.to_string().as_bytes());
    assert_eq!([submit().status, submit().status], [429, 400]);
}
