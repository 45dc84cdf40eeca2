//! Where test files are that are not part of the project.

use std::path::{Path, PathBuf};

/// The folder with shared test files, or `None` and a message if it is absent.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let root = std::env::var_os("TAGFLEET_TEST_DATA").map_or_else(beside, PathBuf::from);
    let path = root.join(folder);
    if !path.is_dir() {
        eprintln!("SKIPPED: no {folder}/ under {} (set TAGFLEET_TEST_DATA)", root.display());
        return None;
    }
    Some(path)
}
