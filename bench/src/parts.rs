//! One measurement from beginning to end: get ready, measure part after part, write down, compare.
//!
//! Each part is stored as soon as it is measured, so that an interrupted measurement keeps what it has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::args::Options;
use crate::engines::Way;
use crate::machine::{self, Machine};
use crate::models::{Models, Network};
use crate::pictures::{self, Counts, Pictures};
use crate::place::Place;
use crate::results::{Measured, Part, Results, Rows, change};
use crate::told::{print, tell};
use crate::{embedded, gpu, peers, render, runs, stages};

/// What every part needs.
pub(crate) struct Bench {
    pub(crate) place: Place,
    pub(crate) machine: Machine,
    pub(crate) counts: Counts,
    pub(crate) pictures: Pictures,
    pub(crate) models: Models,
    pub(crate) tagfleet: PathBuf,
    /// Where the peers are, and their Python.
    pub(crate) peers: Option<(PathBuf, PathBuf)>,
    pub(crate) repetitions: u32,
}

/// Does what the options ask for.
pub(crate) fn measure(options: &Options) -> Result<()> {
    if options.render {
        return render_again(&Place::new(false));
    }
    let bench = Bench::ready(options)?;
    let mut results = bench.earlier(options)?;
    let before = bench.committed();
    let parts: &[Part] = if options.only.is_empty() { Part::value_variants() } else { &options.only };
    for &part in parts {
        if let Some(network) = part.network_on_gpu() {
            bench.on_gpu(part, network, options)?;
        } else {
            let measured = bench.part(part, options)?;
            results.parts.insert(part, measured);
            results.save(&bench.place.root.join(bench.place.results()))?;
        }
        write(&bench.place, &results)?;
    }
    print(render::markdown(&results, stored(&bench.place.root.join(bench.place.gpu_results()))?.as_ref()));
    print(change::report(before.as_ref(), &results, parts));
    tell(format!("written: {}", bench.place.benchmarks().display()));
    Ok(())
}

fn render_again(place: &Place) -> Result<()> {
    let path = place.root.join(place.results());
    let results = stored(&path)?.with_context(|| format!("{} is not there", path.display()))?;
    write(place, &results)
}

/// The figures in a file; none where it is not there.
fn stored(path: &Path) -> Result<Option<Results>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Results::parse(&text).with_context(|| path.display().to_string()).map(Some)
}

fn write(place: &Place, results: &Results) -> Result<()> {
    let on_gpu = stored(&place.root.join(place.gpu_results()))?;
    let benchmarks = place.benchmarks();
    fs::write(&benchmarks, render::markdown(results, on_gpu.as_ref()))
        .with_context(|| benchmarks.display().to_string())
}

impl Bench {
    fn ready(options: &Options) -> Result<Self> {
        let place = Place::new(options.quick);
        let absolute = |path: &PathBuf| std::path::absolute(path).with_context(|| path.display().to_string());
        let photos = options.photos.as_ref().map(absolute).transpose()?;
        let peers = options.peers.as_ref().map(absolute).transpose()?;
        let python = options.peers_python.as_ref().map(absolute).transpose()?;
        let peers = peers.map(|folder| {
            let python = python.unwrap_or_else(|| folder.join("venv/bin/python"));
            (folder, python)
        });
        let tagfleet = options.tagfleet.as_ref().map_or_else(beside, absolute)?;
        if !tagfleet.exists() {
            bail!("{} is not there: `make bench` builds it", tagfleet.display());
        }
        // The engines' libraries are looked for from here, as the command does.
        std::env::set_current_dir(&place.root).with_context(|| place.root.display().to_string())?;
        fs::create_dir_all(place.generated("out")).context("target/bench/out")?;
        let counts = Counts::new(options.quick);
        let pictures = pictures::ready(&place, photos.as_deref(), counts)?;
        let models = Models::ready(&place, &options.python, &pictures.ordinary.short.path, &Network::ALL)?;
        let machine = Machine::here();
        let repetitions = options.repetitions;
        Ok(Self { place, machine, counts, pictures, models, tagfleet, peers, repetitions })
    }

    /// What was measured before, of this machine; parts that are measured now replace theirs.
    fn earlier(&self, options: &Options) -> Result<Results> {
        let path = self.place.root.join(self.place.results());
        let fresh = Results::new(self.machine.clone());
        let earlier = if options.quick { None } else { stored(&path)? };
        let Some(earlier) = earlier else { return Ok(fresh) };
        // Where only a GPU is measured, the figures of processors are another machine's and stay.
        let none_is_replaced =
            !options.only.is_empty() && options.only.iter().all(|part| part.network_on_gpu().is_some());
        if earlier.machine == self.machine || none_is_replaced {
            return Ok(earlier);
        }
        tell(format!("the figures of another machine ({}) are replaced", earlier.machine.processor));
        Ok(fresh)
    }

    /// Measures a network on a GPU, whose figures have a file of their own: few machines have one. Where there is none it is
    /// an error only if it was asked for by name.
    fn on_gpu(&self, part: Part, network: Network, options: &Options) -> Result<()> {
        let load = machine::load();
        let measured = match gpu::measure(self, network, options.device, &options.python) {
            Err(error) if options.only.is_empty() => {
                tell(format!("{} on a GPU is left out: {error:#}", network.name()));
                return Ok(());
            }
            measured => measured?,
        };
        let machine = Machine { gpu: Some(measured.gpu), ..self.machine.clone() };
        let path = self.place.root.join(self.place.gpu_results());
        let earlier = stored(&path)?.filter(|earlier| earlier.machine == machine);
        let mut results = earlier.unwrap_or_else(|| Results::new(machine));
        let mut versions = measured.versions;
        versions.insert("tagfleet".to_owned(), self.version());
        results.parts.insert(part, self.measured(load, (measured.rows, versions), options));
        results.save(&path)
    }

    /// The figures of the last commit, where there are any.
    fn committed(&self) -> Option<Results> {
        let object = format!("HEAD:{}", self.place.results());
        let text = self.git(&["show", &object])?;
        match Results::parse(&text) {
            Ok(results) => Some(results),
            Err(error) => {
                tell(format!("{object} cannot be compared with: {error:#}"));
                None
            }
        }
    }

    fn git(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("git").current_dir(&self.place.root).args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }

    fn part(&self, part: Part, options: &Options) -> Result<Measured> {
        let load = machine::load();
        let rows_and_versions = match part {
            Part::Stages => (stages::measure(self)?, self.versions()),
            Part::RunsMobilenet => (runs::whole(self, Network::MobileNetV2)?, self.versions()),
            Part::RunsResnet => (runs::whole(self, Network::ResNet50)?, self.versions()),
            Part::Cores => (runs::cores(self)?, self.versions()),
            Part::Latency => (embedded::latency(self)?, self.versions()),
            Part::Overhead => (embedded::overhead(self)?, self.versions()),
            Part::Large => (runs::large(self)?, self.versions()),
            Part::PeersMobilenet | Part::PeersResnet | Part::PeersLarge => {
                let (rows, mut versions) = peers::measure(self, part)?;
                versions.extend(self.versions());
                (rows, versions)
            }
            Part::GpuMobilenet | Part::GpuResnet | Part::GpuVit => {
                bail!("a GPU's figures have a file of their own")
            }
        };
        Ok(self.measured(load, rows_and_versions, options))
    }

    fn measured(
        &self,
        load: Option<f64>,
        (Rows(rows), versions): (Rows, BTreeMap<String, String>),
        options: &Options,
    ) -> Measured {
        Measured {
            date: machine::today(),
            load,
            command: command(options),
            repetitions: self.repetitions,
            pictures: self.pictures.description.clone(),
            versions,
            rows,
        }
    }

    /// Of tagfleet and the engines that can be loaded.
    fn versions(&self) -> BTreeMap<String, String> {
        let mut versions = BTreeMap::from([("tagfleet".to_owned(), self.version())]);
        for way in Way::all().into_iter().filter(|way| !way.is_int8()) {
            let Ok(model) = self.models.open(way.network, false, false) else { continue };
            if let Ok(record) = way.resolve(&model) {
                versions.insert(way.engine.name().to_owned(), record.version);
            }
        }
        versions
    }

    fn version(&self) -> String {
        let commit = self.git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "no commit".to_owned());
        format!("{} ({commit})", env!("CARGO_PKG_VERSION"))
    }

    /// A message without this machine's paths, for a file that is committed.
    pub(crate) fn publishable(&self, message: &str) -> String {
        let mut text = message.replace(&self.place.root.display().to_string(), ".");
        if let Some((folder, python)) = &self.peers {
            let environment = python.parent().and_then(|folder| folder.parent()).unwrap_or(python);
            text = text.replace(&environment.display().to_string(), "VENV");
            text = text.replace(&folder.display().to_string(), "PEERS");
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(400).collect()
    }
}

/// The tagfleet that was built with this program.
fn beside() -> Result<PathBuf> {
    let this = std::env::current_exe().context("this program's own path")?;
    Ok(this.with_file_name("tagfleet"))
}

/// The command as anyone would give it.
fn command(options: &Options) -> String {
    let mut command = "make bench".to_owned();
    for (given, text) in [(options.photos.is_some(), " PHOTOS=dir"), (options.peers.is_some(), " PEERS=dir")]
    {
        if given {
            command.push_str(text);
        }
    }
    if options.quick {
        command.push_str(" (a quick try: figures mean nothing)");
    }
    command
}
