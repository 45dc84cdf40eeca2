//! Manifests: a list of objects in files, in place of a listing. An inventory, the result of a query, or any
//! Parquet, CSV or JSON lines with a column of keys.
//!
//! Nothing is assumed of a file's order. Its keys are still read in key order, within bounded memory:
//! keys are cut into partitions, and each partition's smallest keys are selected in as many passes as they
//! need. If files are not sorted, one pass writes each partition to a store of its own first. A manifest is
//! pinned: a file that changes later is an error. It never reads an image, and never guesses at a key.

mod columns;
mod delimited;
mod entry;
mod files;
mod format;
mod jsonl;
mod partitions;
mod scan;
mod selection;
mod sorted;
mod store;
mod stream;
mod table;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bucket::{Bucket, BucketError, ByteRange, KeyRange, Kind};
use crate::filter::Filter;
use crate::format::hex;

pub use columns::KEY_COLUMNS;
pub use sorted::pages;
pub use store::Store;

use format::Format;

/// Ranges of a run at most, as for a listing.
const MAX_RANGES: usize = 128;
/// A local file is read in pieces of this many bytes for its digest: 8 MiB.
const PIECE_BYTES: u64 = 8 << 20;

/// How a manifest is read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The column of keys: its name, or its number from 1 in CSV without a header. One of [`KEY_COLUMNS`] if
    /// `None`.
    pub key_column: Option<String>,
    /// The name of the bucket that the keys are of, `s3://shop`; `None` for a folder.
    pub source: Option<String>,
    /// The most lines of a manifest that is not sorted; more are refused.
    pub most_unsorted: u64,
}

/// A manifest whose files were found and cut into partitions. Its stored form pins the files by their etags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always 1.
    pub version: u32,
    /// See [`Options::source`].
    source: Option<String>,
    files: Vec<ManifestFile>,
    /// The greatest key of every partition but the last, in key order.
    bounds: Vec<String>,
    /// Whether a [`Store`] has the entries, by partition.
    is_stored: bool,
}

/// One file of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestFile {
    key: String,
    etag: String,
    size: u64,
    format: Format,
    /// The least and the greatest key, in hexadecimal, if the file records them; either may be shortened.
    bounds: Option<[String; 2]>,
}

/// A manifest, and where its files and its store are.
#[derive(Clone)]
pub struct Listed {
    /// What is listed.
    pub manifest: Arc<Manifest>,
    /// The bucket of its files.
    pub files: Arc<dyn Bucket>,
    /// What was written of it, if it is not sorted.
    pub store: Option<Store>,
    /// What a run takes of it.
    pub filter: Filter,
    /// Only keys that start with one of these: sorted, and none within another.
    pub prefixes: Vec<String>,
}

impl Manifest {
    /// Finds and reads what is needed of the manifest under `key`: a file, or a folder if it is empty or ends
    /// in `/`. What is not sorted is written to `store`, once and again if it is called again.
    ///
    /// # Errors
    /// Those of the buckets. [`Kind::Other`] names a file that is not a manifest, and the line; or a manifest
    /// that is too large without an order.
    pub async fn open(
        files: &Arc<dyn Bucket>,
        key: &str,
        options: &Options,
        store: &Store,
    ) -> Result<Self, BucketError> {
        let found = files::find(files, key, options).await?;
        let mut manifest = Self {
            version: 1,
            source: options.source.clone(),
            files: found,
            bounds: Vec::new(),
            is_stored: false,
        };
        if let Some(bounds) = partitions::of_sorted(files, &mut manifest).await? {
            manifest.bounds = bounds;
            return Ok(manifest);
        }
        let scan = scan::scan(files, &manifest, options.most_unsorted).await?;
        manifest.bounds = scan.bounds();
        if !manifest.bounds.is_empty() {
            store.write(files, &manifest).await?;
            manifest.is_stored = true;
        }
        Ok(manifest)
    }

    /// The ranges to split it in: groups of partitions, at most 128.
    #[must_use]
    pub fn ranges(&self, prefix: &str) -> Vec<KeyRange> {
        let partitions = self.bounds.len() + 1;
        let each = partitions.div_ceil(MAX_RANGES);
        let mut ranges = Vec::new();
        let mut after = None;
        for last in (each - 1..partitions + each - 1).step_by(each) {
            let up_to = self.bounds.get(last).cloned();
            let range = KeyRange { prefix: prefix.to_owned(), after, up_to: up_to.clone() };
            after = up_to;
            ranges.push(range);
        }
        ranges
    }

    /// Identifies what is listed: SHA-256 of the files' names, sizes and etags, in hexadecimal. It is the
    /// same for the same files.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for file in &self.files {
            hash.update(format!("{}\0{}\0{}\0", file.key, file.size, file.etag));
        }
        hex(&hash.finalize())
    }

    /// The same of the files' bytes: for files on this machine, whose etags change with their times.
    ///
    /// # Errors
    /// If a file cannot be read, or has changed.
    pub async fn sha256_of_bytes(&self, files: &dyn Bucket) -> Result<String, BucketError> {
        let mut hash = Sha256::new();
        for file in &self.files {
            hash.update(format!("{}\0{}\0", file.key, file.size));
            for start in (0..file.size).step_by(usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX)) {
                let piece = ByteRange::Between(start..start.saturating_add(PIECE_BYTES));
                hash.update(files.get_range(&file.key, Some(&file.etag), piece).await?.bytes);
            }
        }
        Ok(hex(&hash.finalize()))
    }
}

impl ManifestFile {
    /// Whether a key of the file may be in `range`.
    fn may_have(&self, range: &KeyRange) -> bool {
        let Some([min, max]) = &self.bounds else { return true };
        let (Some(min), Some(max)) = (unhex(min), unhex(max)) else { return true };
        crate::bucket::parquet::Bounds { min, max }.overlap(range)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(digits).collect()
}

/// What is wrong with a file of a manifest.
fn failure(bucket: &dyn Bucket, key: &str, detail: impl Into<String>) -> BucketError {
    let (bucket, key, detail) = (bucket.name().to_owned(), key.to_owned(), detail.into());
    BucketError { kind: Kind::Other, bucket, key, detail }
}

#[cfg(test)]
mod tests;
