//! `s3://bucket/prefix`: how people name a place in object storage.
//!
//! Parsing only; whether there is anything shows with the first request. A key is never interpreted.

use std::fmt;

use thiserror::Error;

const SCHEME: &str = "s3://";

/// How the name of an access point starts.
const ARN: &str = "arn:";

/// A place in object storage: the keys of a bucket that start with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The bucket's name: 3 to 63 of `a-z`, `0-9`, `-`, `.` and `_`. Or the ARN of an access point to it:
    /// `arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME`.
    pub bucket: String,
    /// The start of the keys; empty for all.
    pub prefix: String,
}

/// The text is not such a place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidAddress {
    /// It is something else.
    #[error("{0:?} is not a place in a bucket: give s3://bucket/prefix")]
    Other(String),
    /// The part before the first `/` cannot be a bucket's name.
    #[error("{0:?} is not a bucket's name: it has 3 to 63 of a-z, 0-9, - and .")]
    Bucket(String),
    /// An ARN that is not an access point's.
    #[error(
        "{0:?} is not an access point: give s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/prefix, or s3://bucket/prefix"
    )]
    AccessPoint(String),
    /// Requests to it are signed in a way that is not supported.
    #[error("{0:?} is a multi-region access point, which is not supported: give its bucket in one region")]
    MultiRegion(String),
}

impl Address {
    /// True for text that is meant as an address: it starts with `s3://`.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// The place that `text` names.
    ///
    /// # Errors
    /// If it does not start with `s3://`, or the bucket's name is invalid: it would become part of a host
    /// name or a path.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| InvalidAddress::Other(text.to_owned()))?;
        if rest.starts_with(ARN) {
            return access_point(rest);
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(allowed) {
            return Err(InvalidAddress::Bucket(bucket.to_owned()));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// True if it names an access point instead of a bucket.
    #[must_use]
    pub fn is_access_point(&self) -> bool {
        self.bucket.starts_with(ARN)
    }

    /// The same place as a folder: a prefix that is not empty ends in `/`.
    #[must_use]
    pub fn folder(mut self) -> Self {
        if !self.prefix.is_empty() && !self.prefix.ends_with('/') {
            self.prefix.push('/');
        }
        self
    }

    /// True if every key of `inner` is a key of this place.
    #[must_use]
    pub fn holds(&self, inner: &Self) -> bool {
        self.bucket == inner.bucket && inner.prefix.starts_with(&self.prefix)
    }
}

/// Reads `arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME/prefix`; the AWS CLI takes `accesspoint:NAME`,
/// too.
fn access_point(rest: &str) -> Result<Address, InvalidAddress> {
    let invalid = || InvalidAddress::AccessPoint(rest.to_owned());
    let parts: Vec<&str> = rest.splitn(6, ':').collect();
    let [_, partition, service, region, account, resource] = parts.as_slice() else { return Err(invalid()) };
    let name = resource.strip_prefix("accesspoint").and_then(|name| name.strip_prefix(['/', ':']));
    let (name, prefix) = name.map(|name| name.split_once('/').unwrap_or((name, ""))).ok_or_else(invalid)?;
    if region.is_empty() {
        return Err(InvalidAddress::MultiRegion(rest.to_owned()));
    }
    let is_plain = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&text.len()) && text.bytes().all(allowed)
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_known = ["s3", "s3-object-lambda"].contains(service) && partition.starts_with("aws");
    if !is_known || !is_account || ![*partition, *region, name].into_iter().all(is_plain) {
        return Err(invalid());
    }
    let bucket = format!("arn:{partition}:{service}:{region}:{account}:accesspoint/{name}");
    Ok(Address { bucket, prefix: prefix.to_owned() })
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
    fn an_access_point_stands_where_a_bucket_does() {
        let arn = "arn:aws:s3:eu-central-1:123456789012:accesspoint/shop";
        for spelled in [arn.to_owned(), arn.replace("accesspoint/", "accesspoint:")] {
            let parsed = Address::parse(&format!("s3://{spelled}/p/a b/")).unwrap();
            assert_eq!(parsed, address(arn, "p/a b/"));
            assert!(parsed.is_access_point());
            assert_eq!(Address::parse(&parsed.to_string()).unwrap(), parsed);
        }
        assert_eq!(Address::parse(&format!("s3://{arn}")).unwrap(), address(arn, ""));
        let wrong = [
            "s3://arn:aws:s3:eu-central-1:1:accesspoint/shop",
            "s3://arn:aws:s3:eu-central-1:123456789012:bucket/shop",
            "s3://arn:aws:sqs:eu-central-1:123456789012:accesspoint/shop",
            "s3://arn:aws:s3:eu-central-1:123456789012:accesspoint/",
            "s3://arn:aws:s3:evil.example/:123456789012:accesspoint/shop",
            "s3://arn:",
        ];
        for wrong in wrong {
            assert!(matches!(Address::parse(wrong), Err(InvalidAddress::AccessPoint(_))), "{wrong}");
        }
        let everywhere = "s3://arn:aws:s3::123456789012:accesspoint/x.mrap/p";
        assert!(matches!(Address::parse(everywhere), Err(InvalidAddress::MultiRegion(_))));
    }

    #[test]
    fn a_prefix_holds_what_begins_with_it() {
        assert!(address("photos", "a").holds(&address("photos", "ab/c")));
        assert!(address("photos", "").holds(&address("photos", "a")));
        assert!(!address("photos", "a/").holds(&address("photos", "ab")));
        assert!(!address("photos", "").holds(&address("other", "a")));
    }
}
