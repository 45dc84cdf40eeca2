//! Every way to run the models: network, numbers, engine. Which of them this machine can do is found out, not assumed.

use tagfleet_model::engine::{EngineChoice, EngineError, EngineOptions, EngineRecord, Precision, resolve};
use tagfleet_model::folder::Model;

use crate::models::Network;

/// One way to run a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) network: Network,
    pub(crate) numbers: Numbers,
    pub(crate) engine: Engine,
}

/// What is computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    Fp32,
    Bf16,
    Int8,
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    OnnxRuntime,
    OpenVino,
    Tract,
}

impl Engine {
    /// As people know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "ONNX Runtime",
            Self::OpenVino => "OpenVINO",
            Self::Tract => "tract",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::OpenVino => "openvino",
            Self::Tract => "tract",
        }
    }
}

impl Way {
    /// Every one that tagfleet offers.
    pub(crate) fn all() -> Vec<Self> {
        let mut ways = Vec::new();
        for network in Network::ALL {
            for (numbers, engine) in [
                (Numbers::Fp32, Engine::OnnxRuntime),
                (Numbers::Fp32, Engine::OpenVino),
                (Numbers::Fp32, Engine::Tract),
                (Numbers::Bf16, Engine::OpenVino),
                (Numbers::Int8, Engine::OnnxRuntime),
                (Numbers::Int8, Engine::OpenVino),
                (Numbers::Int8, Engine::Tract),
            ] {
                ways.push(Self { network, numbers, engine });
            }
        }
        ways
    }

    /// Those of whole runs: `--engine auto` takes tract for int8 only where nothing else can be loaded.
    pub(crate) fn of_runs() -> Vec<Self> {
        let mut ways = Self::all();
        ways.retain(|way| !(way.is_int8() && way.engine == Engine::Tract));
        ways
    }

    /// The usual one: 32-bit floats in ONNX Runtime.
    pub(crate) fn usual(network: Network) -> Self {
        Self { network, numbers: Numbers::Fp32, engine: Engine::OnnxRuntime }
    }

    /// The fastest one where the processor is made for it.
    pub(crate) fn integers(network: Network) -> Self {
        Self { network, numbers: Numbers::Int8, engine: Engine::OpenVino }
    }

    /// Half the bits, on processors that have them.
    pub(crate) fn brain_floats(network: Network) -> Self {
        Self { network, numbers: Numbers::Bf16, engine: Engine::OpenVino }
    }

    pub(crate) fn is_int8(self) -> bool {
        self.numbers == Numbers::Int8
    }

    /// `MobileNetV2 fp32, ONNX Runtime`.
    pub(crate) fn name(self) -> String {
        let numbers = match self.numbers {
            Numbers::Fp32 => "fp32",
            Numbers::Bf16 => "bf16",
            Numbers::Int8 => "int8",
        };
        format!("{} {numbers}, {}", self.network.name(), self.engine.name())
    }

    /// What `tagfleet run` is told.
    pub(crate) fn flags(self) -> Vec<&'static str> {
        let mut flags = vec!["--engine", self.engine.flag()];
        if self.numbers == Numbers::Bf16 {
            flags.extend(["--precision", "bf16"]);
        }
        flags
    }

    /// The engine for `model`, which is this way's.
    ///
    /// # Errors
    /// Where the library is not here, or the processor cannot do it.
    pub(crate) fn resolve(self, model: &Model) -> Result<EngineRecord, EngineError> {
        let choice = match self.engine {
            Engine::OnnxRuntime => EngineChoice::OnnxRuntime,
            Engine::OpenVino => EngineChoice::OpenVino,
            Engine::Tract => EngineChoice::Tract,
        };
        let precision = if self.numbers == Numbers::Bf16 { Precision::Bf16 } else { Precision::Fp32 };
        let options = EngineOptions { precision, ..EngineOptions::of(choice) };
        Ok(resolve(&options, model)?.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_says_what_it_is() {
        let way = Way::brain_floats(Network::ResNet50);
        assert_eq!(way.name(), "ResNet-50 bf16, OpenVINO");
        assert_eq!(way.flags(), ["--engine", "openvino", "--precision", "bf16"]);
    }
}
