//! The earlier run of some runs: complete, over other objects, with rows that may be kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::TryStreamExt;
use serde_json::json;
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::bucket::{Bucket, KeyRange, Object};
use tagfleet_pipeline::denied;
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::infer::{Stop, Worker};
use tagfleet_pipeline::local::{LocalOutcome, run as run_locally};
use tagfleet_pipeline::reduce;
use tagfleet_pipeline::run::{Input, Ranges, RunId, RunRequest, Since};
use tagfleet_pipeline::split::Source;
use tagfleet_pipeline::testing;
use tagfleet_pipeline::testing::faults::{Random, Storm};

use super::fixture::{Fixture, vector};
use super::worker::taggers;

/// A run of the stack over the objects that there are now, without a disturbance.
pub(super) async fn run(fixture: &Fixture) -> Since {
    let run = RunId::try_from("earlier-20261129-010000-0a1b2c".to_owned()).unwrap();
    let input = Input { location: "s3://shop/".to_owned(), ..testing::request().input };
    let request = RunRequest { input, vector: Some(vector()), ..testing::request() };
    let source: Arc<dyn Bucket> = fixture.source.clone();
    let worker = Worker {
        keys: fixture.keys.of_run(&run),
        run: run.clone(),
        vector: request.vector.clone(),
        ..testing::worker(source.clone(), Arc::new(fixture.own.clone()), Duration::from_secs(60))
    };
    denied::accept(&fixture.own, &worker.keys).await.unwrap();
    let ranges = Ranges { version: 1, ranges: vec![KeyRange::default()] };
    let (storm, listed) = (Storm::calm(), Source::Listed(source, Filter::default()));
    let taggers = || Ok(taggers(&storm, "earlier"));
    let ended = run_locally(&request, &ranges, &listed, &worker, &taggers, &Stop::default()).await.unwrap();
    assert!(matches!(ended, LocalOutcome::Complete(_)), "{ended:?}");
    reduce::finish(&fixture.own, &worker.keys, &json!({})).await.unwrap();
    Since { run, only_failed: false }
}

/// Some objects are deleted, some are replaced, and some are new.
pub(super) async fn change(objects: &MemoryBucket, random: &mut Random) {
    let all: Vec<Vec<Object>> = objects.list(&KeyRange::default()).try_collect().await.unwrap();
    for object in all.concat() {
        let key = object.key;
        match random.below(8) {
            0 if !key.ends_with('/') && !key.ends_with("sure.jpg") => objects.delete(&key),
            1 => objects.put(&key, replaced(&key)).await.unwrap(),
            2 if !key.ends_with('/') => {
                objects.put(&format!("{key}.new.jpg"), Bytes::from_static(b"a new image")).await.unwrap();
            }
            _ => {}
        }
    }
}

/// Other bytes of the same kind.
fn replaced(key: &str) -> Bytes {
    Bytes::from_static(match key.rsplit('.').next() {
        Some("bad") => b"bad again",
        Some("second") => b"image replaced 2",
        _ if key.ends_with('/') => b"",
        _ => b"image replaced",
    })
}
