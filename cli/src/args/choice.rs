//! Options that take one of a few words, parsed straight to the types of other crates.
//!
//! Those crates know no command line, so the words are here. Parsing only.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use tagfleet_fleet::request::Device;
use tagfleet_model::engine::{DeviceChoice, EngineChoice, Precision};
use tagfleet_pipeline::run::VectorType;

pub(super) fn engine() -> impl TypedValueParser<Value = EngineChoice> {
    one_of([
        (word("auto"), EngineChoice::Auto),
        (word("tract"), EngineChoice::Tract),
        (word("onnxruntime"), EngineChoice::OnnxRuntime),
        (word("openvino"), EngineChoice::OpenVino),
    ])
}

pub(super) fn precision() -> impl TypedValueParser<Value = Precision> {
    one_of([
        (word("fp32"), Precision::Fp32),
        (word("bf16"), Precision::Bf16),
        (word("fp16"), Precision::Fp16),
    ])
}

/// What runs the model on this machine.
pub(super) fn run_device() -> impl TypedValueParser<Value = DeviceChoice> {
    one_of([
        (word("auto"), DeviceChoice::Auto),
        (word("cpu"), DeviceChoice::Cpu),
        (word("gpu").alias("cuda"), DeviceChoice::Cuda),
        // For tests and benchmarks: the processor in a GPU's place.
        (word("rehearsal").hide(true), DeviceChoice::Rehearsal),
    ])
}

/// What workers of a fleet run on.
pub(super) fn fleet_device() -> impl TypedValueParser<Value = Device> {
    one_of([(word("cpu"), Device::Cpu), (word("gpu").alias("cuda"), Device::Gpu)])
}

pub(super) fn vector_type() -> impl TypedValueParser<Value = VectorType> {
    one_of([(word("f32"), VectorType::F32), (word("f16"), VectorType::F16)])
}

fn word(name: &'static str) -> PossibleValue {
    PossibleValue::new(name)
}

fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    words: [(PossibleValue, T); N],
) -> impl TypedValueParser<Value = T> {
    let possible = words.clone().map(|(word, _)| word);
    PossibleValuesParser::new(possible).try_map(move |given| {
        let found = words.iter().find(|(word, _)| word.matches(&given, false));
        found.map(|(_, value)| *value).ok_or("not one of the possible values")
    })
}
