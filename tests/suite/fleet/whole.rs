//! From a request file in the bucket to rows and a mail.

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, local_rows, name, one_picture};
use tagfleet_tests::{project, shared};

use super::policy;

fn succeeded(fleet: &Fleet, execution: &str) {
    let (status, ended) = fleet.wait(execution);
    assert_eq!(status, "SUCCEEDED", "{ended}\n{:?}", fleet.cloud.jobs());
}

/// Two folders with the demo's 60 pictures: two shards, for two workers.
const FOLDERS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[test]
fn a_request_in_the_bucket_becomes_rows_and_a_mail() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    let folders = FOLDERS.map(|folder| format!("photos/{folder}/"));
    for folder in &folders {
        fleet.upload_demo(folder);
    }
    let request = fleet.request(&json!({"workers": 2, "notify": ["ops@example.com"]}));
    let execution = fleet.put_request("Nightly run", &request, 1);
    succeeded(&fleet, &execution);
    let run = name(&execution);
    assert!(run.starts_with("nightly-run-"), "{run}");
    let local = |folder: &String| local_rows(&project("demo/photos"), folder);
    assert_eq!(fleet.rows(run), folders.iter().flat_map(local).collect::<Vec<_>>());

    let mails = fleet.cloud.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let subject = mails[0]["Subject"].as_str().unwrap();
    assert!(subject.starts_with(&format!("tagfleet: {run} complete: 300 images, 0 failed")), "{subject}");
    let text = mails[0]["BodyText"].as_str().unwrap();
    assert!(text.contains(&format!("results  s3://{}/tags/{run}/results/", fleet.bucket())), "{text}");
    assert!(text.starts_with("Complete: 300 images, none failed\n"), "{text}");
    assert!(text.contains("Cost unknown: the workers could not read their instance type"), "{text}");
    assert!(text.contains(&format!("&prefix=tags%2F{run}%2Freport.html")), "{text}");
    let html = mails[0]["BodyHtml"].as_str().unwrap();
    assert_eq!(html.matches("src=\"cid:picture-").count(), 3, "{html}");

    let definition = fleet.cloud.get(&format!("tags/{run}/results.sql")).unwrap();
    assert!(String::from_utf8(definition).unwrap().contains("CREATE EXTERNAL TABLE"));
    let queues = fleet.cloud.emulator().client().call("sqs", "AmazonSQS.ListQueues", &json!({}));
    let queues = queues["QueueUrls"].as_array().unwrap();
    assert_eq!(queues.len(), 1, "only the dead-letter queue is left: {queues:?}");
    policy::every_call_is_allowed(&fleet.cloud);
}

#[test]
fn the_same_event_twice_starts_one_execution() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_demo("photos/");
    let key = "requests/twice.json";
    let execution = fleet.put_request("twice", &fleet.request(&json!({})), 1);
    let sequencer = "0055AED6DCD90281E5";
    let event = json!({
        "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created",
        "source": "aws.s3", "account": "000000000000", "time": "2026-11-25T00:00:00Z", "region": "us-east-1",
        "resources": [format!("arn:aws:s3:::{}", fleet.bucket())],
        "detail": {
            "version": "0", "bucket": {"name": fleet.bucket()},
            "object": {"key": key, "size": 100, "sequencer": sequencer},
            "request-id": "N4N7GDK58NMKJ12R", "requester": "000000000000", "reason": "PutObject"
        }
    });
    let function = fleet.cloud.output("SplitterFunction").to_owned();
    let first = fleet.cloud.invoke(&function, &event);
    let second = fleet.cloud.invoke(&function, &event);
    assert_eq!(first, second);
    assert_eq!(fleet.cloud.executions().len(), 2, "one by the object, one by the event that came twice");
    for execution in [execution, fleet.execution(first["started"].as_str().unwrap())] {
        succeeded(&fleet, &execution);
    }
}

#[test]
fn an_event_of_another_bucket_or_folder_starts_nothing() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    let function = fleet.cloud.output("SplitterFunction").to_owned();
    for (bucket, key) in [(fleet.bucket(), "tags/run-1/request.json"), ("other", "requests/a.json")] {
        let event = json!({
            "detail-type": "Object Created", "source": "aws.s3",
            "detail": {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": "1"}}
        });
        let said = fleet.cloud.invoke(&function, &event);
        assert!(said["started"].is_null(), "{said}");
    }
    assert_eq!(fleet.cloud.executions(), Vec::<String>::new());
}

#[test]
fn the_stack_is_updated_in_place() {
    let mut fleet = Fleet::deploy(&Options::default(), &[]);
    let bucket = fleet.bucket().to_owned();
    let template = std::fs::read_to_string(project("infra/template.yaml")).unwrap();
    fleet.cloud.update(&template, &[("MaxVcpus", "64")]);
    assert_eq!(fleet.bucket(), bucket);
    fleet.upload_demo("photos/");
    let execution = fleet.put_request("after", &fleet.request(&json!({})), 1);
    succeeded(&fleet, &execution);
    assert_eq!(fleet.rows(name(&execution)).len(), 60);
}

#[test]
fn two_runs_at_once_share_nothing() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_demo("photos/");
    let other = |request: &Value| {
        let mut request = request.clone();
        request["include"] = json!(["sku-0000.jpg"]);
        request
    };
    let request = fleet.request(&json!({"workers": 2}));
    let (a, b) = (fleet.submit(&request), fleet.submit(&other(&request)));
    for run in [&a, &b] {
        succeeded(&fleet, &fleet.execution(run));
    }
    assert_eq!((fleet.rows(&a).len(), fleet.rows(&b).len()), (60, 1));
    let dead = json!({"QueueUrl": fleet.cloud.output("DeadLetterQueueUrl"), "AttributeNames": ["All"]});
    let dead = fleet.cloud.emulator().client().call("sqs", "AmazonSQS.GetQueueAttributes", &dead);
    assert_eq!(dead["Attributes"]["ApproximateNumberOfMessages"], json!("0"));
}

/// Valid names of objects that are known to break software.
fn odd_keys(count: usize) -> Vec<String> {
    let odd = [
        "a//b.jpg",
        "/a.jpg",
        "ü/ß.jpg",
        "sp ace.jpg",
        "plus+.jpg",
        "per%cent%20.jpg",
        "quote\".jpg",
        "apo'.jpg",
        "<b>html&amp;</b>.jpg",
        "tab\t.jpg",
        "new\nline.jpg",
        "../up.jpg",
        "./here.jpg",
        "a/../b.jpg",
        "日本/写真.jpg",
        "😀.jpg",
        "\u{202e}gpj.exe",
        "~!@#$^*(){}[]|;:,?.jpg",
        "back\\slash.jpg",
        "\u{7f}.jpg",
    ];
    (0..count)
        .map(|number| format!("photos/{}/{number:05}-{}", number / 1000, odd[number % odd.len()]))
        .collect()
}

#[test]
fn twenty_thousand_keys_of_every_kind_have_a_row_each() {
    let fleet = Fleet::deploy(&Options::default(), &[("SourceBuckets", "shop")]);
    fleet.cloud.emulator().make_bucket("shop");
    let mut keys = odd_keys(20_000);
    fleet.cloud.emulator().fill("shop", &keys, &tiny());
    let request = fleet.request(&json!({"workers": 2, "input": ["s3://shop/photos/"]}));
    let run = fleet.submit(&request);
    succeeded(&fleet, &fleet.execution(&run));
    keys.sort_unstable();
    let rows: Vec<String> = fleet.rows(&run).into_iter().map(|row| row.key).collect();
    assert!(rows == keys, "{} rows for {} keys", rows.len(), keys.len());
}

/// Bytes that are not a picture, because only the keys matter.
fn tiny() -> Vec<u8> {
    one_picture()[..64].to_vec()
}

#[test]
fn real_photos_and_hostile_files_have_the_rows_of_a_local_run() {
    let Some(photos) = shared("photos") else { return };
    let fleet = Fleet::deploy(&Options::default(), &[]);
    for path in tagfleet_tests::photos::files(&photos).iter().take(40) {
        let file = path.file_name().unwrap().to_str().unwrap();
        fleet.cloud.put(&format!("photos/{file}"), &std::fs::read(path).unwrap());
    }
    fleet.cloud.put("photos/broken.jpg", b"no picture");
    let run = fleet.submit(&fleet.request(&json!({})));
    succeeded(&fleet, &fleet.execution(&run));
    let folder = tempfile::tempdir().unwrap();
    for key in fleet.cloud.keys("photos/") {
        let path = folder.path().join(key.trim_start_matches("photos/"));
        std::fs::write(path, fleet.cloud.get(&key).unwrap()).unwrap();
    }
    assert_eq!(fleet.rows(&run), local_rows(folder.path(), "photos/"));
}
