//! A store that lists in an order of its own, as S3's directory buckets do, and some that are compatible with
//! S3.
//!
//! It can start only at the first key, repeats the border of its pages, and ignores the end of a range. It
//! never leaves a test.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::bucket::{Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Object, Put};

/// A bucket whose listings are in no order.
#[derive(Clone)]
pub struct UnsortedBucket {
    inner: Arc<dyn Bucket>,
    page: usize,
    order: Order,
}

#[derive(Clone, Copy)]
enum Order {
    Hashed,
    /// In order, but for the first key, which comes last.
    FirstLast,
}

impl UnsortedBucket {
    /// The objects of `inner` in the order of a hash, in pages of this many.
    #[must_use]
    pub fn new(inner: Arc<dyn Bucket>, page: usize) -> Self {
        Self { inner, page, order: Order::Hashed }
    }

    /// The objects of `inner` in key order, but for the first one, which is listed last.
    #[must_use]
    pub fn late(inner: Arc<dyn Bucket>) -> Self {
        Self { inner, page: 1000, order: Order::FirstLast }
    }

    async fn pages(self, prefix: String) -> Result<Vec<Vec<Object>>, BucketError> {
        let listed: Vec<Vec<Object>> = self.inner.list(&KeyRange::prefix(&prefix)).try_collect().await?;
        let mut objects = listed.concat();
        match self.order {
            Order::Hashed => objects.sort_by_key(|object| hash(&object.key)),
            Order::FirstLast if !objects.is_empty() => objects.rotate_left(1),
            Order::FirstLast => {}
        }
        let borders = (0..objects.len()).step_by(self.page);
        let page =
            |start: usize| objects[start.saturating_sub(1)..objects.len().min(start + self.page)].to_vec();
        Ok(borders.map(page).collect())
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[async_trait]
impl Bucket for UnsortedBucket {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        let pages = self.clone().pages(range.prefix.clone());
        stream::once(pages).map_ok(|pages| stream::iter(pages.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        self.inner.get(key, if_match, limit).await
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
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

    /// 1,123 keys at most: few enough to be sorted.
    #[tokio::test]
    async fn an_unsorted_bucket_keeps_the_contract() {
        contract::holds(&UnsortedBucket::new(Arc::new(MemoryBucket::default()), 100)).await;
    }
}
