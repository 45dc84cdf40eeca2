//! Reads what the workers of a run left, for a report: at most 200 objects, spread evenly over the shards.
//!
//! It decodes no picture. An object that is gone or unreadable is `None`: a report is not a reason for a run to
//! fail.

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::lowest::priority;
use super::{MAX_BYTES, ShardSample, THUMBNAILS_VERSION};
use crate::bucket::{Bucket, BucketError, KeyRange, Kind};
use crate::run::{RunId, RunKeys};

/// Objects that are read at most: of a run of 300 million images, 200 of 30,000.
const OBJECTS: usize = 200;
/// Objects that are fetched at once, and so in memory.
const FETCHES: usize = 8;

/// The objects of a run that a report reads.
#[derive(Clone, Debug)]
pub struct StoredThumbnails {
    /// Objects that the run has.
    pub objects: u64,
    chosen: Vec<String>,
}

impl StoredThumbnails {
    /// Lists them, and chooses those to read.
    ///
    /// # Errors
    /// If the bucket fails.
    pub async fn list(output: &dyn Bucket, run: &RunId, keys: &RunKeys) -> Result<Self, BucketError> {
        let mut objects = Vec::new();
        let mut pages = output.list(&KeyRange::prefix(&keys.all_thumbnails()));
        while let Some(page) = pages.try_next().await? {
            objects.extend(page.into_iter().map(|object| object.key));
        }
        Ok(Self { objects: objects.len() as u64, chosen: evenly(objects, run) })
    }

    /// Reads them one after the other; `None` if one is not there any more, or no worker of this version wrote
    /// it.
    ///
    /// # Errors
    /// The stream ends with the first error of the bucket.
    pub fn samples<'a>(
        &'a self,
        output: &'a dyn Bucket,
    ) -> BoxStream<'a, Result<Option<ShardSample>, BucketError>> {
        let fetch = move |key: &'a String| fetch(output, key);
        stream::iter(self.chosen.iter().map(fetch)).buffered(FETCHES).boxed()
    }
}

/// At most [`OBJECTS`] of them, the same distance apart. Each is as likely as any other, because the first is
/// drawn.
fn evenly(objects: Vec<String>, run: &RunId) -> Vec<String> {
    if objects.len() <= OBJECTS {
        return objects;
    }
    let start = (priority(run, "") % objects.len() as u64) as usize;
    (0..OBJECTS).map(|number| objects[(number * objects.len() + start) / OBJECTS].clone()).collect()
}

async fn fetch(output: &dyn Bucket, key: &str) -> Result<Option<ShardSample>, BucketError> {
    match output.get(key, None, MAX_BYTES as u64).await {
        Ok(stored) => Ok(parse(&stored.bytes)),
        Err(error) if matches!(error.kind, Kind::Missing | Kind::TooLarge) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(bytes: &[u8]) -> Option<ShardSample> {
    let sample = serde_json::from_slice::<ShardSample>(bytes).ok()?;
    let mut pictures = sample.random.iter().chain(&sample.unsure);
    let is_sound = pictures.all(|picture| is_base64(&picture.jpeg))
        && sample.failures.iter().filter_map(|failure| failure.jpeg.as_deref()).all(is_base64);
    (sample.version == THUMBNAILS_VERSION && is_sound).then_some(sample)
}

/// True if `text` holds only characters of base64, so that it is safe in an address of a page.
#[must_use]
pub fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}
