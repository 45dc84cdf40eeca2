//! The pictures and failures that a report shows, chosen from what workers left next to the parts.
//!
//! It reads at most 200 objects, spread evenly over the run's shards from a start that follows from
//! the run, and decodes no picture. An object that is gone or unreadable is left out and counted: a report is
//! not a reason for a run to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::chooser::Chooser;
use tagfleet_pipeline::bucket::{Bucket, BucketError, KeyRange, Kind};
use tagfleet_pipeline::reduce::{ReduceError, TagCounts};
use tagfleet_pipeline::run::{RunId, RunKeys};
use tagfleet_pipeline::thumbnails::lowest::priority;
use tagfleet_pipeline::thumbnails::{FailedImage, MAX_BYTES, Picture, ShardSample, THUMBNAILS_VERSION};

/// Objects that are read at most: of a run of 300 million images, 200 of 30,000.
const OBJECTS: usize = 200;
/// Objects that are fetched at once, and so in memory.
const FETCHES: usize = 8;
/// Pictures that a mail shows.
const HIGHLIGHTS: usize = 3;

/// What a report shows of a run's images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Labels of which there are pictures, those that are most often the best tag first.
    pub labels: Vec<LabelSample>,
    /// The least certain pictures, the least certain one first.
    pub unsure: Vec<Arc<Picture>>,
    /// A random sample of the tagged images.
    pub random: Vec<Arc<Picture>>,
    /// Failed images by error code, in key order.
    pub failures: BTreeMap<String, Vec<FailedImage>>,
    /// Objects that were chosen from, and how many there are.
    pub read: u64,
    /// See `read`.
    pub objects: u64,
    /// Objects that could not be read.
    pub unread: u64,
}

/// Pictures of which one label is the best tag.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelSample {
    /// The label.
    pub label: String,
    /// Images of the run of which it is the best tag.
    pub images: u64,
    /// At least one, in the run's random order.
    pub pictures: Vec<Arc<Picture>>,
}

/// A few pictures of a run for a mail, as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Highlights {
    /// At most three, of different labels if there are several.
    pub pictures: Vec<Picture>,
}

impl Samples {
    /// Pictures for a mail: one of each of the most frequent labels.
    #[must_use]
    pub fn highlights(&self) -> Highlights {
        let of_labels = self.labels.iter().filter_map(|label| label.pictures.first());
        let pictures = of_labels.take(HIGHLIGHTS).map(|picture| Picture::clone(picture));
        Highlights { pictures: pictures.collect() }
    }
}

/// Chooses from what the workers of a run left; `tags` has how often each label is the best tag.
///
/// # Errors
/// If the bucket fails.
pub async fn collect(
    output: &dyn Bucket,
    (run, keys): (&RunId, &RunKeys),
    tags: &TagCounts,
) -> Result<Samples, ReduceError> {
    let mut objects = Vec::new();
    let mut pages = output.list(&KeyRange::prefix(&keys.all_thumbnails()));
    while let Some(page) = pages.try_next().await? {
        objects.extend(page.into_iter().map(|object| object.key));
    }
    let all = objects.len() as u64;
    let fetch = |key| fetch(output, key);
    let mut fetched = stream::iter(evenly(objects, run).into_iter().map(fetch)).buffered(FETCHES);
    let (mut chooser, mut read, mut unread) = (Chooser::new(run, tags), 0, 0);
    while let Some(sample) = fetched.try_next().await? {
        let Some(sample) = sample else {
            unread += 1;
            continue;
        };
        chooser.add(sample);
        read += 1;
    }
    Ok(Samples { read, objects: all, unread, ..chooser.finish() })
}

/// The thumbnails of these images, as far as workers left some: JPEGs in base64, by key. It reads no more
/// objects than [`collect`].
///
/// # Errors
/// If the bucket fails.
pub async fn thumbnails(
    output: &dyn Bucket,
    (run, keys): (&RunId, &RunKeys),
    wanted: &BTreeSet<&str>,
) -> Result<BTreeMap<String, String>, BucketError> {
    let mut objects = Vec::new();
    let mut pages = output.list(&KeyRange::prefix(&keys.all_thumbnails()));
    while let Some(page) = pages.try_next().await? {
        objects.extend(page.into_iter().map(|object| object.key));
    }
    let mut found = BTreeMap::new();
    for key in evenly(objects, run) {
        let Some(sample) = fetch(output, key).await? else { continue };
        for picture in sample.random.into_iter().chain(sample.unsure) {
            if wanted.contains(picture.key.as_str()) {
                found.insert(picture.key, picture.jpeg);
            }
        }
    }
    Ok(found)
}

/// The pictures that a mail shows; none if they have expired or cannot be understood.
///
/// # Errors
/// If the bucket fails.
pub async fn highlights(output: &dyn Bucket, keys: &RunKeys) -> Result<Highlights, BucketError> {
    let stored = match output.get(&keys.highlights(), None, MAX_BYTES as u64).await {
        Ok(stored) => stored.bytes,
        Err(error) if matches!(error.kind, Kind::Missing | Kind::TooLarge) => {
            return Ok(Highlights::default());
        }
        Err(error) => return Err(error),
    };
    let mut found: Highlights = serde_json::from_slice(&stored).unwrap_or_default();
    found.pictures.retain(|picture| is_base64(&picture.jpeg));
    found.pictures.truncate(HIGHLIGHTS);
    Ok(found)
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

/// None if it is not there any more, or is not what a worker of this version writes.
async fn fetch(output: &dyn Bucket, key: String) -> Result<Option<ShardSample>, BucketError> {
    match output.get(&key, None, MAX_BYTES as u64).await {
        Ok(stored) => Ok(understood(&stored.bytes)),
        Err(error) if matches!(error.kind, Kind::Missing | Kind::TooLarge) => Ok(None),
        Err(error) => Err(error),
    }
}

fn understood(bytes: &[u8]) -> Option<ShardSample> {
    let sample = serde_json::from_slice::<ShardSample>(bytes).ok()?;
    let mut pictures = sample.random.iter().chain(&sample.unsure);
    let is_sound = pictures.all(|picture| is_base64(&picture.jpeg))
        && sample.failures.iter().filter_map(|failure| failure.jpeg.as_deref()).all(is_base64);
    (sample.version == THUMBNAILS_VERSION && is_sound).then_some(sample)
}

fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

#[cfg(test)]
mod tests;
