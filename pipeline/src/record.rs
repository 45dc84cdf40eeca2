//! The records of a run and a stack, as JSON, and the shards: read, created once, or replaced.
//!
//! One module, so that a missing record, an unreadable one and a failing bucket are the same three answers
//! everywhere. It knows no record's type and no key.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::bucket::{Bucket, BucketError, Kind, Put};
use crate::run::RunKeys;
use crate::run::remedy::remedy;
use crate::shard::{Shard, ShardError, ShardId};

/// The largest record or shard that is read: 64 MiB. The record of a range with 10 million shards is about 50
/// MB.
const MAX_RECORD_BYTES: u64 = 64 << 20;

/// Why a record could not be read or written.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The bucket failed, or the record is missing.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The stored bytes are not a shard, or a shard cannot be written.
    #[error("{key}: {error}{}", remedy(key))]
    Shard {
        /// The object.
        key: String,
        /// What is wrong with it.
        error: ShardError,
    },
    /// The stored bytes are not such a record, or a value cannot be written as JSON.
    #[error("{key}: not a record of this tagfleet: {error}{}", remedy(key))]
    Invalid {
        /// The object.
        key: String,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

impl RecordError {
    /// The bucket's error, if the bucket failed.
    #[must_use]
    pub fn bucket_error(&self) -> Option<&BucketError> {
        match self {
            Self::Bucket(error) => Some(error),
            Self::Shard { .. } | Self::Invalid { .. } => None,
        }
    }
}

/// Reads a record that must be there.
///
/// # Errors
/// If it is missing or cannot be read.
pub async fn read<T: DeserializeOwned>(bucket: &dyn Bucket, key: &str) -> Result<T, RecordError> {
    let stored = bucket.get(key, None, MAX_RECORD_BYTES).await?;
    serde_json::from_slice(&stored.bytes).map_err(|error| RecordError::Invalid { key: key.to_owned(), error })
}

/// Reads a record; `None` if there is none.
///
/// # Errors
/// If it cannot be read.
pub async fn read_if_present<T: DeserializeOwned>(
    bucket: &dyn Bucket,
    key: &str,
) -> Result<Option<T>, RecordError> {
    match read(bucket, key).await {
        Ok(record) => Ok(Some(record)),
        Err(RecordError::Bucket(error)) if error.kind == Kind::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a shard, which lists its inputs.
///
/// # Errors
/// If it is missing or cannot be read.
pub async fn read_shard(output: &dyn Bucket, keys: &RunKeys, id: ShardId) -> Result<Shard, RecordError> {
    let key = keys.shard(id);
    let stored = output.get(&key, None, MAX_RECORD_BYTES).await?;
    Shard::decode(&stored.bytes).map_err(|error| RecordError::Shard { key, error })
}

/// Stores a record unless there is one already; the first one stays.
///
/// # Errors
/// If it cannot be written.
pub async fn create<T: Serialize>(bucket: &dyn Bucket, key: &str, record: &T) -> Result<Put, RecordError> {
    Ok(bucket.put_if_absent(key, encode(key, record)?).await?)
}

/// Stores a record, replacing an earlier one.
///
/// # Errors
/// If it cannot be written.
pub async fn replace<T: Serialize>(bucket: &dyn Bucket, key: &str, record: &T) -> Result<(), RecordError> {
    Ok(bucket.put(key, encode(key, record)?).await?)
}

/// Indented, because people read these files, with a newline at the end.
fn encode<T: Serialize>(key: &str, record: &T) -> Result<Bytes, RecordError> {
    let mut bytes = serde_json::to_vec_pretty(record)
        .map_err(|error| RecordError::Invalid { key: key.to_owned(), error })?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::memory::MemoryBucket;

    #[tokio::test]
    async fn the_first_record_stays_until_it_is_replaced() {
        let bucket = MemoryBucket::default();
        assert_eq!(read_if_present::<u32>(&bucket, "a.json").await.unwrap(), None);
        assert_eq!(create(&bucket, "a.json", &1_u32).await.unwrap(), Put::Created);
        assert_eq!(create(&bucket, "a.json", &2_u32).await.unwrap(), Put::AlreadyThere);
        assert_eq!(read::<u32>(&bucket, "a.json").await.unwrap(), 1);
        replace(&bucket, "a.json", &3_u32).await.unwrap();
        assert_eq!(read_if_present::<u32>(&bucket, "a.json").await.unwrap(), Some(3));
    }

    #[tokio::test]
    async fn other_bytes_are_named_by_their_key() {
        let bucket = MemoryBucket::default();
        bucket.put("a.json", Bytes::from_static(b"<html>")).await.unwrap();
        let error = read_if_present::<u32>(&bucket, "a.json").await.unwrap_err();
        assert!(error.to_string().starts_with("a.json: not a record of this tagfleet: "), "{error}");
        assert!(error.bucket_error().is_none());
    }
}
