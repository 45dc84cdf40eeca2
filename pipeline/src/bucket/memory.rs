//! A bucket in memory, for tests. It also holds what S3 can and a directory cannot: `a` next to `a/b`,
//! `a//b`, `/a`.
//!
//! It passes the same contract as the real ones. It never leaves a test.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::{Access, Bucket, BucketError, ByteRange, Fetched, FetchedRange, KeyRange, Kind, Object, Put};

/// Objects of one page of a listing.
const PAGE: usize = 1000;

/// The objects, each with its version.
#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<String, (Bytes, u64)>,
    /// The last version of each key. One that was deleted and written again has another.
    versions: BTreeMap<String, u64>,
}

/// A bucket that lives as long as its clones.
#[derive(Clone, Debug, Default)]
pub struct MemoryBucket {
    objects: Arc<Mutex<Objects>>,
}

impl MemoryBucket {
    /// Removes an object, as another process might.
    pub fn delete(&self, key: &str) {
        self.lock().by_key.remove(key);
    }

    /// The first objects of `range` as they are now, and what is behind them. A page is read when it is asked
    /// for, as in S3.
    fn page(&self, range: &KeyRange) -> (Vec<Object>, Option<KeyRange>) {
        let first = match &range.after {
            Some(after) if *after >= range.prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(range.prefix.as_str()),
        };
        let objects = self.lock();
        let inside = objects
            .by_key
            .range::<str, _>((first, Bound::Unbounded))
            .take_while(|(key, _)| range.contains(key))
            .take(PAGE);
        let object = |(key, (bytes, version)): (&String, &(Bytes, u64))| Object {
            key: key.clone(),
            size: bytes.len() as u64,
            etag: format!("v{version}"),
            access: Access::Readable,
        };
        let page: Vec<Object> = inside.map(object).collect();
        let after = page.last().map(|object| object.key.clone());
        (page, after.map(|after| KeyRange { after: Some(after), ..range.clone() }))
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, key: &str, if_match: Option<&str>) -> Result<Fetched, BucketError> {
        let objects = self.lock();
        let (bytes, version) = objects.by_key.get(key).ok_or_else(|| Self::fail(Kind::Missing, key))?;
        let etag = format!("v{version}");
        if if_match.is_some_and(|wanted| wanted != etag) {
            return Err(Self::fail(Kind::Changed, key));
        }
        Ok(Fetched { bytes: bytes.clone(), etag })
    }

    fn fail(kind: Kind, key: &str) -> BucketError {
        let detail = format!("{kind:?}").to_lowercase();
        BucketError { kind, bucket: "memory".to_owned(), key: key.to_owned(), detail }
    }
}

fn write(objects: &mut Objects, key: &str, bytes: Bytes) {
    let version = *objects.versions.entry(key.to_owned()).and_modify(|version| *version += 1).or_insert(0);
    objects.by_key.insert(key.to_owned(), (bytes, version));
}

#[async_trait]
impl Bucket for MemoryBucket {
    fn name(&self) -> &str {
        "memory"
    }

    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        let pages = (self.clone(), Some(range.clone()));
        let next = |(bucket, rest): (Self, Option<KeyRange>)| async move {
            let (page, rest) = bucket.page(&rest?);
            (!page.is_empty()).then_some((Ok(page), (bucket, rest)))
        };
        stream::unfold(pages, next).boxed()
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        let fetched = self.read(key, if_match)?;
        if fetched.bytes.len() as u64 > limit {
            return Err(Self::fail(Kind::TooLarge, key));
        }
        Ok(fetched)
    }

    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        let Fetched { bytes, etag } = self.read(key, if_match)?;
        let size = bytes.len() as u64;
        let range = range.within(size).ok_or_else(|| Self::fail(Kind::OutOfRange, key))?;
        // Within the object, which is in memory.
        let bytes = bytes.slice(range.start as usize..range.end as usize);
        Ok(FetchedRange { bytes, etag, size })
    }

    async fn exists(&self, key: &str) -> Result<bool, BucketError> {
        Ok(self.lock().by_key.contains_key(key))
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<Put, BucketError> {
        let mut objects = self.lock();
        if objects.by_key.contains_key(key) {
            return Ok(Put::AlreadyThere);
        }
        write(&mut objects, key, bytes);
        Ok(Put::Created)
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        write(&mut self.lock(), key, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::contract;

    #[tokio::test]
    async fn keeps_the_contract() {
        contract::holds(&MemoryBucket::default()).await;
    }

    #[tokio::test]
    async fn holds_what_a_directory_cannot() {
        let bucket = MemoryBucket::default();
        for key in ["a", "a/b", "a//b", "/a", "a/", "..", "\0"] {
            bucket.put(key, Bytes::from_static(b"x")).await.unwrap();
            assert!(bucket.exists(key).await.unwrap());
        }
    }
}
