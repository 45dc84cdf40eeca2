//! Where ONNX Runtime's shared library may be. Looks at names only: nothing is loaded here.

use std::path::{Path, PathBuf};

/// The places of this process, as values, so that tests can give their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// `ORT_DYLIB_PATH`
    pub(super) dylib_path: Option<PathBuf>,
    /// The project that this program was built in, whose `.venv` `make` fills.
    pub(super) project: Option<PathBuf>,
    /// `VIRTUAL_ENV`
    pub(super) virtual_env: Option<PathBuf>,
    /// `LD_LIBRARY_PATH` or `DYLD_LIBRARY_PATH`, and the system's own folders.
    pub(super) folders: Vec<PathBuf>,
}

impl Surroundings {
    pub(super) fn of_this_process() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut folders = Vec::new();
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
            "/opt/onnxruntime/lib",
            "/opt/homebrew/lib",
        ];
        folders.extend(usual.map(PathBuf::from));
        Self {
            dylib_path: path("ORT_DYLIB_PATH"),
            project: Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned),
            virtual_env: path("VIRTUAL_ENV"),
            folders,
        }
    }
}

/// The libraries to try, in this order: the one asked for and no other; else `ORT_DYLIB_PATH`, the `.venv` of the
/// project that the program was built in, the active virtual environment, the folders of libraries. Never the working
/// directory nor just any folder above the program, such as `/tmp`: whoever fills those would choose the code that runs.
pub(super) fn candidates(asked: Option<&Path>, around: &Surroundings) -> Vec<PathBuf> {
    if let Some(path) = asked {
        return if path.is_dir() { within(path) } else { vec![path.to_owned()] };
    }
    let mut found: Vec<PathBuf> = around.dylib_path.iter().cloned().collect();
    if let Some(project) = &around.project {
        found.extend(in_environment(&project.join(".venv")));
    }
    found.extend(around.virtual_env.iter().flat_map(|environment| in_environment(environment)));
    for folder in &around.folders {
        found.extend(within(folder));
    }
    let mut unique = Vec::new();
    for path in found {
        if !unique.contains(&path) {
            unique.push(path);
        }
    }
    unique
}

/// The libraries of the `onnxruntime` wheel in a Python environment.
fn in_environment(environment: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for python in sorted(&environment.join("lib")) {
        if file_name(&python).starts_with("python3") {
            found.extend(within(&python.join("site-packages/onnxruntime/capi")));
        }
    }
    found
}

/// The libraries named `libonnxruntime.so`, `libonnxruntime.so.1.32.0` or `libonnxruntime.1.32.0.dylib` in a folder.
fn within(folder: &Path) -> Vec<PathBuf> {
    let mut found = sorted(folder);
    found.retain(|path| is_library(file_name(path)));
    found
}

fn is_library(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libonnxruntime.") else { return false };
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

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    const CAPI: &str = "lib/python3.11/site-packages/onnxruntime/capi";

    #[test]
    fn the_projects_environment_comes_first_and_each_library_once() {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("project");
        let in_venv = project.join(".venv").join(CAPI).join("libonnxruntime.so.1.32.0");
        touch(&in_venv);
        touch(&project.join(".venv").join(CAPI).join("libonnxruntime_providers_shared.so"));
        let active = root.path().join("active").join(CAPI).join("libonnxruntime.1.20.0.dylib");
        touch(&active);
        let system = root.path().join("lib/libonnxruntime.so");
        touch(&system);
        let around = Surroundings {
            dylib_path: Some(PathBuf::from("/named/by/variable.so")),
            project: Some(project),
            virtual_env: Some(root.path().join("active")),
            folders: vec![root.path().join("lib"), root.path().join("none")],
        };
        assert_eq!(
            candidates(None, &around),
            [PathBuf::from("/named/by/variable.so"), in_venv, active, system]
        );
    }

    #[test]
    fn what_is_asked_for_is_tried_alone() {
        let root = tempfile::tempdir().unwrap();
        let library = root.path().join("libonnxruntime.so");
        touch(&library);
        let around = Surroundings { folders: vec![root.path().to_owned()], ..Surroundings::default() };
        assert_eq!(candidates(Some(Path::new("/missing.so")), &around), [PathBuf::from("/missing.so")]);
        assert_eq!(candidates(Some(root.path()), &around), [library]);
    }
}
