//! What a worker does about shards that hang and about messages that come while it ends, on tokio's clock.
//!
//! No image reaches a core here: each is missing, which is a row as well, so that no thread but the test's
//! own runs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::*;
use crate::bucket::memory::MemoryBucket;
use crate::bucket::{ByteRange, Fetched, FetchedRange, KeyRange, Kind, Object, Put};
use crate::filter::Filter;
use crate::split::{RangeTask, Source, split_range};
use crate::testing;

pub(super) const VISIBILITY: Duration = Duration::from_secs(60);
pub(super) const IMAGES: usize = 40;
const SHARD_IMAGES: usize = 20;

/// A bucket in which the first call for one key is never answered, and answers for others take a while.
#[derive(Default)]
pub(super) struct SlowBucket {
    inner: MemoryBucket,
    hangs: String,
    /// Seconds that a key's answer takes.
    seconds: BTreeMap<String, u64>,
    calls: Mutex<Vec<String>>,
    hung: Notify,
}

impl SlowBucket {
    async fn call(&self, key: &str) {
        let is_first = self.count(key) == 0;
        self.calls.lock().unwrap().push(key.to_owned());
        if is_first && key == self.hangs {
            self.hung.notify_one();
            std::future::pending::<()>().await;
        }
        let seconds = self.seconds.get(key).copied().unwrap_or(0);
        let _ = timeout(Duration::from_secs(seconds), std::future::pending::<()>()).await;
    }

    fn count(&self, key: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|called| *called == key).count()
    }
}

#[async_trait]
impl Bucket for SlowBucket {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        self.inner.list_as_stored(range)
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        self.call(key).await;
        self.inner.get(key, if_match, limit).await
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        self.call(key).await;
        self.inner.get_range(key, if_match, range).await
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        self.call(key).await;
        self.inner.exists(key).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<Put, BucketError> {
        self.inner.put_if_absent(key, bytes).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        self.inner.put(key, bytes).await
    }
}

pub(super) fn key(image: usize) -> String {
    format!("{image:02}.jpg")
}

pub(super) fn shard(number: u32) -> ShardId {
    ShardId { range: 0, number }
}

/// A worker on two shards whose images are gone since they were listed.
pub(super) async fn worker(source: Arc<SlowBucket>, output: Arc<dyn Bucket>) -> Worker {
    let worker = Worker { retry_time: RETRY_TIME, ..testing::worker(source.clone(), output, VISIBILITY) };
    let listed = MemoryBucket::default();
    for image in 0..IMAGES {
        listed.put(&key(image), Bytes::from_static(b"picture")).await.unwrap();
    }
    let listed = Source::Listed(Arc::new(listed), Filter::default());
    let task = RangeTask {
        number: 0,
        range: &KeyRange::default(),
        run: &worker.run,
        output: worker.output.as_ref(),
        keys: &worker.keys,
        queue: worker.queue.as_ref(),
    };
    split_range(&listed, task, SHARD_IMAGES, &CancellationToken::new()).await.unwrap();
    worker
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_hangs_goes_back_while_another_is_kept_beyond_the_timeout() {
    let seconds = (SHARD_IMAGES..IMAGES).map(|image| (key(image), (image - SHARD_IMAGES) as u64 * 15));
    let source = Arc::new(SlowBucket { hangs: key(0), seconds: seconds.collect(), ..SlowBucket::default() });
    let worker = worker(source.clone(), Arc::new(MemoryBucket::default())).await;
    assert_eq!(infer(worker.clone(), vec![], &Stop::default()).await.unwrap(), WorkerExit::Idle);
    for number in 0..2 {
        assert!(worker.output.exists(&worker.keys.part(shard(number))).await.unwrap());
    }
    assert_eq!(source.count(&key(0)), 2, "the shard that hung came again");
    let last = SHARD_IMAGES..IMAGES;
    assert!(last.clone().all(|image| source.count(&key(image)) == 1), "the slow one, of 285 s, did not");
    let failures = worker.progress.shard_failures();
    assert_eq!(failures.count, 1);
    let why = failures.last.unwrap();
    assert!(why.contains("00000-0000000") && why.ends_with("something hangs"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_gives_up_if_every_shard_hangs() {
    let source = Arc::new(SlowBucket {
        seconds: (0..IMAGES).map(|image| (key(image), 1_000_000)).collect(),
        ..SlowBucket::default()
    });
    let worker = worker(source, Arc::new(MemoryBucket::default())).await;
    let error = infer(worker.clone(), vec![], &Stop::default()).await.unwrap_err();
    assert!(error.to_string().ends_with("something hangs"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_before_reading_a_shard_returns_its_message() {
    let id = RunId::try_from("run".to_owned()).unwrap();
    let output =
        Arc::new(SlowBucket { hangs: RunKeys::new("", &id).part(shard(0)), ..SlowBucket::default() });
    let worker = worker(Arc::new(SlowBucket::default()), output.clone()).await;
    let stop = Stop::default();
    let stopping = async {
        output.hung.notified().await;
        stop.now.cancel();
    };
    let (end, ()) = tokio::join!(infer(worker.clone(), vec![], &stop), stopping);
    assert_eq!(end.unwrap(), WorkerExit::Stopped);
    let mut visible = 0;
    while worker.queue.receive(Duration::ZERO).await.unwrap().is_some() {
        visible += 1;
    }
    let done = worker.output.exists(&worker.keys.part(shard(1))).await.unwrap();
    assert_eq!(visible, 2 - usize::from(done));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_arrives_while_draining_is_returned_at_once() {
    let worker = worker(Arc::new(SlowBucket::default()), Arc::new(MemoryBucket::default())).await;
    let worker = Worker { receive_wait: Duration::from_secs(20), ..worker };
    assert_eq!(infer(worker.clone(), vec![], &Stop::default()).await.unwrap(), WorkerExit::Idle);
    let stop = Stop::default();
    let sending = async {
        // The worker waits for a message by now.
        let _ = timeout(Duration::from_secs(5), std::future::pending::<()>()).await;
        stop.drain.cancel();
        crate::split::send_shards(worker.queue.as_ref(), &worker.run, &[shard(0)]).await.unwrap();
    };
    let (end, ()) = tokio::join!(infer(worker.clone(), vec![], &stop), sending);
    assert_eq!(end.unwrap(), WorkerExit::Stopped);
    assert_eq!(worker.queue.receive(Duration::ZERO).await.unwrap().unwrap().receive_count, 2);
}

/// Denials of one shard alone: it comes again within the wait for a message, so that the worker finds out.
#[tokio::test(start_paused = true)]
async fn a_single_denied_shard_is_retried_until_no_other_shard_arrives() {
    let worker = worker(Arc::new(SlowBucket::default()), Arc::new(MemoryBucket::default())).await;
    let (receive_wait, retry_delay) = (Duration::from_secs(20), Duration::from_secs(10));
    let denying = crate::testing::FailingBucket::new(worker.source.clone(), Kind::Denied, 0..u64::MAX);
    worker.output.put(&worker.keys.part(shard(1)), Bytes::from_static(b"done")).await.unwrap();
    let worker = Worker { source: Arc::new(denying), receive_wait, retry_delay, ..worker };
    let error = infer(worker, vec![], &Stop::default()).await.unwrap_err();
    assert!(error.to_string().starts_with("3 shards in a row could not be tagged"), "{error}");
}
