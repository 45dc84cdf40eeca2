//! The real functions in the real stack, on the emulator, without a worker: from an uploaded request to the
//! mail with the reason why nothing was tagged, and the errors of wrong requests.

use bytes::Bytes;
use serde_json::{Value, json};
use tagfleet_fleet::model::{PUBLISHED_MODEL_VERSION, PublishedModel};
use tagfleet_pipeline::testing;
use tagfleet_tests::cloud::{Cloud, SENDER, STACK};
use tagfleet_tests::command::built;
use tagfleet_tests::emulator::Options;
use tagfleet_tests::project;

/// A stack whose worker image cannot run, without a GPU image, with a published model and three objects to
/// tag.
fn deploy() -> Cloud {
    let template = std::fs::read_to_string(project("infra/template.yaml")).unwrap();
    let parameters = [
        ("CodeBucket", "code"),
        ("SplitterKey", "splitter.zip"),
        ("ReducerKey", "reducer.zip"),
        ("CpuImage", "nobody/cpu:1"),
        ("Sender", SENDER),
    ];
    let functions = [("splitter.zip", built("splitter")), ("reducer.zip", built("reducer"))];
    let options = Options::default().time_scale(0.001);
    let cloud = Cloud::deploy_template(&options, &template, &parameters, &functions);
    let of_test = testing::request();
    let published = PublishedModel {
        version: PUBLISHED_MODEL_VERSION,
        model: of_test.model,
        engine: of_test.engine,
        tags: of_test.tags,
        labels: vec!["mug".to_owned()],
        vector: None,
        max_image_bytes: 1000,
    };
    cloud.put("models/m/model.json", &serde_json::to_vec(&published).unwrap());
    for key in ["photos/a.jpg", "photos/b//c.jpg", "photos/ü.jpg"] {
        cloud.put(key, b"image");
    }
    cloud
}

/// A valid request with the fields of `more` added or replaced.
fn request(cloud: &Cloud, more: &Value) -> Value {
    let bucket = cloud.output("Bucket");
    let mut request = json!({
        "version": 1,
        "input": [format!("s3://{bucket}/photos/")],
        "model": format!("s3://{bucket}/models/m/"),
        "notify": ["me@example.com"],
    });
    for (field, value) in more.as_object().unwrap() {
        request[field] = value.clone();
    }
    request
}

fn run_of(execution: &str) -> &str {
    execution.rsplit(':').next().unwrap()
}

#[test]
fn an_uploaded_request_is_planned_split_and_reported() {
    let cloud = deploy();
    cloud.put("requests/Nightly run.json", request(&cloud, &json!({})).to_string().as_bytes());
    let execution = cloud.wait_for_executions(1).remove(0);
    let ended = cloud.wait(&execution);
    let logs = || cloud.logs("/aws/lambda/tagfleet-splitter").join("\n");
    assert!(run_of(&execution).starts_with("nightly-run-"), "{execution}");
    let summary = cloud.get(&format!("tags/{}/summary.json", run_of(&execution)));
    let summary = summary.unwrap_or_else(|| panic!("{ended}\n{}", logs()));
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!((&summary["state"], &summary["images"]), (&json!("incomplete"), &json!(3)), "{summary}");
    let calls = summary["usage"]["functions"].as_object().unwrap();
    for call in ["splitter event", "splitter plan", "splitter split", "reducer check"] {
        assert!(calls.contains_key(call), "{call}: {summary}");
    }
    // No worker ran, so the functions are the whole bill.
    let bill = cloud.get(&format!("tags/{}/cost.json", run_of(&execution))).unwrap();
    let bill: Value = serde_json::from_slice(&bill).unwrap();
    assert_eq!(&bill, &summary["cost"], "{summary}");
    assert!(bill["total_usd"].as_f64().is_some_and(|usd| usd > 0.0), "{bill}");
    let mails = cloud.mails();
    let subject = mails[0]["Subject"].as_str().unwrap();
    assert!(subject.contains("incomplete: 3 images"), "{subject}");
    assert!(mails[0]["BodyText"].as_str().unwrap().contains("Step Functions"), "{mails:?}");
    assert!(mails[0]["BodyText"].as_str().unwrap().contains("tagfleet resume"), "{mails:?}");
    let queues = cloud.emulator().client().call("sqs", "AmazonSQS.ListQueues", &json!({}));
    assert!(!queues.to_string().contains("-run-"), "its queue is gone: {queues}");
    assert!(!logs().contains("photos/"), "no key in the log: {}", logs());
}

#[test]
fn an_event_that_comes_twice_starts_one_run_and_results_start_none() {
    let cloud = deploy();
    cloud.put("requests/a.json", request(&cloud, &json!({})).to_string().as_bytes());
    let first = cloud.wait_for_executions(1);
    assert_ne!(cloud.wait(&first[0])["status"], "RUNNING");
    let event = |key: &str, etag: &str| {
        json!({"detail-type": "Object Created", "detail": {
            "bucket": {"name": cloud.output("Bucket")},
            "object": {"key": key, "etag": etag, "sequencer": "0A"},
        }})
    };
    cloud.put("requests/b.json", b"{}");
    let etag = "99914b932bd37a50b983c5e7c90ae93b";
    let once = cloud.invoke(cloud.output("SplitterFunction"), &event("requests/b.json", etag));
    assert!(once["started"].as_str().is_some_and(|run| run.starts_with("b-")), "{once}");
    let twice = cloud.invoke(cloud.output("SplitterFunction"), &event("requests/b.json", etag));
    assert_eq!(once, twice);
    let other = cloud.invoke(cloud.output("SplitterFunction"), &event("requests/b.json", "0"));
    assert!(other["skipped"].as_str().is_some(), "{other}");
    let loops = cloud.invoke(cloud.output("SplitterFunction"), &event("tags/r/summary.json", etag));
    assert!(loops["skipped"].as_str().is_some(), "{loops}");
    // The first run, the run of the upload of b.json, and the run of the event above, which names another
    // write of it.
    assert_eq!(cloud.wait_for_executions(3).len(), 3);
}

#[test]
fn a_wrong_request_fails_with_its_reason_and_starts_nothing() {
    let cloud = deploy();
    let stack = cloud.output("Bucket").to_owned();
    for (name, more, says) in [
        ("field", json!({"treshold": 0.5}), "treshold"),
        ("input", json!({"input": [format!("s3://{stack}/phtos/")]}), "holds no objects"),
        ("overlap", json!({"input": [format!("s3://{stack}/p"), format!("s3://{stack}/photos/")]}), "within"),
        ("bucket", json!({"input": ["s3://there-is-no-such-bucket/"]}), "there-is-no-such-bucket"),
        ("model", json!({"model": format!("s3://{stack}/models/x/")}), "no model is published here"),
        ("device", json!({"device": "gpu"}), "GPU=yes"),
        ("label", json!({"tags": {"labels": ["mgu"]}}), "mgu"),
        ("output", json!({"output": format!("s3://{stack}/photos/tags/")}), "inside the input"),
    ] {
        cloud.put(&format!("runs/{name}.json"), request(&cloud, &more).to_string().as_bytes());
        let plan = json!({"action": "plan", "run": name, "execution": name});
        let answer = cloud.invoke(cloud.output("SplitterFunction"), &plan);
        assert_eq!(answer["errorType"], "BadRequest", "{name}: {answer}");
        assert!(answer["errorMessage"].as_str().unwrap().contains(says), "{name}: {answer}");
    }
    assert_eq!(cloud.keys("tags/"), Vec::<String>::new());
    let none = cloud.invoke(
        cloud.output("ReducerFunction"),
        &json!({"action": "compact", "run": "no-such-run", "group": 0}),
    );
    assert_eq!(none["errorType"], "BadRequest", "{none}");
    let unknown = cloud.invoke(cloud.output("ReducerFunction"), &json!({"action": "x", "run": "r"}));
    assert_eq!(unknown["errorType"], "Broken", "{unknown}");
}

mod services {
    //! The calls of the functions and the command besides buckets and queues, through the real clients.

    use std::time::Duration;

    use tagfleet_aws::client::Options;
    use tagfleet_aws::executions::StartOutcome;
    use tagfleet_aws::mail::{InlinePicture, OutgoingMail};
    use tagfleet_aws::queues::NewQueue;
    use tagfleet_aws::{Aws, S3Bucket};
    use tagfleet_pipeline::bucket::{Bucket, Kind};

    use super::*;

    async fn clients(cloud: &Cloud) -> Aws {
        let endpoint_url = Some(cloud.emulator().endpoint_url());
        let region = Some("us-east-1".to_owned());
        Aws::for_tests(&Options { region, endpoint_url, ..Options::default() }).await
    }

    async fn queues_are_made_and_deleted_any_number_of_times(aws: &Aws, dead: &str) {
        let queue = NewQueue {
            name: "other-run-1",
            run: "1",
            dead_letter_queue_arn: &format!("arn:aws:sqs:us-east-1:000000000000:{dead}"),
            visibility_timeout: Duration::from_secs(300),
            max_receive_count: 20,
        };
        let url = aws.create_queue(&queue).await.unwrap();
        assert_eq!(aws.create_queue(&queue).await.unwrap(), url);
        aws.delete_queue(&url).await.unwrap();
        aws.delete_queue(&url).await.unwrap();
    }

    async fn executions_are_found_and_stopped(aws: &Aws, machine: &str) {
        let input = "{\"run\":\"x-1\"}";
        let started = aws.start_execution(machine, "x-1", input).await.unwrap();
        let arn = machine.replace(":stateMachine:", ":execution:") + ":x-1";
        assert_eq!(started, StartOutcome::New(arn.clone()));
        aws.stop_execution(&arn, "enough").await.unwrap();
        let execution = aws.describe_execution(&arn).await.unwrap();
        assert_eq!((execution.name.as_str(), execution.input.as_deref()), ("x-1", Some(input)));
        let again = aws.start_execution(machine, "x-1", "{\"run\":\"other\"}").await.unwrap();
        assert_eq!(again, StartOutcome::AlreadyExists);
        assert_eq!(aws.list_executions(machine).await.unwrap().len(), 1);
        let error = aws.describe_execution(&format!("{arn}-none")).await.unwrap_err();
        assert_eq!(error.kind, Kind::Missing, "{error}");
    }

    #[test]
    fn accept_the_calls_of_the_functions_and_the_command() {
        let cloud = deploy();
        let work = async {
            let aws = clients(&cloud).await;
            let outputs = aws.stack_outputs(STACK).await.unwrap();
            assert_eq!(outputs["Bucket"], cloud.output("Bucket"));
            let error = aws.stack_outputs("none").await.unwrap_err();
            assert_eq!(error.kind, Kind::Missing, "{error}");
            let bucket = S3Bucket::new(&aws, &outputs["Bucket"]);
            assert_eq!(bucket.region().await.unwrap(), "us-east-1");
            bucket.clone().in_region("us-east-1").put("x", Bytes::from_static(b"x")).await.unwrap();
            let missing = S3Bucket::new(&aws, "there-is-no-such-bucket").region().await.unwrap_err();
            assert_eq!(missing.kind, Kind::Missing, "{missing}");
            let dead = outputs["DeadLetterQueueUrl"].rsplit('/').next().unwrap();
            queues_are_made_and_deleted_any_number_of_times(&aws, dead).await;
            executions_are_found_and_stopped(&aws, &outputs["StateMachineArn"]).await;
            let recipients = ["me@example.com", "you@example.com"].map(str::to_owned);
            let mail = OutgoingMail {
                sender: SENDER,
                recipients: &recipients,
                subject: "s",
                text: "ü",
                html: "<p>ü</p>",
                pictures: &[InlinePicture { id: "picture-1", jpeg: "/9g=" }],
            };
            let sent = aws.send_mail(&mail).await.unwrap();
            assert_eq!((sent.sent, sent.refused.len()), (2, 0));
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
        let mails = cloud.mails();
        let mine: Vec<_> = mails.iter().filter(|mail| mail["Subject"] == "s").collect();
        assert_eq!(mine.len(), 2, "a mail for each: {mine:?}");
        assert_eq!((&mine[0]["BodyText"], &mine[0]["Source"]), (&json!("ü"), &json!(SENDER)));
    }
}
