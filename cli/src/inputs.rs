//! The inputs of a run: a folder, one file, a bucket's prefix, or a list of keys.
//!
//! It finds out what the user means and whether it is there; images are read by the pipeline only.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use tagfleet_aws::{Aws, S3Bucket};
use tagfleet_pipeline::bucket::{Bucket, DirBucket, KeyRange};
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::run::Input;
use tagfleet_pipeline::split::Source;

use crate::args::SelectOptions;
use crate::exit::{Failure, bad_input, broken};
use crate::place::Place;

/// A list of keys has at most this many bytes: 1 GiB, some 10 million keys.
const MAX_LIST_BYTES: u64 = 1 << 30;

/// Where a run's images come from.
pub(crate) struct Inputs {
    /// As people know it.
    pub(crate) place: Place,
    /// What keys are relative to.
    pub(crate) bucket: Arc<dyn Bucket>,
    /// What split reads, and of it this range.
    pub(crate) source: Source,
    pub(crate) range: KeyRange,
    /// What the request says of them.
    pub(crate) record: Input,
}

impl Inputs {
    /// `aws` is there where `place` is a bucket's.
    pub(crate) fn new(place: &Place, aws: Option<&Aws>, options: &SelectOptions) -> Result<Self, Failure> {
        match (place, aws) {
            (Place::S3 { bucket, prefix }, Some(aws)) => {
                Self::of_bucket(place, &S3Bucket::new(aws, bucket), prefix, options)
            }
            (Place::S3 { .. }, None) => Err(broken(format!("{place}: no client for it"))),
            (Place::Path(path), _) => Self::of_path(path, options),
        }
    }

    fn of_bucket(
        place: &Place,
        bucket: &S3Bucket,
        prefix: &str,
        options: &SelectOptions,
    ) -> Result<Self, Failure> {
        if options.keys.is_some() && !prefix.is_empty() {
            return Err(bad_input(format!(
                "{place}: a list has whole keys: give --keys with the bucket alone"
            )));
        }
        let keys = options.keys.as_deref().map(read_keys).transpose()?;
        Self::assemble(place.clone(), Arc::new(bucket.clone()), KeyRange::prefix(prefix), keys, options)
    }

    fn of_path(path: &Path, options: &SelectOptions) -> Result<Self, Failure> {
        let found = fs::metadata(path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
        if found.is_dir() {
            let keys = options.keys.as_deref().map(read_keys).transpose()?;
            return Self::of_folder(path, keys, options);
        }
        let path_shown = path.display();
        if options.keys.is_some() {
            return Err(bad_input(format!(
                "{path_shown}: --keys needs the folder that the keys are relative to"
            )));
        }
        if !options.include.is_empty() || !options.exclude.is_empty() {
            return Err(bad_input(format!(
                "{path_shown}: --include and --exclude choose from a folder, this is a file"
            )));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let key = name.ok_or_else(|| bad_input(format!("{path_shown}: the file's name is not UTF-8")))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::of_folder(folder, Some(vec![key.to_owned()]), options)
    }

    fn of_folder(path: &Path, keys: Option<Vec<String>>, options: &SelectOptions) -> Result<Self, Failure> {
        let folder =
            fs::canonicalize(path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
        // The request carries it as text, and two folders must never share that.
        if folder.to_str().is_none() {
            return Err(bad_input(format!("{}: the folder's path is not UTF-8", path.display())));
        }
        let bucket = Arc::new(DirBucket::new(&folder));
        Self::assemble(Place::Path(folder), bucket, KeyRange::default(), keys, options)
    }

    fn assemble(
        place: Place,
        bucket: Arc<dyn Bucket>,
        range: KeyRange,
        keys: Option<Vec<String>>,
        options: &SelectOptions,
    ) -> Result<Self, Failure> {
        let filter = Filter::new(&options.include, &options.exclude).map_err(bad_input)?;
        let record = Input {
            location: place.to_string(),
            prefixes: vec![],
            keys_sha256: keys.as_deref().map(sha256),
            include: options.include.clone(),
            exclude: options.exclude.clone(),
        };
        let source = match keys {
            Some(keys) => Source::Named(Arc::new(keys)),
            None => Source::Listed(bucket.clone(), filter),
        };
        Ok(Self { place, bucket, source, range, record })
    }

    /// True where the folder is listed, false where keys were named.
    pub(crate) fn is_listed(&self) -> bool {
        matches!(self.source, Source::Listed(..))
    }

    /// Makes sure that there is anything to do, before a run begins.
    pub(crate) async fn first(&self) -> Result<(), Failure> {
        let mut pages = self.source.pages(&self.range);
        while let Some(page) = pages.try_next().await.map_err(bad_input)? {
            if !page.images.is_empty() {
                return Ok(());
            }
        }
        let place = &self.place;
        Err(bad_input(
            match (&self.record.keys_sha256, self.record.include.is_empty(), self.record.exclude.is_empty()) {
                (Some(_), _, _) => "the list of keys is empty: give one key per line".to_owned(),
                (None, true, true) => format!("{place}: no files are here: nothing to tag"),
                _ => format!("{place}: no file passes --include and --exclude: nothing to tag"),
            },
        ))
    }
}

/// Sorted and without duplicates: what is asked for twice is tagged once.
fn read_keys(path: &Path) -> Result<Vec<String>, Failure> {
    let named = |error: &dyn std::fmt::Display| bad_input(format!("--keys {}: {error}", path.display()));
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes))
    };
    let read = read.map_err(|error| named(&error))?;
    if read as u64 > MAX_LIST_BYTES {
        return Err(named(&format!("more than {MAX_LIST_BYTES} bytes: split the list, or tag the folder")));
    }
    let text = String::from_utf8(bytes).map_err(|error| named(&format!("keys must be UTF-8: {error}")))?;
    Ok(keys(&text))
}

/// One key per line; where the list has a NUL byte, NUL ends each key instead, so that a key may have line breaks. `./`
/// before a key, which `find` prints, and a byte order mark before the list mean nothing.
fn keys(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let plain = |key: &str| key.strip_prefix("./").unwrap_or(key).to_owned();
    let mut keys: Vec<String> = match text.contains('\0') {
        true => text.split('\0').map(plain).collect(),
        false => text.lines().map(plain).collect(),
    };
    keys.retain(|key| !key.is_empty());
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn sha256(keys: &[String]) -> String {
    let mut hash = Sha256::new();
    for key in keys {
        hash.update(key);
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_each_is_there_once() {
        assert_eq!(keys("\u{feff}./b\r\na b\n\nb\nü\n"), ["a b", "b", "ü"]);
        assert_eq!(keys("line\nbreak\0a\0\0a\0"), ["a", "line\nbreak"]);
        assert!(keys("\n").is_empty());
    }

    #[test]
    fn a_lists_hash_tells_lists_apart() {
        let hash = |keys: &[&str]| sha256(&keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>());
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_eq!(hash(&["a"]), "ffe9aaeaa2a2d5048174df0b80599ef0197ec024c4b051bc9860cff58ef7f9f3");
    }
}
