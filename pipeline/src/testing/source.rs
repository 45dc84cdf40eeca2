//! A source for tests: it is listed, and its images are read whole. Any other call fails the test, because no
//! stage makes it.
//!
//! It never leaves a test.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::bucket::{Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Object, Put};

/// A read-only bucket with its own way of reading an image.
#[async_trait]
pub trait TestSource: Send + Sync {
    /// What is listed.
    fn inner(&self) -> &dyn Bucket;

    /// See [`Bucket::name`].
    fn name(&self) -> &str {
        self.inner().name()
    }

    /// See [`Bucket::list_as_stored`].
    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        self.inner().list_as_stored(range)
    }

    /// See [`Bucket::get`].
    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError>;
}

#[async_trait]
impl<T: TestSource> Bucket for T {
    fn name(&self) -> &str {
        TestSource::name(self)
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        TestSource::list_as_stored(self, range)
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        TestSource::get(self, key, if_match, limit).await
    }

    async fn get_range(
        &self,
        _key: &str,
        _if_match: Option<&str>,
        _range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        panic!("images are read whole")
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        self.inner().exists(key).await
    }

    async fn put_if_absent(&self, _key: &str, _bytes: Bytes) -> Result<Put, BucketError> {
        panic!("nothing is written to the source")
    }

    async fn put(&self, _key: &str, _bytes: Bytes) -> Result<(), BucketError> {
        panic!("nothing is written to the source")
    }
}
