//! Which links in a model's folder are followed: a folder comes from others, and a link in it may name any
//! file of the user.
//!
//! Hugging Face's cache consists of links: `snapshots/COMMIT/model.onnx` leads to `blobs/HASH` next to
//! `snapshots`. Those are followed, and so are links from a graph or its weights to a file of the same
//! folder. All others are not. Nothing is opened in this module.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::ModelError;

/// Refuses `path`, a graph or weights, if links lead from it out of `folder` and out of the cache that this
/// is in.
pub(crate) fn refuse_far(folder: &Path, path: &Path) -> Result<(), ModelError> {
    let is_near = || -> io::Result<bool> {
        let (folder, target) = (folder.canonicalize()?, path.canonicalize()?);
        Ok(target.starts_with(&folder) || is_blob(&target, &folder))
    };
    match is_near() {
        Ok(true) => Ok(()),
        Ok(false) => Err(ModelError::new(format!(
            "{} is a link that leads out of the model's folder: put the file itself there",
            path.display()
        ))),
        Err(error) => Err(ModelError::new(format!("{} can't be read: {error}", path.display()))),
    }
}

/// Refuses `path`, a configuration or labels, if it is a link, unless it leads into the cache that it is in.
pub(super) fn refuse_any(path: &Path) -> Result<(), ModelError> {
    let is_plain = || -> io::Result<bool> {
        if !path.symlink_metadata()?.is_symlink() {
            return Ok(true);
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(is_blob(&path.canonicalize()?, &folder.canonicalize()?))
    };
    match is_plain() {
        Ok(true) => Ok(()),
        Ok(false) => Err(ModelError::new(format!(
            "{} is a link, and what describes a model is read from its own folder only: put the file itself there",
            path.display()
        ))),
        Err(error) => Err(ModelError::new(format!("{} can't be read: {error}", path.display()))),
    }
}

/// Whether `target` is one of the files that the cache around `folder` keeps by their hashes. Both have no
/// links in them, so that a `blobs` that is itself a link elsewhere holds nothing.
fn is_blob(target: &Path, folder: &Path) -> bool {
    folder.ancestors().filter_map(blobs).any(|blobs| target.parent() == Some(blobs.as_path()))
}

/// The files of the cache whose snapshot `folder` is.
fn blobs(folder: &Path) -> Option<PathBuf> {
    let snapshots = folder.parent().filter(|above| above.ends_with("snapshots"))?;
    Some(snapshots.parent()?.join("blobs"))
}

#[cfg(test)]
mod tests;
