//! Wrong requests: a mail names the reason, and nothing is left half started.

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, name};

/// Checks that the run has left only the usage records of its calls, and no queue.
fn nothing_is_begun(fleet: &Fleet, run: &str) {
    let mut left: Vec<String> = fleet.cloud.keys("tags/");
    left.retain(|key| !key.contains("/usage/"));
    assert_eq!(left, Vec::<String>::new(), "{run}");
    let queues = fleet.cloud.emulator().client().call("sqs", "AmazonSQS.ListQueues", &json!({}));
    assert_eq!(queues["QueueUrls"].as_array().map(Vec::len), Some(1), "only the dead-letter queue: {queues}");
    assert_eq!(fleet.cloud.jobs(), Vec::<Value>::new());
}

#[test]
fn a_wrong_request_of_each_kind_is_explained_and_starts_nothing() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_demo("photos/");
    fleet.cloud.emulator().make_bucket("elsewhere");
    let bucket = fleet.bucket().to_owned();
    let wrong = [
        ("unknown-field", json!({"colour": "red"}), "unknown field `colour`"),
        ("old-version", json!({"version": 0}), "version 0"),
        ("no-objects", json!({"input": [format!("s3://{bucket}/phots/")]}), "holds no objects"),
        ("no-bucket", json!({"input": ["s3://no-such-bucket-here/"]}), "no-such-bucket-here"),
        (
            "overlap",
            json!({"input": [format!("s3://{bucket}/photos/"), format!("s3://{bucket}/photos/autumn/")]}),
            "is within",
        ),
        ("loop", json!({"output": format!("s3://{bucket}/requests/")}), "requests/"),
        ("inside", json!({"output": format!("s3://{bucket}/photos/tags/")}), "inside the input"),
        ("no-model", json!({"model": format!("s3://{bucket}/models/none/")}), "no model is published"),
        ("no-label", json!({"tags": {"labels": ["zebra"]}}), "no label \"zebra\""),
        ("too-many", json!({"workers": 10_001}), "workers"),
    ];
    for (number, (request_name, change, said)) in wrong.iter().enumerate() {
        let mut request = fleet.request(&json!({"notify": ["ops@example.com"]}));
        for (field, value) in change.as_object().unwrap() {
            request[field] = value.clone();
        }
        let execution = fleet.put_request(request_name, &request, number + 1);
        let (status, ended) = fleet.wait(&execution);
        assert_eq!(status, "FAILED", "{request_name}: {ended}");
        assert_eq!(ended["error"], json!("BadRequest"), "{ended}");
        let cause = ended["cause"].as_str().unwrap();
        assert!(
            cause.contains(said.replace('"', "\\\"").as_str()) || cause.contains(said),
            "{request_name}: {cause}"
        );
        let mail = fleet.cloud.mails().into_iter().nth(number).unwrap();
        let text = mail["BodyText"].as_str().unwrap();
        assert!(text.contains(said) && text.contains("Fix the request file"), "{request_name}: {text}");
        assert!(mail["Subject"].as_str().unwrap().contains(name(&execution)), "{mail}");
        nothing_is_begun(&fleet, name(&execution));
    }
}

#[test]
fn a_request_that_is_not_json_fails_with_that_reason() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.cloud.put("requests/broken.json", b"{\"version\": 1,");
    let execution = fleet.cloud.wait_for_executions(1).pop().unwrap();
    let (status, ended) = fleet.wait(&execution);
    assert_eq!(status, "FAILED", "{ended}");
    assert!(ended["cause"].as_str().unwrap().contains("not a request file"), "{ended}");
    assert_eq!(fleet.cloud.mails(), Vec::<Value>::new(), "nobody is named in it");
    nothing_is_begun(&fleet, name(&execution));
}

#[test]
fn a_corrected_request_starts_a_run() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_demo("photos/");
    let request = fleet.request(&json!({}));
    let mut wrong = request.clone();
    wrong["tags"] = json!({"top_k": 0});
    let first = fleet.put_request("nightly", &wrong, 1);
    assert_eq!(fleet.wait(&first).0, "FAILED");
    let second = fleet.put_request("nightly", &request, 2);
    assert_ne!(first, second);
    let (status, ended) = fleet.wait(&second);
    assert_eq!(status, "SUCCEEDED", "{ended}");
    assert_eq!(fleet.rows(name(&second)).len(), 60);
}

#[test]
fn a_job_without_capacity_ends_the_run_and_the_mail_names_the_reason() {
    // The emulator has no program for the GPU image, so such a job is never placed. Ten minutes are 0.6 s.
    // The emulator cancels every job after that time; AWS counts only while a job is at the head of its
    // queue.
    let fleet = Fleet::deploy(&Options::default().time_scale(0.001), &[]);
    fleet.upload_demo("photos/");
    let request = fleet.request(&json!({"device": "gpu", "notify": ["ops@example.com"]}));
    // As a file, because the command would refuse a model that was published for CPUs.
    let execution = fleet.put_request("gpu", &request, 1);
    let run = name(&execution);
    let (status, ended) = fleet.wait(&execution);
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("tagfleet.Incomplete")), "{ended}");
    let mail = fleet.cloud.mails().pop().unwrap();
    let text = mail["BodyText"].as_str().unwrap();
    assert!(text.contains("no capacity") && text.contains(&format!("tagfleet resume {run}")), "{text}");
    let rounds = fleet.cloud.jobs().len();
    assert_eq!(rounds, 1, "another round would wait as long");
}
