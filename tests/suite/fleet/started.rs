//! Runs that other systems start by an execution whose input is the request, and what they receive at the
//! end: an event and a message of a topic.

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, name};

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:ops";

/// A queue that receives every event of the source `tagfleet`, and every message of the topic.
fn listening(fleet: &Fleet) -> String {
    let client = fleet.cloud.emulator().client();
    let queue = fleet.cloud.emulator().make_queue("heard");
    let arn = "arn:aws:sqs:us-east-1:000000000000:heard";
    let pattern = json!({"source": ["tagfleet"], "detail-type": ["Run Ended"]}).to_string();
    let _ = client.call("events", "AWSEvents.PutRule", &json!({"Name": "heard", "EventPattern": pattern}));
    let target = json!({"Rule": "heard", "Targets": [{"Id": "queue", "Arn": arn}]});
    let _ = client.call("events", "AWSEvents.PutTargets", &target);
    let form = |body: &str| {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = client.send("sns", "POST /", &headers, format!("{body}&Version=2010-03-31").as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    form("Action=CreateTopic&Name=ops");
    form(&format!("Action=Subscribe&TopicArn={TOPIC}&Protocol=sqs&Endpoint={arn}"));
    queue
}

/// The bodies of all messages of a queue.
fn heard(fleet: &Fleet, queue: &str) -> Vec<Value> {
    let request = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
    let received = fleet.cloud.emulator().client().call("sqs", "AmazonSQS.ReceiveMessage", &request);
    let messages = received["Messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| serde_json::from_str(message["Body"].as_str().unwrap()).unwrap()).collect()
}

fn event(heard: &[Value]) -> &Value {
    &heard.iter().find(|message| message["detail-type"] == "Run Ended").unwrap()["detail"]
}

fn message(heard: &[Value]) -> (String, String) {
    let found = heard.iter().find(|message| message["Type"] == "Notification").unwrap();
    (found["Subject"].as_str().unwrap().to_owned(), found["Message"].as_str().unwrap().to_owned())
}

fn deploy() -> Fleet {
    let fleet = Fleet::deploy(&Options::default(), &[("NotifyTopicArn", TOPIC)]);
    fleet.upload_demo("photos/");
    fleet
}

#[test]
fn an_execution_whose_input_is_a_request_is_a_run_with_its_name() {
    let fleet = deploy();
    let queue = listening(&fleet);
    let mut request = fleet.request(&json!({"workers": 2}));
    // Step Functions adds this field if one state machine starts another.
    request["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] =
        json!("arn:aws:states:us-east-1:0:execution:dag:1");
    let execution = fleet.cloud.start("dag-7", &request);
    let (status, ended) = fleet.wait(&execution);
    assert_eq!(status, "SUCCEEDED", "{ended}");
    let output: Value = serde_json::from_str(ended["output"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&output["run"], &output["state"], &output["images"]),
        (&json!("dag-7"), &json!("complete"), &json!(60))
    );
    assert_eq!(fleet.rows("dag-7").len(), 60);
    let status = fleet.tagfleet(&["status", "dag-7"]);
    assert!(status.stdout.contains("complete"), "{status:?}");

    let heard = heard(&fleet, &queue);
    let expected = json!({
        "stack": "tagfleet", "run": "dag-7", "execution": execution, "state": "complete",
        "images": 60, "tagged": 60, "failed": 0, "missing": 0,
        "results": format!("s3://{}/tags/dag-7/results/", fleet.bucket()),
    });
    assert_eq!(*event(&heard), expected);
    let (subject, text) = message(&heard);
    assert_eq!(subject, "tagfleet: dag-7 complete");
    assert!(
        text.contains("60 images, 60 tagged, 0 failed") && text.contains("tagfleet status dag-7"),
        "{text}"
    );
}

#[test]
fn a_wrong_input_is_refused_like_a_file_and_its_event_has_the_reason() {
    let fleet = deploy();
    let queue = listening(&fleet);
    let mut request = fleet.request(&json!({}));
    request["colour"] = json!("red");
    let execution = fleet.cloud.start("wrong-1", &request);
    let (status, ended) = fleet.wait(&execution);
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("BadRequest")), "{ended}");
    let heard = heard(&fleet, &queue);
    let told = event(&heard);
    assert_eq!(
        (&told["run"], &told["state"], &told["error"]),
        (&json!("wrong-1"), &json!("failed"), &json!("BadRequest"))
    );
    assert!(told["cause"].as_str().unwrap().contains("unknown field `colour`"), "{told}");
    assert!(message(&heard).1.contains("unknown field"), "{heard:?}");
    for (input, said) in [
        (json!({}), "missing field"),
        (json!({"run": "wrong-1", "version": 1}), "another request"),
        (json!([]), "not a request file"),
    ] {
        let name = format!("wrong-{}", if said == "another request" { "1-again" } else { &said[..3] });
        let (status, ended) = fleet.wait(&fleet.cloud.start(&name, &input));
        assert_eq!(status, "FAILED", "{input}: {ended}");
    }
}

#[test]
fn the_name_of_a_run_is_not_used_twice() {
    let fleet = deploy();
    let request = fleet.request(&json!({}));
    let first = fleet.submit(&request);
    assert_eq!(fleet.wait(&fleet.execution(&first)).0, "SUCCEEDED");
    let mut other = request.clone();
    other["workers"] = json!(2);
    fleet.cloud.put("runs/taken.json", request.to_string().as_bytes());
    let (status, ended) = fleet.wait(&fleet.cloud.start("taken", &other));
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("BadRequest")), "{ended}");
    assert!(ended["cause"].as_str().unwrap().contains("another request"), "{ended}");
    let upper = fleet.cloud.start("Upper_Case", &request);
    let (_, ended) = fleet.wait(&upper);
    assert!(
        ended["cause"].as_str().unwrap().contains("\"Upper_Case\\\" is not a run ID")
            || ended["cause"].as_str().unwrap().contains("is not a run ID"),
        "{ended}"
    );
    assert_eq!(name(&upper), "Upper_Case");
}
