//! Where an engine's library may be: what is installed with this program first, then the active environment,
//! then the system.
//!
//! A program from `pip install` finds the engine that was installed with it, activated or not. No path of the
//! machine that built the program counts. Nothing is loaded, and no rights are checked: a place is only a
//! name.

use std::env;
use std::path::{Path, PathBuf};

use super::Kind;

/// The folders of libraries below the prefix of a Python installation: Fedora and RHEL use the second for
/// compiled packages.
const LIBRARIES: [&str; 2] = ["lib", "lib64"];
/// The folders of packages below `lib/python3.*`: Debian uses the second for what is not in a virtual
/// environment.
const PACKAGES: [&str; 2] = ["site-packages", "dist-packages"];

/// The places of this process, as values, so that tests can give their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// What the engine's variable names.
    pub(super) named: Option<PathBuf>,
    /// The Python environment that this program is installed in, or the `.venv` of the checkout whose
    /// `target` it is in.
    pub(super) own: Option<PathBuf>,
    /// `VIRTUAL_ENV` and `CONDA_PREFIX`
    pub(super) active: Vec<PathBuf>,
    /// Where `make install` puts a library for the program that it installs.
    pub(super) installed: Option<PathBuf>,
    /// The installation's folders, those of `LD_LIBRARY_PATH` or `DYLD_LIBRARY_PATH`, and the system's own.
    pub(super) folders: Vec<PathBuf>,
}

impl Surroundings {
    pub(super) fn of_this_process(kind: &Kind) -> Self {
        let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut folders = Vec::new();
        if let Some(home) = kind.home.and_then(path) {
            let inside = ["runtime/lib/intel64", "runtime/lib/aarch64", "runtime/lib/arm64"];
            folders.extend(inside.map(|folder| home.join(folder)));
        }
        for name in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            folders.extend(env::var_os(name).iter().flat_map(env::split_paths));
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
        let program = env::current_exe().and_then(|program| program.canonicalize()).ok();
        let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(path);
        Self {
            named: kind.variable.and_then(path),
            own: program.as_deref().and_then(own),
            active: active.filter(|folder| folder.is_absolute()).collect(),
            installed: program.as_deref().and_then(prefix).map(|prefix| prefix.join("lib/tagfleet")),
            folders,
        }
    }
}

/// The environment that `program` belongs to.
fn own(program: &Path) -> Option<PathBuf> {
    checkout(program).map(|checkout| checkout.join(".venv")).or_else(|| prefix(program).map(Path::to_owned))
}

/// The folder whose `bin` holds `program`. Never any folder above it, such as `/tmp`: another user who fills
/// that would choose the code that runs.
fn prefix(program: &Path) -> Option<&Path> {
    program.parent().filter(|folder| folder.ends_with("bin"))?.parent()
}

/// The checkout whose `target` holds `program`.
fn checkout(program: &Path) -> Option<&Path> {
    let checkout = program.ancestors().find(|folder| folder.ends_with("target"))?.parent()?;
    checkout.join("Cargo.lock").is_file().then_some(checkout)
}

/// The libraries to try, in this order: the one asked for and no other; else the one that the engine's
/// variable names, those of the environment that the program is installed in, of the active ones, what `make
/// install` put next to the program, the folders of libraries.
pub(super) fn candidates(kind: &Kind, asked: Option<&Path>, around: &Surroundings) -> Vec<PathBuf> {
    if let Some(path) = asked {
        if !path.is_dir() {
            return vec![path.to_owned()];
        }
        let found = within(kind, path);
        return if found.is_empty() { in_environment(kind, path) } else { found };
    }
    let mut found: Vec<PathBuf> = around.named.iter().cloned().collect();
    for environment in around.own.iter().chain(&around.active) {
        found.extend(in_environment(kind, environment));
    }
    for folder in around.installed.iter().chain(&around.folders) {
        found.extend(within(kind, folder));
    }
    each_once(found)
}

/// The paths without those that lead to a file that another leads to.
fn each_once(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let (mut once, mut files) = (Vec::new(), Vec::new());
    for path in paths {
        let file = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !files.contains(&file) {
            files.push(file);
            once.push(path);
        }
    }
    once
}

/// The libraries of the engine's wheel in a Python environment; in one of conda also those of its own
/// package.
fn in_environment(kind: &Kind, environment: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for libraries in LIBRARIES {
        let libraries = environment.join(libraries);
        for python in pythons(&libraries) {
            let wheels = PACKAGES.map(|packages| python.join(packages).join(kind.in_wheel));
            found.extend(wheels.iter().flat_map(|wheel| within(kind, wheel)));
        }
        if environment.join("conda-meta").is_dir() {
            found.extend(within(kind, &libraries));
        }
    }
    // `pip install --target` puts packages next to `bin`.
    found.extend(within(kind, &environment.join(kind.in_wheel)));
    found
}

/// The folders `python3.*`, the newest first.
fn pythons(libraries: &Path) -> Vec<PathBuf> {
    let mut pythons = sorted(libraries);
    pythons.retain(|path| file_name(path).starts_with("python3"));
    let minor = |path: &PathBuf| {
        file_name(path)
            .rsplit_once('.')
            .and_then(|(_, minor)| minor.trim_end_matches('t').parse::<u32>().ok())
    };
    pythons.sort_by_key(|path| std::cmp::Reverse(minor(path)));
    pythons
}

/// The libraries named `libonnxruntime.so`, `libonnxruntime.so.1.32.0` or `libonnxruntime.1.32.0.dylib` in a
/// folder.
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
    use super::super::tests::KIND;
    use super::*;

    const CAPI: &str = "lib/python3.11/site-packages/engine/capi";

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn what_is_installed_with_the_program_comes_first_and_each_library_once() {
        let root = tempfile::tempdir().unwrap();
        let of = |place: &str, library: &str| {
            let path = root.path().join(place).join(library);
            touch(&path);
            path
        };
        let own = of("own", "lib/python3.11/site-packages/engine/capi/libengine.so.1.32.0");
        of("own", "lib/python3.11/site-packages/engine/capi/libengine_providers_shared.so");
        of("own", "lib/libengine.so");
        let active = of("active", "lib/python3.11/site-packages/engine/capi/libengine.1.20.0.dylib");
        let conda = of("conda", "lib/libengine.so.1.31.0");
        std::fs::create_dir(root.path().join("conda/conda-meta")).unwrap();
        let installed = of("lib/tagfleet", "libengine.so");
        let system = of("lib", "libengine.so");
        std::os::unix::fs::symlink("lib", root.path().join("own/lib64")).unwrap();
        std::os::unix::fs::symlink("lib", root.path().join("again")).unwrap();
        let around = Surroundings {
            named: Some(PathBuf::from("/named/by/variable.so")),
            own: Some(root.path().join("own")),
            active: vec![root.path().join("active"), root.path().join("conda")],
            installed: Some(root.path().join("lib/tagfleet")),
            folders: ["lib", "again", "none"].iter().map(|folder| root.path().join(folder)).collect(),
        };
        let named = PathBuf::from("/named/by/variable.so");
        assert_eq!(candidates(&KIND, None, &around), [named, own, active, conda, installed, system]);
    }

    #[test]
    fn every_layout_of_a_python_installation_is_known() {
        let root = tempfile::tempdir().unwrap();
        let newest_first = [
            "lib/python3.14t/site-packages",
            "lib/python3.9/site-packages",
            "lib/python3/dist-packages",
            "lib64/python3.12/site-packages",
            "",
        ];
        let libraries =
            newest_first.map(|packages| root.path().join(packages).join("engine/capi/libengine.so.1"));
        libraries.iter().for_each(|library| touch(library));
        assert_eq!(in_environment(&KIND, root.path()), libraries);
    }

    #[test]
    fn a_program_belongs_to_the_folder_above_its_bin_or_to_its_checkout() {
        let here = std::env::current_exe().unwrap().canonicalize().unwrap();
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().canonicalize().unwrap();
        assert_eq!(own(&here), Some(project.join(".venv")));
        assert_eq!(own(Path::new("/home/ann/.cargo/bin/tagfleet")), Some(PathBuf::from("/home/ann/.cargo")));
        for elsewhere in ["/tmp/tagfleet", "/tmp/target/debug/tagfleet", "/tagfleet", "tagfleet"] {
            assert_eq!(own(Path::new(elsewhere)), None, "{elsewhere}");
        }
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
}
