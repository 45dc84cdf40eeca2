//! Models that tagfleet fetched itself, a folder each: below `$XDG_CACHE_HOME/tagfleet/models`, else
//! `~/.cache/tagfleet/models`.
//!
//! A folder appears whole or not at all, because it is filled elsewhere and then renamed. It never changes
//! afterwards, so two processes may fetch the same model.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tagfleet_pipeline::format::hex;
use tempfile::TempDir;

use crate::exit::{Failure, bad_input, broken};

/// The cache's own folder.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache of this user.
    ///
    /// # Errors
    /// If no home folder is known.
    pub(super) fn of_user() -> Result<Self, Failure> {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let caches = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        let caches = caches.ok_or_else(|| bad_input("no home folder is known: set XDG_CACHE_HOME"))?;
        Ok(Self { root: caches.join("tagfleet/models") })
    }

    /// The model that is known by these texts; `None` if it was not fetched.
    pub(super) fn find(&self, key: &[&str]) -> Option<PathBuf> {
        Some(self.root.join(name(key))).filter(|folder| folder.is_dir())
    }

    /// A folder to fill, next to the others.
    pub(super) fn new_folder(&self) -> Result<TempDir, Failure> {
        let make = || {
            fs::create_dir_all(&self.root)?;
            tempfile::Builder::new().prefix(".fetching-").tempdir_in(&self.root)
        };
        make().map_err(|error| self.unwritable(&error))
    }

    /// Puts a filled folder in its place, unless another process has done so.
    pub(super) fn finish(&self, filled: TempDir, key: &[&str]) -> Result<PathBuf, Failure> {
        let place = self.root.join(name(key));
        match fs::rename(filled.path(), &place) {
            Ok(()) => {
                // It is no longer where it was.
                let _ = filled.keep();
                Ok(place)
            }
            Err(_) if place.is_dir() => Ok(place),
            Err(error) => Err(self.unwritable(&error)),
        }
    }

    fn unwritable(&self, error: &io::Error) -> Failure {
        broken(format!(
            "{} cannot be written: {error}; XDG_CACHE_HOME names another place",
            self.root.display()
        ))
    }
}

/// A folder's name, for whatever a model is known by.
fn name(key: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in key {
        hash.update(text);
        hash.update([0]);
    }
    hex(&hash.finalize()[..16])
}

/// Writes a file of a model whose name is relative to `folder`.
pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let path = folder.join(name);
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, bytes)
    };
    write().map_err(|error| broken(format!("{} cannot be written: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_appears_whole_and_once() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache { root: home.path().join("models") };
        let key = ["https://example.com/a.onnx"];
        assert_eq!(cache.find(&key), None);
        let fill = |text: &str| {
            let folder = cache.new_folder().unwrap();
            write(folder.path(), "onnx/a.onnx", text.as_bytes()).unwrap();
            folder
        };
        let (first, second) = (fill("first"), fill("second"));
        assert_eq!(cache.find(&key), None, "it is not there before it is whole");
        let place = cache.finish(first, &key).unwrap();
        assert_eq!(cache.finish(second, &key).unwrap(), place, "the second one is not needed");
        assert_eq!(fs::read_to_string(place.join("onnx/a.onnx")).unwrap(), "first");
        assert_eq!(cache.find(&key), Some(place));
        assert_eq!(fs::read_dir(&cache.root).unwrap().count(), 1, "nothing is left behind");
        assert_eq!(cache.find(&["https://example.com/b.onnx"]), None);
    }
}
