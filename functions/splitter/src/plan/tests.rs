//! Plan over buckets in memory.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tagfleet_fleet::ErrorType;
use tagfleet_fleet::model::{PUBLISHED_MODEL_VERSION, PublishedModel};
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::bucket::{Bucket, KeyRange};
use tagfleet_pipeline::run::{RunId, StackKeys};
use tagfleet_pipeline::testing::request;

use super::*;

struct World {
    bucket: MemoryBucket,
    stack: Stack,
    run: RunId,
}

impl World {
    /// One bucket for all: a published model, a picture, and a request with `more` in it.
    async fn new(any_region: bool) -> Self {
        let bucket = MemoryBucket::default();
        let of_test = request();
        let published = PublishedModel {
            version: PUBLISHED_MODEL_VERSION,
            model: of_test.model,
            engine: of_test.engine,
            tags: of_test.tags,
            labels: vec![],
            vector: None,
            max_image_bytes: 1000,
        };
        bucket.put("models/m/model.json", serde_json::to_vec(&published).unwrap().into()).await.unwrap();
        bucket.put("photos/a.jpg", Bytes::from_static(b"image")).await.unwrap();
        let run = RunId::try_from("nightly-1".to_owned()).unwrap();
        let asked = json!({
            "version": 1, "input": ["s3://shop/photos/"], "model": "s3://stack/models/m/",
            "notify": ["a@example.com"], "any_region": any_region,
        });
        bucket.put(&StackKeys::run(&run), asked.to_string().into()).await.unwrap();
        let opened: Arc<dyn Bucket> = Arc::new(bucket.clone());
        let own = opened.clone();
        let stack = Stack { bucket: own, name: "stack".to_owned(), open: Arc::new(move |_| opened.clone()) };
        Self { bucket, stack, run }
    }

    async fn plan(&self, source_region: Result<&str, Kind>) -> Result<Planned, CallError> {
        let fleet = self.stack.find(&self.run).await.unwrap();
        let region = async || match source_region {
            Ok(region) => Ok(region.to_owned()),
            Err(kind) => Err(BucketError {
                kind,
                bucket: "s3://shop".to_owned(),
                key: String::new(),
                detail: "no".to_owned(),
            }),
        };
        plan(&self.stack, &fleet, "eu-central-1", region, async || Ok("https://queue".to_owned())).await
    }

    async fn has_begun(&self) -> bool {
        self.bucket.exists(&self.stack.find(&self.run).await.unwrap().keys.ranges()).await.unwrap()
    }
}

#[tokio::test]
async fn a_run_is_planned_once() {
    let world = World::new(false).await;
    let planned = world.plan(Ok("eu-central-1")).await.unwrap();
    let expected = json!({
        "output": "s3://stack/tags/", "queue_url": "https://queue", "ranges": 1, "device": "cpu",
        "resumed": false, "notify": true,
    });
    assert_eq!(serde_json::to_value(planned).unwrap(), expected);
    assert!(world.plan(Ok("eu-central-1")).await.unwrap().resumed);
}

#[tokio::test]
async fn a_source_elsewhere_begins_nothing_unless_it_may_be() {
    let world = World::new(false).await;
    for (region, says) in [
        (Ok("us-east-1"), "is in us-east-1, the stack in eu-central-1"),
        (Err(Kind::Missing), "there is no bucket shop"),
        (Err(Kind::Denied), "SourceBuckets"),
    ] {
        let error = world.plan(region).await.unwrap_err();
        assert_eq!(error.error_type, ErrorType::BadRequest);
        assert!(error.message.contains(says), "{}", error.message);
    }
    let error = world.plan(Err(Kind::Temporary)).await.unwrap_err();
    assert_eq!(error.error_type, ErrorType::Temporary);
    assert!(!world.has_begun().await);
    let world = World::new(true).await;
    world.plan(Err(Kind::Other)).await.unwrap();
    assert!(world.has_begun().await);
}

#[tokio::test]
async fn a_wrong_request_gets_no_queue() {
    let world = World::new(true).await;
    world.bucket.delete("photos/a.jpg");
    let fleet = world.stack.find(&world.run).await.unwrap();
    let region = async || panic!("any region is fine");
    let queue = async || panic!("a queue was made");
    let error = plan(&world.stack, &fleet, "eu-central-1", region, queue).await.unwrap_err();
    assert_eq!(error.error_type, ErrorType::BadRequest);
    assert!(KeyRange::default().contains(&fleet.keys.ranges()) && !world.has_begun().await);
}
