//! Every call is allowed to the role that made it, with its resource and conditions, and every statement of a
//! role is used by a call. The emulator judges calls as IAM would (tests/emulator/policies.py). It does not
//! enforce anything.

use serde_json::{Value, json};
use tagfleet_tests::cloud::Cloud;
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, one_picture};

use super::reference;

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:ops";
const SOURCE_KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/5";
const OUTPUT_KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/0";
pub(super) const BUCKET_KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/b";

/// Permissions that no call of these tests uses, each with its reason: role, statement and action.
const NOT_CALLED_HERE: [(&str, &str); 10] = [
    (
        "SplitterRole Logs logs:CreateLogStream",
        "Lambda itself writes a function's log, under the function's role",
    ),
    ("SplitterRole Logs logs:PutLogEvents", "the same"),
    ("ReducerRole Logs logs:CreateLogStream", "the same"),
    ("ReducerRole Logs logs:PutLogEvents", "the same"),
    (
        "SplitterRole EventsThatFailed sqs:SendMessage",
        "Lambda itself sends it once a function failed three times",
    ),
    (
        "ReducerRole WriteOwn s3:AbortMultipartUpload",
        "only if an object of more than 64 MiB could not be uploaded",
    ),
    ("ReducerRole ReadAndWriteOutputs s3:AbortMultipartUpload", "the same"),
    ("WorkerRole WriteOwn s3:AbortMultipartUpload", "the same"),
    ("WorkerRole ReadAndWriteOutputs s3:AbortMultipartUpload", "the same"),
    (
        "StateMachineRole WatchChildren states:StopExecution",
        "Step Functions ends a Map's children by it if a run is cancelled in mid-Map",
    ),
];

/// Checks that the policies of each role allow all of its calls so far.
pub(super) fn every_call_is_allowed(cloud: &Cloud) {
    let verdict = cloud.emulator().verdict();
    assert_eq!(verdict["denied"], json!([]));
}

/// Encrypts new objects of a bucket with a key.
pub(super) fn encrypt(fleet: &Fleet, bucket: &str, key: &str) {
    let rule = format!(
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms\
         </SSEAlgorithm><KMSMasterKeyID>{key}</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule>\
         </ServerSideEncryptionConfiguration>"
    );
    let put = format!("PUT /{bucket}?encryption");
    assert_eq!(fleet.cloud.emulator().client().send("s3", &put, &[], rule.as_bytes()).status, 200);
}

/// A run with images in one bucket and results in another, each encrypted with its own key.
fn a_run_from_elsewhere_to_elsewhere(fleet: &Fleet, request: &Value) {
    let emulator = fleet.cloud.emulator();
    for (bucket, key) in [("shop", SOURCE_KEY), ("results", OUTPUT_KEY)] {
        emulator.make_bucket(bucket);
        encrypt(fleet, bucket, key);
    }
    emulator.fill("shop", &["a.jpg".to_owned(), "b.jpg".to_owned()], &one_picture());
    let mut request = request.clone();
    request["input"] = json!(["s3://shop/"]);
    request["output"] = json!("s3://results/tags/");
    request["max_usd"] = json!(100);
    let run = fleet.submit(&request);
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!(status, "SUCCEEDED", "{ended}");
}

/// Waits until an execution has entered a state.
pub(super) fn reaches(fleet: &Fleet, execution: &str, wanted: &str) {
    while fleet.cloud.states_entered(execution).iter().all(|state| state != wanted) {
        assert_eq!(fleet.cloud.describe(execution)["status"], "RUNNING", "it ended before {wanted}");
    }
}

/// A run that is stopped. Its job outlives the task that waits for it.
fn a_run_that_is_stopped(fleet: &Fleet, request: &Value) {
    let before = fleet.cloud.jobs().len();
    let run = fleet.submit(request);
    let execution = fleet.execution(&run);
    // Entering Infer is not enough: its job must be submitted first.
    while fleet.cloud.jobs().len() == before {
        assert_eq!(fleet.cloud.describe(&execution)["status"], "RUNNING", "it ended before its job");
    }
    fleet.cloud.stop(&execution);
    let _ = fleet.wait(&execution);
}

/// Reads a model of a model bucket, and one that is absent.
fn a_model_of_another_bucket_is_read(fleet: &Fleet, request: &Value) {
    let shared = super::reach::in_another_bucket(fleet, request, "shared");
    let ran = |run: &str, model: &str| {
        let mut request = request.clone();
        request["model"] = json!(model);
        fleet.cloud.put(&format!("runs/{run}.json"), request.to_string().as_bytes());
        fleet.wait(&fleet.cloud.start(run, &json!({"run": run})))
    };
    let (status, ended) = ran("shared-1", &shared);
    assert_eq!(status, "SUCCEEDED", "{ended}");
    let (_, ended) = ran("none-1", "s3://shared/none/");
    assert!(ended["cause"].as_str().unwrap().contains("no model is published here"), "{ended}");
}

fn a_run_of_the_lists_of_another_bucket(fleet: &Fleet, request: &Value) {
    fleet.cloud.emulator().make_bucket("lists");
    fleet.cloud.put_into("lists", "photos/one.csv", b"key\nphotos/autumn/sku-0000.jpg\n");
    let mut request = request.clone();
    request["manifest"] = json!("s3://lists/photos/");
    let run = fleet.submit(&request);
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!(status, "SUCCEEDED", "{ended}");
    assert_eq!(fleet.rows(&run).len(), 1);
}

/// The cause of a Map is the cause of its child, which the state machine must look up.
fn a_run_whose_shards_were_changed_fails_in_its_map(fleet: &Fleet, request: &Value) {
    let run = "changed-1";
    fleet.cloud.put(&format!("runs/{run}.json"), request.to_string().as_bytes());
    fleet.cloud.put(&format!("tags/work/{run}/shards/00000-0000000.jsonl.zst"), b"no shard");
    let (status, ended) = fleet.wait(&fleet.cloud.start(run, &json!({"run": run})));
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("Broken")), "{ended}");
    assert!(ended["cause"].as_str().unwrap().contains("00000-0000000.jsonl.zst"), "{ended}");
}

/// One worker returns its shards and is replaced, and the other one fails. The children of the array have the
/// cause.
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

/// Shows that the judge denies something.
#[test]
fn a_call_that_no_statement_allows_is_denied() {
    let mut fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_demo("photos/");
    let request = fleet.request(&json!({}));
    let template = std::fs::read_to_string(tagfleet_tests::project("infra/template.yaml")).unwrap();
    let other = template.replace("${AWS::StackName}-run-*\n", "${AWS::StackName}-other-*\n");
    assert_ne!(other, template);
    fleet.cloud.update(&other, &[]);
    let run = fleet.submit(&request);
    assert_eq!(fleet.wait(&fleet.execution(&run)).0, "SUCCEEDED", "the emulator enforces nothing");
    let verdict = fleet.cloud.emulator().verdict()["denied"].to_string();
    for call in
        ["sqs:CreateQueue on arn:aws:sqs:us-east-1:000000000000:tagfleet-run-", "sqs:ReceiveMessage on "]
    {
        assert!(verdict.contains(call), "{call}: {verdict}");
    }
    assert!(!verdict.contains("s3:"), "{verdict}");
}

#[test]
fn every_role_calls_exactly_what_it_is_allowed_to_call() {
    // A stopped worker returns its shards at once.
    let options = Options::default().variable("TAGFLEET_GRACE_SECONDS", "0").instance_type("c7a.2xlarge");
    let parameters = [
        ("SourceBuckets", "shop"),
        ("SourceKeyArns", SOURCE_KEY),
        ("OutputBuckets", "results"),
        ("ModelBuckets", "shared"),
        ("ManifestBuckets", "lists"),
        ("MaxUsdPerDay", "1000"),
        ("OwnKeyArns", OUTPUT_KEY),
        ("BucketKeyArn", BUCKET_KEY),
        ("NotifyTopicArn", TOPIC),
    ];
    let fleet = Fleet::deploy(&options, &parameters);
    encrypt(&fleet, fleet.bucket(), BUCKET_KEY);
    fleet.upload_demo("photos/");
    let request = fleet.request(&json!({"workers": 2, "notify": ["ops@example.com"]}));
    let good = fleet.put_request("good", &request, 1);
    assert_eq!(fleet.wait(&good).0, "SUCCEEDED");
    let mut wrong = request.clone();
    wrong["version"] = json!(0);
    let bad = fleet.put_request("bad", &wrong, 2);
    assert_eq!(fleet.wait(&bad).0, "FAILED");
    a_model_of_another_bucket_is_read(&fleet, &request);
    a_run_of_the_lists_of_another_bucket(&fleet, &request);
    a_run_whose_shards_were_changed_fails_in_its_map(&fleet, &request);
    a_run_from_elsewhere_to_elsewhere(&fleet, &request);
    a_run_whose_workers_are_stopped_has_another_round(&fleet, &request);
    a_run_that_is_stopped(&fleet, &request);
    reference::agrees(&fleet.cloud);
    every_call_is_allowed(&fleet.cloud);
    let verdict = fleet.cloud.emulator().verdict();
    let needless = verdict["needless"].as_array().unwrap().iter().filter_map(Value::as_str);
    let needless: Vec<&str> = needless.filter(|what| !what.starts_with("operator ")).collect();
    let mut expected = NOT_CALLED_HERE.map(|(what, _)| what);
    expected.sort_unstable();
    assert_eq!(needless, expected, "{:?}", fleet.cloud.calls());
}
