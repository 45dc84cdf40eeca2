//! The images that took the longest: of a shard, of a run.
//!
//! A few only, so that a picture that was made to be slow is found by its name. They are for people and
//! decide nothing; no row has them. Parts may be merged in any order. It reads no clock.

use std::cmp::Reverse;
use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::format::visible;

/// Images that are kept.
const KEPT: usize = 5;

/// An image and how long it took.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SlowImage {
    /// Its key.
    pub key: String,
    /// Milliseconds to decode and tag it, its share of a batch's time included.
    pub milliseconds: u64,
}

/// At most five images, the slowest first; of equal ones the one with the lower key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "Vec<SlowImage>", into = "Vec<SlowImage>")]
pub struct Slowest(Vec<SlowImage>);

impl Slowest {
    /// Keeps the image if it is among the slowest.
    pub fn offer(&mut self, key: &str, milliseconds: u64) {
        let rank = (Reverse(milliseconds), key);
        let place = self.0.partition_point(|kept| (Reverse(kept.milliseconds), kept.key.as_str()) < rank);
        if place < KEPT {
            self.0.insert(place, SlowImage { key: key.to_owned(), milliseconds });
            self.0.truncate(KEPT);
        }
    }

    /// Adds those of another part.
    pub fn add(&mut self, other: &Self) {
        for image in &other.0 {
            self.offer(&image.key, image.milliseconds);
        }
    }

    /// The slowest first.
    #[must_use]
    pub fn images(&self) -> &[SlowImage] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one took at least this long.
    #[must_use]
    pub fn took_at_least(&self, milliseconds: u64) -> bool {
        self.0.first().is_some_and(|slowest| slowest.milliseconds >= milliseconds)
    }
}

impl From<Vec<SlowImage>> for Slowest {
    fn from(images: Vec<SlowImage>) -> Self {
        let mut slowest = Self::default();
        for image in images {
            slowest.offer(&image.key, image.milliseconds);
        }
        slowest
    }
}

impl From<Slowest> for Vec<SlowImage> {
    fn from(slowest: Slowest) -> Self {
        slowest.0
    }
}

/// `a.jpg 7.4 s`
impl Display for SlowImage {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:.1} s", visible(&self.key), self.milliseconds as f64 / 1000.0)
    }
}

/// `a.jpg 7.4 s; b.jpg 0.5 s`
impl Display for Slowest {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (number, image) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(formatter, "{between}{image}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slowest(images: &[(String, u64)]) -> Slowest {
        let mut slowest = Slowest::default();
        images.iter().for_each(|(key, milliseconds)| slowest.offer(key, *milliseconds));
        slowest
    }

    #[test]
    fn people_read_seconds_and_no_key_leaves_its_line() {
        let slowest = slowest(&[("a\n\u{1b}[2J.jpg".to_owned(), 450), ("b.jpg".to_owned(), 7400)]);
        assert_eq!(slowest.to_string(), "b.jpg 7.4 s; a\\u{a}\\u{1b}[2J.jpg 0.5 s");
        assert!(slowest.took_at_least(7400) && !slowest.took_at_least(7401));
        assert!(!Slowest::default().took_at_least(0));
    }

    proptest! {
        #[test]
        fn the_slowest_are_kept_whatever_the_order_and_the_parts(
            images in prop::collection::vec(("[a-c]{1,3}", 0..9_u64), 0..40), at in 0..40_usize
        ) {
            let (left, right) = images.split_at(at.min(images.len()));
            let mut merged = slowest(right);
            merged.add(&slowest(left));
            let mut sorted = images.clone();
            sorted.sort_by_key(|(key, milliseconds)| (Reverse(*milliseconds), key.clone()));
            sorted.truncate(KEPT);
            let expected: Vec<_> =
                sorted.into_iter().map(|(key, milliseconds)| SlowImage { key, milliseconds }).collect();
            prop_assert_eq!(merged.images(), expected.as_slice());
            // Stored bytes are not trusted to hold no more.
            let stored = serde_json::to_string(&images.iter().map(|(key, milliseconds)| {
                SlowImage { key: key.clone(), milliseconds: *milliseconds }
            }).collect::<Vec<_>>()).unwrap();
            prop_assert_eq!(serde_json::from_str::<Slowest>(&stored).unwrap(), merged);
        }
    }
}
