//! Which of a folder's files describes the preprocessing: one order, and no description is ignored silently.
//!
//! 1. `processor_config.json`, then `preprocessor_config.json` (transformers)
//! 2. `preprocess_cfg.json`, then `open_clip_config.json` (OpenCLIP, Immich)
//! 3. `selected_tags.csv` next to a graph of channels last (the WD taggers)
//! 4. a `labels.txt` with numbered lines next to a graph of 224x224 with channels last (Teachable Machine)
//! 5. `pretrained_cfg` in `config.json` (timm)
//! 6. `inference.yml` (PaddleClas)
//! 7. the ONNX file's own metadata (Ultralytics, Custom Vision)
//! 8. `model_type` in `config.json`: the defaults of that model's processor
//! 9. a guess from the graph ([`super::evidence`]), with a warning
//!
//! `tagfleet.toml` overrides single lines of any of them. A file that seems to describe preprocessing and is
//! none of these is an error, unless `tagfleet.toml` describes the steps itself.

use std::path::Path;

use serde_json::Value;

use super::processor::Context;
use super::steps::Steps;
use super::{Config, Overrides, evidence, metadata, open_clip, paddle, processor, teachable, wd};
use crate::error::ModelError;
use crate::files;
use crate::graph::{Graph, ImageInput};
use crate::preprocessing::Layout;

/// What a description is looked for in.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    /// The model's folder.
    pub(super) root: &'a Path,
    /// The folder of its `.onnx` file.
    pub(super) folder: &'a Path,
    pub(super) graph: &'a Graph,
    pub(super) input: &'a ImageInput,
    pub(super) config: &'a Config,
    pub(super) overrides: &'a Overrides,
    /// Scores per image, if the graph states it.
    pub(super) classes: Option<usize>,
}

/// What was found.
pub(super) struct Description {
    pub(super) steps: Steps,
    /// For a guess: its evidence.
    pub(super) guess: Option<String>,
}

impl Description {
    fn found(steps: Steps) -> Self {
        Self { steps, guess: None }
    }
}

/// The description of the model's preprocessing, before `tagfleet.toml` is laid over it.
///
/// # Errors
/// If a description can't be read in full, or was made for another layout than the graph's.
pub(super) fn describe(sources: Sources<'_>, notes: &mut Vec<String>) -> Result<Description, ModelError> {
    match found(sources, notes) {
        Err(error) if sources.overrides.describes() => {
            notes.push(format!("tagfleet.toml is used instead, because {}", error.first_line()));
            Ok(Description::found(guessed(sources).steps))
        }
        found => found,
    }
}

fn found(sources: Sources<'_>, notes: &mut Vec<String>) -> Result<Description, ModelError> {
    let Sources { root, folder, graph, input, config, overrides, .. } = sources;
    let context = Context { model_type: config.model_type.as_deref(), input };
    if let Some(steps) = processor::read(root, context, notes)? {
        return channels_first(steps, input, overrides).map(Description::found);
    }
    if let Some(steps) = open_clip::read(folder, root)? {
        return channels_first(steps, input, overrides).map(Description::found);
    }
    if wd::is_tagger(root, input) {
        notes.push(format!(
            "preprocessing of a WD tagger, because {} is next to a graph of channels last",
            wd::NAME
        ));
        return Ok(Description::found(wd::steps(input)));
    }
    if teachable::is_exported(root, input, sources.classes)? {
        notes.push("preprocessing of Teachable Machine, because labels.txt numbers its lines from 0 and is next to the graph".to_owned());
        return Ok(Description::found(teachable::steps(input)));
    }
    if let Some(timm) = config.timm()? {
        notes.push("preprocessing from timm's pretrained_cfg in config.json".to_owned());
        return channels_first(timm.steps("config.json")?, input, overrides).map(Description::found);
    }
    if let Some(steps) = paddle::file(root)?.as_ref().map(paddle::steps).transpose()?.flatten() {
        notes.push(format!("preprocessing from {}", steps.source));
        return Ok(Description::found(steps));
    }
    if let Some(steps) = metadata::steps(graph, input)? {
        notes.push("preprocessing from the graph's metadata".to_owned());
        return Ok(Description::found(steps));
    }
    if let Some(model_type) = &config.model_type
        && let Some(steps) = processor::of_model_type(model_type, side(sources), notes)?
    {
        return channels_first(steps, input, overrides).map(Description::found);
    }
    guess(sources)
}

/// The side that a square graph or `image_size` insists on.
fn side(sources: Sources<'_>) -> Option<u32> {
    let fixed =
        metadata::fixed(sources.input).filter(|size| size.height == size.width).map(|size| size.height);
    fixed.or(sources.config.image_size())
}

fn guess(sources: Sources<'_>) -> Result<Description, ModelError> {
    let Sources { root, overrides, .. } = sources;
    let guess = guessed(sources);
    if overrides.describes() {
        return Ok(Description::found(guess.steps));
    }
    if let Some(name) = unread(root) {
        return Err(guess
            .steps
            .instead(&format!("{name} seems to describe preprocessing, but tagfleet does not read it")));
    }
    Ok(Description { steps: guess.steps, guess: Some(guess.evidence) })
}

/// The guess. A mean and a standard deviation that were guessed fit no scale but their own, so they go if
/// `tagfleet.toml` gives another.
fn guessed(sources: Sources<'_>) -> evidence::Guess {
    let Sources { graph, input, overrides, classes, .. } = sources;
    let mut guess = evidence::guess(graph, input, classes);
    if overrides.rescales() {
        let Steps { mean, std, .. } = Steps::default();
        guess.steps = Steps { mean, std, ..guess.steps };
    }
    guess
}

/// A description of a network with channels first proves nothing about a graph with channels last: the
/// conversion may have changed more.
fn channels_first(steps: Steps, input: &ImageInput, overrides: &Overrides) -> Result<Steps, ModelError> {
    if input.layout == Layout::Nchw || overrides.layout.is_some() {
        return Ok(steps);
    }
    let source = steps.source;
    let error = steps.instead(&format!(
        "{source} describes a PyTorch network, but the graph has its channels last (NHWC), so it came from elsewhere"
    ));
    Err(ModelError::new(format!("{error}\n    layout = \"nhwc\"")))
}

/// Keys under which people write preprocessing.
const TELLTALES: [&str; 18] = [
    "mean",
    "std",
    "image_mean",
    "image_std",
    "pixel_mean",
    "pixel_std",
    "norm_mean",
    "norm_std",
    "normalize",
    "normalization",
    "interpolation",
    "crop_size",
    "center_crop",
    "centercrop",
    "rescale",
    "preprocess",
    "preprocessing",
    "transforms",
];
/// Entries of a folder that are looked at.
const MOST_ENTRIES: usize = 200;

/// The first file of the folder, by name, that describes preprocessing in a form that is not read.
fn unread(root: &Path) -> Option<String> {
    let mut names = Vec::new();
    for entry in root.read_dir().ok()?.flatten().take(MOST_ENTRIES) {
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort();
    names.into_iter().find(|name| {
        let path = root.join(name);
        let value = if name.ends_with(".json") {
            files::read_json::<Value>(&path)
        } else if name.ends_with(".yml") || name.ends_with(".yaml") {
            files::read_yaml(&path)
        } else {
            Ok(None)
        };
        matches!(value, Ok(Some(value)) if tells(&value, 4))
    })
}

/// Whether a key of `value`, at most `depth` levels down, is one of those.
fn tells(value: &Value, depth: usize) -> bool {
    if depth == 0 {
        return false;
    }
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| TELLTALES.contains(&key.to_lowercase().as_str()) || tells(value, depth - 1)),
        Value::Array(values) => values.iter().take(64).any(|value| tells(value, depth - 1)),
        _ => false,
    }
}
