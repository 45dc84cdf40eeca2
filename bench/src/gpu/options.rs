//! The options of the measurements on a GPU, as clap parses them.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use tagfleet_model::engine::{DeviceChoice, Precision};

/// One stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Task {
    /// The model on its device
    Device,
    /// Decoding, resizing and cropping
    Decode,
    /// Scores compared with the processor's
    Agree,
}

impl Task {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Decode => "decode",
            Self::Agree => "agree",
        }
    }
}

/// The device that runs the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GpuDevice {
    /// An NVIDIA GPU
    Cuda,
    /// The processor in place of a GPU
    Rehearsal,
}

impl GpuDevice {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Rehearsal => "rehearsal",
        }
    }

    /// As torch names it.
    pub(crate) fn of_torch(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Rehearsal => "cpu",
        }
    }

    pub(crate) fn choice(self) -> DeviceChoice {
        match self {
            Self::Cuda => DeviceChoice::Cuda,
            Self::Rehearsal => DeviceChoice::Rehearsal,
        }
    }
}

/// The precision on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GpuPrecision {
    /// 32-bit floats
    Fp32,
    /// 16-bit floats
    Fp16,
}

impl GpuPrecision {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
        }
    }

    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::Fp32 => Precision::Fp32,
            Self::Fp16 => Precision::Fp16,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AloneOptions {
    /// The stage
    #[arg(value_enum)]
    pub(crate) task: Task,
    /// The model's folder
    pub(crate) model: PathBuf,
    /// The precision
    #[arg(long, value_enum)]
    pub(crate) precision: GpuPrecision,
    /// The device
    #[arg(long, value_enum)]
    pub(crate) device: GpuDevice,
    /// The place of ONNX Runtime
    #[arg(long)]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// A folder of JPEGs
    #[arg(long)]
    pub(crate) pictures: PathBuf,
    /// The number of pictures that are compared
    #[arg(long)]
    pub(crate) images: usize,
}
