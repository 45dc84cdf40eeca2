//! Which column of a manifest is what, and what its texts mean.
//!
//! Columns are found by name, without regard to case and underscores, as inventories, metadata tables and
//! queries name them. A key is taken verbatim, unless the form of the file defines its encoding or the
//! column is one of addresses. It never guesses from a value whether a key is encoded.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Version};

/// Names of a column that holds keys, as tools write them; the first ones are preferred.
pub const KEY_COLUMNS: [&str; 24] = [
    "key",
    "object_key",
    "s3_key",
    "$path",
    "path",
    "filepath",
    "file_path",
    "image_path",
    "img_path",
    "file",
    "filename",
    "file_name",
    "image_file",
    "image_filename",
    "image",
    "img",
    "s3_uri",
    "s3uri",
    "uri",
    "url",
    "image_url",
    "location",
    "src",
    "name",
];
/// Those whose values are keys and nothing else.
const VERBATIM: [&str; 3] = ["key", "objectkey", "s3key"];
const SIZES: [&str; 2] = ["size", "objectsize"];
const ETAGS: [&str; 1] = ["etag"];
const BUCKETS: [&str; 2] = ["bucket", "bucketname"];
const LATEST: [&str; 1] = ["islatest"];
const DELETE_MARKERS: [&str; 1] = ["isdeletemarker"];
const STORAGE_CLASSES: [&str; 1] = ["storageclass"];
/// Columns that all tables of results have: what they know of an object is of the past.
const OF_RESULTS: [&str; 4] = ["run", "model", "status", "errorcode"];
/// No key of S3 (1,024 bytes) and no path of Linux (4,096) is longer, also not with every byte encoded.
const MAX_KEY_BYTES: usize = 3 * 4096;

/// The columns of a table that mean something, by their position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Columns {
    pub(super) key: usize,
    pub(super) size: Option<usize>,
    pub(super) etag: Option<usize>,
    pub(super) bucket: Option<usize>,
    pub(super) latest: Option<usize>,
    pub(super) delete_marker: Option<usize>,
    pub(super) storage_class: Option<usize>,
    pub(super) form: KeyForm,
}

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KeyForm {
    /// As it is.
    Verbatim,
    /// As a URL's query is encoded: `+` for a space, `%` and two digits for all else.
    UrlEncoded,
    /// As it is, or as the address of an object: `s3://shop/a.jpg`.
    Address,
}

impl Columns {
    /// The columns of a table with these names.
    ///
    /// # Errors
    /// If none holds keys, in words.
    pub(super) fn new(names: &[&str], key_column: Option<&str>) -> Result<Self, String> {
        let plain: Vec<String> = names.iter().map(|name| normal(name)).collect();
        let any = |wanted: &[&str]| plain.iter().position(|name| wanted.contains(&name.as_str()));
        let key = match key_column {
            Some(column) => names.iter().position(|name| *name == column),
            None => KEY_COLUMNS.iter().find_map(|wanted| any(&[&normal(wanted)])),
        };
        let Some(key) = key else { return Err(no_key(names, key_column)) };
        let form = if VERBATIM.contains(&plain[key].as_str()) { KeyForm::Verbatim } else { KeyForm::Address };
        let is_of_results = OF_RESULTS.iter().all(|wanted| any(&[wanted]).is_some());
        let known = |wanted: &[&str]| any(wanted).filter(|_| !is_of_results);
        Ok(Self {
            key,
            size: known(&SIZES),
            etag: known(&ETAGS),
            bucket: any(&BUCKETS),
            latest: any(&LATEST),
            delete_marker: any(&DELETE_MARKERS),
            storage_class: any(&STORAGE_CLASSES),
            form,
        })
    }

    /// One column of keys, by its number from 1, in a table without a header.
    pub(super) fn numbered(number: usize) -> Self {
        Self {
            key: number.saturating_sub(1),
            size: None,
            etag: None,
            bucket: None,
            latest: None,
            delete_marker: None,
            storage_class: None,
            form: KeyForm::Address,
        }
    }

    /// All positions.
    pub(super) fn all(&self) -> Vec<usize> {
        let others = [self.size, self.etag, self.bucket, self.latest, self.delete_marker, self.storage_class];
        std::iter::once(self.key).chain(others.into_iter().flatten()).collect()
    }
}

fn no_key(names: &[&str], key_column: Option<&str>) -> String {
    let shown: Vec<String> = names.iter().take(20).map(|name| name.chars().take(40).collect()).collect();
    let shown = shown.join(", ");
    match key_column {
        Some(column) => format!("no column is called {column:?}: the columns are {shown}"),
        None => {
            format!("no column is known to hold keys, name it with --key-column: the columns are {shown}")
        }
    }
}

/// Without what tools write differently.
pub(super) fn normal(name: &str) -> String {
    name.trim().chars().filter(|c| !matches!(c, '_' | ' ' | '-')).flat_map(char::to_lowercase).collect()
}

/// The values of a line, as texts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line<'a> {
    pub(super) key: Option<&'a str>,
    pub(super) size: Option<u64>,
    pub(super) etag: Option<&'a str>,
    pub(super) bucket: Option<&'a str>,
    pub(super) is_latest: Option<bool>,
    pub(super) is_delete_marker: Option<bool>,
    pub(super) storage_class: Option<&'a str>,
}

impl Line<'_> {
    /// The entry that the line is, if its key is of `source`.
    ///
    /// # Errors
    /// In words that continue "line 7 ".
    pub(super) fn entry(&self, form: KeyForm, source: Option<&str>) -> Result<Entry, String> {
        let text = self.key.filter(|key| !key.is_empty()).ok_or("has no key")?;
        if text.len() > MAX_KEY_BYTES {
            return Err(format!(
                "has a key of {} bytes, and no key is longer than {MAX_KEY_BYTES}",
                text.len()
            ));
        }
        if let (Some(bucket), Some(source)) = (self.bucket, source)
            && !is_of(source, bucket)
        {
            return Err(format!(
                "is of the bucket {bucket:?}, and the input is {source}: give that bucket as input"
            ));
        }
        let mut entry = Entry::new(key(text, form, source)?);
        entry.size = self.size;
        // A folder has etags of its own.
        let etag = self.etag.filter(|_| source.is_some());
        entry.etag = etag.map(|etag| etag.trim_matches('"').to_owned()).filter(|etag| !etag.is_empty());
        entry.is_archived = matches!(self.storage_class, Some("GLACIER" | "DEEP_ARCHIVE"));
        entry.version = match (self.is_delete_marker, self.is_latest) {
            (_, Some(false)) => Version::Old,
            (Some(true), _) => Version::DeleteMarker,
            _ => Version::Current,
        };
        Ok(entry)
    }
}

/// Whether `source` is the bucket of this name. The name of an access point does not include its bucket.
pub(super) fn is_of(source: &str, bucket: &str) -> bool {
    source.rsplit_once("://").is_none_or(|(_, name)| name == bucket || name.starts_with("arn:"))
}

fn key(text: &str, form: KeyForm, source: Option<&str>) -> Result<String, String> {
    match (form, source) {
        (KeyForm::UrlEncoded, _) => {
            let spaced = text.replace('+', " ");
            let decoded = percent_decode_str(&spaced).decode_utf8();
            decoded.map(String::from).map_err(|_| "has a key that is not UTF-8 once it is decoded".to_owned())
        }
        (KeyForm::Address, Some(source)) if text.contains("://") => {
            let key = text.strip_prefix(source).and_then(|rest| rest.strip_prefix('/'));
            key.filter(|key| !key.is_empty()).map(str::to_owned).ok_or_else(|| {
                format!("is {:?}, which is not in {source}", text.chars().take(200).collect::<String>())
            })
        }
        _ => Ok(text.to_owned()),
    }
}

/// `true` or `false` in any case.
pub(super) fn boolean(text: &str) -> Result<Option<bool>, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        other => Err(format!("has {other:?} in place of true or false")),
    }
}

/// A number of bytes.
pub(super) fn number(text: &str) -> Result<Option<u64>, String> {
    match text.trim() {
        "" => Ok(None),
        digits => {
            digits.parse().map(Some).map_err(|_| format!("has the size {digits:?}, which is not a number"))
        }
    }
}
