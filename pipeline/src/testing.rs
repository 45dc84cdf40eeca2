//! Fixtures for the tests of several stages: a tagger without a model, and a bucket that fails on request.
//!
//! [`faults`] injects faults that are drawn from a seed. None of this is part of a program.

pub mod denying_bucket;
pub mod faults;
pub mod faulty_bucket;
pub mod faulty_queue;
pub mod rows;
pub mod source;
pub mod stored_run;
pub mod unsorted_bucket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arrow_array::cast::AsArray;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use crate::bucket::{Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Kind, Object, Put};
use crate::infer::Worker;
use crate::progress::Progress;
use crate::queue::MemoryQueue;
use crate::run::{
    DECODER_VERSION, EngineRecord, Input, ModelRecord, REQUEST_VERSION, RunId, RunKeys, RunRequest,
    TagOptions,
};
use crate::tagger::{Tagger, TaggerError};
use crate::tags::{Failure, Outcome, Reason, Tag, Tagged, parquet};

/// A worker of run `run` on two buckets and a queue in memory, which waits for nothing and makes no request
/// again.
#[must_use]
#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "the id is one")]
pub fn worker(source: Arc<dyn Bucket>, output: Arc<dyn Bucket>, visibility: Duration) -> Worker {
    let run = RunId::try_from("run".to_owned()).expect("an id");
    Worker {
        source,
        output,
        queue: Arc::new(MemoryQueue::new(visibility, 20)),
        keys: RunKeys::new("", &run),
        run,
        model: request().model.id(),
        vector: None,
        max_image_bytes: 1000,
        receive_wait: Duration::ZERO,
        retry_delay: Duration::ZERO,
        retry_time: Duration::ZERO,
        progress: Arc::new(Progress::default()),
    }
}

/// Tags an image with its own length; bytes that start with `bad` are corrupt, with `broken` break the
/// engine.
#[derive(Clone, Copy, Debug)]
pub struct LengthTagger {
    /// Images per call.
    pub batch_size: usize,
}

impl LengthTagger {
    /// One of these per thread.
    #[must_use]
    pub fn threads(count: usize, batch_size: usize) -> Vec<Box<dyn Tagger>> {
        (0..count).map(|_| Box::new(Self { batch_size }) as Box<dyn Tagger>).collect()
    }
}

/// The same without a thread: it runs among the worker's other tasks, so that the clock may be paused. It
/// breaks after this many images.
#[derive(Clone, Copy, Debug)]
pub struct TaskTagger {
    /// Images per call.
    pub batch_size: usize,
    /// Images until the engine breaks.
    pub lasts: usize,
}

impl Tagger for TaskTagger {
    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn needs_thread(&self) -> bool {
        false
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        let left = self.lasts.checked_sub(images.len());
        self.lasts = left.ok_or_else(|| TaggerError("the engine broke".to_owned()))?;
        LengthTagger { batch_size: self.batch_size }.tag(images)
    }
}

impl Tagger for LengthTagger {
    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        images.iter().map(|image| tag(image)).collect()
    }
}

fn tag(image: &[u8]) -> Result<Outcome, TaggerError> {
    if image.starts_with(b"broken") {
        return Err(TaggerError("the engine broke".to_owned()));
    }
    if image.starts_with(b"bad") {
        return Ok(Outcome::Failed(Failure::new(Reason::Corrupt, "bad on purpose")));
    }
    let index = u32::try_from(image.len()).unwrap_or(u32::MAX);
    let tags = vec![Tag { label: format!("length {index}"), index, score: 0.5 }];
    Ok(Outcome::Tagged(Tagged {
        width: index,
        height: 1,
        tags,
        vector: None,
        second_decoder: image.ends_with(b"2"),
    }))
}

/// Key and error code of every row of a stored table.
///
/// # Panics
/// If it is not a table.
#[must_use]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub fn keys_and_codes(table: Bytes) -> Vec<(String, Option<String>)> {
    let mut rows = Vec::new();
    for batch in parquet::open(table).expect("a table").batches {
        let batch = batch.expect("rows");
        let column = |name: &str| batch.column_by_name(name).expect("a column").as_string::<i32>();
        let codes = column("error_code").iter().map(|code| code.map(str::to_owned));
        let keys = column("key").iter().map(|key| key.unwrap_or_default().to_owned());
        rows.extend(keys.zip(codes));
    }
    rows
}

/// A request that [`LengthTagger`] could answer.
#[must_use]
pub fn request() -> RunRequest {
    RunRequest {
        version: REQUEST_VERSION,
        input: Input {
            location: "memory".to_owned(),
            prefixes: vec![],
            keys_sha256: None,
            manifest: None,
            include: vec![],
            exclude: vec![],
            all_files: false,
        },
        model: ModelRecord {
            name: "length".to_owned(),
            sha256: "00".repeat(32),
            location: None,
            multi_label: false,
            warning: None,
            spec: serde_json::Value::Null,
        },
        engine: EngineRecord {
            name: "none".to_owned(),
            version: "1".to_owned(),
            precision: "fp32".to_owned(),
            instructions: None,
            device: None,
        },
        tags: TagOptions::new(1, 0.0),
        vector: None,
        max_image_bytes: 1000,
        decoder: DECODER_VERSION,
        since: None,
    }
}

/// A bucket whose calls fail while their number, counted from 0, is in a range. Every other failing put has
/// written anyway, as happens over a network.
pub struct FailingBucket {
    inner: Arc<dyn Bucket>,
    kind: Kind,
    calls: AtomicU64,
    fails: std::ops::Range<u64>,
}

impl FailingBucket {
    /// Wraps `inner`; calls whose number is in `fails` fail with `kind`.
    #[must_use]
    pub fn new(inner: Arc<dyn Bucket>, kind: Kind, fails: std::ops::Range<u64>) -> Self {
        Self { inner, kind, calls: AtomicU64::new(0), fails }
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    fn call(&self, key: &str) -> Result<(), BucketError> {
        if !self.fails.contains(&self.calls.fetch_add(1, Relaxed)) {
            return Ok(());
        }
        let detail = "on purpose".to_owned();
        Err(BucketError { kind: self.kind, bucket: "failing".to_owned(), key: key.to_owned(), detail })
    }
}

impl FailingBucket {
    /// An error if nothing is written; else the answer after the write.
    fn call_to_write(&self, key: &str) -> Result<Result<(), BucketError>, BucketError> {
        let call = self.call(key);
        if self.calls().is_multiple_of(2) { call.map(Ok) } else { Ok(call) }
    }
}

#[async_trait]
impl Bucket for FailingBucket {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        match self.call(&range.prefix) {
            Ok(()) => self.inner.list_as_stored(range),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        self.call(key)?;
        self.inner.get(key, if_match, limit).await
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        self.call(key)?;
        self.inner.get_range(key, if_match, range).await
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        self.call(key)?;
        self.inner.exists(key).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<Put, BucketError> {
        let call = self.call_to_write(key)?;
        let written = self.inner.put_if_absent(key, bytes).await?;
        call.map(|()| written)
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        let call = self.call_to_write(key)?;
        self.inner.put(key, bytes).await?;
        call
    }
}
