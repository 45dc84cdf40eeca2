//! Runs a model: which engine, on what terms, and sessions that are used by one thread each.
//!
//! The engine is resolved once and recorded with the run; later it is loaded as recorded or not at all.
//! Sessions take tensors and give rows of scores: they know nothing of pictures, labels or tags.

mod batching;
mod device;
mod found;
mod library;
mod memory;
mod model_io;
mod onnxruntime;
mod openvino;
mod processor;
mod record;
mod resolve;
pub mod telemetry;
#[cfg(test)]
mod tests;
mod tract;

use std::path::Path;

use thiserror::Error;

pub use self::batching::rows_are_independent;
use self::batching::{Batching, Session};
use self::device::Feed;
pub(crate) use self::device::Meter;
pub use self::device::{Feeder, cuda_elsewhere, graph_for_device, rehearse};
pub use self::found::{Found, FoundLibrary, found};
pub use self::memory::available_memory;
use self::model_io::ModelIo;
pub use self::onnxruntime::graph_for_processor;
pub use self::processor::instruction_sets;
pub use self::record::{Device, EngineName, EngineRecord, Precision, Resolved, remote_onnxruntime};
pub use self::resolve::{DeviceChoice, EngineChoice, EngineOptions, resolve};
use crate::folder::Model;
use crate::graph::Quantization;

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
    /// Values per image in `vector`; 0 if there is none.
    pub vector_len: usize,
}

/// One session: one thread's, with one thread inside.
pub trait Engine: Send {
    /// How many images one call should get: the graph's fixed batch, else 1.
    fn batch_size(&self) -> usize;

    /// Runs `n` images, at least 1, given as `n * c * h * w` values in the model's layout.
    ///
    /// An image's values don't depend on its neighbours in `input`.
    ///
    /// # Errors
    /// If the engine fails, or gives other numbers of values than the model promised.
    fn run(&mut self, input: &[f32], n: usize) -> Result<Outputs, EngineError>;
}

/// A model loaded into an engine; every worker thread gets a session from it.
pub struct Loaded {
    program: Program,
    model_io: ModelIo,
    /// Images per call of a session.
    rows: usize,
}

enum Program {
    Tract(tract::Program),
    OnnxRuntime(onnxruntime::Program),
    OpenVino(openvino::Program),
    Device(Feed),
}

impl Loaded {
    /// Loads `model` into the engine of `record`, and checks whether a fixed batch leaves rows untouched by
    /// their neighbours.
    ///
    /// # Errors
    /// If that engine, in that version and precision, is not here, or it refuses the model.
    pub fn load(record: &EngineRecord, model: &Model) -> Result<Self, EngineError> {
        let installed = installed(record, model)?;
        if installed != *record {
            return Err(EngineError::new(format!(
                "the run started with {}, but this machine has {}: install that one, or start a new run",
                record.describe(),
                installed.describe()
            )));
        }
        let model_io = ModelIo::of(model);
        if record.device != Device::Cpu {
            return Self::on_device(model, record.asked_precision(), record.device);
        }
        let program = match record.name {
            EngineName::Tract => Program::Tract(tract::Program::load(model, &model_io)?),
            EngineName::OnnxRuntime => Program::OnnxRuntime(onnxruntime::Program::load(model, &model_io)?),
            EngineName::OpenVino => {
                let program = openvino::Program::load(model, &model_io, record.asked_precision())?;
                Program::OpenVino(program)
            }
        };
        let rows = match model.spec.quantization {
            Quantization::Dynamic => 1,
            Quantization::None | Quantization::Static | Quantization::Qdq => model_io.batch.unwrap_or(1),
        };
        let mut loaded = Self { program, model_io, rows };
        if rows > 1 && !rows_are_independent(&mut *loaded.session()?, loaded.model_io.len(), rows)? {
            loaded.rows = 1;
        }
        Ok(loaded)
    }

    /// Loads `model` onto a device, which finds its own batch.
    pub(crate) fn on_device(
        model: &Model,
        precision: Precision,
        device: Device,
    ) -> Result<Self, EngineError> {
        let model_io = ModelIo::of(model);
        let program = device::Program::load(model, &model_io, precision, device)?;
        let program = Program::Device(Feed::start(&program)?);
        Ok(Self { program, model_io, rows: 1 })
    }

    /// The calling thread's way to the device that runs the model, if one does.
    #[must_use]
    pub fn feeder(&self) -> Option<Feeder> {
        match &self.program {
            Program::Device(feed) => Some(feed.feeder()),
            Program::Tract(_) | Program::OnnxRuntime(_) | Program::OpenVino(_) => None,
        }
    }

    /// A session of its own for the calling thread, if the processor runs the model.
    ///
    /// # Errors
    /// If the engine can't make one, or a device runs the model.
    pub fn session(&self) -> Result<Box<dyn Engine>, EngineError> {
        let session: Box<dyn Session> = match &self.program {
            Program::Tract(program) => Box::new(program.session(&self.model_io)?),
            Program::OnnxRuntime(program) => Box::new(program.session(&self.model_io)?),
            Program::OpenVino(program) => Box::new(program.session(&self.model_io)?),
            Program::Device(_) => {
                return Err(EngineError::new(
                    "a device runs the model: it is fed with bytes, and has no session per thread",
                ));
            }
        };
        Ok(Box::new(Batching::new(session, self.model_io.clone(), self.rows)))
    }
}

/// The record of the same engine as it is installed on this machine; loads its library.
fn installed(record: &EngineRecord, model: &Model) -> Result<EngineRecord, EngineError> {
    let library = record.library.as_deref().filter(|path| path.exists());
    match record.name {
        EngineName::Tract => Ok(EngineRecord::tract(model)),
        EngineName::OnnxRuntime => installed_onnxruntime(record, model, library),
        EngineName::OpenVino => {
            let loaded = openvino::load(library)?;
            EngineRecord::openvino(&loaded.version, &loaded.path, model, record.asked_precision())
        }
    }
}

fn installed_onnxruntime(
    record: &EngineRecord,
    model: &Model,
    library: Option<&Path>,
) -> Result<EngineRecord, EngineError> {
    let loaded = onnxruntime::load(library)?;
    if record.device == Device::Cpu {
        return Ok(EngineRecord::onnxruntime(&loaded.version, &loaded.path, model));
    }
    if record.device == Device::Cuda
        && let Some(missing) = device::missing(&loaded)
    {
        return Err(EngineError::new(format!("the run is for a GPU, and this machine has none: {missing}")));
    }
    let installed = EngineRecord::on_device(record.device, &loaded.version, model, record.asked_precision())?;
    Ok(EngineRecord { library: Some(loaded.path), ..installed })
}
