//! The configurations that models run in: network, precision and engine. This machine may lack some.

use tagfleet_model::engine::{self, EngineError, EngineName, EngineOptions, EngineRecord, resolve};
use tagfleet_model::folder::Model;

use crate::models::Network;

/// A network, its precision and the engine that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EngineConfig {
    pub(crate) network: Network,
    pub(crate) precision: Precision,
    pub(crate) engine: EngineName,
}

/// The precision of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Fp32,
    Bf16,
    Int8,
}

impl EngineConfig {
    /// Every configuration that tagfleet offers.
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

    /// Those of whole runs. tract is left out for int8, because `--engine auto` takes it only if no other
    /// engine can be loaded.
    pub(crate) fn of_runs() -> Vec<Self> {
        let mut configs = Self::all();
        configs.retain(|config| !(config.is_int8() && config.engine == EngineName::Tract));
        configs
    }

    /// The usual one: 32-bit floats in ONNX Runtime.
    pub(crate) fn usual(network: Network) -> Self {
        Self { network, precision: Precision::Fp32, engine: EngineName::OnnxRuntime }
    }

    /// The fastest one on processors with int8 instructions.
    pub(crate) fn int8(network: Network) -> Self {
        Self { network, precision: Precision::Int8, engine: EngineName::OpenVino }
    }

    /// bf16, on processors that have it.
    pub(crate) fn bf16(network: Network) -> Self {
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

    /// The arguments of `tagfleet run`.
    pub(crate) fn flags(self) -> Vec<&'static str> {
        let mut flags = vec!["--engine", self.engine.stored()];
        if self.precision == Precision::Bf16 {
            flags.extend(["--precision", "bf16"]);
        }
        flags
    }

    /// The engine that runs `model`, a model of this configuration.
    ///
    /// # Errors
    /// If the library is not installed, or the processor lacks the instructions.
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
        let config = EngineConfig::bf16(Network::ResNet50);
        assert_eq!(config.name(), "ResNet-50 bf16, OpenVINO");
        assert_eq!(config.flags(), ["--engine", "openvino", "--precision", "bf16"]);
    }
}
