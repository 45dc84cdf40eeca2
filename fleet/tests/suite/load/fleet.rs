//! The fleet's steps over 300,000 shards, as many as three billion images make: plan, split, check, compact,
//! finish.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tagfleet_fleet::finish::{Priced, finish};
use tagfleet_fleet::model::{PUBLISHED_MODEL_VERSION, PublishedModel};
use tagfleet_fleet::plan::plan;
use tagfleet_fleet::steps::{CheckInput, check, compact};
use tagfleet_fleet::{FleetRun, OpenBucket, Stack};
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::queue::Queue;
use tagfleet_pipeline::record;
use tagfleet_pipeline::run::{Ranges, RunId, RunKeys, StackKeys};
use tagfleet_pipeline::split::{RangeTask, Source, split_range};
use tagfleet_pipeline::tags::parquet::{RunColumns, encode_part};
use tagfleet_pipeline::tags::slowest::Slowest;
use tagfleet_pipeline::tags::{Failure, Outcome, Reason, Row};
use tagfleet_pipeline::testing::request;
use tagfleet_report::State;
use tokio_util::sync::CancellationToken;

use super::synthetic_bucket::SyntheticBucket;
use super::synthetic_run::{Counting, Shared, SyntheticRun};
use super::{Laps, measure};

/// The first check of a run, or one after a round.
const ASKED: CheckInput<'_> = CheckInput {
    round: 0,
    resumed: false,
    before: None,
    problem: None,
    most_workers: 100,
    vcpus: 8,
    now: 0,
    limit: None,
    used: None,
    sent: None,
    stop: None,
};

struct Fixture {
    stack: Stack,
    source: SyntheticBucket,
    run: Arc<SyntheticRun>,
    fleet: FleetRun,
    queue: Counting,
}

/// A part of one row.
fn part(run: &RunId) -> Bytes {
    let of = RunColumns { run: run.clone(), model: request().model.id(), vector: None };
    let outcome = Outcome::Failed(Failure::new(Reason::Corrupt, ""));
    let row = Row { key: "photos/0".to_owned(), bytes: Some(5), etag: None, outcome };
    encode_part(&[row], &of, &Slowest::default()).unwrap()
}

impl Fixture {
    async fn new(images: usize) -> Self {
        let (own, run) = (MemoryBucket::default(), RunId::try_from("load".to_owned()).unwrap());
        let of_length = request();
        let published = PublishedModel {
            version: PUBLISHED_MODEL_VERSION,
            model: of_length.model,
            engine: of_length.engine,
            tags: of_length.tags,
            labels: vec![],
            vector: None,
            max_image_bytes: 1000,
        };
        own.put("models/m/model.json", serde_json::to_vec(&published).unwrap().into()).await.unwrap();
        let asked = json!({"version": 1, "input": ["s3://shop/photos/"], "model": "s3://stack/models/m"});
        own.put(&StackKeys::run(&run), asked.to_string().into()).await.unwrap();
        let keys = RunKeys::in_bucket(StackKeys::TAGS, &run);
        let synthetic_bucket = Arc::new(SyntheticRun::new(own, keys, part(&run)));
        let (source, shared) = (SyntheticBucket::of(images), Shared(synthetic_bucket.clone()));
        let open: OpenBucket = Arc::new(move |name| match name {
            "shop" => Arc::new(source),
            _ => Arc::new(shared.clone()),
        });
        let stack = Stack { bucket: open("stack"), name: "stack".to_owned(), open };
        let fleet = stack.find(&run).await.unwrap();
        Self { stack, source, run: synthetic_bucket, fleet, queue: Counting::default() }
    }

    /// Every image in a shard of its own.
    async fn split(&self) {
        let (output, keys) = (self.fleet.output.as_ref(), &self.fleet.keys);
        let ranges: Ranges = record::read(output, &keys.ranges()).await.unwrap();
        let listed = Source::Listed(Arc::new(self.source), Filter::default());
        let never = CancellationToken::new();
        for (number, range) in (0..).zip(&ranges.ranges) {
            let task = RangeTask { number, range, run: &self.fleet.run, output, keys, queue: &self.queue };
            split_range(&listed, task, 1, &never).await.unwrap();
        }
    }

    /// Nothing is done: returns how many groups there are.
    async fn check_first(&self, shards: u64) -> u32 {
        let checked = check(&self.fleet, &self.queue, ASKED).await.unwrap();
        assert_eq!((checked.missing, checked.again), (shards, true));
        checked.groups
    }

    /// Nine tenths are done, and the queue is empty.
    async fn check_after_a_round(&self) {
        self.run.have_done(900);
        self.queue.empty();
        let asked = CheckInput { round: 1, before: Some(u64::MAX), ..ASKED };
        let checked = check(&self.fleet, &self.queue, asked).await.unwrap();
        assert_eq!(
            (self.queue.messages().await.unwrap().visible, checked.more.as_str()),
            (checked.missing, "")
        );
    }

    async fn finish(&self, images: u64) {
        let priced = Priced { pricing: Err("no prices here".to_owned()), now: 0 };
        let finished = finish(&self.fleet, None, &priced).await.unwrap();
        assert_eq!((finished.state, finished.images), (State::Complete, images));
    }
}

async fn steps(shards: usize) -> Vec<(&'static str, Duration)> {
    let fixture = Fixture::new(shards).await;
    let mut laps = Laps::begin();
    plan(&fixture.stack, &fixture.fleet).await.unwrap();
    let planned = laps.lap();
    fixture.split().await;
    let split = laps.lap();
    assert_eq!(fixture.queue.messages().await.unwrap().visible, shards as u64);
    let groups = fixture.check_first(shards as u64).await;
    let first = laps.lap();
    fixture.check_after_a_round().await;
    let sent_again = laps.lap();
    fixture.run.have_done(1000);
    for group in 0..groups {
        compact(&fixture.fleet, group).await.unwrap();
    }
    let compacted = laps.lap();
    fixture.finish(shards as u64).await;
    vec![
        ("plan", planned),
        ("split", split),
        ("check", first),
        ("check and send a tenth", sent_again),
        ("compact", compacted),
        ("finish", laps.lap()),
    ]
}

#[test]
#[ignore = "make load"]
fn the_steps_of_a_fleet_of_three_hundred_thousand_shards() {
    measure("shards", [30_000, 60_000, 300_000], steps);
}
