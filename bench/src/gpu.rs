//! On a GPU: the model alone, decoding alone, whole runs on some of the machine's cores, and the same in PyTorch.
//!
//! Each is a process of its own. A worker can be as fast as its decoder or its GPU, whichever is slower; what a whole run
//! makes of that is the figure that counts. Nothing is measured where there is no GPU, and its absence is an error.

pub(crate) mod alone;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::alone::Found;
use crate::args::{GpuDevice, Numbers, What};
use crate::child::{self, Cores, ProcessStats, last_words};
use crate::measure::{Timing, slope};
use crate::models::{Models, Network};
use crate::parts::Bench;
use crate::pictures::Pair;
use crate::results::{Quantity, Rows};
use crate::runs::{SOME_FAILED, empty_out};
use crate::told::tell;

/// vCPUs that whole runs are confined to: those of the smallest machines with one GPU, and larger ones. As on AWS, both halves
/// of a core that has two.
const VCPUS: [usize; 3] = [4, 8, 16];
/// Pictures that scores are compared on.
const COMPARED: usize = 200;

/// A network in one precision, and the row of each of its figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) network: Network,
    pub(crate) numbers: Numbers,
}

impl Way {
    /// `MobileNetV2 fp16`.
    pub(crate) fn name(self) -> String {
        format!("{} {}", self.network.name(), self.numbers.name())
    }

    /// The model without decoding.
    pub(crate) fn alone(self, who: Who) -> String {
        format!("{}{}, alone", who.prefix(), self.name())
    }

    /// A whole run.
    pub(crate) fn whole(self, who: Who, cores: usize) -> String {
        format!("{}{}, {cores} vCPUs", who.prefix(), self.name())
    }

    /// Its scores beside the processor's.
    fn agreement(self) -> String {
        format!("{} beside fp32 on the processor", self.name())
    }
}

/// Decoding without a model.
pub(crate) fn decode_row(cores: usize) -> String {
    format!("decode, resize and crop alone, {cores} vCPUs")
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Tagfleet,
    PyTorch,
}

impl Who {
    fn prefix(self) -> &'static str {
        match self {
            Self::Tagfleet => "",
            Self::PyTorch => "PyTorch, ",
        }
    }
}

/// What was measured of one network, on which GPU, with what.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) rows: Rows,
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) gpu: String,
}

/// What `torch_gpu.py` says at its end.
#[derive(Debug, Deserialize)]
struct Torch {
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
    measured: Measured,
}

/// Measures `network`.
///
/// # Errors
/// Where there is no GPU, or ONNX Runtime or torch cannot use it.
pub(crate) fn measure(bench: &Bench, network: Network, device: GpuDevice, python: &Path) -> Result<Measured> {
    let onnxruntime = Some(bench.place.root.join(".venv-gpu"))
        .filter(|folder| device == GpuDevice::Cuda && folder.is_dir());
    let mut gpu = Gpu { bench, network, device, python, onnxruntime, measured: Measured::default() };
    gpu.is_there()?;
    Models::ready(&bench.place, python, &bench.pictures.ordinary.short.path, &[network])?;
    for repetition in 1..=bench.repetitions {
        tell(format!("{} on a GPU, repetition {repetition} of {}", network.name(), bench.repetitions));
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
    /// Asks tagfleet, with the model that the project ships.
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

    fn ways(&self) -> [Way; 2] {
        [Numbers::Fp32, Numbers::Fp16].map(|numbers| Way { network: self.network, numbers })
    }

    fn repeat(&mut self) -> Result<()> {
        let mut fastest = BTreeMap::new();
        for way in self.ways() {
            let (ours, theirs) = (self.ours_alone(way)?, self.theirs_alone(way)?);
            let rate = ours.images_per_second.context("no rate")?;
            self.measured.rows.add(&way.alone(Who::Tagfleet), Quantity::ImagesPerSecond, rate);
            self.measured.rows.add(
                &way.alone(Who::Tagfleet),
                Quantity::Batch,
                ours.batch.unwrap_or(1) as f64,
            );
            self.note(&way.alone(Who::Tagfleet), &ours.notes);
            let batch = theirs.batch.context("no batch")?;
            let their_rate = theirs.images_per_second.context("no rate")?;
            self.measured.rows.add(&way.alone(Who::PyTorch), Quantity::ImagesPerSecond, their_rate);
            self.measured.rows.add(&way.alone(Who::PyTorch), Quantity::Batch, batch as f64);
            let versions = &mut self.measured.versions;
            versions.insert("ONNX Runtime".to_owned(), ours.engine.unwrap_or_default());
            versions.insert("PyTorch".to_owned(), theirs.torch);
            self.measured.gpu = theirs.device;
            fastest.insert(way.numbers.name(), (rate, batch, theirs.channels_last));
        }
        for cores in core_counts(self.bench.machine.cores) {
            let decoding = self.alone(What::Decode, self.ways()[0], Some(cores))?;
            let decoding = decoding.images_per_second.context("no rate")?;
            self.measured.rows.add(&decode_row(cores), Quantity::ImagesPerSecond, decoding);
            for way in self.ways() {
                let (rate, batch, channels_last) = fastest[way.numbers.name()];
                let pictures =
                    self.bench.pictures.pair((decoding.min(rate) * self.bench.counts.seconds) as usize)?;
                self.whole(way, cores, Who::Tagfleet, &pictures, |gpu, folder| gpu.our_run(way, folder))?;
                self.whole(way, cores, Who::PyTorch, &pictures, |gpu, folder| {
                    let mut command = gpu.torch("run", way);
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
        way: Way,
        cores: usize,
        who: Who,
        pictures: &Pair,
        command: impl Fn(&Self, &Path) -> Result<Command>,
    ) -> Result<()> {
        let name = way.whole(who, cores);
        let mut took = Vec::new();
        for folder in [&pictures.short, &pictures.long] {
            let ran = self.run(&mut command(self, &folder.path)?, Some(cores))?;
            if who == Who::Tagfleet {
                let said = fs::read_to_string(self.log()).unwrap_or_default();
                let notes = said.lines().filter_map(|line| line.strip_prefix("note: "));
                self.note(&name, &notes.map(str::to_owned).collect::<Vec<_>>());
            }
            took.push((Timing { images: folder.images, wall: ran.wall, cpu: ran.cpu }, ran.memory.peak));
        }
        if let [(short, _), (long, peak)] = took[..] {
            self.measured.rows.add_slope(&name, slope(short, long));
            self.measured.rows.add(&name, Quantity::PeakMb, peak);
        }
        Ok(())
    }

    /// What tagfleet says of how the model runs stands beside its figures.
    fn note(&mut self, row: &str, notes: &[String]) {
        if !notes.is_empty() {
            self.measured.rows.fail(row, self.bench.publishable(&notes.join("; ")));
        }
    }

    fn compare(&mut self) -> Result<()> {
        for way in self.ways() {
            let found = self.alone(What::Agree, way, None)?;
            let name = way.agreement();
            let agreement = found.agreement.context("no agreement")?;
            self.measured.rows.add(&name, Quantity::Agreement, agreement * 100.0);
            self.measured.rows.add(&name, Quantity::Difference, found.difference.context("no difference")?);
        }
        Ok(())
    }

    fn ours_alone(&self, way: Way) -> Result<Found> {
        self.alone(What::Device, way, None)
    }

    fn theirs_alone(&self, way: Way) -> Result<Torch> {
        self.told(&mut self.torch("alone", way), None)
    }

    /// This program again, doing one thing.
    fn alone(&self, what: What, way: Way, cores: Option<usize>) -> Result<Found> {
        let mut command = Command::new(std::env::current_exe().context("this program's own path")?);
        command.arg("alone").arg(what.name()).arg(self.bench.models.folder(way.network, false));
        command.args(["--precision", way.numbers.name(), "--device", self.device.name()]);
        command.arg("--pictures").arg(&self.bench.pictures.ordinary.long.path);
        command.args(["--images", &COMPARED.min(self.bench.counts.ordinary.1).to_string()]);
        command.args(self.library());
        self.told(&mut command, cores)
    }

    fn our_run(&self, way: Way, pictures: &Path) -> Result<Command> {
        let out = empty_out(self.bench)?;
        let mut command = Command::new(&self.bench.tagfleet);
        command.arg("run").arg(pictures).arg("--model").arg(self.bench.models.folder(way.network, false));
        command.arg("--out").arg(&out).args(["--new", "--engine", "onnxruntime"]);
        command.args(["--precision", way.numbers.name(), "--device", self.device.name()]);
        command.args(self.library());
        Ok(command)
    }

    fn torch(&self, what: &str, way: Way) -> Command {
        let mut command = Command::new(self.bench.place.root.join(self.python));
        command.arg(self.bench.place.root.join("bench/torch_gpu.py")).arg(what);
        command.args(["--network", way.network.folder(), "--precision", way.numbers.name()]);
        command.arg("--weights").arg(self.bench.models.weights(way.network));
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
                bail!("{program}: {}: {}", ran.status, last_words(&self.log()))
            }
        }
    }

    /// Runs a command whose last line is JSON.
    fn told<T: DeserializeOwned>(&self, command: &mut Command, cores: Option<usize>) -> Result<T> {
        self.run(command, cores)?;
        let log = self.log();
        let text = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        let last = text.lines().rfind(|line| line.starts_with('{')).unwrap_or_default();
        serde_json::from_str(last)
            .with_context(|| format!("it was to say what it found, but: {}", last_words(&log)))
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
        let way = Way { network: Network::VitB16, numbers: Numbers::Fp16 };
        assert_eq!(way.whole(Who::PyTorch, 4), "PyTorch, ViT-B/16 fp16, 4 vCPUs");
        assert_eq!(way.alone(Who::Tagfleet), "ViT-B/16 fp16, alone");
    }
}
