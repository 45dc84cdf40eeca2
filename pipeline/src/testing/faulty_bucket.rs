//! A bucket as one process meets it: calls take time, fail, or are done and their answers lost.
//!
//! Calls are passed on unchanged. Without a storm it keeps the contract. It is only for tests.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::faults::{Fault, Process};
use crate::bucket::{Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Kind, Object, Put};

/// Any bucket, with the faults of a process.
#[derive(Clone)]
pub struct FaultyBucket {
    inner: Arc<dyn Bucket>,
    process: Arc<Process>,
}

impl FaultyBucket {
    /// `inner` as `process` meets it.
    #[must_use]
    pub fn new(inner: Arc<dyn Bucket>, process: Arc<Process>) -> Self {
        Self { inner, process }
    }

    fn error(&self, kind: Kind, key: &str, detail: &str) -> BucketError {
        let bucket = self.inner.name().to_owned();
        BucketError { kind, bucket, key: key.to_owned(), detail: detail.to_owned() }
    }

    async fn call<T>(
        &self,
        (operation, key): (&'static str, &str),
        answer: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let (call, fault) = self.process.begin(operation, key).await;
        let answer = match fault {
            Fault::None => answer.await,
            Fault::Refused(why) => Err(self.error(Kind::Temporary, key, why)),
            Fault::DiskFull => Err(self.error(Kind::Full, key, "no space left on device")),
            Fault::Lost(why) => {
                // Its result is lost.
                let _ = answer.await;
                Err(self.error(Kind::Temporary, key, why))
            }
        };
        self.process.end(call).await;
        answer
    }

    /// One page, and the start of the next one; pages are short, so that much can happen between them.
    async fn page(self, rest: KeyRange) -> Result<Option<(Vec<Object>, KeyRange)>, BucketError> {
        let mut pages = self.inner.list(&rest);
        let mut page = self.call(("list", &rest.prefix), pages.try_next()).await?.unwrap_or_default();
        if self.is_stormy() {
            page.truncate(1 + self.process.random("page", &rest.prefix).below(60) as usize);
        }
        let Some(last) = page.last() else { return Ok(None) };
        let rest = KeyRange { after: Some(last.key.clone()), ..rest };
        Ok(Some((page, rest)))
    }

    fn is_stormy(&self) -> bool {
        !self.process.storm().is_over()
    }
}

#[async_trait]
impl Bucket for FaultyBucket {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        let bucket = self.clone();
        stream::try_unfold(range.clone(), move |rest| bucket.clone().page(rest)).boxed()
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        self.call(("get", key), self.inner.get(key, if_match, limit)).await
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        self.call(("get", key), self.inner.get_range(key, if_match, range)).await
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        self.call(("exists", key), self.inner.exists(key)).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<Put, BucketError> {
        self.call(("put_if_absent", key), self.inner.put_if_absent(key, bytes)).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        self.call(("put", key), self.inner.put(key, bytes)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::contract;
    use crate::bucket::memory::MemoryBucket;

    #[tokio::test(start_paused = true)]
    async fn without_a_storm_it_keeps_the_contract() {
        let process = Arc::new(Process::undisturbed());
        contract::holds(&FaultyBucket::new(Arc::new(MemoryBucket::default()), process)).await;
    }
}
