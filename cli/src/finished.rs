//! The runs below an output folder of this machine: the latest one that is complete, or why there is none.
//!
//! It checks which files exist on this machine; it reads none, and no bucket.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tagfleet_pipeline::run::{RunId, RunKeys};

use crate::exit::{Failure, bad_input};

/// A complete run.
pub(crate) struct FinishedRun {
    /// The folder of its rows.
    pub(crate) results: PathBuf,
    /// Its request.
    pub(crate) request: PathBuf,
}

impl FinishedRun {
    /// The run in this folder, or the latest one of an output folder.
    pub(crate) fn find(path: &Path) -> Result<Self, Failure> {
        if path.to_str().is_some_and(|text| text.starts_with("s3://")) {
            return Err(bad_input(format!(
                "{}: rows in a bucket cannot be shown: download them with `aws s3 cp --recursive`, or query them there",
                path.display()
            )));
        }
        let unreadable = |error: io::Error| bad_input(format!("{}: {error}", path.display()));
        let path = path.canonicalize().map_err(unreadable)?;
        if let Some(run) = Self::complete(&path) {
            return Ok(run);
        }
        let latest =
            folders(&path).map_err(unreadable)?.into_iter().rev().find_map(|run| Self::complete(&run));
        latest.ok_or_else(|| bad_input(none_finished(&path)))
    }

    fn complete(folder: &Path) -> Option<Self> {
        let RunFolder { out, keys, .. } =
            RunFolder::new(folder).filter(|folder| folder.has(&folder.keys.success()))?;
        Some(Self {
            results: out.join(keys.results().trim_end_matches('/')),
            request: out.join(keys.request()),
        })
    }
}

/// A folder with the name of a run, in an output folder.
pub(crate) struct RunFolder<'a> {
    /// The output folder.
    pub(crate) out: &'a Path,
    pub(crate) run: RunId,
    /// The run's keys, relative to `out`.
    pub(crate) keys: RunKeys,
}

impl<'a> RunFolder<'a> {
    /// `None` if the folder's name is not a run ID.
    pub(crate) fn new(folder: &'a Path) -> Option<Self> {
        let run = RunId::try_from(folder.file_name()?.to_str()?.to_owned()).ok()?;
        Some(Self { out: folder.parent()?, keys: RunKeys::new("", &run), run })
    }

    /// Whether the object of this key exists.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.out.join(key).exists()
    }
}

/// Why no run of this folder can be shown, and what to do.
pub(crate) fn none_finished(path: &Path) -> String {
    let here = path.display();
    let is_started =
        |folder: &Path| RunFolder::new(folder).is_some_and(|folder| folder.has(&folder.keys.request()));
    if is_started(path) {
        return format!("{here}: this run is not finished: run the same command again to resume it");
    }
    match folders(path).unwrap_or_default().iter().filter(|folder| is_started(folder)).count() {
        0 => format!(
            "{here}: no run is in this folder: give the folder that was given as --out, or a run's folder in it"
        ),
        1 => format!("{here}: its only run is not finished: run the same command again to resume it"),
        runs => format!(
            "{here}: none of its {runs} runs is finished: run the same command again to resume the latest"
        ),
    }
}

/// The folders below, in the order of their names.
fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = fs::read_dir(path)?.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| none_finished(path).replace(folder.path().to_str().unwrap(), "OUT");
        insta::assert_snapshot!(said(folder.path()), @"OUT: no run is in this folder: give the folder that was given as --out, or a run's folder in it");
        let write = |run: &str, key: fn(&RunKeys) -> String| {
            let id = RunId::try_from(run.to_owned()).unwrap();
            let path = folder.path().join(key(&RunKeys::new("", &id)));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        };
        write("a", RunKeys::request);
        insta::assert_snapshot!(said(folder.path()), @"OUT: its only run is not finished: run the same command again to resume it");
        insta::assert_snapshot!(said(&folder.path().join("a")), @"OUT/a: this run is not finished: run the same command again to resume it");
        write("b", RunKeys::request);
        insta::assert_snapshot!(said(folder.path()), @"OUT: none of its 2 runs is finished: run the same command again to resume the latest");
        write("a", RunKeys::success);
        assert!(FinishedRun::find(folder.path()).unwrap().results.ends_with("a/results"));
    }
}
