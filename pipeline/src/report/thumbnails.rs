//! A few thumbnails and failures of one shard, in one object beside its part: what the report chooses from.
//!
//! Disposable: no row and no decision depends on it, and it is not there for shards of earlier versions. Its bytes are
//! bounded whatever the keys and labels are; which pictures are in it follows from the shard's rows alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::split::SplitError;
use crate::tags::{Outcome, Reason, Row, Tag, Tagged};

/// The version of the stored form.
pub const THUMBNAILS_VERSION: u32 = 1;
/// The most bytes of one object: 256 kB.
pub const MAX_BYTES: usize = 256_000;
/// Tags that a picture keeps.
const TAGS: usize = 5;
/// Failures that are kept of each reason.
const FAILURES: usize = 3;
/// For what stands around the lists.
const FRAME: usize = 100;

/// The sample of one shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardSample {
    /// [`THUMBNAILS_VERSION`].
    pub version: u32,
    /// Pictures, the surest and the least sure of each best tag first.
    pub pictures: Vec<Picture>,
    /// Failures, in key order.
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
    /// Its best tags; at least one.
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
}

/// The sample of a shard's rows, as it is stored under `key`: [`MAX_BYTES`] at most.
///
/// # Errors
/// Where it cannot be written as JSON.
pub fn encode(key: &str, rows: &[Row]) -> Result<Bytes, SplitError> {
    let unwritable = |error| SplitError::Record { key: key.to_owned(), error };
    let mut left = MAX_BYTES - FRAME;
    let failures = fitting(failures(rows), &mut left).map_err(unwritable)?;
    let pictures = fitting(pictures(rows), &mut left).map_err(unwritable)?;
    let sample = ShardSample { version: THUMBNAILS_VERSION, pictures, failures };
    Ok(serde_json::to_vec(&sample).map_err(unwritable)?.into())
}

/// The first of `items` that fit together; what is too large by itself is left out.
fn fitting<T: Serialize>(items: Vec<T>, left: &mut usize) -> Result<Vec<T>, serde_json::Error> {
    let mut kept = Vec::new();
    for item in items {
        let bytes = serde_json::to_vec(&item)?.len() + 1;
        if bytes <= *left {
            *left -= bytes;
            kept.push(item);
        }
    }
    Ok(kept)
}

fn failures(rows: &[Row]) -> Vec<FailedImage> {
    let mut counts = [0; Reason::ALL.len()];
    let mut kept = Vec::new();
    for row in rows {
        let Outcome::Failed(failure) = &row.outcome else { continue };
        let count = &mut counts[failure.reason() as usize];
        *count += 1;
        if *count <= FAILURES {
            let (reason, message) = (failure.reason(), failure.to_string());
            kept.push(FailedImage { key: row.key.clone(), reason, message });
        }
    }
    kept
}

/// Every picture with a thumbnail and a tag: by turns the surest and the least sure of each best tag that is left.
fn pictures(rows: &[Row]) -> Vec<Picture> {
    let mut pictures: Vec<Picture> = rows.iter().filter_map(picture).collect();
    pictures.sort_by(|a, b| {
        let (first, second) = (&a.tags[0], &b.tags[0]);
        let by_label = first.label.cmp(&second.label);
        by_label.then(second.score.total_cmp(&first.score)).then(a.key.cmp(&b.key))
    });
    let mut ranked = Vec::with_capacity(pictures.len());
    for group in pictures.chunk_by(|a, b| a.tags[0].label == b.tags[0].label) {
        for (place, picture) in group.iter().enumerate() {
            let from_end = group.len() - 1 - place;
            let turn = if place <= from_end { place * 2 } else { from_end * 2 + 1 };
            ranked.push((turn, picture.clone()));
        }
    }
    ranked.sort_by_key(|(turn, _)| *turn);
    ranked.into_iter().map(|(_, picture)| picture).collect()
}

fn picture(row: &Row) -> Option<Picture> {
    let Outcome::Tagged(Tagged { width, height, tags, thumbnail: Some(jpeg), .. }) = &row.outcome else {
        return None;
    };
    if tags.is_empty() {
        return None;
    }
    Some(Picture {
        key: row.key.clone(),
        width: *width,
        height: *height,
        tags: tags.iter().take(TAGS).cloned().collect(),
        jpeg: STANDARD.encode(jpeg),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tags::Failure;

    fn tagged(key: &str, label: &str, score: f32, thumbnail: usize) -> Row {
        let tags = vec![Tag { label: label.to_owned(), index: 0, score }];
        let thumbnail = Some(vec![0xff; thumbnail]);
        let tagged = Tagged { width: 1, height: 1, tags, vector: None, second_decoder: false, thumbnail };
        Row { key: key.to_owned(), bytes: None, etag: None, outcome: Outcome::Tagged(tagged) }
    }

    fn failed(key: &str, reason: Reason) -> Row {
        let failure = Failure::new(reason, "why");
        Row { key: key.to_owned(), bytes: None, etag: None, outcome: Outcome::Failed(failure) }
    }

    fn sample(rows: &[Row]) -> ShardSample {
        let bytes = encode("sample", rows).unwrap();
        assert!(bytes.len() <= MAX_BYTES, "{} bytes", bytes.len());
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn the_surest_and_the_least_sure_of_each_tag_come_first() {
        let mut rows: Vec<Row> =
            (0..5).map(|at| tagged(&format!("cat-{at}"), "cat", at as f32 / 10.0, 9)).collect();
        rows.push(tagged("dog", "dog", 0.9, 9));
        rows.extend((0..5).map(|at| failed(&format!("bad-{at}"), Reason::Corrupt)));
        rows.push(failed("empty", Reason::Empty));
        let sample = sample(&rows);
        let keys: Vec<_> = sample.pictures.iter().map(|picture| picture.key.as_str()).collect();
        assert_eq!(keys, ["cat-4", "dog", "cat-0", "cat-3", "cat-1", "cat-2"]);
        let failures: Vec<_> = sample.failures.iter().map(|failure| failure.key.as_str()).collect();
        assert_eq!(failures, ["bad-0", "bad-1", "bad-2", "empty"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever keys, labels and thumbnails are like.
        #[test]
        fn no_object_is_larger_than_the_bound(
            key in "\\PC{0,40}|\u{1}{0,1000}", label in "\\PC{0,30}", thumbnail in 0_usize..40_000, images in 0_usize..60
        ) {
            let mut rows = vec![failed(&key, Reason::Missing); 4];
            rows.extend(vec![tagged(&key, &label, 0.5, thumbnail); images]);
            let bytes = encode("sample", &rows).unwrap();
            prop_assert!(bytes.len() <= MAX_BYTES);
        }
    }
}
