//! The pictures and failures that a report shows: chosen from the samples that workers left beside some of the parts.
//!
//! It reads at most a hundred objects, evenly over the run's shards, and decodes no picture. One that is gone or not to be
//! understood is left out and counted: a report is no reason for a run to fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::thumbnails::{FailedImage, MAX_BYTES, Picture, ShardSample, THUMBNAILS_VERSION};
use crate::bucket::{Bucket, BucketError, KeyRange, Kind};
use crate::reduce::{ReduceError, TagCounts};
use crate::run::RunKeys;

/// Objects that are read at most.
const OBJECTS: usize = 100;
/// Objects that are fetched at once.
const FETCHES: usize = 16;
/// Labels that get pictures, the most frequent ones.
const LABELS: usize = 24;
/// Pictures at either end of a label's scores.
const PICTURES: usize = 3;
/// A picture stands for a tag that is not its best one only with this score.
const SURE: f32 = 0.5;
/// Failures shown of each reason.
const FAILURES: usize = 10;

/// What a report shows of a run's images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// The most frequent labels of which there are pictures, in that order.
    pub tags: Vec<TagSample>,
    /// Failed images by error code.
    pub failures: BTreeMap<String, Vec<FailedImage>>,
    /// Objects that could not be read.
    pub unread: u64,
}

/// Pictures of one label.
#[derive(Clone, Debug, PartialEq)]
pub struct TagSample {
    /// The label.
    pub label: String,
    /// Those with the highest scores, highest first.
    pub surest: Vec<Scored>,
    /// Those with the lowest, lowest first; none of them is among the surest.
    pub least_sure: Vec<Scored>,
}

/// A picture and its score for one label.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The score.
    pub score: f32,
    /// The picture.
    pub picture: Arc<Picture>,
}

/// Chooses from what the workers of a run left; `tags` says which labels are the most frequent.
///
/// # Errors
/// Where the bucket fails.
pub async fn collect(output: &dyn Bucket, keys: &RunKeys, tags: &TagCounts) -> Result<Samples, ReduceError> {
    let mut objects = Vec::new();
    let mut pages = output.list(&KeyRange::prefix(&keys.all_thumbnails()));
    while let Some(page) = pages.try_next().await? {
        objects.extend(page.into_iter().map(|object| object.key));
    }
    let chosen = evenly(objects);
    let fetch = |key| fetch(output, key);
    let mut fetched = stream::iter(chosen.into_iter().map(fetch)).buffered(FETCHES);
    let (mut found, mut unread) = (Vec::new(), 0);
    while let Some(sample) = fetched.try_next().await? {
        match sample {
            Some(sample) => found.push(sample),
            None => unread += 1,
        }
    }
    Ok(Samples { unread, ..choose(found, tags) })
}

/// At most [`OBJECTS`] of them, the same distance apart.
fn evenly(objects: Vec<String>) -> Vec<String> {
    if objects.len() <= OBJECTS {
        return objects;
    }
    (0..OBJECTS).map(|number| objects[number * objects.len() / OBJECTS].clone()).collect()
}

/// None where it is not there any more, or not what a worker of this version writes.
async fn fetch(output: &dyn Bucket, key: String) -> Result<Option<ShardSample>, BucketError> {
    match output.get(&key, None, MAX_BYTES as u64).await {
        Ok(stored) => Ok(understood(&stored.bytes)),
        Err(error) if matches!(error.kind, Kind::Missing | Kind::TooLarge) => Ok(None),
        Err(error) => Err(error),
    }
}

fn understood(bytes: &[u8]) -> Option<ShardSample> {
    let sample = serde_json::from_slice::<ShardSample>(bytes).ok()?;
    let is_sound = |picture: &Picture| !picture.tags.is_empty() && is_base64(&picture.jpeg);
    (sample.version == THUMBNAILS_VERSION && sample.pictures.iter().all(is_sound)).then_some(sample)
}

fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

fn choose(found: Vec<ShardSample>, tags: &TagCounts) -> Samples {
    let mut samples = Samples::default();
    let mut pictures = Vec::new();
    for sample in found {
        pictures.extend(sample.pictures.into_iter().map(Arc::new));
        for failure in sample.failures {
            let known = samples.failures.entry(failure.reason.code().to_owned()).or_default();
            if known.len() < FAILURES {
                known.push(failure);
            }
        }
    }
    let labels = tags.most_frequent(LABELS);
    samples.tags = labels.iter().filter_map(|(label, _)| tag_sample(label, &pictures)).collect();
    samples
}

/// None where there is no picture of the label.
fn tag_sample(label: &str, pictures: &[Arc<Picture>]) -> Option<TagSample> {
    let scored = |picture: &Arc<Picture>| {
        let (place, tag) = picture.tags.iter().enumerate().find(|(_, tag)| tag.label == label)?;
        let stands_for_it = place == 0 || tag.score >= SURE;
        stands_for_it.then(|| Scored { score: tag.score, picture: picture.clone() })
    };
    let mut all: Vec<Scored> = pictures.iter().filter_map(scored).collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.picture.key.cmp(&b.picture.key)));
    if all.is_empty() {
        return None;
    }
    let rest = all.split_off(all.len().min(PICTURES));
    let least_sure = rest.into_iter().rev().take(PICTURES).collect();
    Some(TagSample { label: label.to_owned(), surest: all, least_sure })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::bucket::memory::MemoryBucket;
    use crate::reduce::TagCount;
    use crate::run::RunId;
    use crate::shard::ShardId;
    use crate::tags::{Reason, Tag};

    fn picture(number: usize) -> Picture {
        let tag = |label: &str, score| Tag { label: label.to_owned(), index: 0, score };
        let score = number as f32 / 1000.0;
        let tags = vec![tag("cat", score), tag("sofa", 0.9), tag("dog", 0.1)];
        Picture { key: format!("{number:04}.jpg"), width: 4, height: 3, tags, jpeg: "/9g=".to_owned() }
    }

    fn counts() -> TagCounts {
        let count = |images| TagCount { images, best: images };
        let labels = [("cat", 400), ("dog", 300), ("sofa", 200), ("zebra", 1)];
        TagCounts {
            labels: labels.map(|(label, images)| (label.to_owned(), count(images))).into(),
            beyond: 0,
        }
    }

    async fn collected(shards: u32, change: impl Fn(u32, &mut ShardSample)) -> Samples {
        let output = MemoryBucket::default();
        let keys = RunKeys::in_bucket("", &RunId::try_from("r".to_owned()).unwrap());
        for number in 0..shards {
            let failure =
                FailedImage { key: format!("bad {number}"), reason: Reason::Corrupt, message: String::new() };
            let mut sample = ShardSample {
                version: THUMBNAILS_VERSION,
                pictures: vec![picture(number as usize)],
                failures: vec![failure],
            };
            change(number, &mut sample);
            let bytes = Bytes::from(serde_json::to_vec(&sample).unwrap());
            output.put(&keys.thumbnails(ShardId { range: 0, number }), bytes).await.unwrap();
        }
        collect(&output, &keys, &counts()).await.unwrap()
    }

    fn keys(scored: &[Scored]) -> Vec<&str> {
        scored.iter().map(|scored| scored.picture.key.as_str()).collect()
    }

    #[tokio::test]
    async fn a_hundred_shards_are_read_evenly_over_the_run() {
        let samples = collected(1000, |_, _| {}).await;
        let cats = &samples.tags[0];
        assert_eq!(keys(&cats.surest), ["0990.jpg", "0980.jpg", "0970.jpg"]);
        assert_eq!(keys(&cats.least_sure), ["0000.jpg", "0010.jpg", "0020.jpg"]);
        assert_eq!(samples.tags.iter().map(|tag| tag.label.as_str()).collect::<Vec<_>>(), ["cat", "sofa"]);
        assert_eq!(samples.failures["corrupt"].len(), FAILURES);
    }

    #[tokio::test]
    async fn few_pictures_are_shown_once() {
        let samples = collected(4, |_, _| {}).await;
        let cats = &samples.tags[0];
        assert_eq!((cats.surest.len(), keys(&cats.least_sure)), (3, vec!["0000.jpg"]));
    }

    #[tokio::test]
    async fn what_no_worker_of_this_version_wrote_is_left_out_and_counted() {
        let samples = collected(4, |number, sample| match number {
            0 => sample.version = 2,
            1 => sample.pictures[0].jpeg = "\" onerror=\"alert(1)".to_owned(),
            2 => sample.pictures[0].tags.clear(),
            _ => {}
        })
        .await;
        assert_eq!((samples.unread, keys(&samples.tags[0].surest)), (3, vec!["0003.jpg"]));
    }
}
