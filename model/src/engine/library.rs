//! Finds an engine's shared library and loads the first that fits: once per process, and never another.
//!
//! Where it may be is told by names only. Absent or unfit libraries, and those that another user could replace, are an error
//! that lists what was tried.

mod owners;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::EngineError;

/// What distinguishes one engine's library from another's.
#[derive(Debug)]
pub(super) struct Kind {
    /// The engine, as people know it.
    pub(super) name: &'static str,
    /// What its files' names begin with, up to the dot: `libonnxruntime.`
    pub(super) stem: &'static str,
    /// Where it stands in `site-packages`.
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
    /// The command that installs it into the project's `.venv`.
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

/// The places of this process, as values, so that tests can give their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// What the engine's variable names.
    pub(super) named: Option<PathBuf>,
    /// The project that this program was built in, whose `.venv` `make` fills, if the program is still in it.
    pub(super) project: Option<PathBuf>,
    /// Where `make install` puts a library for the program that it installs.
    pub(super) installed: Option<PathBuf>,
    /// `VIRTUAL_ENV`
    pub(super) virtual_env: Option<PathBuf>,
    /// The installation's folders, those of `LD_LIBRARY_PATH` or `DYLD_LIBRARY_PATH`, and the system's own.
    pub(super) folders: Vec<PathBuf>,
}

impl Surroundings {
    pub(super) fn of_this_process(kind: &Kind) -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut folders = Vec::new();
        if let Some(home) = kind.home.and_then(path) {
            let inside = ["runtime/lib/intel64", "runtime/lib/aarch64", "runtime/lib/arm64"];
            folders.extend(inside.map(|folder| home.join(folder)));
        }
        for name in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            folders.extend(std::env::var_os(name).iter().flat_map(std::env::split_paths));
        }
        folders.retain(|folder| folder.is_absolute());
        let usual = [
            "/usr/local/lib",
            "/usr/lib",
            "/usr/lib64",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/opt/homebrew/lib",
        ];
        folders.extend(usual.iter().chain(kind.folders).map(PathBuf::from));
        let program = std::env::current_exe().and_then(|program| program.canonicalize()).ok();
        Self {
            named: kind.variable.and_then(path),
            project: program.as_deref().and_then(project),
            installed: program.as_deref().and_then(installed),
            virtual_env: path("VIRTUAL_ENV"),
            folders,
        }
    }
}

/// The project that this program was built in, if `program` is in it. Wherever else it was copied, a folder of that name is
/// whoever's who made it.
fn project(program: &Path) -> Option<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.canonicalize().ok()?;
    program.starts_with(&project).then_some(project)
}

/// `lib/tagfleet` beside the `bin` that `program` is in.
fn installed(program: &Path) -> Option<PathBuf> {
    let folder = program.parent().filter(|folder| folder.ends_with("bin"))?;
    Some(folder.parent()?.join("lib/tagfleet"))
}

/// The library of this process, which is `loaded`; on the first call the first candidate that `try_load` takes. `asked`
/// is a file, a folder or a Python environment to take it from.
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

/// The file that a path stands for, links followed, or why it is none.
pub(super) fn file(path: &Path) -> Result<PathBuf, String> {
    if !path.is_file() {
        return Err(format!("{} is no file", path.display()));
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

/// The libraries to try, in this order: the one asked for and no other; else the one that the engine's variable names, the
/// `.venv` of the project that the program was built in and still is in, what was installed with it, the active virtual
/// environment, the folders of libraries. Never
/// the working directory nor just any folder above the program, such as `/tmp`: whoever fills those would choose the code
/// that runs.
fn candidates(kind: &Kind, asked: Option<&Path>, around: &Surroundings) -> Vec<PathBuf> {
    if let Some(path) = asked {
        if !path.is_dir() {
            return vec![path.to_owned()];
        }
        let found = within(kind, path);
        return if found.is_empty() { in_environment(kind, path) } else { found };
    }
    let mut found: Vec<PathBuf> = around.named.iter().cloned().collect();
    if let Some(project) = &around.project {
        found.extend(in_environment(kind, &project.join(".venv")));
    }
    found.extend(around.installed.iter().flat_map(|folder| within(kind, folder)));
    found.extend(around.virtual_env.iter().flat_map(|environment| in_environment(kind, environment)));
    for folder in &around.folders {
        found.extend(within(kind, folder));
    }
    let mut unique = Vec::new();
    for path in found {
        if !unique.contains(&path) {
            unique.push(path);
        }
    }
    unique
}

/// The libraries of the engine's wheel in a Python environment.
fn in_environment(kind: &Kind, environment: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for python in sorted(&environment.join("lib")) {
        if file_name(&python).starts_with("python3") {
            found.extend(within(kind, &python.join("site-packages").join(kind.in_wheel)));
        }
    }
    found
}

/// The libraries named `libonnxruntime.so`, `libonnxruntime.so.1.32.0` or `libonnxruntime.1.32.0.dylib` in a folder.
fn within(kind: &Kind, folder: &Path) -> Vec<PathBuf> {
    let mut found = sorted(folder);
    found.retain(|path| is_library(kind, file_name(path)));
    found
}

fn is_library(kind: &Kind, name: &str) -> bool {
    let Some(rest) = name.strip_prefix(kind.stem) else { return false };
    rest == "so" || rest.starts_with("so.") || rest == "dylib" || rest.ends_with(".dylib")
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        name: "the engine",
        stem: "libengine.",
        in_wheel: "engine/capi",
        variable: None,
        home: None,
        folders: &[],
        flag: "--library",
        file: "libengine.so",
        install: "make setup",
    };

    const CAPI: &str = "lib/python3.11/site-packages/engine/capi";

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn the_projects_environment_comes_first_and_each_library_once() {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("project");
        let in_venv = project.join(".venv").join(CAPI).join("libengine.so.1.32.0");
        touch(&in_venv);
        touch(&project.join(".venv").join(CAPI).join("libengine_providers_shared.so"));
        let active = root.path().join("active").join(CAPI).join("libengine.1.20.0.dylib");
        touch(&active);
        let system = root.path().join("lib/libengine.so");
        touch(&system);
        let installed = root.path().join("lib/tagfleet/libengine.so");
        touch(&installed);
        let around = Surroundings {
            named: Some(PathBuf::from("/named/by/variable.so")),
            project: Some(project),
            installed: Some(root.path().join("lib/tagfleet")),
            virtual_env: Some(root.path().join("active")),
            folders: vec![root.path().join("lib"), root.path().join("none")],
        };
        assert_eq!(
            candidates(&KIND, None, &around),
            [PathBuf::from("/named/by/variable.so"), in_venv, installed, active, system]
        );
    }

    #[test]
    fn the_folder_that_it_was_built_in_counts_only_while_it_is_there() {
        let here = std::env::current_exe().unwrap().canonicalize().unwrap();
        assert!(project(&here).is_some_and(|project| project.join("model/Cargo.toml").is_file()));
        let copied = Path::new("/home/ann/.cargo/bin/tagfleet");
        assert_eq!(project(copied), None);
        assert_eq!(installed(copied), Some(PathBuf::from("/home/ann/.cargo/lib/tagfleet")));
        assert_eq!(installed(Path::new("/tmp/tagfleet")), None);
    }

    #[test]
    fn what_is_asked_for_is_tried_alone() {
        let root = tempfile::tempdir().unwrap();
        let library = root.path().join("libengine.so");
        touch(&library);
        let around = Surroundings { folders: vec![root.path().to_owned()], ..Surroundings::default() };
        let missing = Path::new("/missing.so");
        assert_eq!(candidates(&KIND, Some(missing), &around), [missing]);
        assert_eq!(candidates(&KIND, Some(root.path()), &around), [library]);
        let environment = root.path().join("environment");
        let wheel = environment.join(CAPI).join("libengine.so.1.31.1");
        touch(&wheel);
        assert_eq!(candidates(&KIND, Some(&environment), &around), [wheel]);
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
        insta::assert_snapshot!(shown(load(&path("none.so")).unwrap_err()), @"the engine could not be loaded (/root/none.so is no file): give --library the path of libengine.so");
        assert_eq!(load(&root).unwrap().path, path("libengine.so.2"));
        insta::assert_snapshot!(shown(load(&path("libengine.so")).unwrap_err()), @"the engine is already loaded from /root/libengine.so.2, and one process loads it once: /root/libengine.so is not taken");
        insta::assert_snapshot!(nothing(&KIND, None, &[]), @"the engine could not be loaded (no library was found in the usual places): run `make setup`, or give its path with --library");
    }
}
