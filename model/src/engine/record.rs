//! What is recorded of a run's engine, so that its images are tagged alike on every machine.
//!
//! Records follow from an engine, a model and this processor; they load nothing.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tagfleet_pipeline::run;

use super::{EngineError, onnxruntime, openvino, processor, tract};
use crate::folder::Model;
use crate::graph::Quantization;

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// tract, in pure Rust, linked in.
    Tract,
    /// ONNX Runtime, a shared library loaded at run time.
    OnnxRuntime,
    /// OpenVINO, a shared library loaded at run time.
    OpenVino,
}

impl EngineName {
    const ALL: [Self; 3] = [Self::Tract, Self::OnnxRuntime, Self::OpenVino];

    /// As it is stored and given on the command line.
    #[must_use]
    pub fn stored(self) -> &'static str {
        match self {
            Self::Tract => "tract",
            Self::OnnxRuntime => "onnxruntime",
            Self::OpenVino => "openvino",
        }
    }

    /// As people know it.
    #[must_use]
    pub fn shown(self) -> &'static str {
        match self {
            Self::Tract => "tract",
            Self::OnnxRuntime => "ONNX Runtime",
            Self::OpenVino => "OpenVINO",
        }
    }
}

/// What runs the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// The processor in a GPU's place: all of a GPU's path but its kernels, to try it without a GPU.
    Rehearsal,
}

impl Device {
    const ALL: [Self; 3] = [Self::Cpu, Self::Cuda, Self::Rehearsal];

    /// As a run's request names it, without the processor.
    fn stored(self) -> Option<&'static str> {
        match self {
            Self::Cpu => None,
            Self::Cuda => Some("cuda"),
            Self::Rehearsal => Some("rehearsal"),
        }
    }

    /// As people know it.
    fn shown(self) -> &'static str {
        match self {
            Self::Cpu => "",
            Self::Cuda => ", CUDA",
            Self::Rehearsal => ", a GPU's path rehearsed on the processor",
        }
    }
}

/// What floats are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// The precision of the model's file: 32 bits, if it has no 16-bit floats or integers.
    #[default]
    Fp32,
    /// 16-bit brain floats: faster, with two to three digits. Only OpenVINO, and only on processors made for
    /// it.
    Bf16,
    /// 16-bit floats: faster, with three digits. Only on a GPU.
    Fp16,
}

/// The engine of a run: what must be the same wherever its images are tagged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EngineRecord {
    /// Which engine.
    pub name: EngineName,
    /// Its version, `1.32.0`.
    pub version: String,
    /// How it computes: `fp32`, `fp16`, `bf16`, `int8`, ...
    pub precision: String,
    /// For int8 and bf16: the widest instruction set that its sums may depend on.
    pub instructions: Option<String>,
    /// What runs it.
    #[serde(default)]
    pub device: Device,
    /// Where the library was found; another place with the same version is the same engine.
    pub library: Option<PathBuf>,
}

impl PartialEq for EngineRecord {
    fn eq(&self, other: &Self) -> bool {
        (self.name, &self.version, &self.precision, &self.instructions, self.device)
            == (other.name, &other.version, &other.precision, &other.instructions, other.device)
    }
}

impl EngineRecord {
    /// The files of which this process loads one to run the engine; none for the one that is built in.
    pub(crate) fn libraries(&self) -> Vec<PathBuf> {
        if let Some(library) = &self.library {
            return vec![library.clone()];
        }
        match self.name {
            EngineName::Tract => Vec::new(),
            EngineName::OnnxRuntime => onnxruntime::places(),
            EngineName::OpenVino => openvino::places(),
        }
    }

    pub(super) fn tract(model: &Model) -> Self {
        Self {
            name: EngineName::Tract,
            version: tract::VERSION.to_owned(),
            precision: on_processor(model).to_owned(),
            instructions: int8_instruction_set(model),
            device: Device::Cpu,
            library: None,
        }
    }

    pub(super) fn onnxruntime(version: &str, library: &Path, model: &Model) -> Self {
        Self {
            name: EngineName::OnnxRuntime,
            version: version.to_owned(),
            precision: on_processor(model).to_owned(),
            instructions: int8_instruction_set(model),
            device: Device::Cpu,
            library: Some(library.to_owned()),
        }
    }

    /// The error explains why this processor or this model has no bf16.
    pub(super) fn openvino(
        version: &str,
        library: &Path,
        model: &Model,
        precision: Precision,
    ) -> Result<Self, EngineError> {
        let (precision, instructions) = match precision {
            Precision::Bf16 => (BF16, Some(bf16_instruction_set(model)?)),
            Precision::Fp16 => return Err(no_gpu_asked()),
            Precision::Fp32 => (on_processor(model), int8_instruction_set(model)),
        };
        Ok(Self {
            name: EngineName::OpenVino,
            version: version.to_owned(),
            precision: precision.to_owned(),
            instructions,
            device: Device::Cpu,
            library: Some(library.to_owned()),
        })
    }

    /// The options at the start of the run.
    pub(super) fn asked_precision(&self) -> Precision {
        match (self.device, self.precision.as_str()) {
            (_, BF16) => Precision::Bf16,
            (Device::Cuda | Device::Rehearsal, FP16) => Precision::Fp16,
            _ => Precision::Fp32,
        }
    }

    /// The same engine in `version` on machines that have it, even if this one does not.
    #[must_use]
    pub fn elsewhere(&self, version: &str) -> Self {
        Self { version: version.to_owned(), library: None, ..self.clone() }
    }

    /// `ONNX Runtime 1.32.0 (fp32)`
    pub fn describe(&self) -> String {
        let instructions = self.instructions.as_ref().map(|set| format!(", {set}")).unwrap_or_default();
        let (name, device) = (self.name.shown(), self.device.shown());
        format!("{name} {} ({}{instructions}{device})", self.version, self.precision)
    }
}

/// The record of ONNX Runtime `version` for `model` on machines that have it, even if this one does not.
#[must_use]
pub fn remote_onnxruntime(version: &str, model: &Model) -> EngineRecord {
    EngineRecord { library: None, ..EngineRecord::onnxruntime(version, Path::new(""), model) }
}

/// For a request without a GPU.
pub(super) fn no_gpu_asked() -> EngineError {
    EngineError::new(
        "--precision fp16 is for GPUs, where it is faster; a processor would be slower: leave it out, or give --device gpu",
    )
}

const BF16: &str = "bf16";
pub(super) const FP16: &str = "fp16";
const WIDENED: &str = "fp32, widened from fp16";

/// An engine chosen for a model, and why.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// To be recorded with the run.
    pub record: EngineRecord,
    /// One sentence for the user.
    pub why: String,
}

impl Resolved {
    pub(super) fn new(record: EngineRecord, library: &Path, reason: &str) -> Self {
        let why = format!("{} from {}: {reason}", record.describe(), library.display());
        Self { record, why }
    }
}

/// No processor computes in 16-bit floats unless it is asked to.
fn on_processor(model: &Model) -> &'static str {
    let is_half = model.spec.half && model.spec.quantization == Quantization::None;
    if is_half { WIDENED } else { stored_precision(model) }
}

pub(super) fn stored_precision(model: &Model) -> &'static str {
    match (model.spec.quantization, model.spec.half) {
        (Quantization::Dynamic, _) => "int8, scales per image",
        (Quantization::Static | Quantization::Qdq, _) => "int8",
        (Quantization::None, true) => FP16,
        (Quantization::None, false) => "fp32",
    }
}

fn int8_instruction_set(model: &Model) -> Option<String> {
    (model.spec.quantization != Quantization::None).then(|| processor::int8_instruction_set().to_owned())
}

/// The instruction set that computes `model` in bf16 here, or why nothing does.
pub(super) fn bf16_instruction_set(model: &Model) -> Result<String, EngineError> {
    if model.spec.quantization != Quantization::None {
        return Err(EngineError::new(
            "--precision bf16 is for models that compute with floats, but this one computes with 8-bit integers: leave it out",
        ));
    }
    processor::bf16_instruction_set().map(str::to_owned).ok_or_else(|| {
        EngineError::new(
            "--precision bf16 needs a processor with AVX512_BF16 or AMX under Linux, and this one has neither: leave it out, \
             or take another machine",
        )
    })
}

impl From<&EngineRecord> for run::EngineRecord {
    /// The form in a run's request: everything but the place of the library, which differs from machine to
    /// machine.
    fn from(record: &EngineRecord) -> Self {
        Self {
            name: record.name.stored().to_owned(),
            version: record.version.clone(),
            precision: record.precision.clone(),
            instructions: record.instructions.clone(),
            device: record.device.stored().map(str::to_owned),
        }
    }
}

impl TryFrom<&run::EngineRecord> for EngineRecord {
    type Error = EngineError;

    /// The engine that a run's request names, its library still to be found on this machine.
    fn try_from(record: &run::EngineRecord) -> Result<Self, EngineError> {
        let Some(name) = EngineName::ALL.into_iter().find(|name| name.stored() == record.name) else {
            return Err(EngineError::new(format!(
                "the run started with the engine {:?}, but this tagfleet has only {}: install the tagfleet that started it, \
                 or start a new run",
                record.name,
                EngineName::ALL.map(EngineName::shown).join(", ")
            )));
        };
        let Some(device) = Device::ALL.into_iter().find(|device| device.stored() == record.device.as_deref())
        else {
            return Err(EngineError::new(format!(
                "the run began on the device {:?}, which this tagfleet does not know: install the one that began it, or start \
                 a new run",
                record.device.as_deref().unwrap_or_default()
            )));
        };
        let (version, precision) = (record.version.clone(), record.precision.clone());
        Ok(Self {
            name,
            version,
            precision,
            instructions: record.instructions.clone(),
            device,
            library: None,
        })
    }
}
