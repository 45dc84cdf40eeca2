//! A bucket in which some objects are denied until they are permitted.
//!
//! It never leaves a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::bucket::{Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Kind, Object, Put};

/// Any bucket, some objects of which are denied.
pub struct DenyingBucket {
    inner: Arc<dyn Bucket>,
    is_denied: Box<dyn Fn(&str) -> bool + Send + Sync>,
    is_permitted: AtomicBool,
    denials: AtomicU64,
}

impl DenyingBucket {
    /// Denies the objects of `inner` whose key satisfies `is_denied`.
    #[must_use]
    pub fn new(inner: Arc<dyn Bucket>, is_denied: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self {
            inner,
            is_denied: Box::new(is_denied),
            is_permitted: AtomicBool::new(false),
            denials: AtomicU64::new(0),
        }
    }

    /// From now on every object may be read.
    pub fn permit(&self) {
        self.is_permitted.store(true, Relaxed);
    }

    /// Reads that were denied so far.
    #[must_use]
    pub fn denials(&self) -> u64 {
        self.denials.load(Relaxed)
    }

    fn permits(&self, key: &str) -> Result<(), BucketError> {
        if self.is_permitted.load(Relaxed) || !(self.is_denied)(key) {
            return Ok(());
        }
        self.denials.fetch_add(1, Relaxed);
        let (bucket, detail) = (self.inner.name().to_owned(), "AccessDenied: Access Denied".to_owned());
        Err(BucketError { kind: Kind::Denied, bucket, key: key.to_owned(), detail })
    }
}

#[async_trait]
impl Bucket for DenyingBucket {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        self.inner.list_as_stored(range)
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        self.permits(key)?;
        self.inner.get(key, if_match, limit).await
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        self.permits(key)?;
        self.inner.get_range(key, if_match, range).await
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        self.inner.exists(key).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<Put, BucketError> {
        self.inner.put_if_absent(key, bytes).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        self.inner.put(key, bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::contract;
    use crate::bucket::memory::MemoryBucket;

    #[tokio::test]
    async fn it_keeps_the_contract() {
        let bucket = DenyingBucket::new(Arc::new(MemoryBucket::default()), |key| key == "denied.jpg");
        contract::holds(&bucket).await;
        for key in ["denied.jpg", "readable.jpg"] {
            bucket.put(key, Bytes::from_static(b"picture")).await.unwrap();
        }
        contract::denies(&bucket, "denied.jpg", "readable.jpg").await;
    }
}
