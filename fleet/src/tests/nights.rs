//! A year of nightly runs: each continues the latest one, and its bill is that of its requests.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};

use super::*;
use tagfleet_cost::usage::{self, FunctionUsage, Requests, USAGE_VERSION, UsageRecord};
use tagfleet_pipeline::bucket::{BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Object, Put};
use tagfleet_pipeline::testing::faults::Random;
use tagfleet_pipeline::testing::rows::{Rows, rows_of};
use tagfleet_report::Summary;

const NIGHTS: u64 = 365;
const IMAGES: usize = 300;
/// 2027-01-01 01:00 UTC.
const FIRST_NIGHT: u64 = 1_798_765_200;
const DAY: u64 = 86_400;

/// A bucket that counts requests as S3 bills them: a page of a listing is one.
struct Counted {
    inner: MemoryBucket,
    requests: Arc<Mutex<Requests>>,
}

impl Counted {
    fn count(&self, operation: &str) {
        self.requests.lock().unwrap().count(operation);
    }
}

#[async_trait]
impl Bucket for Counted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        let requests = self.requests.clone();
        requests.lock().unwrap().count("s3:ListObjectsV2");
        let pages = self.inner.list_as_stored(range).enumerate();
        pages
            .map(move |(page, listed)| {
                if page > 0 {
                    requests.lock().unwrap().count("s3:ListObjectsV2");
                }
                listed
            })
            .boxed()
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        self.count("s3:GetObject");
        self.inner.get(key, if_match, limit).await
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        self.count("s3:GetObject");
        self.inner.get_range(key, if_match, range).await
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        self.count("s3:HeadObject");
        self.inner.exists(key).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<Put, BucketError> {
        self.count("s3:PutObject");
        self.inner.put_if_absent(key, bytes).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        self.count("s3:PutObject");
        self.inner.put(key, bytes).await
    }
}

/// A fixture whose buckets count requests.
struct Year {
    world: World,
    of_source: Arc<Mutex<Requests>>,
    of_stack: Arc<Mutex<Requests>>,
    /// Dollars for all recorded requests, by S3's price list.
    billed: f64,
}

impl Year {
    async fn new() -> Self {
        let mut world = World::new(IMAGES).await;
        let (of_source, of_stack) = (Arc::<Mutex<Requests>>::default(), Arc::<Mutex<Requests>>::default());
        let shop: Arc<dyn Bucket> =
            Arc::new(Counted { inner: world.source.clone(), requests: of_source.clone() });
        let own: Arc<dyn Bucket> = Arc::new(Counted { inner: world.own.clone(), requests: of_stack.clone() });
        let bucket = own.clone();
        let open: OpenBucket = Arc::new(move |name| if name == "shop" { shop.clone() } else { own.clone() });
        world.stack = Stack { bucket, name: "stack".to_owned(), open };
        Self { world, of_source, of_stack, billed: 0.0 }
    }

    /// A whole run, which starts this many days after the first one.
    async fn night(&mut self, name: &str, day: u64, asked: Value) -> Summary {
        let before = (self.of_source.lock().unwrap().clone(), self.of_stack.lock().unwrap().clone());
        let world = &mut self.world;
        world.run = RunId::try_from(format!("{name}-{:08}-010000-0a1b2c", 20_270_000 + day)).unwrap();
        world.ask(asked).await;
        world.split().await;
        let mut checked = world.check(0, false, None).await;
        if checked.again {
            world.infer().await;
            checked = world.check(1, false, None).await;
        }
        let fleet = world.fleet().await;
        for group in 0..checked.groups {
            compact(&fleet, group).await.unwrap();
        }
        self.billed += self.record(&fleet, &before).await;
        let now = FIRST_NIGHT + day * DAY;
        let pricing = Pricing::load_or_why(self.world.stack.bucket.as_ref(), "us-east-1").await.unwrap();
        let finished = finish(&fleet, None, &Priced { pricing, now }).await.unwrap();
        assert_eq!(finished.state, State::Complete);
        read_summary(&fleet).await.unwrap()
    }

    /// Records the requests since `before` as one call of a function; returns their price.
    async fn record(&self, fleet: &FleetRun, before: &(Requests, Requests)) -> f64 {
        let mut requests = self.of_source.lock().unwrap().since(&before.0);
        requests.add(&self.of_stack.lock().unwrap().since(&before.1));
        let usd = requests.0.iter().map(|(operation, count)| count.calls as f64 * usd_of(operation)).sum();
        let call = FunctionUsage {
            version: USAGE_VERSION,
            function: "splitter".to_owned(),
            action: "split".to_owned(),
            began: FIRST_NIGHT,
            milliseconds: 1000,
            memory_mb: 512,
            requests,
        };
        usage::put(fleet.output.as_ref(), &fleet.keys, "call-1", &UsageRecord::Function(call)).await.unwrap();
        usd
    }

    fn images_read(&self) -> u64 {
        self.of_source.lock().unwrap().0.get("s3:GetObject").map_or(0, |count| count.calls)
    }

    async fn rows(&self) -> Rows {
        let mut rows = Vec::new();
        let results = KeyRange::prefix(&self.world.fleet().await.keys.results());
        for object in self.world.own.list(&results).try_concat().await.unwrap() {
            rows.extend(rows_of(self.world.own.get(&object.key, None, u64::MAX).await.unwrap().bytes));
        }
        rows
    }
}

/// Changes about half a per cent of the images: some are added, some replaced, some deleted. None on Sundays.
async fn change(source: &MemoryBucket, night: u64, random: &mut Random) {
    if night.is_multiple_of(7) {
        return;
    }
    for number in 0..1 + random.below(3) {
        let text = format!("image of night {night}");
        source.put(&format!("photos/new-{night:03}-{number}.jpg"), Bytes::from(text.clone())).await.unwrap();
        let key = format!("photos/{:06}.jpg", random.below(IMAGES as u64));
        if random.one_in(2) {
            source.delete(&key);
        } else {
            source.put(&key, Bytes::from(text)).await.unwrap();
        }
    }
}

fn by_key(rows: Rows) -> BTreeMap<String, Vec<(String, i32, u32)>> {
    rows.into_iter().map(|row| (row.key, row.tags)).collect()
}

#[tokio::test]
async fn a_year_of_nights_reads_what_changed_and_ends_with_the_rows_of_a_full_run() {
    let mut year = Year::new().await;
    let mut random = Random::of("a year");
    let nightly = json!({"since": "latest"});
    let first = year.night("nightly", 0, nightly.clone()).await;
    assert_eq!((&first.since, first.images), (&None, IMAGES as u64));
    let mut bills = of_s3(&first);
    for night in 1..NIGHTS {
        change(&year.world.source, night, &mut random).await;
        let read = year.images_read();
        let summary = year.night("nightly", night, nightly.clone()).await;
        let difference = summary.difference.unwrap();
        let tagged = difference.new + difference.changed + difference.retried;
        assert_eq!(year.images_read() - read, tagged, "night {night}: {difference}");
        assert_eq!(summary.images, tagged + difference.kept);
        assert_eq!(night.is_multiple_of(7), tagged == 0, "night {night}: {difference}");
        bills += of_s3(&summary);
    }
    let rows = year.rows().await;
    let read = year.images_read();
    assert!(read < 5 * IMAGES as u64, "{read} images were read in a year, of {IMAGES} a night");
    assert!(
        (bills - year.billed).abs() < 1e-9,
        "the bills have ${bills}, the requests cost ${}",
        year.billed
    );
    year.night("full", NIGHTS, json!({})).await;
    assert_eq!(by_key(rows), by_key(year.rows().await));
}

fn of_s3(summary: &Summary) -> f64 {
    let lines = &summary.cost.as_ref().unwrap().lines;
    lines.iter().filter(|line| line.service == "S3").map(|line| line.usd).sum()
}

/// us-east-1: $5 for a million LIST and PUT, $0.40 for a million of all others.
fn usd_of(operation: &str) -> f64 {
    if operation.contains("List") || operation.contains("Put") { 5e-6 } else { 4e-7 }
}

/// A night continues the run before it, and no run of another model.
#[tokio::test]
async fn the_latest_run_that_fits_is_continued() {
    let mut year = Year::new().await;
    let first = year.night("nightly", 0, json!({})).await;
    let _other = year.night("other", 1, json!({"tags": {"top_k": 7}})).await;
    let second = year.night("nightly", 2, json!({"since": "latest"})).await;
    assert_eq!(second.since.unwrap().run, first.run);
    assert_eq!(second.difference.unwrap().kept, IMAGES as u64);
}

#[tokio::test]
async fn a_run_that_cannot_be_continued_starts_nothing() {
    let world = World::new(20).await;
    world.ask(json!({"since": "20200101-000000-0a1b2c"})).await;
    let (kind, why) = world.error().await;
    assert_eq!(kind, ErrorType::BadRequest);
    insta::assert_snapshot!(why, @r#"the request is wrong: since: s3://stack/tags/ has no complete run 20200101-000000-0a1b2c: name another, or "latest""#);
    world.ask(json!({"since": "latest", "retry": "latest"})).await;
    insta::assert_snapshot!(world.error().await.1, @"the request is wrong: since and retry: give one of them");
    world.ask(json!({"since": "No run"})).await;
    insta::assert_snapshot!(world.error().await.1, @r#"the request is wrong: since: "No run" is not a run ID: use 1 to 64 characters of a-z, 0-9 and '-', or "latest""#);
    world.ask(json!({"retry": "latest"})).await;
    insta::assert_snapshot!(world.error().await.1, @"the request is wrong: retry: s3://stack/tags/ has no complete run: start one without retry");
}

/// Only failed images are read, even if others are new.
#[tokio::test]
async fn a_retry_reads_failed_images_only() {
    let mut year = Year::new().await;
    let first = year.night("nightly", 0, json!({})).await;
    year.world.source.put("photos/new.jpg", Bytes::from_static(b"image")).await.unwrap();
    let read = year.images_read();
    let again = year.night("again", 1, json!({"retry": first.run})).await;
    assert_eq!(year.images_read() - read, first.all_failed());
    assert_eq!((again.images, again.all_failed()), (first.images, first.all_failed()));
}
