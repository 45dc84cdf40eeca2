//! Folders of pictures for tests: the demo's pictures, in any number and under any names.

use std::fs;
use std::path::{Path, PathBuf};

use crate::project;

/// The files of a folder, recursively, in no order.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Fills `folder` with `count` links to the demo's pictures in turn: `00000.jpg`, `00001.jpg`, and so on.
///
/// # Panics
/// If it cannot be written.
pub fn fill(folder: &Path, count: usize) {
    let mut demo = files(&project("demo/photos"));
    demo.sort();
    fs::create_dir_all(folder).expect("a folder");
    for number in 0..count {
        let target = folder.join(format!("{number:05}.jpg"));
        std::os::unix::fs::symlink(&demo[number % demo.len()], target).expect("a link");
    }
}

/// Copies a folder recursively.
///
/// # Panics
/// If a file cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("a file of the folder"));
        fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        fs::copy(&file, target).expect("a copy");
    }
}
