//! Finds the `.onnx` file that a path means. Reads no file.

use std::path::{Component, Path, PathBuf};

use super::ModelError;
use crate::labels;

/// A model's folder and its `.onnx` file.
pub(super) struct Found {
    pub(super) root: PathBuf,
    /// Relative to `root`, with `/`.
    pub(super) model: String,
    pub(super) notes: Vec<String>,
}

pub(super) fn find(path: &Path, model_file: Option<&str>) -> Result<Found, ModelError> {
    let metadata = path
        .metadata()
        .map_err(|error| ModelError::new(format!("{} can't be read as a model: {error}", path.display())))?;
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(ModelError::new(format!("{} is neither a file nor a folder", path.display())));
    }
    match (metadata.is_dir(), model_file) {
        (true, Some(name)) => named(path, name),
        (true, None) => default(path),
        (false, None) => single(path),
        (false, Some(_)) => Err(ModelError::new(format!(
            "{} is a file, so --model-file has nothing to choose from: give its folder, or leave --model-file out",
            path.display()
        ))),
    }
}

fn named(root: &Path, name: &str) -> Result<Found, ModelError> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    for candidate in [name.to_owned(), format!("onnx/{name}")] {
        if plain && root.join(&candidate).is_file() {
            return Ok(Found { root: root.to_owned(), model: candidate, notes: Vec::new() });
        }
    }
    Err(ModelError::new(format!(
        "{} has no model file {name:?}: it has {}",
        root.display(),
        listed(&models(root))
    )))
}

fn default(root: &Path) -> Result<Found, ModelError> {
    let models = models(root);
    let found = |model: &str, notes| Found { root: root.to_owned(), model: model.to_owned(), notes };
    for name in ["model.onnx", "onnx/model.onnx"] {
        if models.iter().any(|model| model == name) {
            return Ok(found(name, Vec::new()));
        }
    }
    match models.as_slice() {
        [] => Err(ModelError::new(format!(
            "{} has no .onnx file, neither in it nor in its onnx/: export the model to ONNX first",
            root.display()
        ))),
        [only] => Ok(found(only, vec![format!("no model.onnx: {only} is the only model there")])),
        several => Err(ModelError::new(format!(
            "{} has no model.onnx but {}: choose one with --model-file",
            root.display(),
            listed(several)
        ))),
    }
}

/// A path to the file itself; the configuration may stand in the folder above where that folder is `onnx/`.
fn single(path: &Path) -> Result<Found, ModelError> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Err(ModelError::new(format!("{}: the file's name is not UTF-8: rename it", path.display())));
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(match above(folder) {
        Some(above) => Found { root: above, model: format!("onnx/{name}"), notes: Vec::new() },
        None => Found { root: folder.to_owned(), model: name.to_owned(), notes: Vec::new() },
    })
}

/// The folder above `folder`, if that is an `onnx/` without a configuration and the one above has one. `.` may be an
/// `onnx/` too; the model's file itself is never resolved, for in Hugging Face's cache it is a link to elsewhere.
fn above(folder: &Path) -> Option<PathBuf> {
    let folder = if folder.ends_with("onnx") { folder.to_owned() } else { folder.canonicalize().ok()? };
    let above = folder.parent().filter(|_| folder.ends_with("onnx"))?;
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    (is_configured(above) && !is_configured(&folder)).then(|| above.to_owned())
}

fn is_configured(folder: &Path) -> bool {
    let names = [super::config::NAME, super::processor::NAME, super::manual::NAME, labels::DEFAULT_FILE];
    names.iter().any(|name| folder.join(name).exists())
}

/// Every `.onnx` file of a folder and of its `onnx/`, sorted.
fn models(root: &Path) -> Vec<String> {
    let mut models = Vec::new();
    for (folder, prefix) in [(root.to_owned(), ""), (root.join("onnx"), "onnx/")] {
        let Ok(entries) = folder.read_dir() else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if let Some(name) = name.to_str().filter(|name| name.ends_with(".onnx"))
                && entry.path().is_file()
            {
                models.push(format!("{prefix}{name}"));
            }
        }
    }
    models.sort();
    models
}

fn listed(models: &[String]) -> String {
    if models.is_empty() { "no .onnx file at all".to_owned() } else { models.join(", ") }
}
