//! The models that are measured: folders below `target/bench/models`, exported by `bench/models.py` when
//! one is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tagfleet_model::folder::{Model, ModelOptions};

use crate::output::progress;
use crate::place::Place;

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    MobileNetV2,
    ResNet50,
    VitB16,
}

impl Network {
    /// The networks on processors, in floats and in integers.
    pub(crate) const ALL: [Self; 2] = [Self::MobileNetV2, Self::ResNet50];
    /// The networks on GPUs.
    pub(crate) const ON_GPUS: [Self; 3] = [Self::MobileNetV2, Self::ResNet50, Self::VitB16];

    /// The name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MobileNetV2 => "MobileNetV2",
            Self::ResNet50 => "ResNet-50",
            Self::VitB16 => "ViT-B/16",
        }
    }

    /// As torchvision calls it, and so its folder.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::MobileNetV2 => "mobilenet_v2",
            Self::ResNet50 => "resnet50",
            Self::VitB16 => "vit_b_16",
        }
    }

    fn is_quantised(self) -> bool {
        Self::ALL.contains(&self)
    }
}

/// The folder of the models.
#[derive(Clone, Debug)]
pub(crate) struct Models(PathBuf);

impl Models {
    /// Exports `networks` with `python`, except those that exist.
    pub(crate) fn ready(place: &Place, python: &Path, pictures: &Path, networks: &[Network]) -> Result<Self> {
        let models = Self(place.generated("models"));
        let missing: Vec<Network> =
            networks.iter().copied().filter(|network| !models.has(*network)).collect();
        if missing.is_empty() {
            return Ok(models);
        }
        progress("exporting the models (a minute or two, once)");
        let python = place.root.join(python);
        let mut command = Command::new(&python);
        command.arg(place.root.join("bench/models.py")).arg("--pictures").arg(pictures);
        command.arg("--out").arg(&models.0).args(missing.iter().map(|network| network.folder()));
        let status = command.status().with_context(|| {
            format!("{} cannot be started: `scripts/setup.sh bench` makes it", python.display())
        })?;
        if !status.success() {
            bail!("the models could not be exported (bench/models.py ended with {status})");
        }
        Ok(models)
    }

    fn has(&self, network: Network) -> bool {
        let graph = |is_int8: bool| self.folder(network, is_int8).join("model.onnx").exists();
        self.weights(network).exists() && graph(false) && (!network.is_quantised() || graph(true))
    }

    /// A network's weights, as torch reads them.
    pub(crate) fn weights(&self, network: Network) -> PathBuf {
        self.0.join(format!("{}.pt", network.folder()))
    }

    /// The models in `folder`, whether they exist or not.
    #[cfg(test)]
    pub(crate) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// A model's folder.
    pub(crate) fn folder(&self, network: Network, is_int8: bool) -> PathBuf {
        let suffix = if is_int8 { "_int8" } else { "" };
        self.0.join(format!("{}{suffix}", network.folder()))
    }

    /// A model, its files read.
    pub(crate) fn open(&self, network: Network, is_int8: bool, exact: bool) -> Result<Model> {
        let options = ModelOptions { exact, ..ModelOptions::default() };
        Ok(Model::open(&self.folder(network, is_int8), &options)?)
    }
}
