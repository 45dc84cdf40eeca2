//! The files of a manifest: one, those of a folder, those that an inventory's or a query's manifest names.
//!
//! All are in one bucket. It reads the first bytes of each, and pins it by its etag.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;

use super::columns::is_of;
use super::format::{self, Format, Head};
use super::{ManifestFile, Options, failure};
use crate::bucket::{Bucket, BucketError, KeyRange};

/// Files of a manifest at most.
const MAX_FILES: usize = 100_000;
/// The largest list of files that is read: 64 MiB.
const MAX_LIST_BYTES: u64 = 64 << 20;
/// Files that are looked at at once.
const AT_ONCE: usize = 16;
/// The end of the name of the list that a query writes next to its results.
const OF_A_QUERY: &str = "-manifest.csv";
/// The name of an inventory's.
const OF_AN_INVENTORY: &str = "manifest.json";

/// The manifest of an inventory: its files, and what is in them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inventory {
    source_bucket: String,
    file_format: String,
    #[serde(default)]
    file_schema: String,
    files: Vec<InventoryFile>,
}

#[derive(Deserialize)]
struct InventoryFile {
    key: String,
    size: u64,
}

/// The files of the manifest under `key`, those that are empty left out.
pub(super) async fn find(
    files: &Arc<dyn Bucket>,
    key: &str,
    options: &Options,
) -> Result<Vec<ManifestFile>, BucketError> {
    let bucket = files.as_ref();
    if key.is_empty() || key.ends_with('/') {
        let keys = in_folder(bucket, key).await?;
        let inventory = keys.iter().find(|key| key.rsplit('/').next() == Some(OF_AN_INVENTORY));
        return match inventory {
            Some(inventory) => of_inventory(bucket, inventory, options).await,
            None => all(bucket, key, keys, options).await,
        };
    }
    let head = format::head(bucket, key).await?;
    let is_inventory = head.is_some_and(|head| is_inventory(&head));
    match () {
        () if is_inventory => of_inventory(bucket, key, options).await,
        () if key.ends_with(OF_A_QUERY) => {
            let keys = of_query(bucket, key).await?;
            all(bucket, key, keys, options).await
        }
        () => all(bucket, key, vec![key.to_owned()], options).await,
    }
}

fn is_inventory(head: &Head) -> bool {
    let text = head.text.trim_ascii_start();
    let names = |name: &[u8]| text.windows(name.len()).any(|window| window == name);
    text.starts_with(b"{") && names(b"\"sourceBucket\"") && names(b"\"destinationBucket\"")
}

/// What tools leave in a folder next to their tables starts with `_` or `.`.
async fn in_folder(bucket: &dyn Bucket, folder: &str) -> Result<Vec<String>, BucketError> {
    let mut keys = Vec::new();
    let mut pages = bucket.list(&KeyRange::prefix(folder));
    while let Some(page) = pages.try_next().await? {
        let is_hidden = |key: &str| key[folder.len()..].split('/').any(|name| name.starts_with(['_', '.']));
        keys.extend(page.into_iter().map(|object| object.key).filter(|key| !is_hidden(key)));
        check_count(bucket, folder, keys.len())?;
    }
    Ok(keys)
}

fn check_count(bucket: &dyn Bucket, key: &str, count: usize) -> Result<(), BucketError> {
    if count <= MAX_FILES {
        return Ok(());
    }
    Err(failure(bucket, key, format!("more than {MAX_FILES} files: name a folder with fewer, larger ones")))
}

/// The files that a query's manifest names, an address per line.
async fn of_query(bucket: &dyn Bucket, key: &str) -> Result<Vec<String>, BucketError> {
    let list = bucket.get(key, None, MAX_LIST_BYTES).await?;
    let text = String::from_utf8_lossy(&list.bytes);
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let address = line.trim().trim_matches('"');
        let Some(found) = address.strip_prefix(bucket.name()).and_then(|rest| rest.strip_prefix('/')) else {
            return Err(failure(
                bucket,
                key,
                format!(
                    "line {number} names {address:?}, which is not in {}: give the folder that the query wrote to",
                    bucket.name()
                ),
            ));
        };
        keys.push(found.to_owned());
    }
    check_count(bucket, key, keys.len())?;
    Ok(keys)
}

async fn all(
    bucket: &dyn Bucket,
    manifest: &str,
    keys: Vec<String>,
    options: &Options,
) -> Result<Vec<ManifestFile>, BucketError> {
    let found = keys.into_iter().map(|key| async move {
        let Some(head) = format::head(bucket, &key).await? else { return Ok(None) };
        let format = head.format(bucket, &key, options)?;
        Ok(Some(file(key, &head, format)))
    });
    let found: Vec<Option<ManifestFile>> = stream::iter(found).buffered(AT_ONCE).try_collect().await?;
    let found: Vec<ManifestFile> = found.into_iter().flatten().collect();
    if found.is_empty() {
        return Err(failure(bucket, manifest, "there is no file with lines: nothing to tag"));
    }
    Ok(found)
}

fn file(key: String, head: &Head, format: Format) -> ManifestFile {
    ManifestFile { key, etag: head.etag.clone(), size: head.size, format, bounds: None }
}

/// The files of an inventory, whose manifest is under `key`.
async fn of_inventory(
    bucket: &dyn Bucket,
    key: &str,
    options: &Options,
) -> Result<Vec<ManifestFile>, BucketError> {
    let list = bucket.get(key, None, MAX_LIST_BYTES).await?;
    let fail = |why: String| failure(bucket, key, why);
    let inventory: Inventory = serde_json::from_slice(&list.bytes)
        .map_err(|error| fail(format!("not the manifest of an inventory: {error}")))?;
    let is_other = |source: &&String| !is_of(source, &inventory.source_bucket);
    if let Some(source) = options.source.as_ref().filter(is_other) {
        return Err(fail(format!(
            "it is an inventory of the bucket {:?}, and the input is {source}: give that bucket as input",
            inventory.source_bucket
        )));
    }
    if !["CSV", "Parquet"].contains(&inventory.file_format.as_str()) {
        return Err(fail(format!(
            "its files are {}, which is not read: configure the inventory for Parquet or CSV",
            inventory.file_format
        )));
    }
    check_count(bucket, key, inventory.files.len())?;
    let Some(first) = inventory.files.first() else {
        return Err(fail("it has no files: nothing to tag".to_owned()));
    };
    let place = place(bucket, key, &first.key).await?;
    let listed: Vec<(String, u64)> =
        inventory.files.iter().map(|listed| (place.of(&listed.key), listed.size)).collect();
    let found = listed.into_iter().map(|(key, size)| of_listed(bucket, key, size, &inventory));
    stream::iter(found).buffered(AT_ONCE).try_collect().await
}

async fn of_listed(
    bucket: &dyn Bucket,
    key: String,
    size: u64,
    inventory: &Inventory,
) -> Result<ManifestFile, BucketError> {
    let head = format::head(bucket, &key).await?;
    let found = head.as_ref().map_or(0, |head| head.size);
    let (Some(head), true) = (head, found == size) else {
        return Err(failure(
            bucket,
            &key,
            format!("it has {found} bytes, and its manifest lists {size}: copy the whole inventory again"),
        ));
    };
    let format = match inventory.file_format.as_str() {
        "CSV" => format::of_inventory(head.is_packed, &inventory.file_schema),
        _ => Ok(Format::Parquet(None)),
    };
    let format = format.map_err(|why| failure(bucket, &key, why))?;
    Ok(file(key, &head, format))
}

/// Where the files of an inventory are: as its manifest has it, or in a copy, whose folders may lack the
/// first ones.
enum FilesAt {
    Keys,
    Folder(String),
}

impl FilesAt {
    fn of(&self, key: &str) -> String {
        match self {
            Self::Keys => key.to_owned(),
            Self::Folder(folder) => format!("{folder}{}", key.rsplit('/').next().unwrap_or(key)),
        }
    }
}

async fn place(bucket: &dyn Bucket, manifest: &str, first: &str) -> Result<FilesAt, BucketError> {
    let own = manifest.rfind('/').map_or("", |slash| &manifest[..=slash]);
    let above = own.trim_end_matches('/').rfind('/').map_or("", |slash| &own[..=slash]);
    let places = [FilesAt::Keys, FilesAt::Folder(format!("{above}data/")), FilesAt::Folder(own.to_owned())];
    for place in places {
        if bucket.exists(&place.of(first)).await? {
            return Ok(place);
        }
    }
    Err(failure(
        bucket,
        manifest,
        format!(
            "its file {first:?} is neither there, nor in data/ above its folder, nor next to it: copy the whole inventory"
        ),
    ))
}
