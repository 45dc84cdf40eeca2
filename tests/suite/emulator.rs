//! The emulator behaves as AWS Batch and Step Functions document: states, retries, time limits and signals.
//! No process outlives it.

mod batch;

use std::path::Path;

use serde_json::{Value, json};
use tagfleet_tests::cloud::Cloud;
use tagfleet_tests::emulator::{Emulator, Options};

/// With this scale, the shortest limit of an attempt, a minute, is 0.06 s. That of a queue, ten minutes, is
/// 0.6 s.
const SHORT: f64 = 0.001;
/// With this scale, no duration of AWS Batch ends before the test.
const REAL: f64 = 1.0;
const CAPACITY: &str = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY";

/// An emulator with a queue `jobs` whose jobs are shell scripts.
fn batch(scale: f64) -> Emulator {
    batch_with(&Options::default().image("shell", Path::new("/bin/sh")).time_scale(scale))
}

fn batch_with(options: &Options) -> Emulator {
    let emulator = Emulator::start_with(options);
    let resources = json!({"type": "SPOT", "maxvCpus": 4, "subnets": ["subnet-1"]});
    let environment =
        json!({"computeEnvironmentName": "spot", "type": "MANAGED", "computeResources": resources});
    let limit = json!({"reason": CAPACITY, "state": "RUNNABLE", "maxTimeSeconds": 600, "action": "CANCEL"});
    let order = json!([{"order": 1, "computeEnvironment": "spot"}]);
    let queue = json!({"jobQueueName": "jobs", "priority": 1, "computeEnvironmentOrder": order,
        "jobStateTimeLimitActions": [limit]});
    let _ = emulator.client().post("batch", "/v1/createcomputeenvironment", &environment);
    let _ = emulator.client().post("batch", "/v1/createjobqueue", &queue);
    emulator
}

/// Registers a job definition that runs a script, with other properties.
fn define(emulator: &Emulator, name: &str, script: &str, more: &Value) {
    let vcpus = json!([{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}]);
    let container = json!({"image": "shell", "command": ["-c", script], "resourceRequirements": vcpus});
    let mut request =
        json!({"jobDefinitionName": name, "type": "container", "containerProperties": container});
    merge(&mut request, more);
    let _ = emulator.client().post("batch", "/v1/registerjobdefinition", &request);
}

fn merge(into: &mut Value, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        if into[name].is_object() {
            merge(&mut into[name], value);
        } else {
            into[name] = value.clone();
        }
    }
}

fn submit(emulator: &Emulator, definition: &str, more: &Value) -> String {
    let mut request = json!({"jobName": definition, "jobQueue": "jobs", "jobDefinition": definition});
    merge(&mut request, more);
    let submitted = emulator.client().post("batch", "/v1/submitjob", &request);
    submitted["jobId"].as_str().unwrap().to_owned()
}

/// Waits until a job has a status or has ended, and describes it.
fn at(emulator: &Emulator, job: &str, status: &str) -> Value {
    emulator.wait(&json!({"job": job, "status": status}));
    emulator.client().post("batch", "/v1/describejobs", &json!({"jobs": [job]}))["jobs"][0].clone()
}

fn ended(emulator: &Emulator, definition: &str, more: &Value) -> Value {
    at(emulator, &submit(emulator, definition, more), "FAILED")
}

fn exit_codes(job: &Value) -> Vec<Option<i64>> {
    let attempts = job["attempts"].as_array().unwrap().iter();
    attempts.map(|attempt| attempt["container"]["exitCode"].as_i64()).collect()
}

/// The process ID of a running job, once the job has printed a line.
fn process(emulator: &Emulator, job: &str) -> i64 {
    at(emulator, job, "RUNNING");
    let jobs = emulator.jobs();
    let found = jobs.iter().find(|found| found["jobId"] == job).unwrap();
    found["pid"].as_i64().unwrap()
}

fn is_there(process: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn the_first_rule_that_fits_decides_whether_an_attempt_is_repeated() {
    let emulator = batch(REAL);
    let rules = json!([
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onExitCode": "3", "action": "retry"},
        {"onReason": "*", "action": "EXIT"}
    ]);
    let retry = json!({"retryStrategy": {"attempts": 4, "evaluateOnExit": rules}});
    define(&emulator, "third", "test $AWS_BATCH_JOB_ATTEMPT = 3 && exit 7; exit 3", &retry);
    let job = ended(&emulator, "third", &json!({}));
    assert_eq!(job["status"], "FAILED");
    assert_eq!(exit_codes(&job), [Some(3), Some(3), Some(7)]);
    define(&emulator, "fourth", "test $AWS_BATCH_JOB_ATTEMPT = 4 || exit 3", &retry);
    let job = ended(&emulator, "fourth", &json!({}));
    assert_eq!(job["status"], "SUCCEEDED");
    assert_eq!(exit_codes(&job), [Some(3), Some(3), Some(3), Some(0)]);
    let unmatched =
        json!({"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"onExitCode": "1*", "action": "EXIT"}]}});
    let job = ended(&emulator, "third", &unmatched);
    assert_eq!(exit_codes(&job), [Some(3), Some(3)], "an attempt without a matching rule is repeated");
    let job = ended(&emulator, "third", &json!({"retryStrategy": {"attempts": 1}}));
    assert_eq!(exit_codes(&job), [Some(3)]);
}

#[test]
fn a_lost_host_differs_from_a_container_that_ends() {
    let emulator = batch(REAL);
    let rules =
        json!([{"onStatusReason": "Host EC2*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]);
    let retry = json!({"retryStrategy": {"attempts": 5, "evaluateOnExit": rules}});
    define(&emulator, "spot", "test $AWS_BATCH_JOB_ATTEMPT = 2 && exit 0; read line < /dev/zero", &retry);
    let job = submit(&emulator, "spot", &json!({}));
    at(&emulator, &job, "RUNNING");
    emulator.reclaim(&job);
    let job = at(&emulator, &job, "SUCCEEDED");
    assert_eq!(exit_codes(&job), [None, Some(0)]);
    let job = submit(&emulator, "spot", &json!({}));
    at(&emulator, &job, "RUNNING");
    emulator.kill(&job, 9);
    let job = at(&emulator, &job, "FAILED");
    assert_eq!((job["status"].as_str(), exit_codes(&job)), (Some("FAILED"), vec![Some(137)]));
}

#[test]
fn one_child_that_fails_fails_the_array_once_all_have_ended() {
    let emulator = batch(REAL);
    define(
        &emulator,
        "array",
        "echo index $AWS_BATCH_JOB_ARRAY_INDEX; test $AWS_BATCH_JOB_ARRAY_INDEX != 1",
        &json!({}),
    );
    let job = ended(&emulator, "array", &json!({"arrayProperties": {"size": 3}}));
    assert_eq!((&job["status"], &job["statusReason"]), (&json!("FAILED"), &json!("Array Child Job failed")));
    let summary = json!({"size": 3, "statusSummary": {"FAILED": 1, "SUCCEEDED": 2}});
    assert_eq!(job["arrayProperties"], summary);
    let failed = json!({"arrayJobId": job["jobId"], "jobStatus": "FAILED"});
    let listed = emulator.client().post("batch", "/v1/listjobs", &failed);
    let child = format!("{}:1", job["jobId"].as_str().unwrap());
    assert_eq!(listed["jobSummaryList"][0]["jobId"], json!(child));
    assert_eq!(listed["jobSummaryList"].as_array().unwrap().len(), 1);
    for size in [1, 10_001] {
        let request = json!({"jobName": "array", "jobQueue": "jobs", "jobDefinition": "array",
            "arrayProperties": {"size": size}});
        let body = request.to_string();
        let answer = emulator.client().send("batch", "POST /v1/submitjob", &[], body.as_bytes());
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
}

#[test]
fn a_job_that_is_terminated_gets_a_signal_and_time_to_stop() {
    let emulator = batch(REAL);
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("stopped");
    let script =
        format!("trap 'echo stopped > {}; exit 0' TERM; echo ready; while :; do :; done", marker.display());
    define(&emulator, "polite", &script, &json!({"retryStrategy": {"attempts": 3}}));
    let job = submit(&emulator, "polite", &json!({}));
    let process = process(&emulator, &job);
    ready(&emulator);
    let request = json!({"jobId": job, "reason": "the test says so"});
    let _ = emulator.client().post("batch", "/v1/terminatejob", &request);
    let job = at(&emulator, &job, "FAILED");
    assert_eq!((&job["status"], &job["statusReason"]), (&json!("FAILED"), &json!("the test says so")));
    assert_eq!(exit_codes(&job), [Some(0)], "it is not repeated");
    assert!(marker.exists() && !is_there(process));
}

#[test]
fn a_job_that_does_not_stop_is_killed() {
    let emulator = batch(SHORT);
    define(&emulator, "deaf", "trap '' TERM; echo ready; while :; do :; done", &json!({}));
    let job = submit(&emulator, "deaf", &json!({}));
    at(&emulator, &job, "RUNNING");
    ready(&emulator);
    let _ = emulator.client().post("batch", "/v1/terminatejob", &json!({"jobId": job, "reason": "enough"}));
    let job = at(&emulator, &job, "FAILED");
    assert_eq!((&job["statusReason"], exit_codes(&job)), (&json!("enough"), vec![Some(137)]));
}

/// Waits until the first job has printed its first line.
fn ready(emulator: &Emulator) {
    let request = json!({"logGroupName": "/aws/batch/job"});
    let written = (0..10_000).any(|_| {
        let found = emulator.client().call("logs", "Logs_20140328.FilterLogEvents", &request);
        found["events"][0]["message"] == "ready"
    });
    assert!(written);
}

#[test]
fn an_attempt_whose_time_is_over_is_not_repeated() {
    let emulator = batch(SHORT);
    let limits = json!({"timeout": {"attemptDurationSeconds": 60}, "retryStrategy": {"attempts": 3}});
    define(&emulator, "endless", "while :; do :; done", &limits);
    let job = ended(&emulator, "endless", &json!({}));
    assert_eq!(job["status"], "FAILED");
    assert_eq!(job["statusReason"], "Job attempt duration exceeded timeout");
    assert_eq!(exit_codes(&job), [Some(143)]);
}

#[test]
fn a_job_that_nothing_can_run_is_cancelled_by_its_queue() {
    let emulator = batch(SHORT);
    define(&emulator, "gpu", "exit 0", &json!({"containerProperties": {"image": "cuda"}}));
    let job = ended(&emulator, "gpu", &json!({}));
    let reason = format!("Canceled by JobStateTimeLimit action due to reason: {CAPACITY}");
    assert_eq!((&job["status"], &job["statusReason"]), (&json!("FAILED"), &json!(reason)));
    assert_eq!(exit_codes(&job), []);
    let large = json!({"containerOverrides": {"resourceRequirements": [{"type": "VCPU", "value": "5"}]}});
    let job = submit(&emulator, "gpu", &large);
    let waiting = at(&emulator, &job, "RUNNABLE");
    let reason = waiting["statusReason"].as_str().unwrap();
    assert!(reason.starts_with("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"), "{reason}");
    let _ = emulator.client().post("batch", "/v1/canceljob", &json!({"jobId": job, "reason": "enough"}));
    assert_eq!(at(&emulator, &job, "FAILED")["statusReason"], "enough");
}

#[test]
fn nothing_outlives_the_emulator() {
    let emulator = batch(REAL);
    define(&emulator, "endless", "while :; do :; done", &json!({}));
    let first = process(&emulator, &submit(&emulator, "endless", &json!({})));
    assert!(is_there(first));
    drop(emulator);
    assert!(!is_there(first));
    let emulator = batch(REAL);
    define(&emulator, "endless", "while :; do :; done", &json!({}));
    let second = process(&emulator, &submit(&emulator, "endless", &json!({})));
    let killed = std::process::Command::new("kill").args(["-9", &emulator.process().to_string()]).status();
    assert!(killed.unwrap().success());
    drop(emulator);
    let ends = (0..100_000).any(|_| !is_there(second));
    assert!(ends, "the kernel ends the job");
}

#[test]
fn every_message_arrives_twice_on_request() {
    let emulator = Emulator::start();
    let queue = emulator.make_queue("shards");
    emulator.duplicate_messages();
    let entries = json!([{"Id": "0", "MessageBody": "first"}, {"Id": "1", "MessageBody": "second"}]);
    let batch = json!({"QueueUrl": queue, "Entries": entries});
    let _ = emulator.client().call("sqs", "AmazonSQS.SendMessageBatch", &batch);
    let request = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
    let received = emulator.client().call("sqs", "AmazonSQS.ReceiveMessage", &request);
    let messages = received["Messages"].as_array().unwrap().iter();
    let mut bodies: Vec<_> = messages.map(|message| message["Body"].as_str().unwrap()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["first", "first", "second", "second"]);
}

#[test]
fn one_object_is_written_under_many_keys() {
    let emulator = Emulator::start();
    emulator.make_bucket("photos");
    for size in 0..4 {
        let bytes = &b"\xff\xd8\x00"[..size.min(3)];
        let keys: Vec<_> = (0..1000).map(|key| format!("{size}/ü {key}.jpg")).collect();
        emulator.fill("photos", &keys, bytes);
        let line = format!("GET /photos/{size}/%C3%BC%20999.jpg");
        assert_eq!(emulator.client().send("s3", &line, &[], b"").body, bytes);
    }
}

#[test]
fn s3_throttles_as_often_as_requested() {
    let emulator = Emulator::start();
    emulator.make_bucket("photos");
    emulator.slow_down("photos/shop/", 2);
    let put = |key: &str| emulator.client().send("s3", &format!("PUT /photos/{key}"), &[], b"x").status;
    assert_eq!([put("other"), put("shop/a"), put("shop/a"), put("shop/a")], [200, 503, 503, 200]);
}

/// A stack with a state machine: one task that runs a job, and a distributed Map.
const TEMPLATE: &str = include_str!("../emulator/fixture.yaml");

fn machine(scale: f64) -> Cloud {
    let options = Options::default().image("shell", Path::new("/bin/sh")).time_scale(scale);
    Cloud::deploy_template(&options, TEMPLATE, &[("Script", "exit 0")], &[])
}

#[test]
fn a_state_machine_waits_for_its_job_and_gets_its_reason() {
    let mut cloud = machine(SHORT);
    let done = cloud.wait(&cloud.start("good", &json!({"image": "shell", "items": [3, 4]})));
    assert_eq!(done["status"], "SUCCEEDED", "{done}");
    let output: Value = serde_json::from_str(done["output"].as_str().unwrap()).unwrap();
    assert_eq!(output, json!({"job": "SUCCEEDED", "numbers": [6, 8]}));
    let bad = cloud.wait(&cloud.start("bad", &json!({"image": "none", "items": []})));
    assert_eq!((&bad["status"], &bad["error"]), (&json!("FAILED"), &json!("States.TaskFailed")));
    let cause: Value = serde_json::from_str(bad["cause"].as_str().unwrap()).unwrap();
    assert_eq!(cause["JobName"], "unplaceable");
    assert!(cause["StatusReason"].as_str().unwrap().ends_with(CAPACITY), "{cause}");
    let large = json!({"image": "shell", "items": ["x".repeat(262_144)]});
    let large = cloud.wait(&cloud.start("large", &large));
    assert_eq!(large["error"], "States.DataLimitExceeded");
    let calls = cloud.calls();
    let role = calls.as_object().unwrap().iter().find(|(role, _)| role.contains("Role")).unwrap().1;
    assert_eq!(role["batch:SubmitJob"], 2);
    cloud.update(TEMPLATE, &[("Script", "exit 9")]);
    let updated = cloud.wait(&cloud.start("updated", &json!({"image": "shell", "items": []})));
    let cause: Value = serde_json::from_str(updated["cause"].as_str().unwrap()).unwrap();
    assert_eq!(cause["Container"]["ExitCode"], 9, "{cause}");
    cloud.delete();
}

#[test]
fn a_job_ends_with_the_execution_and_outlives_the_task_that_waits_for_it() {
    let mut cloud = machine(REAL);
    cloud.update(TEMPLATE, &[("Script", "while :; do :; done")]);
    let execution = cloud.start("stopped", &json!({"image": "shell", "items": []}));
    let job = started(&cloud, 1);
    let first = process(cloud.emulator(), &job);
    cloud.stop(&execution);
    assert_eq!(at(cloud.emulator(), &job, "FAILED")["status"], "FAILED");
    assert!(!is_there(first));
    assert_eq!(cloud.describe(&execution)["status"], "ABORTED");
    cloud.update(TEMPLATE, &[("TimeoutSeconds", "1")]);
    let late = cloud.wait(&cloud.start("late", &json!({"image": "shell", "items": []})));
    assert_eq!(late["error"], "States.Timeout");
    let job = started(&cloud, 2);
    assert!(
        is_there(process(cloud.emulator(), &job)),
        "AWS ends the job with the execution, not with the task"
    );
    assert_eq!(at(cloud.emulator(), &job, "RUNNING")["status"], "RUNNING");
}

/// The ID of the `count`th job.
fn started(cloud: &Cloud, count: usize) -> String {
    let mut jobs = (0..10_000).map(|_| cloud.jobs());
    let jobs = jobs.find(|jobs| jobs.len() >= count).unwrap();
    jobs[count - 1]["jobId"].as_str().unwrap().to_owned()
}
