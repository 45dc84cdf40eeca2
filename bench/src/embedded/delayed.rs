//! A bucket with the latency of a network: every GET waits before it is answered, as many at once as are
//! asked for.
//!
//! Listings and writes go through at once: a run makes few of them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tagfleet_pipeline::bucket::{
    Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Object, Put,
};

/// Another bucket, further away.
pub(super) struct Delayed {
    inner: Arc<dyn Bucket>,
    latency: Duration,
}

impl Delayed {
    /// `inner`, with `latency` before each GET.
    pub(super) fn new(inner: Arc<dyn Bucket>, latency: Duration) -> Self {
        Self { inner, latency }
    }
}

#[async_trait]
impl Bucket for Delayed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        self.inner.list_as_stored(range)
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        tokio::time::sleep(self.latency).await;
        self.inner.get(key, if_match, limit).await
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        tokio::time::sleep(self.latency).await;
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
