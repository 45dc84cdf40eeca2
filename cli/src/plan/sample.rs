//! A few hundred images out of all, and how many there are.
//!
//! A hash of the key chooses them, so that the same inputs always give the same sample, wherever they are in
//! the listing. It lists up to a limit and reports where it stopped; it decodes nothing.

use std::collections::{BinaryHeap, HashSet};

use futures::TryStreamExt;
use tagfleet_cost::forecast::CountSource;
use tagfleet_model::decode::Limits;
use tagfleet_pipeline::bucket::{Access, Bucket};
use tagfleet_pipeline::shard::{Image, key_hash};
use tagfleet_pipeline::split::{DuplicateCounter, PreviewPage, Source, preview_pages};

use crate::exit::{Failure, bad_input, tell};
use crate::inputs::Inputs;

/// Images of the sample.
const SAMPLE: usize = 200;
/// Listing ends after this many images: 1,000 requests and some minutes.
const MOST_LISTED: u64 = 1_000_000;

/// A sample of the inputs.
pub(super) struct Sample {
    /// The bytes of some images.
    pub(super) images: Vec<Vec<u8>>,
    /// All images that were listed and would be tagged.
    pub(super) count: u64,
    /// Images that were listed and whose rows would be kept.
    pub(super) kept: u64,
    /// The share of copies among those that would be tagged, 0 to 1.
    pub(super) copies: f64,
    /// Whether these are all images.
    pub(super) known: CountSource,
    /// Folders of the listed images: 1 if none is in any.
    pub(super) prefixes: u32,
    /// Bytes of an image, on average over all that were listed; over the sample if sizes were not listed.
    pub(super) mean_bytes: f64,
}

/// Lists and reads.
pub(super) async fn take(inputs: &Inputs, source: &Source) -> Result<Sample, Failure> {
    let mut chosen: BinaryHeap<Candidate> = BinaryHeap::new();
    let (mut count, mut bytes, mut known) = (0_u64, 0_u64, CountSource::Counted);
    let mut folders = HashSet::new();
    let (mut kept, mut copies) = (0, DuplicateCounter::default());
    let mut pages = preview_pages(source, &inputs.range);
    while let Some(PreviewPage { page, difference }) = pages.try_next().await.map_err(bad_input)? {
        kept += difference.map_or(0, |difference| difference.kept);
        for image in page.images {
            copies.add(&image);
            count += 1;
            bytes += image.size.unwrap_or(0);
            folders.insert(key_hash(folder(&image.key)));
            if image.access == Access::Readable {
                chosen.push(Candidate { hash: key_hash(&image.key), image });
            }
            if chosen.len() > SAMPLE {
                chosen.pop();
            }
        }
        if count + kept >= MOST_LISTED {
            known = CountSource::AtLeast;
            break;
        }
    }
    let images = read(inputs.bucket.as_ref(), chosen.into_sorted_vec()).await;
    if images.is_empty() && kept > 0 {
        return Err(bad_input(format!(
            "{}: all {kept} images are as they were in the earlier run: there is nothing to plan",
            inputs.shown()
        )));
    }
    if images.is_empty() {
        return Err(bad_input(format!("{}: no image could be read: nothing to plan with", inputs.shown())));
    }
    let of_sample = || images.iter().map(Vec::len).sum::<usize>() as f64 / images.len() as f64;
    let mean_bytes = if bytes > 0 { bytes as f64 / count as f64 } else { of_sample() };
    let prefixes = u32::try_from(folders.len()).unwrap_or(u32::MAX);
    let copies = copies.estimate().share_of(count);
    Ok(Sample { images, count, kept, copies, known, prefixes, mean_bytes })
}

/// The common prefix that a key shares with its neighbours: all up to its last slash.
fn folder(key: &str) -> &str {
    key.rfind('/').map_or("", |slash| &key[..=slash])
}

/// An image in the order of its key's hash.
struct Candidate {
    hash: u64,
    image: Image,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.hash, &self.image.key).cmp(&(other.hash, &other.image.key))
    }
}

/// The bytes of those that can be read; a note counts the others.
async fn read(bucket: &dyn Bucket, chosen: Vec<Candidate>) -> Vec<Vec<u8>> {
    let (mut images, mut unread, mut last) = (Vec::with_capacity(chosen.len()), 0, None);
    for Candidate { image, .. } in chosen {
        match bucket.get(&image.key, image.etag.as_deref(), Limits::default().max_bytes).await {
            Ok(fetched) => images.push(fetched.bytes.to_vec()),
            Err(error) => {
                unread += 1;
                last = Some(error.to_string());
            }
        }
    }
    if let Some(last) = last {
        tell(&format!("note: {unread} images of the sample could not be read; the last one: {last}"));
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_all_up_to_the_last_slash() {
        let folders = ["a/b/c.jpg", "a//c.jpg", "/c.jpg", "c.jpg", "a/"].map(folder);
        assert_eq!(folders, ["a/b/", "a//", "/", "", "a/"]);
    }
}
