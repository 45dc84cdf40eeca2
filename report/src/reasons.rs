//! What each reason of a failed row means to a person, in a sentence.
//!
//! The reasons themselves are a closed set of the results' schema; this only explains them.

use tagfleet_pipeline::tags::Reason;

/// The sentence for an error code; codes of other versions have none of their own.
pub(super) fn explanation(code: &str) -> &'static str {
    let Some(reason) = Reason::ALL.into_iter().find(|reason| reason.code() == code) else {
        return "A reason that this version of tagfleet does not know.";
    };
    match reason {
        Reason::Empty => "The file is empty.",
        Reason::TooLarge => "The file is larger than the limit.",
        Reason::TooManyPixels => "The picture has more pixels than the limit.",
        Reason::UnsupportedFormat => {
            "Not an image, or not a supported format. Convert it to JPEG, PNG or WebP."
        }
        Reason::UnsupportedFeature => {
            "A rare variant of a supported format. Save it again as JPEG, PNG or WebP."
        }
        Reason::Corrupt => "The file is damaged: no decoder can read it.",
        Reason::Changed => "It was replaced after it had been listed.",
        Reason::Missing => "It was deleted after it had been listed, or it never existed.",
        Reason::Denied => {
            "It cannot be read. Grant access (file permissions, bucket policy, object owner, KMS key), then tag it again."
        }
        Reason::Archived => "It is in an archive storage class. Restore it first.",
        Reason::NotFinite => "The model's scores or vector for it are not finite, or too large for 16 bits.",
        Reason::Crashed => "The decoder or the engine crashed on it, twice.",
    }
}
