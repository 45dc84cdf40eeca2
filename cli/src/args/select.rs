//! Which images of the inputs are meant: lists, globs, skipped files.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use tagfleet_fleet::address::Address;

#[derive(Debug, ClapArgs)]
pub(crate) struct SelectOptions {
    /// File with the keys to tag: lines, NUL-separated, CSV, JSON or S3 Inventory; - for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["include", "exclude"])]
    pub(crate) keys: Option<PathBuf>,
    /// List of objects in place of a listing: S3 Inventory's manifest.json, or Parquet, CSV or JSON lines
    /// with a column of keys; a file, a folder, or s3://bucket/key
    #[arg(long, value_name = "LIST", conflicts_with = "keys")]
    pub(crate) manifest: Option<OsString>,
    /// The manifest's column of keys, or its number in CSV without a header [default: key, path and others]
    #[arg(long, value_name = "NAME", requires = "manifest")]
    pub(crate) key_column: Option<String>,
    /// Only keys that match this glob; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Exclude keys that match this glob; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Also read hidden files, system files and plain text, which are skipped by default
    #[arg(long, conflicts_with = "keys")]
    pub(crate) all_files: bool,
}

impl SelectOptions {
    /// Whether a manifest in a bucket is named.
    pub(crate) fn is_on_s3(&self) -> bool {
        let text = self.manifest.as_ref().and_then(|manifest| manifest.to_str());
        text.is_some_and(Address::is_meant)
    }
}
