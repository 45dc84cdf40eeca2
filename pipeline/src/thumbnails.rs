//! The pictures and failures of one shard, in one object next to its part: the report chooses from them.
//!
//! Disposable: no row and no decision depends on it. Its bytes are bounded whatever the keys and labels are.
//! If the bound is reached, entries are left out from the end of each list, so that a random sample stays
//! random.

pub mod candidates;
pub mod lowest;
pub mod stored;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::record::RecordError;
use crate::tags::{Reason, Tag};

/// The version of the stored form.
pub const THUMBNAILS_VERSION: u32 = 2;
/// The most bytes of one object: 4 MB. A shard of 10,000 photos takes about 600 kB.
pub const MAX_BYTES: usize = 4_000_000;
/// Bytes for the frame around the lists.
const FRAME: usize = 100;

/// The sample of one shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardSample {
    /// [`THUMBNAILS_VERSION`].
    pub version: u32,
    /// A random sample of the tagged images, in the run's random order.
    pub random: Vec<Picture>,
    /// The least certain of all its images, the least certain one first; those of the random sample are left
    /// out.
    pub unsure: Vec<Picture>,
    /// A few failures of each reason, chosen at random.
    pub failures: Vec<FailedImage>,
}

/// A picture to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// Its key.
    pub key: String,
    /// Of the picture as shown, in pixels.
    pub width: u32,
    /// Of the picture as shown, in pixels.
    pub height: u32,
    /// Its best tags, the best one first; empty if it has none.
    pub tags: Vec<Tag>,
    /// The thumbnail: a JPEG in base64.
    pub jpeg: String,
}

/// An image without tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedImage {
    /// Its key.
    pub key: String,
    /// Why.
    pub reason: Reason,
    /// The same in a line.
    pub message: String,
    /// The thumbnail, if it could be decoded: a JPEG in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jpeg: Option<String>,
}

/// A shard's sample as it is stored under `key`: [`MAX_BYTES`] at most.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn encode(key: &str, sample: ShardSample) -> Result<Bytes, RecordError> {
    let unwritable = |error| RecordError::Invalid { key: key.to_owned(), error };
    let mut left = MAX_BYTES - FRAME;
    let failures = fitting(sample.failures, &mut left).map_err(unwritable)?;
    let random = fitting(sample.random, &mut left).map_err(unwritable)?;
    let unsure = fitting(sample.unsure, &mut left).map_err(unwritable)?;
    let sample = ShardSample { version: sample.version, random, unsure, failures };
    Ok(serde_json::to_vec(&sample).map_err(unwritable)?.into())
}

/// The first of `items` that fit together.
fn fitting<T: Serialize>(items: Vec<T>, left: &mut usize) -> Result<Vec<T>, serde_json::Error> {
    let mut kept = Vec::new();
    for item in items {
        let bytes = serde_json::to_vec(&item)?.len() + 1;
        if bytes > *left {
            break;
        }
        *left -= bytes;
        kept.push(item);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever keys, labels and thumbnails are like.
        #[test]
        fn no_object_is_larger_than_the_bound(
            key in "\\PC{0,40}|\u{1}{0,1000}", label in "\\PC{0,30}", thumbnail in 0_usize..60_000, images in 0_usize..140
        ) {
            let jpeg = "A".repeat(thumbnail);
            let tags = vec![Tag { label, index: 0, score: 0.5 }];
            let picture = Picture { key: key.clone(), width: 1, height: 1, tags, jpeg: jpeg.clone() };
            let failure = FailedImage { key, reason: Reason::Missing, message: String::new(), jpeg: Some(jpeg) };
            let sample = ShardSample {
                version: THUMBNAILS_VERSION,
                random: vec![picture.clone(); images],
                unsure: vec![picture; images / 2],
                failures: vec![failure; images / 4],
            };
            prop_assert!(encode("sample", sample).unwrap().len() <= MAX_BYTES);
        }
    }
}
