//! What an entry of a list may be: a key, a path below the folder, an address in the bucket; plain or
//! URL-encoded.
//!
//! Text only; `evidence` checks whether a key exists. An entry of another place has no key.

use std::borrow::Cow;
use std::env;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode;
use tagfleet_pipeline::bucket::dir::names;

/// What the keys of a list are relative to.
pub(super) enum Root {
    /// A folder: where it is, with links resolved, and the path that the user named.
    Folder { real: PathBuf, named: PathBuf },
    /// A bucket, by its name.
    Bucket(String),
}

/// How all entries of a list are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    base: Base,
    encoding: Encoding,
}

/// What an entry that is neither an address nor an absolute path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// A key, as rows have it.
    Key,
    /// A path below the folder, or a key with a slash in front.
    Path,
    /// A path below the working folder.
    Here,
    /// A path with backslashes.
    Backslashes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Percent,
    /// With `+` for a space, as S3 Inventory writes keys.
    PercentAndPlus,
}

const S3_SCHEMES: [&str; 3] = ["s3://", "s3a://", "s3n://"];

impl Form {
    /// All of them, the plain ones first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let encodings = [Encoding::Plain, Encoding::Percent, Encoding::PercentAndPlus];
        let bases = [Base::Key, Base::Path, Base::Here, Base::Backslashes];
        encodings
            .into_iter()
            .flat_map(move |encoding| bases.into_iter().map(move |base| Self { base, encoding }))
    }

    /// Its name; `None` for plain keys.
    pub(super) fn in_words(self) -> Option<String> {
        let base = match self.base {
            Base::Key | Base::Path => None,
            Base::Here => Some("paths below the working folder"),
            Base::Backslashes => Some("paths with backslashes"),
        };
        let encoding = (self.encoding != Encoding::Plain).then_some("URL-encoded");
        let words: Vec<&str> = base.into_iter().chain(encoding).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

impl Root {
    /// The key that an entry means; none if it cannot be one of this input.
    pub(super) fn key(&self, entry: &[u8], form: Form) -> Option<String> {
        let text = decoded(entry, form.encoding);
        match self {
            Self::Folder { .. } => self.key_in_folder(&text, form.base),
            Self::Bucket(bucket) => in_bucket(&text, form.base, bucket),
        }
    }

    fn key_in_folder(&self, text: &[u8], base: Base) -> Option<String> {
        let path =
            text.strip_prefix(b"file://localhost").or_else(|| text.strip_prefix(b"file://")).unwrap_or(text);
        if path.starts_with(b"/") {
            return self.key_of_absolute(&path_of(path)?);
        }
        if is_url(path) {
            return None;
        }
        let path = without_dots(path);
        match base {
            Base::Key => String::from_utf8(path.to_owned()).ok(),
            Base::Path => names::key_of_path(&path_of(path)?),
            Base::Here => self.key_of_absolute(&env::current_dir().ok()?.join(path_of(path)?)),
            Base::Backslashes => {
                let slashes: Vec<u8> =
                    path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
                names::key_of_path(&path_of(without_dots(&slashes))?)
            }
        }
    }

    fn key_of_absolute(&self, path: &Path) -> Option<String> {
        let Self::Folder { real, named } = self else { return None };
        let as_named = std::path::absolute(named).ok()?;
        names::key_of_path(path.strip_prefix(real).or_else(|_| path.strip_prefix(as_named)).ok()?)
    }

    /// Why an entry is not a key of this input, to follow "which".
    pub(super) fn why_not(&self, entry: &[u8]) -> &'static str {
        let text = String::from_utf8_lossy(entry);
        let is_address = S3_SCHEMES.iter().any(|scheme| text.starts_with(scheme));
        let is_none = Form::all().all(|form| self.key(entry, form).is_none());
        match self {
            Self::Folder { .. } if is_address => "is in a bucket",
            Self::Folder { .. } if is_none => "is outside the folder",
            Self::Bucket(_) if is_none => "is in another bucket",
            _ => "does not exist",
        }
    }
}

fn decoded(entry: &[u8], encoding: Encoding) -> Cow<'_, [u8]> {
    match encoding {
        Encoding::Plain => Cow::Borrowed(entry),
        Encoding::Percent => percent_decode(entry).into(),
        Encoding::PercentAndPlus => {
            let spaced: Vec<u8> = entry.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            Cow::Owned(percent_decode(&spaced).collect())
        }
    }
}

fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    #[cfg(unix)]
    return Some(PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes)));
    #[cfg(not(unix))]
    return std::str::from_utf8(bytes).ok().map(PathBuf::from);
}

/// `find` prints `./` before each path.
fn without_dots(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    path
}

fn is_url(text: &[u8]) -> bool {
    let schemes = S3_SCHEMES.iter().chain(&["http://", "https://", "arn:"]);
    schemes.into_iter().any(|scheme| text.starts_with(scheme.as_bytes()))
}

fn in_bucket(text: &[u8], base: Base, bucket: &str) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    if is_url(text.as_bytes()) {
        let key = key_of_address(text, bucket)?;
        return (!key.is_empty()).then(|| key.to_owned());
    }
    match base {
        Base::Key => Some(text.to_owned()),
        Base::Path => text.strip_prefix("./").or_else(|| text.strip_prefix('/')).map(str::to_owned),
        Base::Here | Base::Backslashes => None,
    }
}

/// The key in `s3://bucket/key`, `arn:aws:s3:::bucket/key`, `https://bucket.s3.region.amazonaws.com/key` or
/// `https://host/bucket/key`.
fn key_of_address<'a>(text: &'a str, bucket: &str) -> Option<&'a str> {
    let of_bucket = |rest: &'a str| rest.strip_prefix(bucket)?.strip_prefix('/');
    if let Some(rest) = S3_SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) {
        return of_bucket(rest);
    }
    if text.starts_with("arn:") {
        return of_bucket(text.split_once(":s3:::")?.1);
    }
    let (host, path) = text.split_once("://")?.1.split_once('/')?;
    // What follows is a signature.
    let path = path.split('?').next().unwrap_or(path);
    let is_of_host = host.strip_prefix(bucket).is_some_and(|rest| rest.starts_with('.'));
    if is_of_host { Some(path) } else { of_bucket(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key that an entry can mean.
    fn meanings(root: &Root, entry: &[u8]) -> Vec<String> {
        let mut keys: Vec<String> = Form::all().filter_map(|form| root.key(entry, form)).collect();
        let mut seen = std::collections::HashSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        keys
    }

    #[test]
    fn entries_of_a_bucket() {
        let shop = Root::Bucket("shop".to_owned());
        let cases: [(&str, &[&str]); 14] = [
            ("p/0.png", &["p/0.png"]),
            ("s3://shop/p/0.png", &["p/0.png"]),
            ("s3a://shop/p/0.png", &["p/0.png"]),
            ("s3://other/p/0.png", &[]),
            ("s3://shop", &[]),
            ("s3://shopping/a.png", &[]),
            ("arn:aws:s3:::shop/a.png", &["a.png"]),
            (
                "https://shop.s3.eu-central-1.amazonaws.com/a%20b.png?X-Amz-Signature=1",
                &["a%20b.png", "a b.png"],
            ),
            ("http://localhost:9000/shop/a.png", &["a.png"]),
            ("https://example.com/a.png", &[]),
            ("/p/0.png", &["/p/0.png", "p/0.png"]),
            ("./p/0.png", &["./p/0.png", "p/0.png"]),
            ("a%20b.png", &["a%20b.png", "a b.png"]),
            ("a+b%2Bc.png", &["a+b%2Bc.png", "a+b+c.png", "a b+c.png"]),
        ];
        for (entry, keys) in cases {
            assert_eq!(meanings(&shop, entry.as_bytes()), keys, "{entry}");
        }
        assert_eq!(shop.why_not(b"s3://other/a"), "is in another bucket");
        assert_eq!(shop.why_not(b"a"), "does not exist");
    }

    #[cfg(unix)]
    #[test]
    fn entries_of_a_folder() {
        let here = env::current_dir().unwrap();
        let photos = Root::Folder { real: PathBuf::from("/data/photos"), named: here.join("photos") };
        let cases: [(&[u8], &[&str]); 11] = [
            (b"a.png", &["a.png"]),
            (b"./a.png", &["a.png"]),
            (b"/data/photos/a.png", &["a.png"]),
            (b"/data/photos/./b//a.png", &["b/a.png"]),
            (b"/data/photos/../a.png", &[]),
            (b"/data/photos", &[]),
            (b"/data/other/a.png", &[]),
            (b"file:///data/photos/a%20b.png", &["a%20b.png", "a b.png"]),
            (b"photos/a.png", &["photos/a.png", "a.png"]),
            (b"b\\a.png", &["b\\a.png", "b/a.png"]),
            (b"s3://shop/a.png", &[]),
        ];
        for (entry, keys) in cases {
            assert_eq!(meanings(&photos, entry), keys, "{}", String::from_utf8_lossy(entry));
        }
        assert_eq!(meanings(&photos, b"caf\xe9.png"), ["caf%E9.png"]);
        assert_eq!(meanings(&photos, b"caf%E9.png"), ["caf%E9.png", "caf%25E9.png"]);
        assert_eq!(photos.why_not(b"/etc/passwd"), "is outside the folder");
        assert_eq!(photos.why_not(b"s3://shop/a"), "is in a bucket");
    }
}
