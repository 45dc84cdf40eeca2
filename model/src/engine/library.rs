//! Finds an engine's shared library and loads the first that fits: once per process, and never another.
//!
//! Absent or unfit libraries, and those that another user could replace, are an error that lists what was
//! tried.

mod owners;
mod places;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use self::places::{Surroundings, candidates};
use super::EngineError;

/// What distinguishes one engine's library from another's.
#[derive(Debug)]
pub(super) struct Kind {
    /// The engine, as people know it.
    pub(super) name: &'static str,
    /// What its files' names start with, up to the dot: `libonnxruntime.`
    pub(super) stem: &'static str,
    /// Where it is in `site-packages`.
    pub(super) in_wheel: &'static str,
    /// The environment variable that names the library.
    pub(super) variable: Option<&'static str>,
    /// The environment variable that names the folder of an installation as Intel's archives have it.
    pub(super) home: Option<&'static str>,
    /// Folders of its own, besides the system's.
    pub(super) folders: &'static [&'static str],
    /// The flag that names the library.
    pub(super) flag: &'static str,
    /// What the flag wants.
    pub(super) file: &'static str,
    /// The command that installs it, into whatever environment the user wants.
    pub(super) install: &'static str,
}

/// The library of this process.
#[derive(Clone, Debug)]
pub(super) struct Library<T> {
    pub(super) version: String,
    pub(super) path: PathBuf,
    /// What sessions are made with.
    pub(super) handle: T,
}

/// The library of this process, which is `loaded`; on the first call the first candidate that `try_load`
/// takes. `asked` is a file, a folder or a Python environment to take it from.
pub(super) fn load<T: Clone>(
    kind: &Kind,
    loaded: &Mutex<Option<Library<T>>>,
    asked: Option<&Path>,
    try_load: impl Fn(&Path) -> Result<Library<T>, String>,
) -> Result<Library<T>, EngineError> {
    let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
    let candidates = candidates(kind, asked, &Surroundings::of_this_process(kind));
    if let Some(library) = loaded.as_ref() {
        let same = |path: &PathBuf| path.canonicalize().is_ok_and(|path| path == library.path);
        let fits = asked.is_none() || candidates.iter().any(same);
        return if fits { Ok(library.clone()) } else { Err(taken(kind, &library.path, asked)) };
    }
    let mut tried = Vec::new();
    for path in &candidates {
        match owners::check(path).and_then(|()| try_load(path)) {
            Ok(library) => return Ok(loaded.insert(library).clone()),
            Err(reason) => tried.push(reason),
        }
    }
    Err(nothing(kind, asked, &tried))
}

/// Where this process would look for the library.
pub(super) fn places(kind: &Kind) -> Vec<PathBuf> {
    candidates(kind, None, &Surroundings::of_this_process(kind))
}

/// The file that a path leads to, links followed, or why there is none.
pub(super) fn file(path: &Path) -> Result<PathBuf, String> {
    if !path.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))
}

fn taken(kind: &Kind, loaded: &Path, asked: Option<&Path>) -> EngineError {
    EngineError::new(format!(
        "{} is already loaded from {}, and one process loads it once: {} is not taken",
        kind.name,
        loaded.display(),
        asked.unwrap_or(Path::new("another")).display()
    ))
}

fn nothing(kind: &Kind, asked: Option<&Path>, tried: &[String]) -> EngineError {
    let Kind { name, flag, file, install, .. } = kind;
    let tried = if tried.is_empty() {
        "no library was found in the usual places".to_owned()
    } else {
        tried.join("; ")
    };
    let advice = match asked {
        Some(_) => format!("give {flag} the path of {file}"),
        None => format!("run `{install}`, or give its path with {flag}"),
    };
    EngineError::new(format!("{name} could not be loaded ({tried}): {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const KIND: Kind = Kind {
        name: "the engine",
        stem: "libengine.",
        in_wheel: "engine/capi",
        variable: None,
        home: None,
        folders: &[],
        flag: "--library",
        file: "libengine.so",
        install: "pip install engine",
    };

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn one_process_keeps_the_library_that_it_loaded_first() {
        let root = tempfile::tempdir().unwrap();
        for name in ["libengine.so", "libengine.so.2"] {
            touch(&root.path().join(name));
        }
        let root = root.path().canonicalize().unwrap();
        let (loaded, path) = (Mutex::new(None), |name: &str| root.join(name));
        let try_load = |path: &Path| {
            let path = file(path)?;
            if path.ends_with("libengine.so") {
                return Err(format!("{} does not fit", path.display()));
            }
            Ok(Library { version: "2".to_owned(), path, handle: () })
        };
        let load = |path: &Path| load(&KIND, &loaded, Some(path), try_load);
        let shown = |error: EngineError| error.to_string().replace(root.to_str().unwrap(), "/root");
        insta::assert_snapshot!(shown(load(&path("none.so")).unwrap_err()), @"the engine could not be loaded (/root/none.so is not a file): give --library the path of libengine.so");
        assert_eq!(load(&root).unwrap().path, path("libengine.so.2"));
        insta::assert_snapshot!(shown(load(&path("libengine.so")).unwrap_err()), @"the engine is already loaded from /root/libengine.so.2, and one process loads it once: /root/libengine.so is not taken");
        insta::assert_snapshot!(nothing(&KIND, None, &[]), @"the engine could not be loaded (no library was found in the usual places): run `pip install engine`, or give its path with --library");
    }
}
