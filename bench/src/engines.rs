//! Every config to run the models: network, precision, engine. Which of them this machine can do is found out, not assumed.

use tagfleet_model::engine::{self, EngineError, EngineName, EngineOptions, EngineRecord, resolve};
use tagfleet_model::folder::Model;

use crate::models::Network;

/// One config to run a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EngineConfig {
    pub(crate) network: Network,
    pub(crate) precision: Precision,
    pub(crate) engine: EngineName,
}

/// What is computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Fp32,
    Bf16,
    Int8,
}

impl EngineConfig {
    /// Every one that tagfleet offers.
    pub(crate) fn all() -> Vec<Self> {
        let mut configs = Vec::new();
        for network in Network::ALL {
            for (precision, engine) in [
                (Precision::Fp32, EngineName::OnnxRuntime),
                (Precision::Fp32, EngineName::OpenVino),
                (Precision::Fp32, EngineName::Tract),
                (Precision::Bf16, EngineName::OpenVino),
                (Precision::Int8, EngineName::OnnxRuntime),
                (Precision::Int8, EngineName::OpenVino),
                (Precision::Int8, EngineName::Tract),
            ] {
                configs.push(Self { network, precision, engine });
            }
        }
        configs
    }

    /// Those of whole runs: `--engine auto` takes tract for int8 only where nothing else can be loaded.
    pub(crate) fn of_runs() -> Vec<Self> {
        let mut configs = Self::all();
        configs.retain(|config| !(config.is_int8() && config.engine == EngineName::Tract));
        configs
    }

    /// The usual one: 32-bit floats in ONNX Runtime.
    pub(crate) fn usual(network: Network) -> Self {
        Self { network, precision: Precision::Fp32, engine: EngineName::OnnxRuntime }
    }

    /// The fastest one where the processor is made for it.
    pub(crate) fn integers(network: Network) -> Self {
        Self { network, precision: Precision::Int8, engine: EngineName::OpenVino }
    }

    /// Half the bits, on processors that have them.
    pub(crate) fn brain_floats(network: Network) -> Self {
        Self { network, precision: Precision::Bf16, engine: EngineName::OpenVino }
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
        format!("{} {precision}, {}", self.network.name(), self.engine.shown())
    }

    /// What `tagfleet run` is told.
    pub(crate) fn flags(self) -> Vec<&'static str> {
        let mut flags = vec!["--engine", self.engine.stored()];
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
        let precision =
            if self.precision == Precision::Bf16 { engine::Precision::Bf16 } else { engine::Precision::Fp32 };
        let options = EngineOptions { precision, ..EngineOptions::of(self.engine.into()) };
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
