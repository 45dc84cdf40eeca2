//! The pictures and failures that a report and a mail show. The chooser fills them; nothing here reads a bucket.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tagfleet_pipeline::thumbnails::stored::is_base64;
use tagfleet_pipeline::thumbnails::{FailedImage, Picture};

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

impl Highlights {
    /// The pictures as they were stored; none if the bytes cannot be understood.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Self {
        let mut found: Self = serde_json::from_slice(bytes).unwrap_or_default();
        found.pictures.retain(|picture| is_base64(&picture.jpeg));
        found.pictures.truncate(HIGHLIGHTS);
        found
    }
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
