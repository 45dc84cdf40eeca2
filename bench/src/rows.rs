//! The names of all rows of the tables.
//!
//! A part writes its figures under these names, and goals and tables read them again. It computes nothing.

use crate::engines::EngineConfig;

/// The stages before the model.
pub(crate) const DECODE: &str = "decode";
pub(crate) const PREPARE: &str = "resize, crop, normalise, copy to tensor";
/// Of at most 48 pictures of a shard.
pub(crate) const THUMBNAIL: &str = "thumbnail, for each of the few pictures of a shard that get one";
/// A run that tags nothing, in one process.
pub(crate) const NO_MODEL: &str = "shards, reading, Parquet, queue, progress: no decoder, no model";
/// A run that tags nothing, with a child process.
pub(crate) const NO_MODEL_ISOLATED: &str =
    "the same, with the images handed to the process of decoder and model";
/// The engine of the peers that use ONNX Runtime.
pub(crate) const FP32: &str = "ONNX Runtime fp32";
/// The engine of the peers that use OpenVINO, which computes in bf16 if the processor has it.
pub(crate) const OPENVINO_DEFAULT: &str = "OpenVINO in its default precision";

/// `infer: MobileNetV2 fp32, ONNX Runtime`.
pub(crate) fn infer_row(config: EngineConfig) -> String {
    format!("infer: {}", config.name())
}

/// A run on one core or two.
pub(crate) fn cores_row(config: EngineConfig, cores: usize) -> String {
    format!("{}, {}", config.name(), if cores == 1 { "one core" } else { "two cores" })
}

/// The row of tagfleet.
pub(crate) fn name_of_tagfleet(config: EngineConfig, is_exact: bool) -> String {
    format!("tagfleet, {}{}", config.name(), if is_exact { ", --exact" } else { "" })
}

/// The row of the hand-written Python pool; `engine` as in `ONNX Runtime fp32`.
pub(crate) fn name_of_pool(engine: &str) -> String {
    format!("hand-written Python pool, {engine}")
}

/// The row of PySpark.
pub(crate) fn name_of_spark() -> String {
    format!("PySpark, {FP32}")
}

/// The row of Ray Data.
pub(crate) fn name_of_ray() -> String {
    format!("Ray Data, {FP32}")
}
