//! From a model's path to everything a run must know of it: files, preprocessing, labels, outputs.
//!
//! A model is an `.onnx` file or a folder as Hugging Face's ONNX export makes it: `model.onnx`, else
//! `onnx/model.onnx`, with `config.json` and `preprocessor_config.json`. What these don't say is assumed, and every
//! assumption becomes a sentence in [`ModelSpec::notes`]. Nothing here runs the model or touches the network.
//!
//! # `tagfleet.toml`
//!
//! A file of this name in the folder states what the other files can't, and overrides them. Every line may be left out, and then
//! keeps the value that it has without the file. A key that is not listed here is refused.
//!
//! ```toml
//! color = "bgr"                    # "rgb", "bgr", "gray" (luma before the resize) or "gray_mean" (mean of r, g and b after it)
//! square = 255                     # pad to a square with this gray, or [red, green, blue], before the resize; "none"
//! resize = 256                     # the shorter side; [height, width] for an exact size; "none"
//! # resize = { cover = [224, 160] }           # keep the ratio: the smallest size that covers this one
//! # resize = { fit = [224, 160] }             # keep the ratio: the largest size inside this one
//! # resize = { height = 48, width = 320 }     # this height, the width by the ratio, but at most this
//! filter = "bilinear"              # Pillow's "nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"; "opencv_bilinear"
//! crop = 224                       # a square or [height, width]; a smaller picture is padded; "none"
//! anchor = "center"                # "center", "center_trunc", "center_floor" (three ways to round) or "top_left"
//! fill = 0                         # what a smaller picture is padded with: a gray, [red, green, blue], or "zero" for 0.0 after normalising
//! scale = 1.0                      # multiplied with each sample of 0..=255
//! offset = 0.0                     # then added
//! mean = [103.939, 116.779, 123.68] # then subtracted, per channel in the order of `color`, or one number
//! std = 1.0                        # then divided by, likewise
//! std_twice = false                # whether it is divided by std once more
//! arithmetic = "separate"          # "separate", "fused" or "single": how that is rounded, see `preprocessing::Arithmetic`
//! layout = "nhwc"                  # "nchw" or "nhwc": where the channels stand in the input
//! activation = "none"              # "softmax", "sigmoid" or "none": what turns the output into probabilities
//! output = "logits"                # which output holds the scores
//! labels = "names.txt"             # a file in this folder, one label per line
//! ```
//!
//! A mean that no sample can have with the scale and offset is refused: a scale was left out. A graph that takes uint8 or int8
//! gets the samples as they are, for int8 less 128, unless something describes other integers.

mod config;
mod decoding;
mod files;
mod find;
mod manual;
mod processor;
mod processor_types;
mod steps;
#[cfg(test)]
mod tests;
mod timm;
mod written;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use self::config::Config;
pub use self::files::ModelFile;
pub(crate) use self::files::read_text;
pub(crate) use self::manual::Manual;
use self::steps::Steps;
pub use self::written::Description;
use crate::graph::{self, Element, Graph, ImageInput, OutputPort, Port, Quantization};
use crate::labels;
use crate::preprocessing::Preprocessing;

/// Why a model can't be used: one sentence that names the file and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ModelError(String);

impl ModelError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub(crate) fn about(self, path: &Path) -> Self {
        Self(format!("{}: {}", path.display(), self.0))
    }
}

/// What a user may say of a model besides its path.
#[derive(Clone, Copy, Debug)]
pub struct ModelOptions<'a> {
    /// Which `.onnx` file of a folder, relative to it or to its `onnx/`.
    pub model_file: Option<&'a str>,
    /// The output that is kept whole as a vector.
    pub vector: Option<&'a str>,
    /// Whether EXIF orientation is applied.
    pub exif: bool,
    /// Whether every pixel is decoded, however small the picture will be.
    pub exact: bool,
}

impl Default for ModelOptions<'_> {
    fn default() -> Self {
        Self { model_file: None, vector: None, exif: true, exact: false }
    }
}

/// What turns the scores of the output into probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Exactly one label holds.
    Softmax,
    /// Each label holds or doesn't, by itself.
    Sigmoid,
    /// They are used as they are.
    None,
}

/// The input of the graph, apart from what [`Preprocessing`] says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Its name in the graph.
    pub name: String,
    /// Floats or bytes.
    pub element: Element,
    /// The batch the graph insists on, 1 to 1024; `None` where it takes any.
    pub batch: Option<usize>,
}

/// Everything about a model, resolved; written into the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Over `files`: what `sha256sum` prints for them, hashed again, as 64 hexadecimal digits.
    pub sha256: String,
    /// Every file that was read, and the weights, by name: what a copy of the model needs.
    pub files: Vec<ModelFile>,
    /// The `.onnx` file, relative to the model's folder with `/`.
    pub model: String,
    /// The input.
    pub input: InputSpec,
    /// The output that holds one score per label; `None` for a model that is run for its vector alone.
    pub scores: Option<OutputPort>,
    /// The output that is kept whole.
    pub vector: Option<OutputPort>,
    /// From picture to input tensor.
    pub preprocessing: Preprocessing,
    /// From output to probabilities.
    pub activation: Activation,
    /// Whether each label holds by itself, whoever applies the sigmoid: what is kept by default depends on it.
    pub multi_label: bool,
    /// One label per score; none where there are no scores.
    pub labels: Vec<String>,
    /// Whether and how the graph computes with integers.
    pub quantization: Quantization,
    /// Whether its weights are 16-bit floats.
    pub half: bool,
    /// Every assumption, as sentences for the user.
    pub notes: Vec<String>,
}

/// A model and where its files are.
#[derive(Clone, Debug)]
pub struct Model {
    /// The folder that [`ModelSpec::files`] are relative to.
    pub root: PathBuf,
    /// What is known of it.
    pub spec: ModelSpec,
}

impl Model {
    /// Reads the model at `path`, an `.onnx` file or a folder.
    ///
    /// # Errors
    /// Where a file is missing, broken or contradicts another; the message says what to do.
    pub fn open(path: &Path, options: &ModelOptions<'_>) -> Result<Self, ModelError> {
        let found = find::find(path, options.model_file)?;
        let spec = resolve(&found, options)?;
        Ok(Self { root: found.root, spec })
    }

    /// A copy of the model in `root`, described by the `spec` of a run, after checking that it is the same.
    ///
    /// # Errors
    /// Where a file is missing or differs from what `spec` says.
    pub fn from_copy(root: &Path, spec: ModelSpec) -> Result<Self, ModelError> {
        files::verify(root, &spec.files)?;
        if files::sha256_of(&spec.files) != spec.sha256 {
            return Err(ModelError::new(format!(
                "the model's files have not the sha256 {} that the run began with: start a new run",
                spec.sha256
            )));
        }
        Ok(Self { root: root.to_owned(), spec })
    }

    /// The path of the `.onnx` file.
    pub fn path(&self) -> PathBuf {
        self.root.join(&self.spec.model)
    }
}

fn resolve(found: &find::Found, options: &ModelOptions<'_>) -> Result<ModelSpec, ModelError> {
    let path = found.root.join(&found.model);
    let mut notes = found.notes.clone();
    let graph = graph::read(&path)?;
    let manual = Manual::read(&found.root)?;
    let config = Config::read(&found.root)?;
    let input = graph.image_input(manual.layout).map_err(|error| error.about(&path))?;
    let mut preprocessing = preprocessing(&found.root, &input, &config, &manual, options.exif, &mut notes)?;
    preprocessing.decoding =
        decoding::decide(options.exact, preprocessing.resize, graph.quantization, &mut notes);
    let scores = scores(&graph, &manual, options, &mut notes).map_err(|error| error.about(&path))?;
    let vector = match options.vector {
        Some(name) => Some(graph.output(name).and_then(Port::kept).map_err(|error| error.about(&path))?),
        None => None,
    };
    let activation = match scores {
        Some(scores) => activation(scores, &config, &manual, &mut notes)?,
        None => Activation::None,
    };
    let multi_label = scores.is_some_and(|scores| is_multi_label(activation, scores, &config));
    let scores = scores.map(Port::kept).transpose().map_err(|error| error.about(&path))?;
    let (labels, labels_file) = match &scores {
        Some(scores) => labels::resolve(&found.root, &config, &manual, scores.len, &mut notes)
            .map_err(|error| error.about(&path))?,
        None => (Vec::new(), None),
    };
    note_batches(&graph, &mut notes);
    let files = files::hash(&found.root, &names(found, &graph, labels_file))?;
    Ok(ModelSpec {
        sha256: files::sha256_of(&files),
        files,
        model: found.model.clone(),
        input: InputSpec { name: input.name, element: input.element, batch: input.batch },
        scores,
        vector,
        preprocessing,
        activation,
        multi_label,
        labels,
        quantization: graph.quantization,
        half: graph.half,
        notes,
    })
}

/// The steps that `tagfleet.toml`, else the configuration files, else convention give, checked against the graph.
fn preprocessing(
    root: &Path,
    input: &ImageInput,
    config: &Config,
    manual: &Manual,
    exif: bool,
    notes: &mut Vec<String>,
) -> Result<Preprocessing, ModelError> {
    let mut steps = if let Some(steps) = processor::read(root, config.model_type.as_deref(), notes)? {
        steps
    } else if let Some(timm) = config.timm()? {
        notes.push("preprocessing from timm's pretrained_cfg in config.json".to_owned());
        timm.steps("pretrained_cfg of config.json")?
    } else {
        Steps::torchvision(input, notes)
    };
    manual.apply(&mut steps, notes)?;
    steps.finish(input, exif)
}

/// The output that holds the scores. A model without one can still be run for the vector that was asked for.
fn scores<'a>(
    graph: &'a Graph,
    manual: &Manual,
    options: &ModelOptions<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<&'a Port>, ModelError> {
    if let Some(vector) = options.vector
        && manual.output.is_none()
        && !graph.has_scores()
    {
        notes.push(format!("no output is one row of scores per image: rows have no tags, only {vector}"));
        return Ok(None);
    }
    graph.scores_output(manual.output.as_deref()).map(Some)
}

fn activation(
    scores: &Port,
    config: &Config,
    manual: &Manual,
    notes: &mut Vec<String>,
) -> Result<Activation, ModelError> {
    if let Some(activation) = manual.activation {
        return Ok(activation);
    }
    if scores.probabilities.is_some() {
        notes.push(format!(
            "the output {} comes out of a softmax or sigmoid: its values are used as they are",
            scores.name
        ));
        return Ok(Activation::None);
    }
    match config.problem_type.as_deref() {
        Some("single_label_classification") => Ok(Activation::Softmax),
        Some("multi_label_classification") => Ok(Activation::Sigmoid),
        Some(other) => Err(ModelError::new(format!(
            "config.json says problem_type {other:?}, which is no classification: give activation in tagfleet.toml"
        ))),
        None => {
            notes.push(
                "no problem_type in config.json: one label per image is assumed, so softmax".to_owned(),
            );
            Ok(Activation::Softmax)
        }
    }
}

/// Where the scores are used as they are, the graph's last operator says it, unless the configuration does.
fn is_multi_label(activation: Activation, scores: &Port, config: &Config) -> bool {
    let applied = if activation == Activation::None { scores.probabilities } else { Some(activation) };
    match (applied, config.problem_type.as_deref()) {
        (Some(Activation::Softmax), _) => false,
        (_, Some("multi_label_classification")) => true,
        (_, Some("single_label_classification")) => activation == Activation::Sigmoid,
        _ => applied == Some(Activation::Sigmoid),
    }
}

fn note_batches(graph: &Graph, notes: &mut Vec<String>) {
    if graph.quantization == Quantization::Dynamic {
        notes.push(
            "the model quantises dynamically, so that images in one batch change each other's scores: images run one by one"
                .to_owned(),
        );
    }
}

fn names(found: &find::Found, graph: &Graph, labels: Option<String>) -> Vec<String> {
    let folder = found.model.rsplit_once('/').map_or("", |(folder, _)| folder);
    let beside = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let mut names = vec![found.model.clone()];
    names.extend(graph.external.iter().map(|file| beside(&file.location)));
    names.extend(labels);
    let configs = [config::NAME, processor::NAME, manual::NAME];
    names.extend(configs.iter().filter(|name| found.root.join(name).exists()).map(|&name| name.to_owned()));
    names.sort();
    names.dedup();
    names
}
