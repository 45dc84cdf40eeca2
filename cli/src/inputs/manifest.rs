//! A manifest in place of a listing, as `--manifest` names it: a file or folder here, or in a bucket.
//!
//! Its entries are written to a temporary folder if it is large and not sorted; the folder is removed with
//! the inputs. It reads no image and asks for none.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use tagfleet_aws::{Aws, S3Bucket};
use tagfleet_pipeline::bucket::dir::names;
use tagfleet_pipeline::bucket::{Bucket, BucketError, DirBucket, Kind};
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::manifest::{Listed, Manifest, Options, Store};
use tagfleet_pipeline::run::ManifestRecord;
use tempfile::TempDir;

use crate::exit::{Failure, bad_input, broken};
use crate::place::Place;

/// The file of an inventory, whose data is in a folder next to its own.
const OF_AN_INVENTORY: &str = "manifest.json";

/// A manifest as the command line names it.
pub(super) struct ManifestChoice<'a> {
    pub(super) text: &'a OsStr,
    pub(super) key_column: Option<String>,
    /// The bucket that its keys are of, if they are of one.
    pub(super) source: Option<String>,
    /// Keys outside these prefixes are left out.
    pub(super) prefixes: Vec<String>,
    pub(super) filter: Filter,
}

/// A manifest that is open.
pub(super) struct OpenManifest {
    pub(super) listed: Listed,
    pub(super) record: ManifestRecord,
    /// Where its entries are, for as long as they are needed.
    pub(super) entries: TempDir,
}

/// Where a manifest is.
struct Files {
    bucket: Arc<dyn Bucket>,
    key: String,
    /// As its record names it.
    location: String,
    is_here: bool,
}

impl ManifestChoice<'_> {
    /// Opens it. `aws` is there if it is in a bucket.
    pub(super) async fn open(self, aws: Option<&Aws>) -> Result<OpenManifest, Failure> {
        let Self { text, key_column, source, prefixes, filter } = self;
        let files = find(&Place::parse(text)?, aws)?;
        let entries = tempfile::Builder::new().prefix("tagfleet-list-").tempdir().map_err(broken)?;
        let store = Store { bucket: Arc::new(DirBucket::new(entries.path())), prefix: String::new() };
        let options = Options { key_column: key_column.clone(), source, most_unsorted: u64::MAX };
        let failed = |error: BucketError| failed(text, &files, &error);
        let manifest = Manifest::open(&files.bucket, &files.key, &options, &store).await.map_err(failed)?;
        let sha256 = if files.is_here {
            manifest.sha256_of_bytes(files.bucket.as_ref()).await.map_err(failed)?
        } else {
            manifest.sha256()
        };
        let record = ManifestRecord { location: files.location, sha256, key_column };
        let listed = Listed {
            manifest: Arc::new(manifest),
            files: files.bucket,
            store: Some(store),
            filter,
            prefixes,
        };
        Ok(OpenManifest { listed, record, entries })
    }
}

fn find(place: &Place, aws: Option<&Aws>) -> Result<Files, Failure> {
    match (place, aws) {
        (Place::Path(path), _) => here(path),
        (Place::S3 { .. }, None) => Err(broken(format!("--manifest {place}: no client for it"))),
        (Place::S3 { bucket, prefix }, Some(aws)) => Ok(Files {
            bucket: Arc::new(S3Bucket::new(aws, bucket)),
            key: prefix.clone(),
            location: place.to_string(),
            is_here: false,
        }),
    }
}

fn here(path: &Path) -> Result<Files, Failure> {
    let unusable = |why: &dyn std::fmt::Display| bad_input(format!("--manifest {}: {why}", path.display()));
    let whole = fs::canonicalize(path).map_err(|error| unusable(&error))?;
    let of_inventory = whole.join(OF_AN_INVENTORY);
    let whole = if of_inventory.is_file() { of_inventory } else { whole };
    let location = whole.display().to_string();
    if whole.is_dir() {
        return Ok(Files {
            bucket: Arc::new(DirBucket::new(&whole)),
            key: String::new(),
            location,
            is_here: true,
        });
    }
    let folder = whole.parent().unwrap_or(&whole);
    let above = folder.parent().filter(|_| whole.file_name() == Some(OsStr::new(OF_AN_INVENTORY)));
    let root = above.unwrap_or(folder);
    let key = whole.strip_prefix(root).ok().and_then(names::key_of_path);
    let key = key.ok_or_else(|| unusable(&"its name cannot be a key: rename it"))?;
    Ok(Files { bucket: Arc::new(DirBucket::new(root)), key, location, is_here: true })
}

fn failed(text: &OsStr, files: &Files, error: &BucketError) -> Failure {
    let text = text.to_string_lossy();
    match error.kind {
        Kind::Temporary | Kind::Full => broken(format!("--manifest {text}: {error}")),
        Kind::Missing if error.key == files.key && !files.is_here => bad_input(format!(
            "--manifest {text}: there is no such object: the address of a folder ends in /"
        )),
        _ => bad_input(format!("--manifest {text}: {error}")),
    }
}
