//! On a GPU: the model alone, decoding alone, whole runs on some of the machine's cores, and the same in
//! PyTorch.
//!
//! Each is a process of its own. A run is at most as fast as its decoder or its GPU, whichever is slower;
//! the share that a whole run reaches is the figure that counts. This code has never run on a GPU. A
//! missing GPU is an error.

pub(crate) mod alone;
pub(crate) mod options;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::alone::AloneFigures;
use self::options::{GpuDevice, GpuPrecision, Task};
use crate::child::{self, Cores, ProcessStats, last_lines};
use crate::context::Bench;
use crate::measure::{Timing, slope};
use crate::models::{Models, Network};
use crate::output::progress;
use crate::pictures::Pair;
use crate::results::{Figures, Quantity};
use crate::runs::{SOME_FAILED, empty_out};

/// vCPUs that whole runs are confined to: those of the smallest machines with one GPU, and larger ones. As
/// on AWS, both halves of a core that has two.
const VCPUS: [usize; 3] = [4, 8, 16];
/// Pictures that scores are compared on.
const COMPARED: usize = 200;

/// A network in one precision, and the row of each of its figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuConfig {
    pub(crate) network: Network,
    pub(crate) precision: GpuPrecision,
}

impl GpuConfig {
    /// `MobileNetV2 fp16`.
    pub(crate) fn name(self) -> String {
        format!("{} {}", self.network.name(), self.precision.name())
    }

    /// The model without decoding.
    pub(crate) fn alone(self, contender: Contender) -> String {
        format!("{}{}, alone", contender.prefix(), self.name())
    }

    /// A whole run.
    pub(crate) fn whole(self, contender: Contender, cores: usize) -> String {
        format!("{}{}, {cores} vCPUs", contender.prefix(), self.name())
    }

    /// Its scores, compared with the processor's.
    fn agreement(self) -> String {
        format!("{} beside fp32 on the processor", self.name())
    }
}

/// Decoding without a model.
pub(crate) fn decode_row(cores: usize) -> String {
    format!("decode, resize and crop alone, {cores} vCPUs")
}

/// Contender does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Tagfleet,
    PyTorch,
}

impl Contender {
    fn prefix(self) -> &'static str {
        match self {
            Self::Tagfleet => "",
            Self::PyTorch => "PyTorch, ",
        }
    }
}

/// The figures of one network, and the GPU's name.
#[derive(Default)]
pub(crate) struct GpuFigures {
    pub(crate) figures: Figures,
    pub(crate) gpu: String,
}

/// The last line of `torch_gpu.py`.
#[derive(Debug, Deserialize)]
struct TorchFigures {
    images_per_second: Option<f64>,
    batch: Option<usize>,
    #[serde(default)]
    channels_last: bool,
    torch: String,
    device: String,
}

/// One measurement of a network.
struct Gpu<'a> {
    bench: &'a Bench,
    network: Network,
    device: GpuDevice,
    python: &'a Path,
    /// Where ONNX Runtime for GPUs is, unless it is in the usual places.
    onnxruntime: Option<PathBuf>,
    measured: GpuFigures,
}

/// Measures `network`.
///
/// # Errors
/// If there is no GPU, or ONNX Runtime or torch cannot use it.
pub(crate) fn measure(
    bench: &Bench,
    network: Network,
    device: GpuDevice,
    python: &Path,
) -> Result<GpuFigures> {
    let onnxruntime = Some(bench.place.root.join(".venv-gpu"))
        .filter(|folder| device == GpuDevice::Cuda && folder.is_dir());
    let mut gpu = Gpu { bench, network, device, python, onnxruntime, measured: GpuFigures::default() };
    gpu.is_there()?;
    Models::ready(&bench.place, python, &bench.pictures.ordinary.short.path, &[network])?;
    for repetition in 1..=bench.repetitions {
        progress(format!("{} on a GPU, repetition {repetition} of {}", network.name(), bench.repetitions));
        gpu.repeat()?;
    }
    gpu.compare()?;
    Ok(gpu.measured)
}

/// The numbers of cores that a machine with `cores` of them can be confined to.
pub(crate) fn core_counts(cores: usize) -> Vec<usize> {
    let fitting: Vec<usize> = VCPUS.into_iter().filter(|count| *count <= cores).collect();
    if fitting.is_empty() { vec![cores] } else { fitting }
}

impl Gpu<'_> {
    /// Checks with `tagfleet inspect` that there is a GPU.
    fn is_there(&self) -> Result<()> {
        let mut command = Command::new(&self.bench.tagfleet);
        command.arg("inspect").arg(self.bench.place.root.join("demo/model"));
        command.args(["--device", self.device.name()]).args(self.library());
        self.run(&mut command, None).map(|_| ())
    }

    /// The flag that names ONNX Runtime for GPUs, unless it is in the usual places.
    fn library(&self) -> Vec<&OsStr> {
        let library = self.onnxruntime.iter().map(|path| path.as_os_str());
        library.flat_map(|path| [OsStr::new("--onnxruntime"), path]).collect()
    }

    fn configs(&self) -> [GpuConfig; 2] {
        [GpuPrecision::Fp32, GpuPrecision::Fp16]
            .map(|precision| GpuConfig { network: self.network, precision })
    }

    fn repeat(&mut self) -> Result<()> {
        let mut fastest = BTreeMap::new();
        for config in self.configs() {
            let (ours, theirs) = (self.ours_alone(config)?, self.theirs_alone(config)?);
            let rate = ours.images_per_second.context("no rate")?;
            self.measured.figures.rows.add(
                &config.alone(Contender::Tagfleet),
                Quantity::ImagesPerSecond,
                rate,
            );
            self.measured.figures.rows.add(
                &config.alone(Contender::Tagfleet),
                Quantity::Batch,
                ours.batch.unwrap_or(1) as f64,
            );
            self.note(&config.alone(Contender::Tagfleet), &ours.notes);
            let batch = theirs.batch.context("no batch")?;
            let their_rate = theirs.images_per_second.context("no rate")?;
            self.measured.figures.rows.add(
                &config.alone(Contender::PyTorch),
                Quantity::ImagesPerSecond,
                their_rate,
            );
            self.measured.figures.rows.add(&config.alone(Contender::PyTorch), Quantity::Batch, batch as f64);
            let versions = &mut self.measured.figures.versions;
            versions.insert("ONNX Runtime".to_owned(), ours.engine.unwrap_or_default());
            versions.insert("PyTorch".to_owned(), theirs.torch);
            self.measured.gpu = theirs.device;
            fastest.insert(config.precision.name(), (rate, batch, theirs.channels_last));
        }
        for cores in core_counts(self.bench.machine.cores) {
            let decoding = self.alone(Task::Decode, self.configs()[0], Some(cores))?;
            let decoding = decoding.images_per_second.context("no rate")?;
            self.measured.figures.rows.add(&decode_row(cores), Quantity::ImagesPerSecond, decoding);
            for config in self.configs() {
                let (rate, batch, channels_last) = fastest[config.precision.name()];
                let pictures =
                    self.bench.pictures.pair((decoding.min(rate) * self.bench.counts.seconds) as usize)?;
                self.whole(config, cores, Contender::Tagfleet, &pictures, |gpu, folder| {
                    gpu.our_run(config, folder)
                })?;
                self.whole(config, cores, Contender::PyTorch, &pictures, |gpu, folder| {
                    let mut command = gpu.torch("run", config);
                    command.arg("--pictures").arg(folder).args(["--workers", &cores.to_string()]);
                    command.args(["--batch", &batch.to_string()]);
                    command.args(channels_last.then_some("--channels-last"));
                    command.arg("--out").arg(gpu.bench.place.generated("out/torch.csv"));
                    Ok(command)
                })?;
            }
        }
        Ok(())
    }

    /// Both runs of a pair, and the slope between them.
    fn whole(
        &mut self,
        config: GpuConfig,
        cores: usize,
        contender: Contender,
        pictures: &Pair,
        command: impl Fn(&Self, &Path) -> Result<Command>,
    ) -> Result<()> {
        let name = config.whole(contender, cores);
        let mut took = Vec::new();
        for folder in [&pictures.short, &pictures.long] {
            let ran = self.run(&mut command(self, &folder.path)?, Some(cores))?;
            if contender == Contender::Tagfleet {
                let said = fs::read_to_string(self.log()).unwrap_or_default();
                let notes = said.lines().filter_map(|line| line.strip_prefix("note: "));
                self.note(&name, &notes.map(str::to_owned).collect::<Vec<_>>());
            }
            took.push((Timing { images: folder.images, wall: ran.wall, cpu: ran.cpu }, ran.memory.peak));
        }
        if let [(short, _), (long, peak)] = took[..] {
            self.measured.figures.rows.add_slope(&name, slope(short, long));
            self.measured.figures.rows.add(&name, Quantity::PeakMb, peak);
        }
        Ok(())
    }

    /// Adds tagfleet's notes on how the model runs to its row.
    fn note(&mut self, row: &str, notes: &[String]) {
        if !notes.is_empty() {
            self.measured.figures.rows.fail(row, self.bench.publishable(&notes.join("; ")));
        }
    }

    fn compare(&mut self) -> Result<()> {
        for config in self.configs() {
            let found = self.alone(Task::Agree, config, None)?;
            let name = config.agreement();
            let agreement = found.agreement.context("no agreement")?;
            self.measured.figures.rows.add(&name, Quantity::Agreement, agreement * 100.0);
            self.measured.figures.rows.add(
                &name,
                Quantity::Difference,
                found.difference.context("no difference")?,
            );
        }
        Ok(())
    }

    fn ours_alone(&self, config: GpuConfig) -> Result<AloneFigures> {
        self.alone(Task::Device, config, None)
    }

    fn theirs_alone(&self, config: GpuConfig) -> Result<TorchFigures> {
        self.run_for_json(&mut self.torch("alone", config), None)
    }

    /// Runs this program for one task.
    fn alone(&self, task: Task, config: GpuConfig, cores: Option<usize>) -> Result<AloneFigures> {
        let mut command = Command::new(std::env::current_exe().context("this program's own path")?);
        command.arg("alone").arg(task.name()).arg(self.bench.models.folder(config.network, false));
        command.args(["--precision", config.precision.name(), "--device", self.device.name()]);
        command.arg("--pictures").arg(&self.bench.pictures.ordinary.long.path);
        command.args(["--images", &COMPARED.min(self.bench.counts.ordinary.1).to_string()]);
        command.args(self.library());
        self.run_for_json(&mut command, cores)
    }

    fn our_run(&self, config: GpuConfig, pictures: &Path) -> Result<Command> {
        let out = empty_out(self.bench)?;
        let mut command = Command::new(&self.bench.tagfleet);
        command.arg("run").arg(pictures).arg("--model").arg(self.bench.models.folder(config.network, false));
        command.arg("--out").arg(&out).args(["--new", "--engine", "onnxruntime"]);
        command.args(["--precision", config.precision.name(), "--device", self.device.name()]);
        command.args(self.library());
        Ok(command)
    }

    fn torch(&self, what: &str, config: GpuConfig) -> Command {
        let mut command = Command::new(self.bench.place.root.join(self.python));
        command.arg(self.bench.place.root.join("bench/torch_gpu.py")).arg(what);
        command.args(["--network", config.network.folder(), "--precision", config.precision.name()]);
        command.arg("--weights").arg(self.bench.models.weights(config.network));
        command.args(["--device", self.device.of_torch()]);
        command
    }

    /// Of what ran last.
    fn log(&self) -> PathBuf {
        self.bench.place.generated("out/last.log")
    }

    fn run(&self, command: &mut Command, vcpus: Option<usize>) -> Result<ProcessStats> {
        let cores = vcpus.map(Cores::Vcpus);
        let ran = child::run(command.current_dir(&self.bench.place.root), cores, &self.log())?;
        let is_ours = command.get_program() == self.bench.tagfleet.as_os_str();
        match ran.status.code() {
            Some(0) => Ok(ran),
            Some(SOME_FAILED) if is_ours => Ok(ran),
            _ => {
                let program = command.get_program().to_string_lossy().into_owned();
                bail!("{program}: {}: {}", ran.status, last_lines(&self.log()))
            }
        }
    }

    /// Runs a command whose last line is JSON.
    fn run_for_json<T: DeserializeOwned>(&self, command: &mut Command, cores: Option<usize>) -> Result<T> {
        self.run(command, cores)?;
        let log = self.log();
        let text = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        let last = text.lines().rfind(|line| line.starts_with('{')).unwrap_or_default();
        serde_json::from_str(last)
            .with_context(|| format!("expected a line of JSON, got: {}", last_lines(&log)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_those_that_are_there() {
        assert_eq!(core_counts(2), [2]);
        assert_eq!(core_counts(8), [4, 8]);
        assert_eq!(core_counts(192), [4, 8, 16]);
    }

    #[test]
    fn rows_say_what_they_are() {
        let config = GpuConfig { network: Network::VitB16, precision: GpuPrecision::Fp16 };
        assert_eq!(config.whole(Contender::PyTorch, 4), "PyTorch, ViT-B/16 fp16, 4 vCPUs");
        assert_eq!(config.alone(Contender::Tagfleet), "ViT-B/16 fp16, alone");
    }
}
