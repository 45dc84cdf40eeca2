//! The choice of a device: what is recorded of it, and why a machine or a model has none.
//!
//! Nothing is measured, and no model is loaded.

use std::path::Path;

use super::missing;
use crate::engine::record::{Device, EngineName, EngineRecord, FP16, Precision, Resolved, stored_precision};
use crate::engine::{EngineError, onnxruntime};
use crate::folder::Model;
use crate::graph::Quantization;

/// ONNX Runtime on a GPU.
///
/// # Errors
/// If the library, a GPU or its driver is missing, or a GPU cannot run the model in this precision.
pub(in crate::engine) fn on_gpu(
    onnxruntime: Option<&Path>,
    precision: Precision,
    model: &Model,
    reason: &str,
) -> Result<Resolved, EngineError> {
    let library = onnxruntime::load(onnxruntime)?;
    let record = EngineRecord::on_device(Device::Cuda, &library.version, model, precision)?;
    match missing(&library) {
        Some(missing) => Err(EngineError::new(format!(
            "no GPU can be used with the ONNX Runtime at {}: {missing}; it takes an NVIDIA driver, and onnxruntime-gpu with its \
             CUDA libraries named with --onnxruntime; or give --device cpu",
            library.path.display()
        ))),
        None => Ok(with_library(record, &library.path, reason)),
    }
}

/// ONNX Runtime on the processor, in a GPU's place.
///
/// # Errors
/// If the library is missing, or a GPU cannot run the model in this precision.
pub(in crate::engine) fn rehearsed(
    onnxruntime: Option<&Path>,
    precision: Precision,
    model: &Model,
) -> Result<Resolved, EngineError> {
    let library = onnxruntime::load(onnxruntime)?;
    let record = EngineRecord::on_device(Device::Rehearsal, &library.version, model, precision)?;
    let reason = "as asked for with --device; it is slower than --device cpu";
    Ok(with_library(record, &library.path, reason))
}

fn with_library(record: EngineRecord, library: &Path, reason: &str) -> Resolved {
    Resolved::new(EngineRecord { library: Some(library.to_owned()), ..record }, library, reason)
}

/// The record of ONNX Runtime `version` for `model` on machines with a GPU, even if this one has none.
///
/// # Errors
/// If a GPU can't run this model in this precision.
pub fn cuda_elsewhere(
    version: &str,
    model: &Model,
    precision: Precision,
) -> Result<EngineRecord, EngineError> {
    EngineRecord::on_device(Device::Cuda, version, model, precision)
}

impl EngineRecord {
    /// ONNX Runtime on a device, wherever its library is.
    ///
    /// # Errors
    /// If a device cannot run this model, or not in this precision.
    pub(in crate::engine) fn on_device(
        device: Device,
        version: &str,
        model: &Model,
        precision: Precision,
    ) -> Result<Self, EngineError> {
        let precision = match (precision, model.spec.quantization) {
            (_, Quantization::Static | Quantization::Qdq | Quantization::Dynamic) => {
                return Err(EngineError::new(
                    "GPUs are for models that compute with floats, but this one computes with 8-bit integers, which ONNX \
                     Runtime would leave to the processor",
                ));
            }
            (Precision::Bf16, _) => {
                return Err(EngineError::new("GPUs compute in fp32 or fp16: give --precision fp16, or none"));
            }
            (Precision::Fp16, _) => FP16,
            (Precision::Fp32, _) => stored_precision(model),
        };
        Ok(Self {
            name: EngineName::OnnxRuntime,
            version: version.to_owned(),
            precision: precision.to_owned(),
            instructions: None,
            device,
            library: None,
        })
    }
}
