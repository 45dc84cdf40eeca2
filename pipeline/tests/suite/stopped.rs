//! Runs that are stopped again and again: what is tagged is kept, and the rows are those of a run that was
//! left alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, TryStreamExt};
use proptest::prelude::*;
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::bucket::{
    Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Kind, Object, Put,
};
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::infer::{Stop, Worker};
use tagfleet_pipeline::local::{LocalOutcome, RunError, run};
use tagfleet_pipeline::progress::Trouble;
use tagfleet_pipeline::reduce::{self, RowCounts};
use tagfleet_pipeline::run::Ranges;
use tagfleet_pipeline::split::Source;
use tagfleet_pipeline::tagger::{Tagger, TaggerError};
use tagfleet_pipeline::tags::Outcome;
use tagfleet_pipeline::tags::slowest::Slowest;
use tagfleet_pipeline::testing::{self, LengthTagger, request};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use tagfleet_pipeline::testing::rows::{Rows, rows_of};
use tagfleet_pipeline::testing::source::TestSource;

/// The source of one process: this many images can be read, then no other is ever answered, or it is denied.
struct Few {
    inner: Arc<MemoryBucket>,
    left: AtomicUsize,
    then_denied: bool,
}

#[async_trait]
impl TestSource for Few {
    fn inner(&self) -> &dyn Bucket {
        &*self.inner
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        let has_left = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if !has_left && self.then_denied {
            let (bucket, detail) = (self.inner.name().to_owned(), "no".to_owned());
            return Err(BucketError { kind: Kind::Denied, bucket, key: key.to_owned(), detail });
        }
        if !has_left {
            std::future::pending::<()>().await;
        }
        self.inner.get(key, if_match, limit).await
    }
}

/// Has its process stopped once all of them together have tagged this many images.
struct Stopping {
    left: Arc<AtomicUsize>,
    now: CancellationToken,
    batch_size: usize,
}

impl Tagger for Stopping {
    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        let outcomes = LengthTagger { batch_size: self.batch_size }.tag(images);
        if self.left.fetch_sub(images.len(), SeqCst) == images.len() {
            self.now.cancel();
        }
        outcomes
    }
}

/// A run: where its images are and its objects go.
pub(super) struct Place {
    pub(super) source: Arc<MemoryBucket>,
    pub(super) output: Arc<MemoryBucket>,
}

impl Place {
    pub(super) async fn new(images: usize) -> Self {
        let source = MemoryBucket::default();
        for number in 0..images {
            let bytes = match number % 7 {
                3 => format!("bad {number}"),
                5 => format!("image {number} 2"),
                _ => format!("image {}", "-".repeat(number % 11)),
            };
            source.put(&format!("{number:05}.jpg"), Bytes::from(bytes)).await.unwrap();
        }
        Self { source: Arc::new(source), output: Arc::default() }
    }

    pub(super) fn worker(&self, source: Arc<dyn Bucket>) -> Worker {
        testing::worker(source, self.output.clone(), Duration::from_secs(60))
    }

    /// One process that is let to run to its end.
    pub(super) async fn quiet(&self) -> (Worker, Result<LocalOutcome, RunError>) {
        let worker = self.worker(self.source.clone());
        let ended = self.process(&worker, &|| Ok(LengthTagger::threads(2, 3)), &Stop::default()).await;
        (worker, ended)
    }

    async fn process(
        &self,
        worker: &Worker,
        taggers: &(dyn Fn() -> Result<Vec<Box<dyn Tagger>>, TaggerError> + Sync),
        stop: &Stop,
    ) -> Result<LocalOutcome, RunError> {
        let ranges = Ranges { version: 1, ranges: vec![KeyRange::default()] };
        let listed = Source::Listed(self.source.clone(), Filter::default());
        run(&request(), &ranges, &listed, worker, taggers, stop).await
    }

    /// One process that is stopped once this many images are tagged.
    pub(super) async fn stopped_after(
        &self,
        images: usize,
        way: (usize, usize),
    ) -> (Worker, Result<LocalOutcome, RunError>) {
        let few = Few { inner: self.source.clone(), left: AtomicUsize::new(images), then_denied: false };
        let (worker, stop) = (self.worker(Arc::new(few)), Stop::default());
        let left = Arc::new(AtomicUsize::new(images));
        let tagger = || Stopping { left: left.clone(), now: stop.now.clone(), batch_size: way.1 };
        let taggers = || Ok((0..way.0).map(|_| Box::new(tagger()) as Box<dyn Tagger>).collect());
        let ended = self.process(&worker, &taggers, &stop).await;
        (worker, ended)
    }

    pub(super) async fn rows(&self, worker: &Worker) -> Rows {
        let groups = reduce::groups(self.output.as_ref(), &worker.keys, None).await.unwrap();
        let mut rows = Vec::new();
        for number in (0..).take(groups.groups.len()) {
            let stored = self.output.get(&worker.keys.result(number, 0), None, u64::MAX).await.unwrap();
            rows.extend(rows_of(stored.bytes));
        }
        rows
    }

    async fn thumbnails(&self, worker: &Worker) -> Vec<Bytes> {
        let listed = self.output.list(&KeyRange::prefix(&worker.keys.all_thumbnails()));
        let mut found = Vec::new();
        for object in listed.try_concat().await.unwrap() {
            found.push(self.output.get(&object.key, None, u64::MAX).await.unwrap().bytes);
        }
        found
    }
}

pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A model that is so slow that no process ever finishes a shard: the run ends, no image is tagged twice,
    /// the count never goes back.
    #[test]
    fn a_run_that_is_stopped_every_few_images_ends_with_the_same_rows(
        images in 1..600_usize,
        few in 1..150_usize,
        threads in 1..4_usize,
        batch_size in 1..5_usize,
    ) {
        block_on(async {
            let (quiet, stormy) = (Place::new(images).await, Place::new(images).await);
            let (worker, _) = quiet.quiet().await;
            let (mut done, mut tagged) = (0, 0);
            let last = loop {
                let (worker, ended) = stormy.stopped_after(few, (threads, batch_size)).await;
                let counts = worker.progress.counts();
                if counts.total > 0 {
                    assert_eq!((counts.total, counts.before), (images as u64, done), "what was printed last");
                }
                assert!(counts.done() >= done);
                (done, tagged) = (counts.done(), tagged + counts.tagged + counts.failed);
                assert_eq!(worker.progress.troubles().len(), 0);
                match ended.unwrap() {
                    LocalOutcome::Interrupted => {
                        let kept = reduce::counts_kept(&worker.checkpoints()).await.unwrap();
                        assert_eq!(kept.rows(), done, "what is counted is kept");
                    }
                    LocalOutcome::Complete(counts) => break (worker, counts),
                    LocalOutcome::Incomplete(missing) => panic!("{missing:?}"),
                }
            };
            assert_eq!(tagged, images as u64, "each image is tagged once");
            assert_eq!(stormy.rows(&last.0).await, quiet.rows(&worker).await);
            assert_eq!(stormy.thumbnails(&last.0).await, quiet.thumbnails(&worker).await);
            // How long an image took differs from run to run, and is not kept over a stop.
            let untimed = |counts: RowCounts| RowCounts { slowest: Slowest::default(), ..counts };
            let of_quiet = reduce::counts_so_far(quiet.output.as_ref(), &worker.keys).await.unwrap();
            assert_eq!(untimed(last.1), untimed(of_quiet));
        });
    }
}

/// Images of other shards than the one that is denied are done, and so are the others of that shard.
#[test]
fn the_rows_of_a_failed_shard_are_kept() {
    block_on(async {
        let place = Place::new(256).await;
        let few = Few { inner: place.source.clone(), left: AtomicUsize::new(200), then_denied: true };
        let worker = place.worker(Arc::new(few));
        let taggers = || Ok(LengthTagger::threads(1, 1));
        let error = place.process(&worker, &taggers, &Stop::default()).await.unwrap_err();
        assert!(error.to_string().ends_with("no"), "{error}");
        let done = worker.progress.counts().done();
        assert!(done > 0);
        let (second, ended) = place.quiet().await;
        assert!(matches!(ended.unwrap(), LocalOutcome::Complete(counts) if counts.rows() == 256));
        let counts = second.progress.counts();
        assert_eq!((counts.before, counts.tagged + counts.failed), (done, 256 - done));
    });
}

#[test]
fn a_damaged_checkpoint_is_named_and_costs_only_work() {
    block_on(async {
        let (place, quiet) = (Place::new(100).await, Place::new(100).await);
        let (first, _) = place.stopped_after(60, (1, 1)).await;
        assert_eq!(first.progress.counts().done(), 60);
        let key =
            first.checkpoints().shards().await.unwrap().first().map(|id| first.keys.checkpoint(*id)).unwrap();
        let whole = place.output.get(&key, None, u64::MAX).await.unwrap().bytes;
        place.output.put(&key, whole.slice(..whole.len() / 2)).await.unwrap();
        let (second, ended) = place.quiet().await;
        assert!(matches!(ended.unwrap(), LocalOutcome::Complete(counts) if counts.rows() == 100));
        let counts = second.progress.counts();
        assert_eq!(
            (counts.before, counts.tagged + counts.failed),
            (0, 100),
            "tagged again, and not counted before"
        );
        let troubles = second.progress.troubles();
        let times = &troubles[&Trouble::CheckpointUnread];
        assert!(times.count == 1 && times.last.starts_with(&key), "{times:?}");
        let (worker, _) = quiet.quiet().await;
        assert_eq!(place.rows(&second).await, quiet.rows(&worker).await);
    });
}

/// A bucket without room: nothing is written, what is there is there.
struct FullBucket(Arc<MemoryBucket>);

impl FullBucket {
    fn full(&self, key: &str) -> BucketError {
        let (bucket, detail) = (self.name().to_owned(), "the disk is full".to_owned());
        BucketError { kind: Kind::Full, bucket, key: key.to_owned(), detail }
    }
}

#[async_trait]
impl Bucket for FullBucket {
    fn name(&self) -> &str {
        "full"
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        self.0.list_as_stored(range)
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        self.0.get(key, if_match, limit).await
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        self.0.get_range(key, if_match, range).await
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        self.0.exists(key).await
    }

    async fn put_if_absent(&self, key: &str, _bytes: Bytes) -> Result<Put, BucketError> {
        if self.0.exists(key).await? { Ok(Put::AlreadyThere) } else { Err(self.full(key)) }
    }

    async fn put(&self, key: &str, _bytes: Bytes) -> Result<(), BucketError> {
        Err(self.full(key))
    }
}

#[test]
fn a_second_start_on_a_full_disk_counts_what_is_done_and_stops_at_its_first_part() {
    block_on(async {
        let place = Place::new(600).await;
        let (first, _) = place.stopped_after(300, (1, 1)).await;
        assert_eq!(first.progress.counts().done(), 300);
        let full = Arc::new(FullBucket(place.output.clone()));
        let worker = Worker { output: full, ..place.worker(place.source.clone()) };
        let taggers = || Ok(LengthTagger::threads(1, 1));
        let error = place.process(&worker, &taggers, &Stop::default()).await.unwrap_err();
        assert!(error.is_disk_full(), "{error}");
        let counts = worker.progress.counts();
        assert_eq!((counts.total, counts.before, counts.done()), (600, 300, 300), "and no more is kept");
        assert_eq!(worker.progress.shard_failures().count, 1, "no other shard is tried");
        let (last, ended) = place.quiet().await;
        assert!(matches!(ended.unwrap(), LocalOutcome::Complete(_)));
        assert_eq!(last.progress.counts().before, 300);
    });
}
