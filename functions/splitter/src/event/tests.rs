//! Events over a bucket in memory.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use tagfleet_fleet::ErrorType;
use tagfleet_pipeline::bucket::KeyRange;
use tagfleet_pipeline::bucket::memory::MemoryBucket;

use super::*;

/// As EventBridge delivers it, with the fields that are not read.
fn event(key: &str, etag: &str, sequencer: &str) -> Value {
    json!({
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-12T00:00:00Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:s3:::stack"],
        "detail": {
            "version": "0",
            "bucket": {"name": "stack"},
            "object": {
                "key": key,
                "size": 5,
                "etag": etag,
                "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                "sequencer": sequencer
            },
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject"
        }
    })
}

fn parsed(event: Value) -> ObjectCreated {
    serde_json::from_value(event).unwrap()
}

struct World {
    bucket: MemoryBucket,
    stack: Stack,
}

impl World {
    fn new() -> Self {
        let bucket = MemoryBucket::default();
        let opened: Arc<dyn Bucket> = Arc::new(bucket.clone());
        let own = opened.clone();
        let stack = Stack { bucket: own, name: "stack".to_owned(), open: Arc::new(move |_| opened.clone()) };
        Self { bucket, stack }
    }

    async fn take(&self, event: Value) -> Result<EventOutcome, CallError> {
        handle(&self.stack, &parsed(event), async |_: &RunId| Ok(StartOutcome::AlreadyExists)).await
    }

    async fn skipped(&self, event: Value) -> String {
        let start = async |_: &RunId| panic!("started");
        match handle(&self.stack, &parsed(event), start).await.unwrap() {
            EventOutcome::Skipped(why) => why,
            EventOutcome::Started(run) => panic!("{run}"),
        }
    }
}

#[tokio::test]
async fn a_request_that_is_put_starts_its_run_with_its_bytes() {
    let world = World::new();
    let key = "requests/Nightly run+%20ü.json";
    world.bucket.put(key, Bytes::from_static(b"first")).await.unwrap();
    let first = world.take(event(key, "v0", "0A")).await.unwrap();
    let EventOutcome::Started(run) = &first else { panic!("{first:?}") };
    assert!(run.to_string().starts_with("nightly-run-20-20261112-000000-"), "{run}");
    assert_eq!(serde_json::to_value(&first).unwrap(), json!({"started": run}));
    let copy = world.bucket.get(&StackKeys::run(run), None, 100).await.unwrap();
    assert_eq!(copy.bytes, "first");
    assert_eq!(world.take(event(key, "v0", "0A")).await.unwrap(), first, "delivered twice");
    world.bucket.put(key, Bytes::from_static(b"second")).await.unwrap();
    assert_ne!(world.take(event(key, "v1", "0B")).await.unwrap(), first, "corrected");
}

#[tokio::test]
async fn what_is_no_request_starts_nothing() {
    let world = World::new();
    for key in ["tags/requests/a.json", "requests/a/b.json", "requests/a.txt", "runs/a.json", ""] {
        assert!(world.skipped(event(key, "v0", "0A")).await.contains("not a request"), "{key}");
    }
    let mut other = event("requests/a.json", "v0", "0A");
    other["detail"]["bucket"]["name"] = json!("other");
    assert!(world.skipped(other).await.contains("another bucket"));
    let mut deleted = event("requests/a.json", "v0", "0A");
    deleted["detail-type"] = json!("Object Deleted");
    assert!(world.skipped(deleted).await.contains("Object Deleted"));
    assert!(world.skipped(event("requests/a.json", "v0", "0A")).await.contains("deleted since"));
    world.bucket.put("requests/a.json", Bytes::from_static(b"x")).await.unwrap();
    assert!(world.skipped(event("requests/a.json", "v9", "0A")).await.contains("put again"));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_an_error() {
    let world = World::new();
    let large = vec![b' '; usize::try_from(MAX_REQUEST_BYTES).unwrap() + 1];
    world.bucket.put("requests/a.json", large.into()).await.unwrap();
    let error = world.take(event("requests/a.json", "v0", "0A")).await.unwrap_err();
    assert_eq!(error.error_type, ErrorType::BadRequest);
}

#[tokio::test]
async fn a_start_that_fails_is_an_error() {
    let world = World::new();
    world.bucket.put("requests/a.json", Bytes::from_static(b"x")).await.unwrap();
    let start = async |run: &RunId| {
        Err(ServiceError {
            kind: Kind::Temporary,
            service: "Step Functions",
            action: "StartExecution".to_owned(),
            resource: run.to_string(),
            code: "ThrottlingException".to_owned(),
            detail: "slow".to_owned(),
        })
    };
    let event = parsed(event("requests/a.json", "v0", "0A"));
    let error = handle(&world.stack, &event, start).await.unwrap_err();
    assert_eq!(error.error_type, ErrorType::Temporary);
}

/// A user who may put a request may choose its name: it is not a path, not an id of another run and not a
/// line of a log.
#[tokio::test]
async fn no_name_of_a_request_leads_anywhere_else() {
    let long = "x".repeat(1024 - "requests/.json".len());
    for name in ["..", "a\r\nb", "<script>", "\0", "\u{202e}gpj", "nightly-0a1b2c", "%2e%2e%2f", "ß", &long]
    {
        let world = World::new();
        let key = format!("requests/{name}.json");
        world.bucket.put(&key, Bytes::from_static(b"{}")).await.unwrap();
        let EventOutcome::Started(run) = world.take(event(&key, "v0", "0A")).await.unwrap() else {
            panic!("{name:?} started nothing");
        };
        assert!(RunId::try_from(run.to_string()).is_ok());
        let pages: Vec<_> = world.bucket.list(&KeyRange::default()).try_collect().await.unwrap();
        let keys: Vec<String> = pages.into_iter().flatten().map(|object| object.key).collect();
        assert_eq!(keys, [key, StackKeys::run(&run)]);
    }
}

proptest! {
    #[test]
    fn every_name_has_an_id_and_every_write_its_own(name: String, time in "[0-9:TZ.é-]{0,30}", key: String, one: String, other: String) {
        let time = Some(time.as_str());
        let id = |sequencer: &str| {
            let object = CreatedObject { key: key.clone(), etag: None, sequencer: sequencer.to_owned() };
            run_id(&name, time, &Detail { bucket: BucketName { name: "b".to_owned() }, object }).unwrap()
        };
        let (another, id) = (id(&other), [id(&one), id(&one)]);
        prop_assert_eq!(&id[0], &id[1]);
        let [id, _] = id;
        prop_assert_eq!(one == other, id == another);
    }
}
