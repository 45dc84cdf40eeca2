//! A device that runs the model for all threads: they decode, it computes.
//!
//! Threads hand it crops as bytes ([`Feeder`]). A few lanes, each a session with a thread of its own, gather
//! them into batches of one size, so that a lane copies while another's batch is computed. A device has no
//! session per thread: its memory is small and its calls are long. Nothing in it knows pictures, labels or
//! tags.

mod cuda;
mod driver;
mod feed;
mod lane;
mod meter;
mod placement;
mod record;
mod size;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ort::environment::Environment;
use ort::session::Session as OrtSession;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

pub(super) use self::cuda::missing;
pub(super) use self::feed::Feed;
pub use self::feed::Feeder;
use self::lane::{Batches, Failure, Lane};
pub(crate) use self::meter::Meter;
pub use self::record::cuda_elsewhere;
pub(super) use self::record::{on_gpu, rehearsed};
use super::record::{Device, Precision};
use super::{EngineError, ModelIo, onnxruntime};
use crate::folder::Model;
use crate::rewrite;
use crate::tensor::Preprocessor;

/// A model's graph as the device gets it, from which every lane makes its session.
pub(super) struct Program {
    graph: Vec<u8>,
    environment: Environment,
    device: Device,
    model_io: ModelIo,
    /// Whether any of it computes in 16-bit floats.
    has_halves: bool,
}

/// Tries the graph that a device would get on this machine's processor, with one batch.
///
/// # Errors
/// If the model can't be rewritten for a device, or ONNX Runtime refuses what it is rewritten to.
pub fn rehearse(model: &Model, precision: Precision) -> Result<(), EngineError> {
    let model_io = ModelIo::of(model);
    let program = Program::load(model, &model_io, precision, Device::Rehearsal)?;
    let black = vec![0; model_io.len()];
    let about = |failure: Failure| {
        EngineError::new(format!(
            "{} can't run on a device: {}",
            model.path().display(),
            EngineError::from(failure)
        ))
    };
    let mut lane = Lane::new(&program, model_io.batch.unwrap_or(1), Arc::default()).map_err(about)?;
    lane.run(&[&black]).map(|_| ()).map_err(about)
}

/// The model as a device gets it, an encoded ONNX graph with its weights inside: its input is
/// `tagfleet_bytes`, `[n, height, width, channels]` as unsigned bytes, and its outputs keep their names.
/// Nothing is loaded for it or run.
///
/// # Errors
/// If the model's files can't be read or have changed, or it can't be rewritten for a device in `precision`.
pub fn graph_for_device(model: &Model, precision: Precision) -> Result<Vec<u8>, EngineError> {
    let refused = |error: String| EngineError::new(error);
    let steps = Preprocessor::new(&model.spec.preprocessing).map_err(|error| refused(error.to_string()))?;
    // A model that is stored in 16 bits stays as it is stored: what it has in 32 is so on purpose.
    let half = precision == Precision::Fp16 && !model.spec.half;
    rewrite::for_device(model, steps.tables(), half).map_err(|error| refused(error.to_string()))
}

impl Program {
    /// Rewrites `model` for `device`; no session is made yet.
    pub(super) fn load(
        model: &Model,
        model_io: &ModelIo,
        precision: Precision,
        device: Device,
    ) -> Result<Self, EngineError> {
        let graph = graph_for_device(model, precision)?;
        let has_halves = precision == Precision::Fp16 || model.spec.half;
        let environment = onnxruntime::load(None)?.handle;
        Ok(Self { graph, environment, device, model_io: model_io.clone(), has_halves })
    }

    fn session(&self) -> Result<OrtSession, ort::Error> {
        self.builder()?.commit_from_memory(&self.graph)
    }

    fn builder(&self) -> Result<SessionBuilder, ort::Error> {
        let builder = onnxruntime::builder(&self.environment)?.with_optimization_level(self.level())?;
        match self.device {
            Device::Cuda => Ok(builder.with_execution_providers([cuda::provider()])?),
            Device::Cpu | Device::Rehearsal => Ok(builder),
        }
    }

    /// What ONNX Runtime makes of 16-bit graphs for processors beyond these levels ends the process for some:
    /// on a GPU that is the layout of what was left to the processor, on a processor the fusing of operators
    /// too.
    fn level(&self) -> GraphOptimizationLevel {
        match self.device {
            _ if !self.has_halves => GraphOptimizationLevel::All,
            Device::Cuda => GraphOptimizationLevel::Level2,
            Device::Cpu | Device::Rehearsal => GraphOptimizationLevel::Level1,
        }
    }
}
