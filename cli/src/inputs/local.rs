//! Folders and files of this machine, and what their keys are relative to.
//!
//! Keys are paths below the one folder, or below the deepest folder that holds all inputs. It looks at the
//! named paths and lists nothing.

use std::fs;
use std::path::{Component, Path, PathBuf};

use tagfleet_pipeline::bucket::dir::names;

use crate::exit::{Failure, bad_input};
use crate::place::Place;

/// The named folders and files.
#[derive(Debug)]
pub(super) struct LocalInputs {
    /// The deepest folder that holds all of it.
    pub(super) root: PathBuf,
    /// Below it, the folders as prefixes of keys; empty for the root itself.
    pub(super) folders: Vec<String>,
    /// Below it, the keys of the files.
    pub(super) files: Vec<String>,
    /// What is listed.
    pub(super) listed: Vec<Place>,
}

impl LocalInputs {
    /// True if the whole root was named.
    pub(super) fn is_whole(&self) -> bool {
        self.folders.iter().any(String::is_empty)
    }
}

enum Kind {
    Folder,
    File,
}

/// Looks at each path. A link keeps its own name; links above it are resolved.
pub(super) fn find(paths: &[&Path]) -> Result<LocalInputs, Failure> {
    let mut named = Vec::with_capacity(paths.len());
    for path in paths {
        let unusable = |error| bad_input(format!("{}: {error}", path.display()));
        let kind = fs::metadata(path).map_err(unusable)?;
        let kind = if kind.is_dir() { Kind::Folder } else { Kind::File };
        // A single folder is known by its real path.
        let is_resolved = paths.len() == 1 && matches!(kind, Kind::Folder);
        let whole = if is_resolved { fs::canonicalize(path) } else { absolute(path) };
        named.push((kind, whole.map_err(unusable)?));
    }
    let holders = named.iter().map(|(kind, path)| match kind {
        Kind::Folder => path.as_path(),
        Kind::File => path.parent().unwrap_or(path),
    });
    let root = common_folder(holders);
    let mut found = LocalInputs { root, folders: vec![], files: vec![], listed: vec![] };
    for (kind, path) in named {
        found.add(&kind, &path)?;
    }
    Ok(found)
}

impl LocalInputs {
    fn add(&mut self, kind: &Kind, path: &Path) -> Result<(), Failure> {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let key = names::key_of_path(below);
        match (kind, key) {
            (Kind::Folder, None) if below.as_os_str().is_empty() => self.folders.push(String::new()),
            (Kind::Folder, Some(key)) => self.folders.push(format!("{key}/")),
            (Kind::File, Some(key)) => self.files.push(key),
            (_, None) => return Err(bad_input(format!("{}: cannot be named by a key", path.display()))),
        }
        if matches!(kind, Kind::Folder) {
            let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            self.listed.push(Place::Path(real));
        } else if self.listed.is_empty() && self.files.len() == 1 {
            self.listed.push(Place::Path(path.to_owned()));
        }
        Ok(())
    }
}

/// The path from the root of the file system, with every link resolved but the last name.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    match (path.components().next_back(), path.file_name()) {
        (Some(Component::Normal(_)), Some(name)) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            Ok(fs::canonicalize(parent.unwrap_or(Path::new(".")))?.join(name))
        }
        _ => fs::canonicalize(path),
    }
}

fn common_folder<'a>(folders: impl Iterator<Item = &'a Path>) -> PathBuf {
    let mut common: Option<PathBuf> = None;
    for folder in folders {
        let shared = match common {
            None => folder.to_owned(),
            Some(common) => {
                let both = common.components().zip(folder.components());
                both.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
            }
        };
        common = Some(shared);
    }
    common.unwrap_or_default()
}

/// A folder as the request names it: no two folders share this text.
pub(super) fn location(root: &Path) -> String {
    match (root.to_str(), root.strip_prefix("/").ok().and_then(names::key_of_path)) {
        (Some(text), None) => text.to_owned(),
        (_, Some(below)) => format!("/{below}"),
        (None, None) => root.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    fn found(folder: &tempfile::TempDir, names: &[&str]) -> (String, Vec<String>, Vec<String>) {
        let paths: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let found = find(&paths).unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        let root = found.root.strip_prefix(real).unwrap().display().to_string();
        (root, found.folders, found.files)
    }

    #[test]
    fn keys_are_relative_to_the_folder_that_holds_all() {
        let folder = filled(&["a/b/1.jpg", "a/b/2.jpg", "a/c/3.jpg", "d/4.jpg"]);
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        type Case<'a> = (&'a [&'a str], &'a str, &'a [&'a str], &'a [&'a str]);
        let cases: [Case<'_>; 7] = [
            (&["a"], "a", &[""], &[]),
            (&["a/b/1.jpg"], "a/b", &[], &["1.jpg"]),
            (&["a/b/1.jpg", "a/b/2.jpg"], "a/b", &[], &["1.jpg", "2.jpg"]),
            (&["a/b", "a/c/"], "a", &["b/", "c/"], &[]),
            (&["a/b", "d/4.jpg"], "", &["a/b/"], &["d/4.jpg"]),
            (&["a", "a/b/1.jpg"], "a", &[""], &["b/1.jpg"]),
            (&["a/../a/b", "a/b/."], "a/b", &["", ""], &[]),
        ];
        for (names, root, folders, files) in cases {
            assert_eq!(found(&folder, names), (root.to_owned(), owned(folders), owned(files)), "{names:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn no_two_folders_share_a_location() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let locations = [&b"/a/\xff"[..], b"/a/%FF", b"/a/%25FF", b"/a", b"/"]
            .map(|path| location(Path::new(OsStr::from_bytes(path))));
        assert_eq!(locations, ["/a/%FF", "/a/%25FF", "/a/%2525FF", "/a", "/"]);
    }
}
