//! Checkpoints: the rows of shards that a worker had to leave before they were done.
//!
//! A worker that is stopped, or whose shard fails, stores the rows that it has, in one object per shard. The
//! next worker on the shard reads them, tags the remaining images and writes the part. A checkpoint saves
//! work and decides nothing: a shard is done if and only if its part exists. So a checkpoint that is missing,
//! damaged or foreign costs time and never a row. A stored checkpoint is read again before it is replaced,
//! and its rows stay, so it grows from stop to stop. If two workers stop with the same shard at the same
//! moment, the rows of one may be lost; they are tagged again. Nothing in it decides when to stop, and
//! nothing deletes a checkpoint.

mod stored;

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::TryStreamExt;
use thiserror::Error;
use tokio::task::{JoinError, spawn_blocking};

use crate::bucket::{Bucket, BucketError, KeyRange, Kind};
use crate::run::{RunId, RunKeys, Vector};
use crate::shard::{Image, Shard, ShardId};
use crate::tags::{Outcome, Row, Tagged};

/// Rows of a shard by the position of their image in it.
pub type Rows = BTreeMap<usize, Row>;

/// Why a checkpoint could not be read or written. The images without a row are tagged again.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The bucket failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The object cannot be used: damaged, or of another shard, run or version.
    #[error("{key}: not a checkpoint of this shard: {why}")]
    Unusable {
        /// The object.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The rows cannot be stored.
    #[error("{key}: {why}")]
    Unwritable {
        /// The object.
        key: String,
        /// Why.
        why: String,
    },
    /// A task panicked or was cancelled.
    #[error("checkpoint task: {0}")]
    Task(#[from] JoinError),
}

impl CheckpointError {
    /// The bucket's error, if another try may work.
    #[must_use]
    pub fn temporary(&self) -> Option<&BucketError> {
        match self {
            Self::Bucket(error) if error.kind == Kind::Temporary => Some(error),
            _ => None,
        }
    }
}

/// The checkpoints of one run.
#[derive(Clone, Copy)]
pub struct Checkpoints<'a> {
    /// Where they are.
    pub output: &'a dyn Bucket,
    /// The run.
    pub run: &'a RunId,
    /// Its objects.
    pub keys: &'a RunKeys,
    /// The vector of each row, if the run has one.
    pub vector: Option<&'a Vector>,
}

impl Checkpoints<'_> {
    /// The shards that have a checkpoint, done or not; one listing.
    ///
    /// # Errors
    /// If the listing fails.
    pub async fn shards(&self) -> Result<BTreeSet<ShardId>, BucketError> {
        let mut found = BTreeSet::new();
        let mut pages = self.output.list(&KeyRange::prefix(&self.keys.checkpoints()));
        while let Some(page) = pages.try_next().await? {
            found.extend(page.iter().filter_map(|object| self.keys.shard_of(&object.key)));
        }
        Ok(found)
    }

    /// The stored rows of `shard` that belong to its images; none if there is no checkpoint.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub async fn read(&self, shard: &Shard) -> Result<Rows, CheckpointError> {
        let key = self.keys.checkpoint(shard.id);
        let stored = match self.output.get(&key, None, stored::MAX_BYTES).await {
            Err(error) if error.kind == Kind::Missing => return Ok(Rows::new()),
            stored => stored?,
        };
        let (run, id) = (self.run.clone(), shard.id);
        let decoded = spawn_blocking(move || stored::decode(&stored.bytes, &run, id)).await?;
        let rows = decoded.and_then(|rows| self.checked(rows, &shard.images));
        rows.map_err(|why| CheckpointError::Unusable { key, why })
    }

    /// Stores `rows` of `shard` with those that are stored already. Writes nothing if they are all there.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub async fn save(&self, shard: &Shard, rows: Rows) -> Result<(), CheckpointError> {
        let key = self.keys.checkpoint(shard.id);
        // A checkpoint that cannot be read is useless, and is replaced.
        let mut all = self.read(shard).await.unwrap_or_default();
        let before = all.len();
        all.extend(rows);
        if all.len() == before {
            return Ok(());
        }
        let (run, id) = (self.run.clone(), shard.id);
        let encoded = spawn_blocking(move || stored::encode(&all, &run, id)).await?;
        let bytes = encoded.map_err(|why| CheckpointError::Unwritable { key: key.clone(), why })?;
        Ok(self.output.put(&key, bytes).await?)
    }

    fn checked(&self, rows: Vec<(u32, Row)>, images: &[Image]) -> Result<Rows, String> {
        let mut checked = Rows::new();
        for (number, row) in rows {
            let image = usize::try_from(number).ok().and_then(|index| Some((index, images.get(index)?)));
            let Some((index, image)) = image else {
                return Err(format!("a row of image {number}, and the shard has {}", images.len()));
            };
            if row.key != image.key {
                return Err(format!("row {number} is of {:?}, and the image is {:?}", row.key, image.key));
            }
            self.check_vector(number, &row)?;
            // One that was read of another version than the one that was listed is tagged again.
            let is_of_this_version = row.etag.is_none() || image.etag.is_none() || row.etag == image.etag;
            if is_of_this_version && checked.insert(index, row).is_some() {
                return Err(format!("two rows of image {number}"));
            }
        }
        Ok(checked)
    }

    fn check_vector(&self, number: u32, row: &Row) -> Result<(), String> {
        let Outcome::Tagged(Tagged { vector: Some(stored), .. }) = &row.outcome else { return Ok(()) };
        let wanted = self.vector.map(|vector| vector.length);
        if wanted == Some(stored.len() as u64) {
            Ok(())
        } else {
            Err(format!("row {number} has a vector of {}, the run's is {wanted:?}", stored.len()))
        }
    }
}

#[cfg(test)]
mod tests;
