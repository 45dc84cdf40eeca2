//! The options of the measurements on a GPU, as clap parses them.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use tagfleet_model::engine::{DeviceChoice, Precision};

/// What is measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Task {
    /// The model on its device
    Device,
    /// Decoding, resizing and cropping
    Decode,
    /// Scores beside the processor's
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

/// What runs the models of the parts on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GpuDevice {
    /// An NVIDIA GPU
    Cuda,
    /// The processor in its place
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

/// What a GPU computes in.
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
    /// What
    #[arg(value_enum)]
    pub(crate) task: Task,
    /// The model's folder
    pub(crate) model: PathBuf,
    /// What it computes in
    #[arg(long, value_enum)]
    pub(crate) precision: GpuPrecision,
    /// What runs it
    #[arg(long, value_enum)]
    pub(crate) device: GpuDevice,
    /// Where ONNX Runtime is
    #[arg(long)]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// A folder of JPEGs
    #[arg(long)]
    pub(crate) pictures: PathBuf,
    /// How many of them are compared
    #[arg(long)]
    pub(crate) images: usize,
}
