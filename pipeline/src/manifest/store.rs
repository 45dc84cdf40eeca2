//! Entries of a manifest that is not sorted, written once by partition.
//!
//! An object is named by its content. A call that is repeated, or that runs twice at once, writes the same
//! entries again under the same names or under others: entries are a set, so neither loses nor doubles a key.
//! It never sorts.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use super::entry::Entry;
use super::scan;
use super::stream::Entries;
use super::{Manifest, failure, hex};
use crate::bucket::{Bucket, BucketError, KeyRange};

/// A partition is written once it has this many bytes: 4 MiB.
const FULL_BYTES: usize = 4 << 20;
/// Bytes of all partitions that wait to be written: 128 MiB.
const WAITING_BYTES: usize = 128 << 20;
/// Objects that are written at once.
const AT_ONCE: usize = 16;
/// No object is larger once it is unpacked: a full partition and one line.
const MAX_BYTES: u64 = 16 << 20;
/// Bytes of the hash that names an object.
const NAME_BYTES: usize = 16;

/// Where the entries of one manifest are written.
#[derive(Clone)]
pub struct Store {
    /// The bucket.
    pub bucket: Arc<dyn Bucket>,
    /// What its keys start with: empty, or ends in `/`.
    pub prefix: String,
}

impl Store {
    /// The key of the manifest's own stored form.
    #[must_use]
    pub fn record(&self) -> String {
        format!("{}found.json", self.prefix)
    }

    fn partition(&self, partition: usize) -> String {
        format!("{}entries/{partition:05}/", self.prefix)
    }

    /// Writes all entries of a manifest by its partitions.
    pub(super) async fn write(
        &self,
        files: &Arc<dyn Bucket>,
        manifest: &Manifest,
    ) -> Result<(), BucketError> {
        let mut waiting = Waiting { partitions: vec![Vec::new(); manifest.bounds.len() + 1], bytes: 0 };
        for file in &manifest.files {
            let mut entries = scan::entries(files, file, manifest.source.clone(), &KeyRange::default());
            while let Some(page) = entries.try_next().await? {
                for entry in page {
                    let partition = manifest.bounds.partition_point(|bound| *bound < entry.key);
                    if waiting
                        .push(partition, &entry)
                        .map_err(|why| failure(files.as_ref(), &file.key, why))?
                    {
                        self.put_all(waiting.full()).await?;
                    }
                }
            }
        }
        self.put_all(waiting.all()).await
    }

    async fn put_all(&self, full: Vec<(usize, Vec<u8>)>) -> Result<(), BucketError> {
        let puts = full.into_iter().map(|(partition, bytes)| async move {
            let folder = self.partition(partition);
            let name = hex(&Sha256::digest(&bytes)[..NAME_BYTES]);
            let packed = zstd::encode_all(bytes.as_slice(), 1);
            let packed = packed.map_err(|error| failure(self.bucket.as_ref(), &folder, error.to_string()))?;
            self.bucket.put(&format!("{folder}{name}.zst"), packed.into()).await
        });
        stream::iter(puts).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// The entries of a partition, in no order.
    pub(super) fn entries(&self, partition: usize) -> Entries {
        let store = self.clone();
        let pages = self.bucket.list(&KeyRange::prefix(&self.partition(partition)));
        let objects = pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten();
        let read = move |object: crate::bucket::Object| {
            let store = store.clone();
            async move {
                let packed = store.bucket.get(&object.key, None, MAX_BYTES).await?.bytes;
                unpacked(&packed).map_err(|why| failure(store.bucket.as_ref(), &object.key, why))
            }
        };
        objects.map_ok(read).try_buffered(2).boxed()
    }
}

fn unpacked(packed: &Bytes) -> Result<Vec<Entry>, String> {
    let damaged = |error: &dyn std::fmt::Display| format!("damaged: {error}: start a new run");
    let decoder = zstd::Decoder::new(packed.as_ref()).map_err(|error| damaged(&error))?;
    let mut bytes = Vec::new();
    decoder.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
    let (mut entries, mut rest) = (Vec::new(), bytes.as_slice());
    while !rest.is_empty() {
        let (entry, behind) = postcard::take_from_bytes(rest).map_err(|error| damaged(&error))?;
        entries.push(entry);
        rest = behind;
    }
    Ok(entries)
}

/// Entries that are not written yet.
struct Waiting {
    partitions: Vec<Vec<u8>>,
    bytes: usize,
}

impl Waiting {
    /// True once something should be written.
    fn push(&mut self, partition: usize, entry: &Entry) -> Result<bool, String> {
        let bytes = postcard::to_allocvec(entry).map_err(|error| error.to_string())?;
        self.bytes += bytes.len();
        let waiting = &mut self.partitions[partition];
        waiting.extend_from_slice(&bytes);
        Ok(waiting.len() >= FULL_BYTES || self.bytes >= WAITING_BYTES)
    }

    /// Takes the partitions that are full; if all together are too many, the larger half.
    fn full(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mean = self.bytes / self.partitions.len();
        let least = if self.bytes >= WAITING_BYTES { mean.max(1) } else { FULL_BYTES };
        self.take(least.min(FULL_BYTES))
    }

    fn all(&mut self) -> Vec<(usize, Vec<u8>)> {
        self.take(1)
    }

    fn take(&mut self, least: usize) -> Vec<(usize, Vec<u8>)> {
        let mut taken = Vec::new();
        for (partition, waiting) in self.partitions.iter_mut().enumerate() {
            if waiting.len() >= least {
                self.bytes -= waiting.len();
                taken.push((partition, std::mem::take(waiting)));
            }
        }
        taken
    }
}
