//! `s3://bucket/prefix`: how people name a place in object storage.
//!
//! Parsing only; whether there is anything shows with the first request. A key is never interpreted.

use std::fmt;

use thiserror::Error;

const SCHEME: &str = "s3://";

/// A place in object storage: the keys of a bucket that begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The bucket's name: 3 to 63 of `a-z`, `0-9`, `-`, `.` and `_`.
    pub bucket: String,
    /// What the keys begin with; empty for all.
    pub prefix: String,
}

/// The text is no such place.
#[derive(Clone, Debug, Error)]
#[error("{0:?} is no place in a bucket: give s3://bucket/prefix")]
pub struct InvalidAddress(String);

impl Address {
    /// True for text that is meant to be one: it begins with `s3://`.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// The place that `text` names.
    ///
    /// # Errors
    /// Where it does not begin with `s3://`, or the bucket's name is none: it would become part of a host name or a path.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        let rest = text.strip_prefix(SCHEME).ok_or_else(invalid)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(allowed) {
            return Err(invalid());
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// The same place as a folder: a prefix that is not empty ends in `/`.
    #[must_use]
    pub fn folder(mut self) -> Self {
        if !self.prefix.is_empty() && !self.prefix.ends_with('/') {
            self.prefix.push('/');
        }
        self
    }

    /// True where every key of `inner` is a key of this place.
    #[must_use]
    pub fn holds(&self, inner: &Self) -> bool {
        self.bucket == inner.bucket && inner.prefix.starts_with(&self.prefix)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}/{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(bucket: &str, prefix: &str) -> Address {
        Address { bucket: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    #[test]
    fn addresses() {
        assert_eq!(Address::parse("s3://photos").unwrap(), address("photos", ""));
        assert_eq!(Address::parse("s3://photos/a//b c/").unwrap(), address("photos", "a//b c/"));
        assert_eq!(Address::parse("s3://photos/a").unwrap().folder().to_string(), "s3://photos/a/");
        for wrong in ["photos", "./s3://x", "s3://", "s3:///a", "s3://A/b", "s3://a b", "s3://x@y.example/z"]
        {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_holds_what_begins_with_it() {
        assert!(address("photos", "a").holds(&address("photos", "ab/c")));
        assert!(address("photos", "").holds(&address("photos", "a")));
        assert!(!address("photos", "a/").holds(&address("photos", "ab")));
        assert!(!address("photos", "").holds(&address("other", "a")));
    }
}
