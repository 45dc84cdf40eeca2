//! Nightly runs: each run continues the one before. The law: its rows are those of one full run over the same
//! objects, and no image is read whose row is kept.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::TryStreamExt;
use proptest::prelude::*;
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::bucket::{Bucket, BucketError, Fetched, KeyRange, Kind};
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::infer::{Stop, Worker};
use tagfleet_pipeline::local::{LocalOutcome, run};
use tagfleet_pipeline::reduce;
use tagfleet_pipeline::run::{Ranges, RunId, RunKeys, RunRequest, Since, Vector, VectorType};
use tagfleet_pipeline::shard::kept::Difference;
use tagfleet_pipeline::split::{self, Source, dry_run};
use tagfleet_pipeline::testing::rows::{FlatRow, Rows, rows_of};
use tagfleet_pipeline::testing::source::TestSource;
use tagfleet_pipeline::testing::{self, FailingBucket, LengthTagger};

use crate::stopped::block_on;

/// A shop's bucket: some of its objects cannot be read on some nights.
#[derive(Default)]
struct Shop {
    objects: MemoryBucket,
    unreadable: Mutex<BTreeSet<String>>,
    gets: AtomicU64,
}

#[async_trait]
impl TestSource for Shop {
    fn inner(&self) -> &dyn Bucket {
        &self.objects
    }

    fn name(&self) -> &str {
        "shop"
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        self.gets.fetch_add(1, SeqCst);
        if self.unreadable.lock().unwrap().contains(key) {
            let (bucket, detail) = ("shop".to_owned(), "gone".to_owned());
            return Err(BucketError { kind: Kind::Missing, bucket, key: key.to_owned(), detail });
        }
        self.objects.get(key, if_match, limit).await
    }
}

/// A change of a key before a night.
#[derive(Clone, Debug)]
enum Event {
    Put(String, String),
    Delete(String),
    /// It is replaced, and the new object cannot be read.
    Breaks(String),
    /// All objects can be read.
    Heals,
}

fn key() -> impl Strategy<Value = String> {
    "[a-d]{1,2}/[0-9]".prop_map(|key| format!("{key}.jpg"))
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (key(), "(bad|image){1}.{0,9}").prop_map(|(key, text)| Event::Put(key, text)),
        2 => key().prop_map(Event::Delete),
        1 => key().prop_map(Event::Breaks),
        1 => Just(Event::Heals),
    ]
}

/// The fault of a night.
#[derive(Clone, Debug)]
enum Trouble {
    None,
    /// These calls of the output fail; then the run is resumed.
    Fails(u64, u64),
    /// Two processes do the same run at once.
    Twice,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        Just(Trouble::None),
        (0..60_u64, 1..6_u64).prop_map(|(first, calls)| Trouble::Fails(first, calls)),
        Just(Trouble::Twice),
    ]
}

struct Fixture {
    shop: Arc<Shop>,
    output: Arc<dyn Bucket>,
    /// Few rows of a shard may be kept, and few images be in one, if rows are large.
    vector: Option<Vector>,
}

impl Fixture {
    fn new(large_rows: bool) -> Self {
        let vector = Vector { output: "embedding".to_owned(), stored: VectorType::F32, length: 4_000_000 };
        Self {
            shop: Arc::default(),
            output: Arc::new(MemoryBucket::default()),
            vector: large_rows.then_some(vector),
        }
    }

    async fn change(&self, events: &[Event]) {
        for event in events {
            match event {
                Event::Put(key, text) => self.shop.objects.put(key, Bytes::from(text.clone())).await.unwrap(),
                Event::Delete(key) => self.shop.objects.delete(key),
                Event::Breaks(key) => {
                    self.shop.objects.put(key, Bytes::from_static(b"image")).await.unwrap();
                    self.shop.unreadable.lock().unwrap().insert(key.clone());
                }
                Event::Heals => self.shop.unreadable.lock().unwrap().clear(),
            }
        }
    }

    fn request(&self, since: Option<Since>) -> RunRequest {
        RunRequest { since, vector: self.vector.clone(), ..testing::request() }
    }

    fn worker(&self, name: &str, output: Arc<dyn Bucket>) -> Worker {
        let run = RunId::try_from(name.to_owned()).unwrap();
        let worker = testing::worker(self.shop.clone(), output, Duration::from_secs(60));
        Worker { keys: RunKeys::new("", &run), run, vector: self.vector.clone(), ..worker }
    }

    /// One process.
    async fn process(&self, worker: &Worker, request: &RunRequest) -> bool {
        let ranges = Ranges { version: 1, ranges: vec![KeyRange::default()] };
        let listed = Source::Listed(self.shop.clone(), Filter::default());
        let taggers = || Ok(LengthTagger::threads(2, 3));
        let ended = run(request, &ranges, &listed, worker, &taggers, &Stop::default()).await;
        matches!(ended, Ok(LocalOutcome::Complete(_)))
    }

    /// A whole run, with its result.
    async fn night(&self, name: &str, since: Option<Since>, trouble: &Trouble) -> Night {
        let request = self.request(since);
        let before = self.shop.gets.load(SeqCst);
        let worker = self.worker(name, self.output.clone());
        match trouble {
            Trouble::None => {}
            Trouble::Fails(first, calls) => {
                let failing = FailingBucket::new(self.output.clone(), Kind::Temporary, *first..first + calls);
                self.process(&self.worker(name, Arc::new(failing)), &request).await;
            }
            Trouble::Twice => {
                let other = self.worker(name, self.output.clone());
                tokio::join!(self.process(&worker, &request), self.process(&other, &request));
            }
        }
        assert!(self.process(&worker, &request).await, "{name} {trouble:?}");
        let splits = reduce::range_splits(self.output.as_ref(), &worker.keys).await.unwrap();
        Night {
            rows: self.rows(&worker.keys).await,
            gets: self.shop.gets.load(SeqCst) - before,
            difference: split::difference(&splits),
        }
    }

    async fn rows(&self, keys: &RunKeys) -> Rows {
        let mut rows = Vec::new();
        for object in self.output.list(&KeyRange::prefix(&keys.results())).try_concat().await.unwrap() {
            rows.extend(rows_of(self.output.get(&object.key, None, u64::MAX).await.unwrap().bytes));
        }
        rows
    }
}

struct Night {
    rows: Rows,
    gets: u64,
    difference: Option<Difference>,
}

/// Rows but for the name of their run.
fn without_run(rows: Rows) -> Rows {
    let without = |row: FlatRow| FlatRow { texts: [&row.texts[..5], &row.texts[6..]].concat(), ..row };
    rows.into_iter().map(without).collect()
}

fn since(run: &str, only_failed: bool) -> Option<Since> {
    Some(Since { run: RunId::try_from(run.to_owned()).unwrap(), only_failed })
}

async fn some_images(fixture: &Fixture, count: u32) {
    for number in 0..count {
        let text = if number % 5 == 0 { "bad" } else { "image" };
        let key = format!("{number:04}.jpg");
        fixture.change(&[Event::Put(key, format!("{text}{}", number % 7))]).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_chain_of_nights_has_the_rows_of_one_full_run(
        first in prop::collection::vec(event(), 1..80),
        nights in prop::collection::vec((prop::collection::vec(event(), 0..20), trouble()), 1..5),
        large_rows: bool,
    ) {
        block_on(async {
            let fixture = Fixture::new(large_rows);
            fixture.change(&[Event::Put("aa/0.jpg".to_owned(), "image".to_owned())]).await;
            fixture.change(&first).await;
            fixture.night("night-0", None, &Trouble::None).await;
            for (number, (events, trouble)) in nights.iter().enumerate() {
                fixture.change(events).await;
                let (name, before) = (format!("night-{}", number + 1), format!("night-{number}"));
                let night = fixture.night(&name, since(&before, false), trouble).await;
                let full = fixture.night(&format!("full-{number}"), None, &Trouble::None).await;
                assert_eq!(without_run(night.rows.clone()), without_run(full.rows));
                let difference = night.difference.unwrap_or_default();
                let tagged = difference.new + difference.changed + difference.retried;
                assert_eq!(night.rows.len() as u64, tagged + difference.kept);
                if matches!(trouble, Trouble::None) {
                    assert_eq!(night.gets, tagged);
                }
            }
        });
    }
}

#[test]
fn a_night_without_changes_reads_no_image_and_counts_kept_rows() {
    block_on(async {
        for large_rows in [false, true] {
            let fixture = Fixture::new(large_rows);
            some_images(&fixture, 300).await;
            let first = fixture.night("first", None, &Trouble::None).await;
            let second = fixture.night("second", since("first", false), &Trouble::None).await;
            assert_eq!(without_run(second.rows), without_run(first.rows));
            assert_eq!(second.gets, 0);
            assert_eq!(second.difference, Some(Difference { kept: 300, ..Difference::default() }));
        }
    });
}

#[test]
fn every_kind_of_change_is_counted() {
    block_on(async {
        let fixture = Fixture::new(false);
        some_images(&fixture, 20).await;
        fixture.change(&[Event::Breaks("0003.jpg".to_owned())]).await;
        fixture.night("first", None, &Trouble::None).await;
        fixture
            .change(&[
                Event::Put("0100.jpg".to_owned(), "image".to_owned()),
                Event::Put("0004.jpg".to_owned(), "image of today".to_owned()),
                Event::Delete("0007.jpg".to_owned()),
                Event::Delete("0019.jpg".to_owned()),
                Event::Heals,
            ])
            .await;
        let second = fixture.night("second", since("first", false), &Trouble::None).await;
        let expected = Difference { new: 1, changed: 1, retried: 1, kept: 16, deleted: 2 };
        assert_eq!(second.difference, Some(expected));
        assert_eq!(second.gets, 3);
    });
}

/// Only the failed rows are tagged again, whatever became of the others.
#[test]
fn a_retry_reads_failed_images_only() {
    block_on(async {
        let fixture = Fixture::new(false);
        some_images(&fixture, 20).await;
        fixture.change(&[Event::Breaks("0003.jpg".to_owned())]).await;
        let first = fixture.night("first", None, &Trouble::None).await;
        fixture
            .change(&[
                Event::Heals,
                Event::Put("0100.jpg".to_owned(), "image".to_owned()),
                Event::Put("0004.jpg".to_owned(), "image of today".to_owned()),
                Event::Put("0005.jpg".to_owned(), "image, not bad any more".to_owned()),
            ])
            .await;
        let second = fixture.night("second", since("first", true), &Trouble::None).await;
        // One that could not be read, and the four bad ones, of which one was replaced.
        assert_eq!(second.gets, 5);
        let expected = Difference { retried: 5, kept: 15, ..Difference::default() };
        assert_eq!(second.difference, Some(expected));
        let failed =
            |rows: &Rows| rows.iter().filter(|row| row.texts[0].as_deref() == Some("failed")).count();
        assert_eq!((failed(&first.rows), failed(&second.rows)), (5, 3));
        assert_eq!(second.rows.len(), 20);
    });
}

#[test]
fn a_dry_run_counts_the_same() {
    block_on(async {
        let fixture = Fixture::new(true);
        some_images(&fixture, 20).await;
        fixture.night("first", None, &Trouble::None).await;
        fixture
            .change(&[Event::Delete("0000.jpg".to_owned()), Event::Put("1.jpg".to_owned(), "bad".to_owned())])
            .await;
        let worker = fixture.worker("dry", fixture.output.clone());
        let request = fixture.request(since("first", false));
        let earlier =
            tagfleet_pipeline::earlier::EarlierRun::new(&request, &fixture.output, &worker.run, &worker.keys);
        let source = Source::Listed(fixture.shop.clone(), Filter::default()).since(earlier);
        let found = dry_run(&source, &KeyRange::default()).await.unwrap();
        let night = fixture.night("second", since("first", false), &Trouble::None).await;
        assert_eq!(found.split.difference, night.difference);
        assert_eq!(found.split.images, 1);
    });
}
