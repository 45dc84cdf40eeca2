//! One measurement from start to end: prepare, measure part by part, write BENCHMARKS.md.
//!
//! Each part is stored as soon as it is measured, so that an interrupted measurement keeps what it has. It
//! is the only module that knows all parts.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::args::{Args, Command, Options};
use crate::context::{Bench, Peers};
use crate::machine::{self, Machine};
use crate::models::{Models, Network};
use crate::output::{print, progress};
use crate::pictures::{self, Counts};
use crate::place::Place;
use crate::results::{Figures, Measured, Part, Results};
use crate::{embedded, gpu, peers, render, runs, stages};

/// Does what the command line asks for.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        None => measure(&args.options),
        Some(Command::AsPeer(options)) => peers::as_peer::run(options),
        Some(Command::Alone(options)) => gpu::alone::run(options),
        Some(Command::ConstantTaggerProcess) => embedded::serve_constant(),
    }
}

fn measure(options: &Options) -> Result<()> {
    if options.render {
        return render_again(&Place::new(false));
    }
    let bench = prepare(options)?;
    let mut results = earlier(&bench, options)?;
    let parts: &[Part] = if options.only.is_empty() { Part::value_variants() } else { &options.only };
    for &part in parts {
        if let Some(network) = part.network_on_gpu() {
            measure_on_gpu(&bench, part, network, options)?;
        } else {
            let measured = measure_part(&bench, part, options)?;
            results.parts.insert(part, measured);
            results.save(&bench.place.results())?;
        }
        write(&bench.place, &results)?;
    }
    let benchmarks = bench.place.benchmarks();
    print(fs::read_to_string(&benchmarks).with_context(|| benchmarks.display().to_string())?);
    progress(format!("wrote {}", benchmarks.display()));
    Ok(())
}

fn render_again(place: &Place) -> Result<()> {
    let path = place.results();
    let results =
        Results::read_if_present(&path)?.with_context(|| format!("{} does not exist", path.display()))?;
    write(place, &results)
}

fn write(place: &Place, results: &Results) -> Result<()> {
    let on_gpu = Results::read_if_present(&place.gpu_results())?;
    let benchmarks = place.benchmarks();
    fs::write(&benchmarks, render::markdown(results, on_gpu.as_ref()))
        .with_context(|| benchmarks.display().to_string())
}

fn prepare(options: &Options) -> Result<Bench> {
    let place = Place::new(options.quick);
    let absolute = |path: &PathBuf| std::path::absolute(path).with_context(|| path.display().to_string());
    let photos = options.photos.as_ref().map(absolute).transpose()?;
    let folder = options.peers.as_ref().map(absolute).transpose()?;
    let python = options.peers_python.as_ref().map(absolute).transpose()?;
    let peers = folder.map(|folder| {
        let python = python.unwrap_or_else(|| folder.join("venv/bin/python"));
        Peers { folder, python }
    });
    let tagfleet = options.tagfleet.as_ref().map_or_else(built_tagfleet, absolute)?;
    if !tagfleet.exists() {
        bail!("{} does not exist: `make bench` builds it", tagfleet.display());
    }
    // Engines are searched from here, as the command does.
    std::env::set_current_dir(&place.root).with_context(|| place.root.display().to_string())?;
    fs::create_dir_all(place.generated("out")).context("target/bench/out")?;
    let counts = Counts::new(options.quick);
    let pictures = pictures::ready(&place, photos.as_deref(), counts)?;
    let models = Models::ready(&place, &options.python, &pictures.ordinary.short.path, &Network::ALL)?;
    let (machine, repetitions) = (Machine::here(), options.repetitions);
    Ok(Bench { place, machine, counts, pictures, models, tagfleet, peers, repetitions })
}

/// The tagfleet that was built with this program.
fn built_tagfleet() -> Result<PathBuf> {
    let this = std::env::current_exe().context("this program's own path")?;
    Ok(this.with_file_name("tagfleet"))
}

/// The stored figures of this machine; parts that are measured now replace theirs.
fn earlier(bench: &Bench, options: &Options) -> Result<Results> {
    let fresh = Results::new(bench.machine.clone());
    if options.quick {
        return Ok(fresh);
    }
    let Some(earlier) = Results::read_if_present(&bench.place.results())? else { return Ok(fresh) };
    // If only a GPU is measured, another machine's figures of processors stay.
    let none_is_replaced =
        !options.only.is_empty() && options.only.iter().all(|part| part.network_on_gpu().is_some());
    if earlier.machine == bench.machine || none_is_replaced {
        return Ok(earlier);
    }
    progress(format!("the figures of another machine ({}) are replaced", earlier.machine.processor));
    Ok(fresh)
}

/// Measures a network on a GPU. Its figures have a file of their own, because few machines have a GPU. A
/// machine without one is an error only if the part was asked for by name.
fn measure_on_gpu(bench: &Bench, part: Part, network: Network, options: &Options) -> Result<()> {
    let load = machine::load();
    let measured = match gpu::measure(bench, network, options.device, &options.python) {
        Err(error) if options.only.is_empty() => {
            progress(format!("{} on a GPU is left out: {error:#}", network.name()));
            return Ok(());
        }
        measured => measured?,
    };
    let machine = Machine { gpu: Some(measured.gpu), ..bench.machine.clone() };
    let path = bench.place.gpu_results();
    let earlier = Results::read_if_present(&path)?.filter(|earlier| earlier.machine == machine);
    let mut results = earlier.unwrap_or_else(|| Results::new(machine));
    let mut figures = measured.figures;
    figures.versions.insert("tagfleet".to_owned(), bench.version());
    results.parts.insert(part, stored(bench, load, figures, options));
    results.save(&path)
}

fn measure_part(bench: &Bench, part: Part, options: &Options) -> Result<Measured> {
    let load = machine::load();
    let mut figures = match part {
        Part::Stages => stages::measure(bench)?.into(),
        Part::RunsMobilenet => runs::whole(bench, Network::MobileNetV2)?.into(),
        Part::RunsResnet => runs::whole(bench, Network::ResNet50)?.into(),
        Part::Cores => runs::cores(bench)?.into(),
        Part::Latency => embedded::latency(bench)?.into(),
        Part::Overhead => embedded::overhead(bench)?.into(),
        Part::Large => runs::large(bench)?.into(),
        Part::PeersMobilenet | Part::PeersResnet | Part::PeersLarge => peers::measure(bench, part)?,
        Part::GpuMobilenet | Part::GpuResnet | Part::GpuVit => {
            bail!("a GPU's figures have a file of their own")
        }
    };
    figures.versions.extend(bench.versions());
    Ok(stored(bench, load, figures, options))
}

fn stored(bench: &Bench, load: Option<f64>, figures: Figures, options: &Options) -> Measured {
    Measured {
        date: machine::today(),
        load,
        command: command(options),
        repetitions: bench.repetitions,
        pictures: bench.pictures.description.clone(),
        versions: figures.versions,
        rows: figures.rows.0,
    }
}

/// The command, without this machine's paths.
fn command(options: &Options) -> String {
    let photos = if options.photos.is_some() { " PHOTOS=dir" } else { "" };
    let peers = if options.peers.is_some() { " PEERS=dir" } else { "" };
    let quick = if options.quick { " (a quick try: figures mean nothing)" } else { "" };
    format!("make bench{photos}{peers}{quick}")
}
