//! From a model's path to everything a run must know of it: files, preprocessing, labels, outputs.
//!
//! A model is an `.onnx` file or a folder as Hugging Face's ONNX export makes it: `model.onnx`, else
//! `onnx/model.onnx`, with `config.json` and `preprocessor_config.json`. What these don't state is assumed,
//! and every assumption becomes a sentence in [`ModelSpec::notes`]. Nothing here runs the model or touches
//! the network.
//!
//! # `tagfleet.toml`
//!
//! A file of this name in the folder states what the other files can't, and overrides them. Every line may be
//! left out, and then keeps the value that it has without the file. A key that is not listed here is refused.
//!
//! ```toml
//! color = "bgr"                    # "rgb", "bgr", "gray" (luma before the resize) or "gray_mean" (mean
//!                                  # of r, g and b after it)
//! square = 255                     # pad to a square with this gray, or [red, green, blue], before the
//!                                  # resize; "none"
//! resize = 256                     # the shorter side; [height, width] for an exact size; "none"
//! # resize = { cut = [224, 160] }             # the middle part of this ratio, to exactly this size
//!                                            # (Pillow's ImageOps.fit)
//! # resize = { cover = [224, 160] }           # keep the ratio: the smallest size that covers this one
//! # resize = { fit = [224, 160] }             # keep the ratio: the largest size inside this one
//! # resize = { height = 48, width = 320 }     # this height, the width by the ratio, but at most this
//! filter = "bilinear"              # Pillow's "nearest", "box", "bilinear", "hamming", "bicubic", "lanczos";
//!                                  # "opencv_bilinear"
//! crop = 224                       # a square or [height, width]; a smaller picture is padded; "none"
//! anchor = "center"                # or "center_trunc", "center_floor" (three roundings), "top_left"
//! fill = 0                         # what a smaller picture is padded with: a gray, [red, green, blue], or
//!                                  # "zero" for 0.0 after normalising
//! scale = 1.0                      # multiplied with each sample of 0..=255
//! offset = 0.0                     # then added
//! mean = [103.939, 116.779, 123.68] # then subtracted, per channel in the order of `color`, or one number
//! std = 1.0                        # then divided by, likewise
//! std_twice = false                # whether it is divided by std once more
//! arithmetic = "separate"          # "separate", "fused" or "single": how that is rounded, see
//!                                  # `preprocessing::Arithmetic`
//! layout = "nhwc"                  # "nchw" or "nhwc": the order of the channels in the input
//! activation = "none"              # "softmax", "sigmoid" or "none": turns the output into probabilities
//! output = "logits"                # which output holds the scores
//! labels = "names.txt"             # a file in this folder, one label per line
//! ```
//!
//! A mean that no sample can have with the scale and offset is refused: a scale was left out. A graph that
//! takes uint8 or int8 gets the samples as they are, for int8 less 128, unless something describes other
//! integers.

mod config;
mod decoding;
mod description;
mod evidence;
mod find;
mod labels;
mod metadata;
pub mod needed;
mod open_clip;
mod outputs;
mod overrides;
mod paddle;
mod processor;
mod processor_types;
mod sizes;
mod steps;
mod suggestion;
mod teachable;
#[cfg(test)]
mod tests;
mod timm;
mod wd;
mod written;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use self::config::Config;
use self::description::{Sources, describe};
use self::labels::LabelSources;
pub(crate) use self::overrides::Overrides;
pub use self::written::Description;
use crate::error::ModelError;
use crate::files;
pub use crate::files::ModelFile;
use crate::graph::{Element, Graph, OutputPort, Port, Quantization};
use crate::preprocessing::{Activation, Preprocessing};

/// The files of a folder that describe a model, apart from labels. Those that exist are part of it.
const DESCRIPTIONS: [&str; 8] = [
    overrides::NAME,
    config::NAME,
    processor::NESTED,
    processor::NAME,
    open_clip::NAME,
    open_clip::CONFIG,
    paddle::NAMES[0],
    paddle::NAMES[1],
];

/// A user's options for a model besides its path.
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

/// The input of the graph; [`Preprocessing`] has the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Its name in the graph.
    pub name: String,
    /// Floats or bytes.
    pub element: Element,
    /// The batch the graph insists on, 1 to 1024; `None` if it takes any.
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
    /// Whether the labels are independent, wherever the sigmoid is applied: the default tags to keep depend
    /// on it.
    pub multi_label: bool,
    /// One label per score; empty if there are no scores.
    pub labels: Vec<String>,
    /// Whether and how the graph computes with integers.
    pub quantization: Quantization,
    /// Whether its weights are 16-bit floats.
    pub half: bool,
    /// Whether an output is a map in the file, so that engines get a graph with the tensor inside it as
    /// output.
    #[serde(default)]
    pub has_maps: bool,
    /// Why the results are probably wrong, if they are: preprocessing that was guessed.
    #[serde(default)]
    pub warning: Option<String>,
    /// Every assumption, as sentences for the user.
    pub notes: Vec<String>,
}

/// A model and the place of its files.
#[derive(Clone, Debug)]
pub struct Model {
    /// The folder that [`ModelSpec::files`] are relative to.
    pub root: PathBuf,
    /// What is known of it.
    pub spec: ModelSpec,
}

impl ModelSpec {
    /// Scores per image; 0 for a model without scores.
    #[must_use]
    pub fn score_count(&self) -> usize {
        if self.activation.is_binary() { 1 } else { self.labels.len() }
    }
}

impl Model {
    /// Reads the model at `path`, an `.onnx` file or a folder.
    ///
    /// # Errors
    /// If a file is missing, broken or contradicts another; the message names the remedy.
    pub fn open(path: &Path, options: &ModelOptions<'_>) -> Result<Self, ModelError> {
        let (found, graph) = find::find_graph(path, options.model_file, options.vector)?;
        let spec = resolve(&found, &graph, options)?;
        Ok(Self { root: found.root, spec })
    }

    /// A copy of the model in `root`, described by the `spec` of a run, after checking that it is the same.
    ///
    /// # Errors
    /// If a file is missing or differs from `spec`.
    pub fn from_copy(root: &Path, spec: ModelSpec) -> Result<Self, ModelError> {
        files::verify(root, &spec.files)?;
        if files::sha256_of(&spec.files) != spec.sha256 {
            return Err(ModelError::new(format!(
                "the model's files have not the sha256 {} that the run started with: start a new run",
                spec.sha256
            )));
        }
        Ok(Self { root: root.to_owned(), spec })
    }

    /// Its file `name`, of at most `most` bytes, if it is the one that was recorded.
    pub(crate) fn read(&self, name: &str, most: u64) -> Result<Arc<[u8]>, ModelError> {
        files::read_recorded(&self.root, &self.spec.files, name, most)
    }

    /// The path of the `.onnx` file.
    pub fn path(&self) -> PathBuf {
        self.root.join(&self.spec.model)
    }
}

fn resolve(found: &find::Found, graph: &Graph, options: &ModelOptions<'_>) -> Result<ModelSpec, ModelError> {
    let root = found.root.as_path();
    let path = root.join(&found.model);
    let about = |error: ModelError| error.about(&path);
    let mut notes = found.notes.clone();
    let overrides = Overrides::read(root)?;
    let config = Config::read(root)?;
    let input = graph.image_input(overrides.layout).map_err(about)?;
    let label_sources = LabelSources { root, graph, config: &config, overrides: &overrides };
    let outputs = outputs::choose(label_sources, &input, options, &mut notes).map_err(about)?;
    let classes = outputs.scores.and_then(Port::classes);
    let folder = path.parent().unwrap_or(root);
    let (config, overrides, input) = (&config, &overrides, &input);
    let sources = Sources { root, folder, graph, input, config, overrides, classes };
    let described = describe(sources, &mut notes)?;
    let mut steps = described.steps;
    overrides.apply(&mut steps, &mut notes)?;
    let mut preprocessing = steps.finish(input, options.exif)?;
    preprocessing.decoding =
        decoding::decide(options.exact, preprocessing.resize, graph.quantization, &mut notes);
    let labels = match outputs.scores {
        Some(scores) => label_sources.resolve(scores, classes, &mut notes).map_err(about)?,
        None => labels::Labels::default(),
    };
    let activation = match outputs.scores {
        Some(scores) => activation(scores, classes, &labels, config, overrides, &mut notes)?,
        None => Activation::None,
    };
    let multi_label =
        outputs.scores.is_some_and(|scores| is_multi_label(activation, scores, classes, config));
    note_batches(graph, &mut notes);
    let files = files::hash(root, &names(found, graph, labels.file))?;
    Ok(ModelSpec {
        sha256: files::sha256_of(&files),
        files,
        model: found.model.clone(),
        input: InputSpec { name: input.name.clone(), element: input.element, batch: input.batch },
        scores: outputs.scores.map(Port::kept).transpose().map_err(about)?,
        vector: outputs.vector,
        preprocessing,
        activation,
        multi_label,
        labels: labels.names,
        quantization: graph.quantization,
        half: graph.half,
        has_maps: graph.outputs.iter().any(|port| port.map.is_some()),
        warning: described.guess.map(|evidence| warning(&evidence)),
        notes,
    })
}

fn warning(evidence: &str) -> String {
    format!(
        "nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: {evidence}. Check with `tagfleet inspect`, or let `tagfleet fit` find it"
    )
}

/// The user's choice, else the graph's, else the configuration's, else what the number of scores means in
/// transformers' pipeline (`pipelines/image_classification.py`): a sigmoid for one, a softmax for several.
fn activation(
    scores: &Port,
    classes: Option<usize>,
    labels: &labels::Labels,
    config: &Config,
    overrides: &Overrides,
    notes: &mut Vec<String>,
) -> Result<Activation, ModelError> {
    let activation = match (overrides.activation, scores.probabilities, config.problem_type.as_deref()) {
        (Some(activation), ..) => activation,
        (None, Some(_), _) => {
            notes.push(format!(
                "the output {} comes out of a softmax or sigmoid: its values are used as they are",
                scores.name
            ));
            Activation::None
        }
        (None, None, Some("regression")) => Activation::None,
        (None, None, Some("single_label_classification")) if classes != Some(1) => Activation::Softmax,
        (None, None, Some("single_label_classification" | "multi_label_classification")) => {
            Activation::Sigmoid
        }
        (None, None, Some(other)) => {
            return Err(ModelError::new(format!(
                "config.json has problem_type {other:?}, which is unknown: give activation in tagfleet.toml"
            )));
        }
        (None, None, None) if classes == Some(1) => {
            notes.push("no problem_type in config.json, and one score: its sigmoid is used".to_owned());
            Activation::Sigmoid
        }
        (None, None, None) => {
            notes.push(
                "no problem_type in config.json: one label per image is assumed, so softmax".to_owned(),
            );
            Activation::Softmax
        }
    };
    if classes != Some(1) || labels.names.len() != 2 {
        return Ok(activation);
    }
    Ok(match activation {
        Activation::Sigmoid | Activation::Softmax | Activation::BinaryLogit => Activation::BinaryLogit,
        Activation::None | Activation::BinaryProbability => Activation::BinaryProbability,
    })
}

/// If the scores are used as they are, the graph's last operator decides, unless the configuration does. One
/// score alone is never dropped by a threshold: it is all there is.
fn is_multi_label(activation: Activation, scores: &Port, classes: Option<usize>, config: &Config) -> bool {
    if classes == Some(1) {
        return false;
    }
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
    let nested = beside(open_clip::NAME);
    let described = DESCRIPTIONS.iter().map(|&name| name.to_owned()).chain([nested, wd::NAME.to_owned()]);
    names.extend(described.filter(|name| found.root.join(name).is_file()));
    names.sort();
    names.dedup();
    names
}
