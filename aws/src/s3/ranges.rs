//! Reads some bytes of an object with GET and its header `Range`.
//!
//! A store that ignores the header would send the whole object: its answer is refused before its body is
//! read. It never sends HEAD to learn a size, because the answer to a range names it.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use tagfleet_pipeline::bucket::{BucketError, ByteRange, FetchedRange, Kind};

use super::{S3Bucket, errors, unquoted};

impl S3Bucket {
    pub(super) async fn read_range(
        &self,
        key: &str,
        if_match: Option<&str>,
        range: &ByteRange,
    ) -> Result<FetchedRange, BucketError> {
        let Some(header) = header(range) else {
            return Err(self.fail(Kind::OutOfRange, key, "the range has no bytes"));
        };
        let quoted = if_match.map(|etag| format!("\"{etag}\""));
        let get = |client: aws_sdk_s3::Client| {
            let get = client.get_object().bucket(&self.bucket).key(key).range(&header);
            get.set_if_match(quoted.clone()).send()
        };
        let found = self.client.send(get).await.map_err(|error| errors::of_read(self.error(key, &error)))?;
        let Lengths { object: size, body: length } = self.lengths(key, range, &found)?;
        let etag = unquoted(found.e_tag().unwrap_or_default());
        let body =
            found.body.collect().await.map_err(|error| self.fail(Kind::Temporary, key, error.to_string()))?;
        let bytes = body.into_bytes();
        if bytes.len() as u64 != length {
            return Err(self.fail(
                Kind::Temporary,
                key,
                format!("{} of {length} bytes arrived", bytes.len()),
            ));
        }
        Ok(FetchedRange { bytes, etag, size })
    }

    /// The lengths that an answer states, if it has the requested bytes.
    fn lengths(&self, key: &str, range: &ByteRange, found: &GetObjectOutput) -> Result<Lengths, BucketError> {
        let length = u64::try_from(found.content_length().unwrap_or(0)).unwrap_or(0);
        let no_ranges = || self.fail(Kind::Other, key, "this store does not read ranges of an object");
        let Some(content_range) = found.content_range() else {
            // The whole object is a right answer if the range covers it.
            let is_whole = range.within(length) == Some(0..length);
            return if is_whole { Ok(Lengths { object: length, body: length }) } else { Err(no_ranges()) };
        };
        let size = size(content_range).ok_or_else(no_ranges)?;
        // Some stores answer with no bytes if S3 would refuse.
        let behind = || self.fail(Kind::OutOfRange, key, format!("the object has {size} bytes"));
        let expected = range.within(size).ok_or_else(behind)?;
        let has_start = content_range.starts_with(&format!("bytes {}-", expected.start));
        if expected.end - expected.start != length || !has_start {
            return Err(no_ranges());
        }
        Ok(Lengths { object: size, body: length })
    }
}

/// Lengths that an answer states, in bytes.
struct Lengths {
    object: u64,
    body: u64,
}

/// `bytes=0-99`; `None` for no bytes, which HTTP cannot express.
fn header(range: &ByteRange) -> Option<String> {
    match range {
        ByteRange::Between(range) if range.is_empty() => None,
        ByteRange::Between(range) => Some(format!("bytes={}-{}", range.start, range.end - 1)),
        ByteRange::Last(0) => None,
        ByteRange::Last(count) => Some(format!("bytes=-{count}")),
    }
}

/// The size of the object in `bytes 0-99/1234`.
fn size(content_range: &str) -> Option<u64> {
    content_range.rsplit_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_written_as_http_has_it() {
        assert_eq!(header(&ByteRange::Between(0..100)).as_deref(), Some("bytes=0-99"));
        assert_eq!(header(&ByteRange::Last(8)).as_deref(), Some("bytes=-8"));
        assert_eq!(header(&ByteRange::Between(7..7)), None);
        assert_eq!(header(&ByteRange::Last(0)), None);
        assert_eq!((size("bytes 0-99/1234"), size("bytes 0-99/*")), (Some(1234), None));
    }
}
