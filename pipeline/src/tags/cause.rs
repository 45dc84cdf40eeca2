//! Why an image has no tags: a closed list of causes, each with its reason and the text that rows carry.
//!
//! It exists so that people can group failed rows by `error_message`. A text therefore never holds what
//! differs from image to image: numbers, names, bytes of the file; those go into a [`Detail`](super::Detail).
//! The code that finds a failure decides its cause.
//!
//! To add a text, add a variant after all others (checkpoints store its number), its text, its reason and its
//! place in [`Cause::ALL`].

use serde::{Deserialize, Serialize};

use super::Reason;

/// Why an image has no tags. One reason may have several causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// [`Reason::Archived`].
    Archived,
    /// [`Reason::Changed`].
    Changed,
    /// [`Reason::Missing`].
    Missing,
    /// [`Reason::Empty`].
    Empty,
    /// [`Reason::TooLarge`].
    TooLarge,
    /// The header claims more pixels than the limit.
    TooManyPixels,
    /// The pixels are few enough, but decoding or resizing them takes more memory than the limit.
    TooMuchMemory,
    /// Text, an archive, a video, or bytes of no known format.
    NotAnImage,
    /// A pointer of Git LFS in the place of a file that was never fetched.
    LfsPointer,
    /// A HEIC or HEIF file.
    Heic,
    /// An SVG file.
    Svg,
    /// An image of any other format that is not decoded.
    OtherFormat,
    /// A JPEG that is lossless, has 12 bits per sample, or whose scans code more samples than the limit.
    JpegVariant,
    /// A TIFF with samples or a compression that is not decoded.
    TiffVariant,
    /// An AVIF that is not one AV1 picture or a grid of such.
    AvifVariant,
    /// A variant of any other format.
    Variant,
    /// More than half of the rows of a JPEG are missing, and so is its end.
    JpegTruncated,
    /// Any other damage to a JPEG.
    JpegDamaged,
    /// The checksum of a PNG's chunk or of its pixels is wrong.
    PngChecksum,
    /// A PNG ends before its pixels do.
    PngTruncated,
    /// Any other damage to a PNG.
    PngDamaged,
    /// A WebP that cannot be decoded.
    WebpDamaged,
    /// A GIF that cannot be decoded.
    GifDamaged,
    /// A BMP that cannot be decoded.
    BmpDamaged,
    /// A TIFF that cannot be decoded.
    TiffDamaged,
    /// An AVIF that cannot be decoded.
    AvifDamaged,
    /// Any other file that cannot be decoded.
    Damaged,
    /// [`Reason::NotFinite`].
    NotFinite,
    /// [`Reason::NotFinite`], of a vector that is stored in 16 bits.
    VectorTooLarge,
    /// The process died on the image.
    Crashed,
    /// The process had to be stopped because it did not finish the image.
    Hung,
    /// [`Reason::Denied`].
    Denied,
    /// A JPEG with arithmetic coding, which takes so little data that a small file costs the time of a large
    /// one.
    JpegArithmetic,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 33] = [
        Self::Archived,
        Self::Changed,
        Self::Missing,
        Self::Empty,
        Self::TooLarge,
        Self::TooManyPixels,
        Self::TooMuchMemory,
        Self::NotAnImage,
        Self::LfsPointer,
        Self::Heic,
        Self::Svg,
        Self::OtherFormat,
        Self::JpegVariant,
        Self::JpegArithmetic,
        Self::TiffVariant,
        Self::AvifVariant,
        Self::Variant,
        Self::JpegTruncated,
        Self::JpegDamaged,
        Self::PngChecksum,
        Self::PngTruncated,
        Self::PngDamaged,
        Self::WebpDamaged,
        Self::GifDamaged,
        Self::BmpDamaged,
        Self::TiffDamaged,
        Self::AvifDamaged,
        Self::Damaged,
        Self::NotFinite,
        Self::VectorTooLarge,
        Self::Crashed,
        Self::Hung,
        Self::Denied,
    ];

    /// The text that rows carry in `error_message`; part of the results' schema.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Archived => "archived in S3; restore the object first",
            Self::Changed => "replaced after it was listed",
            Self::Missing => "not found: deleted after it was listed, or never there",
            Self::Denied => "reading it is denied; permit it, then tag it again",
            Self::Empty => "the file is empty",
            Self::TooLarge => "larger than the limit of 128 MiB",
            Self::TooManyPixels => "larger than the limit of 179 megapixels",
            Self::TooMuchMemory => "needs more memory than the limit of 512 MiB",
            Self::NotAnImage => "not an image",
            Self::LfsPointer => "a Git LFS pointer; fetch the image itself with git lfs pull",
            Self::Heic => "HEIC is not supported; convert it to JPEG, PNG or WebP",
            Self::Svg => "SVG is not supported; convert it to JPEG, PNG or WebP",
            Self::OtherFormat => "this image format is not supported; convert it to JPEG, PNG or WebP",
            Self::JpegVariant => "this kind of JPEG is not supported; save it as a baseline JPEG",
            Self::JpegArithmetic => {
                "a JPEG with arithmetic coding is not supported; save it as a baseline JPEG"
            }
            Self::TiffVariant => "this kind of TIFF is not supported; convert it to JPEG, PNG or WebP",
            Self::AvifVariant => "this kind of AVIF is not supported; convert it to JPEG, PNG or WebP",
            Self::Variant => "this kind of file is not supported; convert it to JPEG, PNG or WebP",
            Self::JpegTruncated => "JPEG is truncated",
            Self::JpegDamaged => "JPEG is damaged",
            Self::PngChecksum => "PNG checksum error",
            Self::PngTruncated => "PNG is truncated",
            Self::PngDamaged => "PNG is damaged",
            Self::WebpDamaged => "WebP is damaged or truncated",
            Self::GifDamaged => "GIF is damaged or truncated",
            Self::BmpDamaged => "BMP is damaged or truncated",
            Self::TiffDamaged => "TIFF is damaged or truncated",
            Self::AvifDamaged => "AVIF is damaged or truncated",
            Self::Damaged => "the image is damaged or truncated",
            Self::NotFinite => "the model's output is not finite",
            Self::VectorTooLarge => "the vector is too large for 16 bits; store it with --vector f32",
            Self::Crashed => "the decoder or the engine crashed on this image",
            Self::Hung => "the decoder or the engine did not finish this image in time",
        }
    }

    /// The reason whose name rows carry in `error_code`.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Archived => Reason::Archived,
            Self::Changed => Reason::Changed,
            Self::Missing => Reason::Missing,
            Self::Denied => Reason::Denied,
            Self::Empty => Reason::Empty,
            Self::TooLarge => Reason::TooLarge,
            Self::TooManyPixels | Self::TooMuchMemory => Reason::TooManyPixels,
            Self::NotAnImage | Self::LfsPointer | Self::Heic | Self::Svg | Self::OtherFormat => {
                Reason::UnsupportedFormat
            }
            Self::JpegVariant
            | Self::JpegArithmetic
            | Self::TiffVariant
            | Self::AvifVariant
            | Self::Variant => Reason::UnsupportedFeature,
            Self::JpegTruncated
            | Self::JpegDamaged
            | Self::PngChecksum
            | Self::PngTruncated
            | Self::PngDamaged
            | Self::WebpDamaged
            | Self::GifDamaged
            | Self::BmpDamaged
            | Self::TiffDamaged
            | Self::AvifDamaged
            | Self::Damaged => Reason::Corrupt,
            Self::NotFinite | Self::VectorTooLarge => Reason::NotFinite,
            Self::Crashed | Self::Hung => Reason::Crashed,
        }
    }
}

/// The cause of failures of which no more than the reason is known.
impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Empty => Self::Empty,
            Reason::TooLarge => Self::TooLarge,
            Reason::TooManyPixels => Self::TooManyPixels,
            Reason::UnsupportedFormat => Self::OtherFormat,
            Reason::UnsupportedFeature => Self::Variant,
            Reason::Corrupt => Self::Damaged,
            Reason::Changed => Self::Changed,
            Reason::Missing => Self::Missing,
            Reason::Denied => Self::Denied,
            Reason::Archived => Self::Archived,
            Reason::NotFinite => Self::NotFinite,
            Reason::Crashed => Self::Crashed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_cause_has_a_text_of_its_own_that_holds_nothing_of_an_image() {
        let causes: BTreeSet<Cause> = Cause::ALL.into();
        let messages: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.message()).collect();
        assert_eq!((causes.len(), messages.len()), (Cause::ALL.len(), Cause::ALL.len()));
        for message in messages {
            assert!(message.len() <= 80 && message.chars().all(|c| (' '..='~').contains(&c)), "{message}");
        }
    }

    #[test]
    fn a_reason_is_the_reason_of_its_own_cause() {
        for reason in Reason::ALL {
            assert_eq!(Cause::from(reason).reason(), reason);
        }
    }
}
