//! A stack's bucket of a run of very many shards: it holds the records of the run, and makes up shards and
//! parts.
//!
//! It exists so that a step's memory can be measured without that of a bucket in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::bucket::{
    Access, Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Object, Put,
};
use tagfleet_pipeline::queue::{Message, Messages, Queue, QueueError};
use tagfleet_pipeline::run::RunKeys;
use tagfleet_pipeline::shard::ShardId;

/// Objects of one page of S3.
const PAGE: u64 = 1000;

/// A bucket in which every shard has the same part, once it is done.
pub(crate) struct SyntheticRun {
    records: MemoryBucket,
    keys: RunKeys,
    part: Bytes,
    /// The number of shards of a range.
    shards: Mutex<BTreeMap<u32, u32>>,
    /// This many of a thousand shards have their part.
    done: AtomicU64,
}

impl SyntheticRun {
    pub(crate) fn new(records: MemoryBucket, keys: RunKeys, part: Bytes) -> Self {
        Self { records, keys, part, shards: Mutex::default(), done: AtomicU64::new(0) }
    }

    pub(crate) fn have_done(&self, of_a_thousand: u64) {
        self.done.store(of_a_thousand, Relaxed);
    }

    fn is_done(&self, shard: ShardId) -> bool {
        u64::from(shard.number) * 7 % 1000 < self.done.load(Relaxed)
    }

    /// A page of the shards that satisfy `is_listed`, from the one at `place`, and the start of the next
    /// page.
    fn page(
        &self,
        synthetic_bucket: Listed,
        range: &KeyRange,
        mut place: Place,
    ) -> (Vec<Object>, Option<Place>) {
        let shards = self.shards.lock().unwrap();
        let mut page = Vec::new();
        while let Some(count) = shards.get(&place.0) {
            while place.1 < *count {
                let shard = ShardId { range: place.0, number: place.1 };
                let key = synthetic_bucket.key(&self.keys, shard);
                if range.up_to.as_ref().is_some_and(|up_to| key > *up_to) {
                    return (page, None);
                }
                place.1 += 1;
                if range.contains(&key) && (synthetic_bucket == Listed::Shards || self.is_done(shard)) {
                    let size = self.part.len() as u64;
                    page.push(Object { key, size, etag: "v0".to_owned(), access: Access::Readable });
                }
                if page.len() as u64 == PAGE {
                    return (page, Some(place));
                }
            }
            place = (place.0 + 1, 0);
        }
        (page, None)
    }

    /// What is listed of `prefix`, and the first shard that may be in the range: the one before the first
    /// that is behind.
    fn begin(&self, range: &KeyRange) -> Option<(Listed, Place)> {
        let synthetic_bucket = [Listed::Shards, Listed::Parts]
            .into_iter()
            .find(|synthetic_bucket| range.prefix.starts_with(&synthetic_bucket.prefix(&self.keys)))?;
        let shards = self.shards.lock().unwrap();
        let after = range.after.clone().unwrap_or_else(|| range.prefix.clone());
        let is_before = |place: Place| {
            synthetic_bucket.key(&self.keys, ShardId { range: place.0, number: place.1 }) <= after
        };
        let first = shards.keys().copied().rfind(|number| is_before((*number, 0))).unwrap_or(0);
        let (mut low, mut high) = (0, shards.get(&first).copied().unwrap_or(0));
        while low < high {
            let middle = low.midpoint(high);
            if is_before((first, middle)) { low = middle + 1 } else { high = middle }
        }
        Some((synthetic_bucket, (first, low)))
    }
}

/// Range and number of a shard.
type Place = (u32, u32);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Shards,
    Parts,
}

impl Listed {
    fn prefix(self, keys: &RunKeys) -> String {
        match self {
            Self::Shards => keys.shards(),
            Self::Parts => keys.parts(),
        }
    }

    fn key(self, keys: &RunKeys, shard: ShardId) -> String {
        match self {
            Self::Shards => keys.shard(shard),
            Self::Parts => keys.part(shard),
        }
    }
}

/// The run, in whichever bucket.
#[derive(Clone)]
pub(crate) struct Shared(pub(crate) Arc<SyntheticRun>);

#[async_trait]
impl Bucket for Shared {
    fn name(&self) -> &'static str {
        "made-up"
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        let Some((synthetic_bucket, begin)) = self.0.begin(range) else {
            return self.0.records.list_as_stored(range);
        };
        let (run, range) = (self.0.clone(), range.clone());
        let next = move |place: Option<Place>| {
            let found = place.map(|place| run.page(synthetic_bucket, &range, place));
            async move { found.filter(|(page, _)| !page.is_empty()).map(|(page, next)| (Ok(page), next)) }
        };
        stream::unfold(Some(begin), next).boxed()
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        match self.0.keys.shard_of(key) {
            Some(shard) if key == self.0.keys.part(shard) => {
                Ok(Fetched { bytes: self.0.part.clone(), etag: "v0".to_owned() })
            }
            _ => self.0.records.get(key, if_match, limit).await,
        }
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        self.0.records.get_range(key, if_match, range).await
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        self.0.records.exists(key).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<Put, BucketError> {
        let Some(shard) = self.0.keys.shard_of(key) else {
            let is_result = key.starts_with(&self.0.keys.results());
            let bytes = if is_result { Bytes::new() } else { bytes };
            return self.0.records.put_if_absent(key, bytes).await;
        };
        let mut shards = self.0.shards.lock().unwrap();
        let count = shards.entry(shard.range).or_default();
        *count = (*count).max(shard.number + 1);
        Ok(Put::Created)
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        self.0.records.put(key, bytes).await
    }
}

/// A queue that only counts.
#[derive(Default)]
pub(crate) struct Counting(AtomicU64);

impl Counting {
    /// Workers have taken all of them.
    pub(crate) fn empty(&self) {
        self.0.store(0, Relaxed);
    }
}

#[async_trait]
impl Queue for Counting {
    fn visibility_timeout(&self) -> Duration {
        Duration::from_secs(300)
    }

    async fn send(&self, bodies: &[String]) -> Result<(), QueueError> {
        self.0.fetch_add(bodies.len() as u64, Relaxed);
        Ok(())
    }

    async fn messages(&self) -> Result<Messages, QueueError> {
        Ok(Messages { visible: self.0.load(Relaxed), in_hand: 0 })
    }

    async fn receive(&self, _: Duration) -> Result<Option<Message>, QueueError> {
        Ok(None)
    }

    async fn change_visibility(&self, _: &str, _: Duration) -> Result<(), QueueError> {
        Ok(())
    }

    async fn delete(&self, _: &str) -> Result<(), QueueError> {
        Ok(())
    }
}
