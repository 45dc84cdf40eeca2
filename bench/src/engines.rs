//! Every config to run the models: network, precision, engine. Which of them this machine can do is found out, not assumed.

use tagfleet_model::engine::{self, EngineChoice, EngineError, EngineOptions, EngineRecord, resolve};
use tagfleet_model::folder::Model;

use crate::models::Network;

/// One config to run a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EngineConfig {
    pub(crate) network: Network,
    pub(crate) precision: Precision,
    pub(crate) engine: Engine,
}

/// What is computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
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

impl EngineConfig {
    /// Every one that tagfleet offers.
    pub(crate) fn all() -> Vec<Self> {
        let mut configs = Vec::new();
        for network in Network::ALL {
            for (precision, engine) in [
                (Precision::Fp32, Engine::OnnxRuntime),
                (Precision::Fp32, Engine::OpenVino),
                (Precision::Fp32, Engine::Tract),
                (Precision::Bf16, Engine::OpenVino),
                (Precision::Int8, Engine::OnnxRuntime),
                (Precision::Int8, Engine::OpenVino),
                (Precision::Int8, Engine::Tract),
            ] {
                configs.push(Self { network, precision, engine });
            }
        }
        configs
    }

    /// Those of whole runs: `--engine auto` takes tract for int8 only where nothing else can be loaded.
    pub(crate) fn of_runs() -> Vec<Self> {
        let mut configs = Self::all();
        configs.retain(|config| !(config.is_int8() && config.engine == Engine::Tract));
        configs
    }

    /// The usual one: 32-bit floats in ONNX Runtime.
    pub(crate) fn usual(network: Network) -> Self {
        Self { network, precision: Precision::Fp32, engine: Engine::OnnxRuntime }
    }

    /// The fastest one where the processor is made for it.
    pub(crate) fn integers(network: Network) -> Self {
        Self { network, precision: Precision::Int8, engine: Engine::OpenVino }
    }

    /// Half the bits, on processors that have them.
    pub(crate) fn brain_floats(network: Network) -> Self {
        Self { network, precision: Precision::Bf16, engine: Engine::OpenVino }
    }

    pub(crate) fn is_int8(self) -> bool {
        self.precision == Precision::Int8
    }

    /// `MobileNetV2 fp32, ONNX Runtime`.
    pub(crate) fn name(self) -> String {
        let precision = match self.precision {
            Precision::Fp32 => "fp32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        };
        format!("{} {precision}, {}", self.network.name(), self.engine.name())
    }

    /// What `tagfleet run` is told.
    pub(crate) fn flags(self) -> Vec<&'static str> {
        let mut flags = vec!["--engine", self.engine.flag()];
        if self.precision == Precision::Bf16 {
            flags.extend(["--precision", "bf16"]);
        }
        flags
    }

    /// The engine for `model`, which is this config's.
    ///
    /// # Errors
    /// Where the library is not here, or the processor cannot do it.
    pub(crate) fn resolve(self, model: &Model) -> Result<EngineRecord, EngineError> {
        let choice = match self.engine {
            Engine::OnnxRuntime => EngineChoice::OnnxRuntime,
            Engine::OpenVino => EngineChoice::OpenVino,
            Engine::Tract => EngineChoice::Tract,
        };
        let precision =
            if self.precision == Precision::Bf16 { engine::Precision::Bf16 } else { engine::Precision::Fp32 };
        let options = EngineOptions { precision, ..EngineOptions::of(choice) };
        Ok(resolve(&options, model)?.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_says_what_it_is() {
        let config = EngineConfig::brain_floats(Network::ResNet50);
        assert_eq!(config.name(), "ResNet-50 bf16, OpenVINO");
        assert_eq!(config.flags(), ["--engine", "openvino", "--precision", "bf16"]);
    }
}
