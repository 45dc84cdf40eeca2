//! Finds the `.onnx` file that a path means. Of files it reads graphs alone, and those only to find an
//! image's part.

use std::path::{Component, Path, PathBuf};

use super::labels;
use crate::error::ModelError;
use crate::files::links;
use crate::graph::{self, Graph};

/// A model's folder and its `.onnx` file.
pub(super) struct Found {
    pub(super) root: PathBuf,
    /// Relative to `root`, with `/`.
    pub(super) model: String,
    pub(super) notes: Vec<String>,
}

/// The image's part of a model with text, as Optimum and transformers.js export it.
const VISION: [&str; 3] = ["vision_model.onnx", "onnx/vision_model.onnx", "visual/model.onnx"];

/// The `.onnx` file that `path` means, with its graph. `vector` is the output that is to be kept.
///
/// # Errors
/// If there is none, or more than one could be meant.
pub(super) fn find_graph(
    path: &Path,
    model_file: Option<&str>,
    vector: Option<&str>,
) -> Result<(Found, Graph), ModelError> {
    let mut found = find(path, model_file)?;
    let graph = read(&found.root, &found.model)?;
    if model_file.is_some() || path.is_file() {
        return Ok((found, graph));
    }
    let takes_image = graph.inputs.len() == 1;
    if takes_image && vector.is_none_or(|name| graph.output(name).is_ok()) {
        return Ok((found, graph));
    }
    let is_other = |name: &&&str| **name != found.model && found.root.join(name).is_file();
    let Some(name) = VISION.iter().find(is_other) else { return Ok((found, graph)) };
    let vision = read(&found.root, name)?;
    if vector.is_some_and(|vector| vision.output(vector).is_ok()) {
        found
            .notes
            .push(format!("the model's file is {name}, because {} is not for images alone", found.model));
        found.model = (*name).to_owned();
        return Ok((found, vision));
    }
    if takes_image {
        return Ok((found, graph));
    }
    let outputs: Vec<&str> = vision.outputs.iter().map(|port| port.name.as_str()).collect();
    Err(ModelError::new(format!(
        "{} takes more than an image; {name} next to it is the part for images: give --output with one of its outputs ({})",
        found.model,
        outputs.join(", ")
    )))
}

fn read(root: &Path, name: &str) -> Result<Graph, ModelError> {
    let path = root.join(name);
    links::refuse_far(root, &path)?;
    graph::read(&path)
}

fn find(path: &Path, model_file: Option<&str>) -> Result<Found, ModelError> {
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
    for candidate in [name.to_owned(), format!("onnx/{name}"), format!("visual/{name}")] {
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

/// Which of several models is the one that a folder means.
pub(super) enum Pick<'a> {
    /// One of the names that exports use.
    Usual(&'a str),
    /// The only one there is.
    Only(&'a str),
    None,
    Several,
}

/// Chooses among the `.onnx` files of a folder.
pub(super) fn pick(models: &[String]) -> Pick<'_> {
    for name in ["model.onnx", "onnx/model.onnx"].into_iter().chain(VISION) {
        if let Some(model) = models.iter().find(|model| *model == name) {
            return Pick::Usual(model);
        }
    }
    match models {
        [] => Pick::None,
        [only] => Pick::Only(only),
        _ => Pick::Several,
    }
}

fn default(root: &Path) -> Result<Found, ModelError> {
    let models = models(root);
    let found = |model: &str, notes| Found { root: root.to_owned(), model: model.to_owned(), notes };
    match pick(&models) {
        Pick::Usual(name) => Ok(found(name, Vec::new())),
        Pick::None => Err(no_model(root)),
        Pick::Only(only) => Ok(found(only, vec![format!("no model.onnx: {only} is the only model there")])),
        Pick::Several => Err(ModelError::new(format!(
            "{} has no model.onnx but {}: choose one with --model-file",
            root.display(),
            listed(&models)
        ))),
    }
}

/// What other frameworks keep in a model's folder, and the command that exports it. `FOLDER` is the folder.
const EXPORTS: [(&[&str], &str); 3] = [
    (
        &[
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
        ],
        "`optimum-cli export onnx --model FOLDER FOLDER-onnx` exports them",
    ),
    (
        &["saved_model.pb"],
        "`python -m tf2onnx.convert --saved-model FOLDER --output FOLDER/model.onnx` exports them",
    ),
    (
        &["tf_model.h5", "model.keras", "model.h5"],
        "export them with `model.export(\"model.onnx\", format=\"onnx\")` in Keras",
    ),
];

/// Names the command that exports what is there instead.
fn no_model(root: &Path) -> ModelError {
    let folder = root.display().to_string();
    for (files, export) in EXPORTS {
        if let Some(file) = files.iter().find(|file| root.join(file).is_file()) {
            let export = export.replace("FOLDER", folder.trim_end_matches('/'));
            return ModelError::new(format!("{folder} has weights in {file} but no .onnx file: {export}"));
        }
    }
    ModelError::new(format!(
        "{folder} has no .onnx file, neither in it nor in its onnx/: export the model to ONNX first"
    ))
}

/// A path to the file itself; if its folder is `onnx/`, the configuration may be in the folder above.
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

/// The folder above `folder`, if that is an `onnx/` without a configuration and the one above has one. `.`
/// may be an `onnx/` too; the model's file itself is never resolved, because in Hugging Face's cache it is a
/// link to elsewhere.
fn above(folder: &Path) -> Option<PathBuf> {
    let folder = if folder.ends_with("onnx") { folder.to_owned() } else { folder.canonicalize().ok()? };
    let above = folder.parent().filter(|_| folder.ends_with("onnx"))?;
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    (is_configured(above) && !is_configured(&folder)).then(|| above.to_owned())
}

fn is_configured(folder: &Path) -> bool {
    super::DESCRIPTIONS.iter().chain(&labels::FILES).any(|name| folder.join(name).exists())
}

/// Every `.onnx` file of a folder, of its `onnx/` and of its `visual/`, sorted.
fn models(root: &Path) -> Vec<String> {
    let mut models = Vec::new();
    let folders = [(root.to_owned(), ""), (root.join("onnx"), "onnx/"), (root.join("visual"), "visual/")];
    for (folder, prefix) in folders {
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

pub(super) fn listed(models: &[String]) -> String {
    if models.is_empty() { "no .onnx file at all".to_owned() } else { models.join(", ") }
}
