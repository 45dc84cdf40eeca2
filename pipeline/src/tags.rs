//! The row of one image: tagged or failed, with a reason from a closed set.
//!
//! These types are what every stage after `infer` works with; `tags/parquet.rs` gives them their stored form.
//! Nothing here reads an image or knows how a tag was found.

mod cause;
mod detail;
pub mod parquet;
pub mod slowest;
pub mod table;

use std::fmt;

pub use cause::Cause;
pub use detail::Detail;
use half::f16;
use serde::{Deserialize, Serialize};

use crate::run::VectorType;

/// The row of one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The key, verbatim (percent-encoded bytes if a local name is not UTF-8).
    pub key: String,
    /// The size of the stored image in bytes, if it is known.
    pub bytes: Option<u64>,
    /// The etag it was read with, or else listed with.
    pub etag: Option<String>,
    /// Its tags, or why it has none.
    pub outcome: Outcome,
}

impl Row {
    /// True if access to the image is denied.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(&self.outcome, Outcome::Failed(failure) if failure.cause == Cause::Denied)
    }

    /// True if the first decoder refused the image and the second read it.
    #[must_use]
    pub fn second_decoder(&self) -> bool {
        matches!(&self.outcome, Outcome::Tagged(tagged) if tagged.second_decoder)
    }
}

/// One label with its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    /// The label, as the model names it.
    pub label: String,
    /// The label's index in the model's output, from 0.
    pub index: u32,
    /// The score: a probability in 0..=1 after softmax or sigmoid.
    pub score: f32,
}

/// A model's output for one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tagged {
    /// Width in pixels, as shown (after EXIF orientation, if that is applied).
    pub width: u32,
    /// Height in pixels, as shown.
    pub height: u32,
    /// Tags in score order, highest first; ties go to the lower index.
    pub tags: Vec<Tag>,
    /// The whole of the output asked for with `--output`, flattened.
    pub vector: Option<Vec<f32>>,
    /// True if the first decoder refused the file and the second read it.
    pub second_decoder: bool,
}

/// Why an image has no tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// From a closed list; decides reason and message.
    pub cause: Cause,
    /// What differs from image to image: what was found and, if known, what the limit was.
    pub detail: Detail,
}

impl Failure {
    /// A failure with whatever is known beyond its cause. A [`Reason`] becomes its most general cause.
    pub fn new(cause: impl Into<Cause>, detail: impl Into<Detail>) -> Self {
        Self { cause: cause.into(), detail: detail.into() }
    }

    /// The reason, from a closed set.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.cause.reason()
    }

    /// One line for a person, from a closed list.
    #[must_use]
    pub fn message(&self) -> &'static str {
        self.cause.message()
    }
}

/// Message and detail, for a person.
impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.text() {
            Some(detail) => write!(formatter, "{}: {detail}", self.message()),
            None => formatter.write_str(self.message()),
        }
    }
}

/// What became of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It has tags (possibly none above the threshold).
    Tagged(Tagged),
    /// It could not be tagged.
    Failed(Failure),
}

impl Outcome {
    /// The same, failed if its vector has a number that can't be stored: not a finite one, or one that is too
    /// large for 16 bits if `stored` so.
    #[must_use]
    pub fn checked(self, stored: Option<VectorType>) -> Self {
        let Self::Tagged(Tagged { vector: Some(vector), .. }) = &self else { return self };
        let fits = |value: &f32| match stored {
            Some(VectorType::F16) => f16::from_f32(*value).is_finite(),
            Some(VectorType::F32) | None => value.is_finite(),
        };
        let Some(value) = vector.iter().find(|value| !fits(value)) else { return self };
        let cause = if value.is_finite() { Cause::VectorTooLarge } else { Cause::NotFinite };
        Self::Failed(Failure::new(cause, format!("a number of the vector is {value}")))
    }
}

/// The closed set of reasons for a failed row; the names are part of the results' schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No bytes at all.
    Empty,
    /// More bytes than the limit allows.
    TooLarge,
    /// More pixels, or more memory to decode them, than the limit allows.
    TooManyPixels,
    /// Not an image, or of a format that is not decoded (HEIC, JPEG 2000, ...).
    UnsupportedFormat,
    /// A known format, but a variant of it that no decoder here reads (lossless or 12-bit JPEG, ...).
    UnsupportedFeature,
    /// A known format, but no decoder can make a picture of these bytes.
    Corrupt,
    /// The object was replaced after it was listed.
    Changed,
    /// The object was deleted after it was listed, or never existed.
    Missing,
    /// The object is in an archive class and cannot be read without being restored.
    Archived,
    /// Reading it is not permitted, while other images of the run can be read.
    Denied,
    /// The model's scores or vector for this image are not finite numbers, or too large for 16 bits if it is
    /// stored in them.
    NotFinite,
    /// The process died on this image, twice.
    Crashed,
}

impl Reason {
    /// Every reason, in the order of their names.
    pub const ALL: [Self; 12] = [
        Self::Archived,
        Self::Changed,
        Self::Corrupt,
        Self::Crashed,
        Self::Denied,
        Self::Empty,
        Self::Missing,
        Self::NotFinite,
        Self::TooLarge,
        Self::TooManyPixels,
        Self::UnsupportedFeature,
        Self::UnsupportedFormat,
    ];

    /// The name that rows and summaries carry.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::Changed => "changed",
            Self::Corrupt => "corrupt",
            Self::Crashed => "crashed",
            Self::Denied => "denied",
            Self::Empty => "empty",
            Self::Missing => "missing",
            Self::NotFinite => "not_finite",
            Self::TooLarge => "too_large",
            Self::TooManyPixels => "too_many_pixels",
            Self::UnsupportedFeature => "unsupported_feature",
            Self::UnsupportedFormat => "unsupported_format",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_that_cannot_be_stored_is_a_failed_row() {
        let outcome = |values: &[f32]| {
            Outcome::Tagged(Tagged {
                width: 1,
                height: 1,
                tags: Vec::new(),
                vector: Some(values.to_vec()),
                second_decoder: false,
            })
        };
        let failed = |values: &[f32], stored| match outcome(values).checked(Some(stored)) {
            Outcome::Tagged(_) => None,
            Outcome::Failed(failure) => Some(failure.cause),
        };
        assert_eq!(failed(&[65_504.0, -65_519.0], VectorType::F16), None);
        assert_eq!(failed(&[65_520.0], VectorType::F32), None);
        assert_eq!(failed(&[1.0, 65_520.0], VectorType::F16), Some(Cause::VectorTooLarge));
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for stored in [VectorType::F32, VectorType::F16] {
                assert_eq!(failed(&[value], stored), Some(Cause::NotFinite));
            }
        }
    }

    #[test]
    fn a_reason_has_one_name_everywhere() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.code());
        }
        assert!(Reason::ALL.is_sorted_by_key(|reason| reason.code()));
    }
}
