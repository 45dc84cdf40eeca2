//! Reads a manifest once from end to end: how many lines it has, and how its keys are distributed.
//!
//! So every file is known to be readable before a run starts. It keeps a sample of keys, whatever their
//! number and order.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::TryStreamExt;

use super::partitions::TARGET;
use super::selection::MOST;
use super::stream::Entries;
use super::{Format, Manifest, ManifestFile, delimited, failure, jsonl, table};
use crate::bucket::{Bucket, BucketError, KeyRange};
use crate::shard::key_hash;

/// Keys of the sample: 50 for each of 1,000 partitions.
const SAMPLE: usize = 50_000;

/// What a manifest has.
pub(super) struct Scan {
    lines: u64,
    /// Keys with the smallest hashes, each once.
    sample: BTreeMap<u64, String>,
}

/// Reads all files, which have at most `most` lines.
pub(super) async fn scan(
    files: &Arc<dyn Bucket>,
    manifest: &Manifest,
    most: u64,
) -> Result<Scan, BucketError> {
    let mut scan = Scan { lines: 0, sample: BTreeMap::new() };
    for file in &manifest.files {
        let mut entries = entries(files, file, manifest.source.clone(), &KeyRange::default());
        while let Some(page) = entries.try_next().await? {
            scan.lines += page.len() as u64;
            if scan.lines > most {
                return Err(failure(
                    files.as_ref(),
                    &file.key,
                    format!(
                        "the list has more than {most} lines, and its files are not Parquet sorted by key: let the \
                         inventory write Parquet, or give the list of one prefix after the other"
                    ),
                ));
            }
            for entry in page {
                scan.take(entry.key);
            }
        }
    }
    Ok(scan)
}

/// The entries of a file in its order: all that are in `range`, and possibly others.
pub(super) fn entries(
    files: &Arc<dyn Bucket>,
    file: &ManifestFile,
    source: Option<String>,
    range: &KeyRange,
) -> Entries {
    match &file.format {
        Format::Parquet(key) => table::entries(files, file, key.as_deref(), (source, range.clone())),
        Format::Delimited(form) => delimited::entries(files, file, form, source),
        Format::JsonLines(form) => jsonl::entries(files, file, form, source),
    }
}

impl Scan {
    fn take(&mut self, key: String) {
        let hash = key_hash(&key);
        let is_full = self.sample.len() >= SAMPLE;
        if is_full && self.sample.last_key_value().is_some_and(|(last, _)| hash > *last) {
            return;
        }
        self.sample.insert(hash, key);
        if self.sample.len() > SAMPLE {
            self.sample.pop_last();
        }
    }

    /// The bounds between partitions of about [`TARGET`] lines; none if all of it is selected in one pass.
    pub(super) fn bounds(&self) -> Vec<String> {
        if self.lines <= MOST as u64 {
            return Vec::new();
        }
        let mut keys: Vec<&String> = self.sample.values().collect();
        keys.sort_unstable();
        let partitions = usize::try_from(self.lines.div_ceil(TARGET)).unwrap_or(usize::MAX).min(keys.len());
        let at = |partition: usize| keys.get((keys.len() * partition / partitions).checked_sub(1)?);
        let mut bounds: Vec<String> = (1..partitions).filter_map(at).map(|key| (*key).clone()).collect();
        bounds.dedup();
        bounds
    }
}
