//! Runs a model: which engine, on what terms, and sessions that are used by one thread each.
//!
//! The engine is resolved once and recorded with the run; later it is loaded as recorded or not at all. Sessions take
//! tensors and give rows of scores: they know nothing of pictures, labels or tags.

mod batching;
mod library;
mod onnxruntime;
#[cfg(test)]
mod tests;
mod tract;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tagfleet_pipeline::run;
use thiserror::Error;

pub use self::batching::rows_are_independent;
use self::batching::{Batching, Session};
use crate::folder::Model;
use crate::graph::{Element, Quantization};
use crate::preprocessing::Layout;

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// ONNX Runtime where it can be loaded, else tract.
    #[default]
    Auto,
    /// The built-in engine.
    Tract,
    /// ONNX Runtime or nothing.
    OnnxRuntime,
}

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// tract, in pure Rust, linked in.
    Tract,
    /// ONNX Runtime, a shared library loaded at run time.
    OnnxRuntime,
}

/// The engine of a run: what must be the same wherever its images are tagged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EngineRecord {
    /// Which engine.
    pub name: EngineName,
    /// Its version, `1.32.0`.
    pub version: String,
    /// How it computes: `fp32`, `fp16`, `int8`, ...
    pub precision: String,
    /// For int8: the widest instruction set that its sums may depend on.
    pub instructions: Option<String>,
    /// Where the library was found; another place with the same version is the same engine.
    pub library: Option<PathBuf>,
}

impl PartialEq for EngineRecord {
    fn eq(&self, other: &Self) -> bool {
        (self.name, &self.version, &self.precision, &self.instructions)
            == (other.name, &other.version, &other.precision, &other.instructions)
    }
}

/// The engine could not be loaded, or failed on valid input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct EngineError(String);

impl EngineError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// What a model gave for some images.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// `n * classes` scores, image by image, as the graph gives them (no activation).
    pub scores: Vec<f32>,
    /// Scores per image; 0 for a model that is run for its vector alone.
    pub classes: usize,
    /// `n * vector_len` values of the output that is kept whole, if there is one.
    pub vector: Option<Vec<f32>>,
    /// Values per image in `vector`; 0 where there is none.
    pub vector_len: usize,
}

/// One session: one thread's, with one thread inside.
pub trait Engine: Send {
    /// How many images one call should get: more than 1 only where the graph insists on a batch.
    fn batch_size(&self) -> usize;

    /// Runs `n` images, at least 1, given as `n * c * h * w` values in the model's layout.
    ///
    /// An image's values don't depend on its neighbours in `input`.
    ///
    /// # Errors
    /// Where the engine fails, or gives other numbers of values than the model promised.
    fn run(&mut self, input: &[f32], n: usize) -> Result<Outputs, EngineError>;
}

/// An engine chosen for a model, and why.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// To be recorded with the run.
    pub record: EngineRecord,
    /// One sentence for the user.
    pub why: String,
}

/// Chooses the engine for `model`. `library` is where the user says ONNX Runtime is, a file or a folder.
///
/// # Errors
/// Where ONNX Runtime was asked for, by name or by `library`, and can't be loaded. Whether the engine can run the model
/// is found out by [`Loaded::load`].
pub fn resolve(choice: EngineChoice, library: Option<&Path>, model: &Model) -> Result<Resolved, EngineError> {
    if choice == EngineChoice::Tract {
        let record = tract_record(model);
        return Ok(Resolved { record, why: "tract, as asked for with --engine".to_owned() });
    }
    match onnxruntime::load(library) {
        Ok(loaded) => {
            let why = if choice == EngineChoice::Auto {
                "it could be loaded"
            } else {
                "as asked for with --engine"
            };
            let why = format!("ONNX Runtime {} from {}: {why}", loaded.version, loaded.path.display());
            Ok(Resolved { record: onnxruntime_record(&loaded.version, &loaded.path, model), why })
        }
        Err(error) if choice == EngineChoice::OnnxRuntime || library.is_some() => Err(error),
        Err(error) => {
            let why = format!("tract, the built-in engine, several times slower than ONNX Runtime: {error}");
            Ok(Resolved { record: tract_record(model), why })
        }
    }
}

/// A model loaded into an engine; every worker thread gets a session from it.
pub struct Loaded {
    program: Program,
    wiring: Wiring,
    rows_at_once: usize,
}

enum Program {
    Tract(tract::Program),
    OnnxRuntime(onnxruntime::Program),
}

impl Loaded {
    /// Loads `model` into the engine of `record`, and measures what batch leaves rows untouched by their neighbours.
    ///
    /// # Errors
    /// Where that engine, in that version and precision, is not here, or it refuses the model.
    pub fn load(record: &EngineRecord, model: &Model) -> Result<Self, EngineError> {
        let wiring = Wiring::of(model);
        let (program, here) = match record.name {
            EngineName::Tract => (Program::Tract(tract::Program::load(model, &wiring)?), tract_record(model)),
            EngineName::OnnxRuntime => {
                let library = record.library.as_deref().filter(|path| path.exists());
                let loaded = onnxruntime::load(library)?;
                let here = onnxruntime_record(&loaded.version, &loaded.path, model);
                (Program::OnnxRuntime(onnxruntime::Program::load(model, &wiring)?), here)
            }
        };
        if here != *record {
            return Err(EngineError::new(format!(
                "the run began with {}, but here is {}: install that one, or start a new run",
                record.describe(),
                here.describe()
            )));
        }
        let rows_at_once =
            if model.spec.quantization == Quantization::Dynamic { 1 } else { wiring.batch.unwrap_or(1) };
        let mut loaded = Self { program, wiring, rows_at_once };
        if rows_at_once > 1
            && !rows_are_independent(&mut *loaded.session()?, loaded.wiring.len(), rows_at_once)?
        {
            loaded.rows_at_once = 1;
        }
        Ok(loaded)
    }

    /// A session of its own for the calling thread.
    ///
    /// # Errors
    /// Where the engine can't make one.
    pub fn session(&self) -> Result<Box<dyn Engine>, EngineError> {
        let session: Box<dyn Session> = match &self.program {
            Program::Tract(program) => Box::new(program.session(&self.wiring)?),
            Program::OnnxRuntime(program) => Box::new(program.session(&self.wiring)?),
        };
        Ok(Box::new(Batching::new(session, self.wiring.clone(), self.rows_at_once)))
    }
}

impl From<&EngineRecord> for run::EngineRecord {
    /// What the run's request says: everything but the place of the library, which differs from machine to machine.
    fn from(record: &EngineRecord) -> Self {
        let name = match record.name {
            EngineName::Tract => "tract",
            EngineName::OnnxRuntime => "onnxruntime",
        };
        let (version, precision) = (record.version.clone(), record.precision.clone());
        Self { name: name.to_owned(), version, precision, instructions: record.instructions.clone() }
    }
}

impl TryFrom<&run::EngineRecord> for EngineRecord {
    type Error = EngineError;

    /// The engine that a run's request names, its library still to be found on this machine.
    fn try_from(record: &run::EngineRecord) -> Result<Self, EngineError> {
        let name = match record.name.as_str() {
            "tract" => EngineName::Tract,
            "onnxruntime" => EngineName::OnnxRuntime,
            other => {
                return Err(EngineError::new(format!(
                    "the run began with the engine {other:?}, but here are only tract and ONNX Runtime: install the \
                     tagfleet that began it, or start a new run"
                )));
            }
        };
        let (version, precision) = (record.version.clone(), record.precision.clone());
        Ok(Self { name, version, precision, instructions: record.instructions.clone(), library: None })
    }
}

impl EngineRecord {
    /// `onnxruntime 1.32.0 (fp32)`
    pub fn describe(&self) -> String {
        let name = match self.name {
            EngineName::Tract => "tract",
            EngineName::OnnxRuntime => "ONNX Runtime",
        };
        let instructions = self.instructions.as_ref().map(|set| format!(", {set}")).unwrap_or_default();
        format!("{name} {} ({}{instructions})", self.version, self.precision)
    }
}

/// How a session is fed and read.
#[derive(Clone, Debug)]
pub(crate) struct Wiring {
    input: String,
    element: Element,
    /// Channels, height and width in the model's layout.
    dims: [usize; 3],
    /// The batch the graph insists on.
    batch: Option<usize>,
    /// Whether the first of `outputs` is the scores.
    scored: bool,
    /// The scores if there are some, then the vector if there is one.
    outputs: Vec<String>,
    /// Values per image for each of `outputs`, where known.
    lens: Vec<Option<usize>>,
}

impl Wiring {
    fn of(model: &Model) -> Self {
        let spec = &model.spec;
        let preprocessing = &spec.preprocessing;
        let (height, width) = (preprocessing.input.height as usize, preprocessing.input.width as usize);
        let channels = preprocessing.mean.len();
        let dims = match preprocessing.layout {
            Layout::Nchw => [channels, height, width],
            Layout::Nhwc => [height, width, channels],
        };
        let ports = || spec.scores.iter().chain(&spec.vector);
        let scores_len = spec.scores.iter().map(|_| Some(spec.labels.len()));
        let lens = scores_len.chain(spec.vector.iter().map(|port| port.len)).collect();
        Self {
            input: spec.input.name.clone(),
            element: spec.input.element,
            dims,
            batch: spec.input.batch,
            scored: spec.scores.is_some(),
            outputs: ports().map(|port| port.name.clone()).collect(),
            lens,
        }
    }

    /// Values per image.
    fn len(&self) -> usize {
        self.dims.iter().product()
    }

    fn shape(&self, rows: usize) -> [usize; 4] {
        let [a, b, c] = self.dims;
        [rows, a, b, c]
    }
}

fn tract_record(model: &Model) -> EngineRecord {
    let precision = if model.spec.half { "fp32, widened from fp16" } else { precision(model) };
    EngineRecord {
        name: EngineName::Tract,
        version: tract::VERSION.to_owned(),
        precision: precision.to_owned(),
        instructions: instructions(model),
        library: None,
    }
}

fn onnxruntime_record(version: &str, library: &Path, model: &Model) -> EngineRecord {
    EngineRecord {
        name: EngineName::OnnxRuntime,
        version: version.to_owned(),
        precision: precision(model).to_owned(),
        instructions: instructions(model),
        library: Some(library.to_owned()),
    }
}

/// The record of ONNX Runtime `version` for `model` on machines that have it, where this one may not.
#[must_use]
pub fn onnxruntime_elsewhere(version: &str, model: &Model) -> EngineRecord {
    EngineRecord { library: None, ..onnxruntime_record(version, Path::new(""), model) }
}

fn precision(model: &Model) -> &'static str {
    match (model.spec.quantization, model.spec.half) {
        (Quantization::Dynamic, _) => "int8, scales per image",
        (Quantization::Static, _) => "int8",
        (Quantization::None, true) => "fp16",
        (Quantization::None, false) => "fp32",
    }
}

/// Integer kernels saturate differently before VNNI, so int8 scores differ between these sets, and only these.
fn instructions(model: &Model) -> Option<String> {
    if model.spec.quantization == Quantization::None {
        return None;
    }
    Some(instruction_set().to_owned())
}

#[cfg(target_arch = "x86_64")]
fn instruction_set() -> &'static str {
    if is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni") {
        "vnni"
    } else if is_x86_feature_detected!("avx2") {
        "avx2"
    } else {
        "sse2"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_set() -> &'static str {
    std::env::consts::ARCH
}
