//! The port to object storage: what the stages need of S3, and nothing more.
//!
//! It is ours because keys are opaque in tagfleet: `a//b.jpg`, `/a.jpg` and control characters must come back
//! unchanged. Store libraries that normalise paths do not promise that. It never interprets a key and never
//! retries: an adapter retries if its service recommends it. [`contract`] holds what every adapter must do.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod dir;
#[cfg(any(test, feature = "contract"))]
pub mod memory;
pub mod order;
pub mod parquet;

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use dir::DirBucket;

/// Whether a listed object can be read at all; known from the listing, so no request is spent on finding out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// It can be read. Earlier versions distinguished files whose names are not UTF-8.
    #[default]
    #[serde(alias = "name_not_utf8")]
    Readable,
    /// It is in an archive storage class and must be restored first.
    Archived,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The key, verbatim.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// The entity tag, without quotes. A directory's is made of size and modification time.
    pub etag: String,
    /// Whether it can be read.
    pub access: Access,
}

/// A part of the key space: keys that start with `prefix`, are greater than `after` and at most `up_to`.
///
/// Half-open at its start, because that is how S3's `start-after` works; adjacent ranges share a bound and no
/// key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    /// Every key of the range starts with this; empty for all.
    pub prefix: String,
    /// Exclusive lower bound in UTF-8 byte order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Inclusive upper bound in UTF-8 byte order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<String>,
}

impl KeyRange {
    /// All keys that start with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..Self::default() }
    }

    /// The keys of this range that start with `prefix` as well; `None` if there can be none.
    #[must_use]
    pub fn within(&self, prefix: &str) -> Option<Self> {
        let longer = if prefix.len() >= self.prefix.len() { prefix } else { &self.prefix };
        let is_passed = |after: &String| after.as_str() > longer && !after.starts_with(longer);
        let is_possible = longer.starts_with(prefix)
            && longer.starts_with(&self.prefix)
            && !self.after.as_ref().is_some_and(is_passed)
            && self.up_to.as_ref().is_none_or(|up_to| up_to.as_str() >= longer);
        is_possible.then(|| Self { prefix: longer.to_owned(), ..self.clone() })
    }

    /// True if `key` belongs to this range.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        key.starts_with(&self.prefix)
            && self.after.as_deref().is_none_or(|after| key > after)
            && self.up_to.as_deref().is_none_or(|up_to| key <= up_to)
    }
}

/// The bytes of an object, with the etag they had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The whole object.
    pub bytes: Bytes,
    /// Its entity tag, without quotes.
    pub etag: String,
}

/// Some consecutive bytes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first offset up to the second, exclusive; an end behind the object's is the object's end.
    Between(Range<u64>),
    /// This many of the last bytes, or all if the object has fewer.
    Last(u64),
}

impl ByteRange {
    /// The offsets that the range has in an object of `size` bytes; `None` if it has no byte of it.
    #[must_use]
    pub fn within(&self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Between(range) => range.start..range.end.min(size),
            Self::Last(count) => size.saturating_sub(*count)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// Some bytes of an object, with the etag and the size that the object had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedRange {
    /// The bytes of the range that the object has; at least one.
    pub bytes: Bytes,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Bytes of the whole object.
    pub size: u64,
}

/// What became of a conditional put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// This call wrote the object.
    Created,
    /// The object was there already and is unchanged.
    AlreadyThere,
}

/// Object storage. One implementation is a directory, another is S3; both pass [`contract`].
#[async_trait]
pub trait Bucket: Send + Sync {
    /// The name people know this bucket by: `s3://photos`, `./photos`.
    fn name(&self) -> &str;

    /// The objects of `range` in UTF-8 byte order of their keys, each once, in pages of at most 1,000. Every
    /// listing goes through [`order`], whatever the store does.
    ///
    /// # Errors
    /// The stream ends with the first error; what it gave until then is valid.
    fn list(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>> {
        order::in_key_order(self.name(), range, self.list_as_stored(range))
    }

    /// What the store lists for `range`, in its own order and pages: all objects of the range, and possibly
    /// others. Only [`Bucket::list`] holds it to an order.
    ///
    /// # Errors
    /// The stream ends with the first error.
    fn list_as_stored(&self, range: &KeyRange) -> BoxStream<'static, Result<Vec<Object>, BucketError>>;

    /// The whole object, if it has at most `limit` bytes; no more than that is ever held in memory.
    ///
    /// # Errors
    /// [`Kind::Changed`] if `if_match` is given and is not its etag; [`Kind::TooLarge`]; see [`Kind`].
    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError>;

    /// Some bytes of the object, in one request; no more than `range` has is ever held in memory.
    ///
    /// # Errors
    /// [`Kind::Changed`] if `if_match` is given and is not its etag; [`Kind::OutOfRange`] if the object has
    /// no byte of the range, as an empty one never has; see [`Kind`].
    async fn get_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: ByteRange,
    ) -> Result<FetchedRange, BucketError>;

    /// Whether there is an object under this key.
    ///
    /// # Errors
    /// See [`Kind`]; a missing object is none.
    async fn exists(&self, key: &str) -> Result<bool, BucketError>;

    /// Writes the object only if it does not exist: of any number of calls at once, exactly one gets
    /// [`Put::Created`]. A reader sees the whole object or none.
    ///
    /// # Errors
    /// See [`Kind`].
    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<Put, BucketError>;

    /// Writes the object, replacing one that is there. A reader sees the old one or the new one.
    ///
    /// # Errors
    /// See [`Kind`].
    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError>;
}

/// What went wrong, as far as a caller acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The object does not exist.
    Missing,
    /// The object's etag is another than the one asked for.
    Changed,
    /// The object is archived.
    Archived,
    /// The object has more bytes than the limit.
    TooLarge,
    /// The object has no byte of the range.
    OutOfRange,
    /// Access is denied to this object, or to everything. Expired or invalid credentials are [`Kind::Other`],
    /// because no object is to blame for them.
    Denied,
    /// Throttling, a server error, a timeout, a broken connection: another try may work.
    Temporary,
    /// The store has no room for the object: a full disk, a used-up quota. Nothing else can be written
    /// either.
    Full,
    /// Anything else: an invalid name, a bug.
    Other,
}

/// An error of a bucket, naming bucket and key.
#[derive(Clone, Debug, Error)]
#[error("{bucket}: {}{detail}", named(.key))]
pub struct BucketError {
    /// What kind it is.
    pub kind: Kind,
    /// The bucket's name.
    pub bucket: String,
    /// The key, or the prefix of a listing.
    pub key: String,
    /// One line for a person.
    pub detail: String,
}

/// `"a.jpg": `; nothing for a bucket as a whole.
fn named(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key:?}: ") }
}
