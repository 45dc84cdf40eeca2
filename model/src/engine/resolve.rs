//! Which engine runs a model: the requested one or none, else a fixed table.
//!
//! | model | `--engine auto` takes |
//! |---|---|
//! | any that computes with floats, if ONNX Runtime can use a GPU | ONNX Runtime, on it |
//! | any, with `--precision bf16` | OpenVINO |
//! | int8 as QDQ | OpenVINO if it can be loaded and the processor has VNNI; else ONNX Runtime; else tract |
//! | any other | ONNX Runtime if it can be loaded; else tract |
//!
//! A library that is named by its flag is a request; if both are named, the table chooses. Nothing is
//! measured, so that the same machine always chooses alike, and the choice is made once per run. Whether the
//! engine can run the model is found out by [`Loaded::load`](super::Loaded::load).

use std::path::Path;

use super::processor::{self, VNNI};
use super::record::{self, EngineName, EngineRecord, Precision, Resolved};
use super::{EngineError, device, onnxruntime, openvino};
use crate::folder::Model;
use crate::graph::Quantization;

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The table above decides.
    #[default]
    Auto,
    /// The built-in engine.
    Tract,
    /// ONNX Runtime, else an error.
    OnnxRuntime,
    /// OpenVINO, else an error.
    OpenVino,
}

/// What the user wants it to run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if there is one that can run the model, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A GPU, else an error.
    Cuda,
    /// The processor in a GPU's place.
    Rehearsal,
}

/// The user's options for the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions<'a> {
    /// The requested engine.
    pub choice: EngineChoice,
    /// The precision of floats.
    pub precision: Precision,
    /// The device that runs it.
    pub device: DeviceChoice,
    /// The place of ONNX Runtime: a file, a folder or a Python environment; by default the usual places are
    /// searched.
    pub onnxruntime: Option<&'a Path>,
    /// The place of OpenVINO: a file or a folder; by default the usual places are searched.
    pub openvino: Option<&'a Path>,
}

impl From<EngineName> for EngineChoice {
    fn from(name: EngineName) -> Self {
        match name {
            EngineName::Tract => Self::Tract,
            EngineName::OnnxRuntime => Self::OnnxRuntime,
            EngineName::OpenVino => Self::OpenVino,
        }
    }
}

impl EngineOptions<'_> {
    /// `choice`, in its default precision, from the usual places, on the processor.
    #[must_use]
    pub fn of(choice: EngineChoice) -> Self {
        Self { choice, device: DeviceChoice::Cpu, ..Self::default() }
    }
}

/// Chooses the engine for `model`.
///
/// # Errors
/// If an engine was asked for, by name, by library or by precision, and can't be loaded or can't do it.
pub fn resolve(options: &EngineOptions<'_>, model: &Model) -> Result<Resolved, EngineError> {
    match options.device {
        DeviceChoice::Cuda | DeviceChoice::Rehearsal
            if matches!(options.choice, EngineChoice::Tract | EngineChoice::OpenVino) =>
        {
            Err(EngineError::new("only ONNX Runtime uses a GPU here: leave out --engine, or --device gpu"))
        }
        DeviceChoice::Cuda => {
            device::on_gpu(options.onnxruntime, options.precision, model, "as asked for with --device")
        }
        DeviceChoice::Rehearsal => device::rehearsed(options.onnxruntime, options.precision, model),
        DeviceChoice::Auto if wants_gpu(options, model) => gpu_or_processor(options, model),
        DeviceChoice::Auto | DeviceChoice::Cpu => on_processor(options, model),
    }
}

/// The GPU if there is one, else the processor and why there is none.
fn gpu_or_processor(options: &EngineOptions<'_>, model: &Model) -> Result<Resolved, EngineError> {
    let library = match onnxruntime::load(options.onnxruntime) {
        Ok(library) => library,
        Err(error) if options.precision == Precision::Fp16 => return Err(error),
        Err(_) => return on_processor(options, model),
    };
    let unfit = || device::graph_for_device(model, options.precision).err().map(|error| error.to_string());
    let Some(missing) = device::missing(&library).or_else(unfit) else {
        return device::on_gpu(options.onnxruntime, options.precision, model, "it can use the GPU here");
    };
    let no_gpu = |text: &str| format!("{text}; no GPU: {missing}");
    match on_processor(options, model) {
        Ok(resolved) => Ok(Resolved { why: no_gpu(&resolved.why), ..resolved }),
        Err(error) if options.precision == Precision::Fp16 => {
            Err(EngineError::new(no_gpu(&error.to_string())))
        }
        Err(error) => Err(error),
    }
}

/// Whether a GPU would be taken if there is one: a model for it, and nothing asked for that none has.
fn wants_gpu(options: &EngineOptions<'_>, model: &Model) -> bool {
    let by_onnxruntime = match options.choice {
        EngineChoice::Auto => options.openvino.is_none() || options.onnxruntime.is_some(),
        EngineChoice::OnnxRuntime => true,
        EngineChoice::Tract | EngineChoice::OpenVino => false,
    };
    by_onnxruntime && options.precision != Precision::Bf16 && model.spec.quantization == Quantization::None
}

fn on_processor(options: &EngineOptions<'_>, model: &Model) -> Result<Resolved, EngineError> {
    if options.precision == Precision::Fp16 {
        return Err(record::no_gpu_asked());
    }
    if options.precision == Precision::Bf16 {
        if let EngineChoice::Tract | EngineChoice::OnnxRuntime = options.choice {
            return Err(EngineError::new(
                "only OpenVINO computes in bf16: leave out --engine, or --precision bf16",
            ));
        }
        // Checked first, because a machine without bf16 needs no OpenVINO.
        record::bf16_instruction_set(model)?;
        return take_openvino(options, model, "as --precision bf16 asks for");
    }
    match (options.choice, options.onnxruntime, options.openvino) {
        (EngineChoice::Tract, ..) => {
            let record = EngineRecord::tract(model);
            Ok(Resolved { record, why: "tract, as asked for with --engine".to_owned() })
        }
        (EngineChoice::OnnxRuntime, ..) => take_onnxruntime(options, model, "as asked for with --engine"),
        (EngineChoice::OpenVino, ..) => take_openvino(options, model, "as asked for with --engine"),
        (EngineChoice::Auto, Some(_), None) => {
            take_onnxruntime(options, model, "as asked for with --onnxruntime")
        }
        (EngineChoice::Auto, None, Some(_)) => take_openvino(options, model, "as asked for with --openvino"),
        (EngineChoice::Auto, ..) if model.spec.quantization == Quantization::Qdq => qdq(options, model),
        (EngineChoice::Auto, ..) => floats(options, model),
    }
}

/// OpenVINO if it is fast and does not saturate.
fn qdq(options: &EngineOptions<'_>, model: &Model) -> Result<Resolved, EngineError> {
    if processor::int8_instruction_set() != VNNI {
        let mut resolved = floats(options, model)?;
        resolved.why.push_str("; OpenVINO is taken for int8 only on processors with VNNI");
        return Ok(resolved);
    }
    match take_openvino(options, model, "the fastest for int8 models on a processor with VNNI") {
        Err(error) if options.openvino.is_none() => {
            let mut resolved = floats(options, model)?;
            resolved.why = format!("{}; for int8 models OpenVINO would be faster: {error}", resolved.why);
            Ok(resolved)
        }
        taken => taken,
    }
}

fn floats(options: &EngineOptions<'_>, model: &Model) -> Result<Resolved, EngineError> {
    match take_onnxruntime(options, model, "it could be loaded") {
        Err(error) if options.onnxruntime.is_none() => {
            let why = format!("tract, the built-in engine, several times slower than ONNX Runtime: {error}");
            Ok(Resolved { record: EngineRecord::tract(model), why })
        }
        taken => taken,
    }
}

fn take_onnxruntime(
    options: &EngineOptions<'_>,
    model: &Model,
    reason: &str,
) -> Result<Resolved, EngineError> {
    let library = onnxruntime::load(options.onnxruntime)?;
    let record = EngineRecord::onnxruntime(&library.version, &library.path, model);
    Ok(Resolved::new(record, &library.path, reason))
}

fn take_openvino(options: &EngineOptions<'_>, model: &Model, reason: &str) -> Result<Resolved, EngineError> {
    let library = openvino::load(options.openvino)?;
    let record = EngineRecord::openvino(&library.version, &library.path, model, options.precision)?;
    Ok(Resolved::new(record, &library.path, reason))
}
