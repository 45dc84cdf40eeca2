//! The figures of every repetition, by part, as stored in `bench/results.json`.
//!
//! Medians and ratios are computed when they are shown, so the file holds only measurements. Parts may be
//! measured at different times, but on one machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::measure::{Slope, median};
use crate::models::Network;

/// The version of the stored form.
pub(crate) const VERSION: u32 = 1;

/// Measurements that are made together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// Each stage alone, in one thread
    Stages,
    /// Whole runs of the command, MobileNetV2
    RunsMobilenet,
    /// Whole runs of the command, ResNet-50
    RunsResnet,
    /// Two cores against one
    Cores,
    /// A slow bucket against a folder
    Latency,
    /// A run without decoder and model
    Overhead,
    /// Pictures of 12 megapixels
    Large,
    /// tagfleet and its peers, MobileNetV2
    PeersMobilenet,
    /// tagfleet and its peers, ResNet-50
    PeersResnet,
    /// tagfleet and its peers, pictures of 12 megapixels
    PeersLarge,
    /// A GPU, MobileNetV2, and PyTorch
    GpuMobilenet,
    /// A GPU, ResNet-50, and PyTorch
    GpuResnet,
    /// A GPU, ViT-B/16, and PyTorch
    GpuVit,
}

impl Part {
    /// Whole runs of `network`.
    pub(crate) fn runs(network: Network) -> Option<Self> {
        match network {
            Network::MobileNetV2 => Some(Self::RunsMobilenet),
            Network::ResNet50 => Some(Self::RunsResnet),
            Network::VitB16 => None,
        }
    }

    /// `network` on a GPU.
    pub(crate) fn on_gpu(network: Network) -> Self {
        match network {
            Network::MobileNetV2 => Self::GpuMobilenet,
            Network::ResNet50 => Self::GpuResnet,
            Network::VitB16 => Self::GpuVit,
        }
    }

    /// The network that this measures on a GPU, if it does.
    pub(crate) fn network_on_gpu(self) -> Option<Network> {
        Network::ON_GPUS.into_iter().find(|network| Self::on_gpu(*network) == self)
    }
}

/// The meaning and the unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Quantity {
    /// Images per second.
    ImagesPerSecond,
    /// Images per second from a bucket with latency.
    DelayedImagesPerSecond,
    /// CPU milliseconds per image.
    CpuMs,
    /// CPU milliseconds per image from a bucket with latency.
    DelayedCpuMs,
    /// Seconds that a run of no images would take.
    StartUp,
    /// Seconds that a run of one image took.
    OneImage,
    /// Memory of all processes together at its peak, pages they share counted once; in MB.
    PeakMb,
    /// The largest resident sets of all processes, added up, files that are mapped included; in MB.
    ResidentMb,
    /// Images that a device runs at once.
    Batch,
    /// Pictures whose best class is the processor's, in percent.
    Agreement,
    /// The largest difference between a score and the processor's.
    Difference,
}

/// All figures of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Results {
    /// [`VERSION`].
    pub(crate) version: u32,
    /// The machine that they were measured on.
    pub(crate) machine: Machine,
    /// The parts that were measured.
    pub(crate) parts: BTreeMap<Part, Measured>,
}

/// The figures of a part, and how they were measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measured {
    /// The day, UTC.
    pub(crate) date: String,
    /// The load average of the minute before.
    pub(crate) load: Option<f64>,
    /// The command that measured it.
    pub(crate) command: String,
    /// Repetitions of each measurement.
    pub(crate) repetitions: u32,
    /// A description of the pictures.
    pub(crate) pictures: String,
    /// The versions of tagfleet, engines and peers.
    pub(crate) versions: BTreeMap<String, String>,
    /// The figures, in the order of the table.
    pub(crate) rows: Vec<Row>,
}

/// A row of a part's table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// Its name; see [`crate::rows`].
    pub(crate) name: String,
    /// One number per repetition.
    pub(crate) figures: BTreeMap<Quantity, Vec<f64>>,
    /// Why figures are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

impl Row {
    /// The median of a figure.
    pub(crate) fn median(&self, quantity: Quantity) -> Option<f64> {
        median(self.figures.get(&quantity)?)
    }
}

impl Results {
    /// No figures yet.
    pub(crate) fn new(machine: Machine) -> Self {
        Self { version: VERSION, machine, parts: BTreeMap::new() }
    }

    /// The figures in the file at `path`; `None` if there is no such file.
    pub(crate) fn read_if_present(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string()).map(Some)
    }

    /// The figures in a file's `text`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let results: Self = serde_json::from_str(text)?;
        if results.version != VERSION {
            bail!("version {} of the figures, but this program knows {VERSION}", results.version);
        }
        Ok(results)
    }

    /// Stores them.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// The median of a figure; `None` if it was not measured.
    pub(crate) fn median(&self, part: Part, row: &str, quantity: Quantity) -> Option<f64> {
        self.parts.get(&part)?.rows.iter().find(|found| found.name == row)?.median(quantity)
    }
}

/// Rows, and the versions of the programs that they were measured with.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) rows: Rows,
    pub(crate) versions: BTreeMap<String, String>,
}

impl From<Rows> for Figures {
    fn from(rows: Rows) -> Self {
        Self { rows, versions: BTreeMap::new() }
    }
}

/// Rows that fill up repetition by repetition.
#[derive(Debug, Default)]
pub(crate) struct Rows(pub(crate) Vec<Row>);

impl Rows {
    fn row(&mut self, name: &str) -> &mut Row {
        let index = self.0.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.0.push(Row { name: name.to_owned(), ..Row::default() });
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// Adds one repetition of a figure.
    pub(crate) fn add(&mut self, name: &str, quantity: Quantity, value: f64) {
        self.row(name).figures.entry(quantity).or_default().push(value);
    }

    /// Adds one repetition of a slope; `None` means that noise hid it.
    pub(crate) fn add_slope(&mut self, name: &str, slope: Option<Slope>) {
        let Some(slope) = slope else {
            return self
                .fail(name, "the longer run was not the longer one: too few pictures, or a busy machine");
        };
        self.add(name, Quantity::ImagesPerSecond, slope.images_per_second);
        self.add(name, Quantity::CpuMs, slope.cpu_ms);
        self.add(name, Quantity::StartUp, slope.start_up);
    }

    /// Records why a row lacks figures; the last reason stays.
    pub(crate) fn fail(&mut self, name: &str, problem: impl Into<String>) {
        self.row(name).problem = Some(problem.into());
    }

    /// True if this row has a problem and no figures, so that it is not measured again.
    pub(crate) fn has_failed(&self, name: &str) -> bool {
        self.0.iter().any(|row| row.name == name && row.problem.is_some() && row.figures.is_empty())
    }
}
