//! Where images are or results go: a path on this machine, or `s3://bucket/prefix`.
//!
//! Parsing only; whether there is anything shows with the first listing.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use tagfleet_fleet::address::Address;

use crate::exit::{Failure, bad_input};

/// A place as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder or a file.
    Path(PathBuf),
    /// Keys of a bucket that start with `prefix`.
    S3 { bucket: String, prefix: String },
}

impl Place {
    pub(crate) fn parse(text: &OsStr) -> Result<Self, Failure> {
        let Some(text) = text.to_str().filter(|text| Address::is_meant(text)) else {
            let path = Path::new(text);
            return match text.to_str().filter(|_| !path.exists()).and_then(not_a_path) {
                Some(why) => Err(bad_input(why)),
                None => Ok(Self::Path(path.to_owned())),
            };
        };
        let Address { bucket, prefix } = Address::parse(text).map_err(bad_input)?;
        Ok(Self::S3 { bucket, prefix })
    }

    /// Several, in the order of the command line.
    pub(crate) fn parse_all(texts: &[OsString]) -> Result<Vec<Self>, Failure> {
        texts.iter().map(|text| Self::parse(text)).collect()
    }

    pub(crate) fn is_s3(&self) -> bool {
        matches!(self, Self::S3 { .. })
    }

    /// The path, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::S3 { .. } => None,
        }
    }
}

/// The prefix of a folder's objects: empty, or with a slash at its end.
pub(crate) fn with_slash(prefix: &str) -> String {
    if prefix.is_empty() || prefix.ends_with('/') { prefix.to_owned() } else { format!("{prefix}/") }
}

/// What is wrong with text that looks like an address and not like a path.
fn not_a_path(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme =
        scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte));
    let rest = rest.strip_prefix('/').filter(|_| is_scheme)?;
    match (scheme.to_ascii_lowercase().as_str(), rest.strip_prefix('/')) {
        ("s3", address) => Some(format!("{text}: did you mean s3://{}?", address.unwrap_or(rest))),
        ("file", Some(path)) => Some(format!("{text}: give the path alone, {path}")),
        (_, Some(_)) => {
            Some(format!("{scheme}:// is not supported: give a folder, a file, or s3://bucket/prefix"))
        }
        _ => None,
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(formatter),
            Self::S3 { bucket, prefix } => write!(formatter, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let s3 =
            |bucket: &str, prefix: &str| Place::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
        let parsed = |text: &str| Place::parse(OsStr::new(text)).unwrap();
        assert_eq!(parsed("s3://photos"), s3("photos", ""));
        assert_eq!(parsed("s3://photos/a//b c/"), s3("photos", "a//b c/"));
        assert_eq!(parsed("./s3://x"), Place::Path(PathBuf::from("./s3://x")));
        assert!(Place::parse(OsStr::new("s3://A/b")).is_err());
    }

    #[test]
    fn what_is_neither_a_path_nor_a_bucket_gets_a_remedy() {
        let why = |text: &str| Place::parse(OsStr::new(text)).unwrap_err().message().to_owned();
        assert_eq!(why("S3://shop/p"), "S3://shop/p: did you mean s3://shop/p?");
        assert_eq!(why("s3:/shop/p"), "s3:/shop/p: did you mean s3://shop/p?");
        assert_eq!(why("file:///srv/p"), "file:///srv/p: give the path alone, /srv/p");
        assert!(why("gs://shop/p").starts_with("gs:// is not supported"));
        for path in ["a:b", "photos/a:/b", "c:/x"] {
            assert!(Place::parse(OsStr::new(path)).is_ok(), "{path}");
        }
    }
}
