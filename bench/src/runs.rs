//! The whole command in a child process, as a user starts it: images per second, CPU time, start and memory.
//!
//! Repetitions are outermost, so that a machine that slows down is slower for all.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::child::{self, Cores, ProcessStats};
use crate::context::Bench;
use crate::engines::EngineConfig;
use crate::measure::{Timing, slope};
use crate::models::Network;
use crate::output::progress;
use crate::pictures::{Folder, Pair};
use crate::results::{Quantity, Rows};
use crate::rows::cores_row;

/// tagfleet's exit code if some images have failed rows.
pub(crate) const SOME_FAILED: i32 = 3;

/// One kind of run.
struct Run {
    name: String,
    config: EngineConfig,
    flags: Vec<&'static str>,
    cores: Option<usize>,
}

impl Run {
    fn of(config: EngineConfig) -> Self {
        Self { name: config.name(), config, flags: config.flags(), cores: None }
    }
}

/// A network in every engine.
pub(crate) fn whole(bench: &Bench, network: Network) -> Result<Rows> {
    let configs = EngineConfig::of_runs().into_iter().filter(|config| config.network == network);
    let runs: Vec<Run> = configs.map(Run::of).collect();
    measure(bench, &runs, &bench.pictures.ordinary, Some(&bench.pictures.single))
}

/// One core and two, of however many there are.
pub(crate) fn cores(bench: &Bench) -> Result<Rows> {
    let mut runs = Vec::new();
    for config in [EngineConfig::usual(Network::MobileNetV2), EngineConfig::int8(Network::MobileNetV2)] {
        for cores in [1, 2] {
            runs.push(Run { name: cores_row(config, cores), cores: Some(cores), ..Run::of(config) });
        }
    }
    if bench.machine.cores < 2 {
        let mut rows = Rows::default();
        for run in runs {
            rows.fail(&run.name, "this machine has one core");
        }
        return Ok(rows);
    }
    measure(bench, &runs, &bench.pictures.ordinary, None)
}

/// Large pictures, as they are decoded by default and pixel by pixel.
pub(crate) fn large(bench: &Bench) -> Result<Rows> {
    let mut runs = Vec::new();
    for config in [EngineConfig::usual(Network::MobileNetV2), EngineConfig::bf16(Network::MobileNetV2)] {
        let mut flags = config.flags();
        flags.push("--exact");
        runs.push(Run::of(config));
        runs.push(Run { name: format!("{}, --exact", config.name()), flags, ..Run::of(config) });
    }
    measure(bench, &runs, &bench.pictures.large, None)
}

fn measure(bench: &Bench, runs: &[Run], pictures: &Pair, single: Option<&Folder>) -> Result<Rows> {
    let mut rows = Rows::default();
    for repetition in 1..=bench.repetitions {
        for run in runs {
            if rows.has_failed(&run.name) {
                continue;
            }
            progress(format!("{}, repetition {repetition} of {}", run.name, bench.repetitions));
            if let Err(problem) = repeat(bench, run, &mut rows, pictures, single) {
                rows.fail(&run.name, bench.publishable(&format!("{problem:#}")));
            }
        }
    }
    Ok(rows)
}

/// One repetition of one kind of run.
fn repeat(bench: &Bench, run: &Run, rows: &mut Rows, pictures: &Pair, single: Option<&Folder>) -> Result<()> {
    if let Some(single) = single {
        let stats = tag(bench, run, single)?;
        rows.add(&run.name, Quantity::OneImage, stats.wall);
    }
    let (short, long) = (tag(bench, run, &pictures.short)?, tag(bench, run, &pictures.long)?);
    let timing = |stats: &ProcessStats, folder: &Folder| Timing {
        images: folder.images,
        wall: stats.wall,
        cpu: stats.cpu,
    };
    rows.add_slope(&run.name, slope(timing(&short, &pictures.short), timing(&long, &pictures.long)));
    rows.add(&run.name, Quantity::PeakMb, long.memory.peak);
    rows.add(&run.name, Quantity::ResidentMb, long.memory.resident);
    Ok(())
}

/// The folder for a run's results, without those of the one before.
pub(crate) fn empty_out(bench: &Bench) -> Result<PathBuf> {
    let out = bench.place.generated("out/run");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| out.display().to_string())?;
    }
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    Ok(out)
}

/// Tags a folder once.
fn tag(bench: &Bench, run: &Run, folder: &Folder) -> Result<ProcessStats> {
    // Fails with a message for people, before a process starts.
    let model = bench.models.open(run.config.network, run.config.is_int8(), false)?;
    run.config.resolve(&model)?;
    let out = empty_out(bench)?;
    let mut command = Command::new(&bench.tagfleet);
    command.current_dir(&bench.place.root).arg("run").arg(&folder.path);
    command.arg("--model").arg(bench.models.folder(run.config.network, run.config.is_int8()));
    command.arg("--out").arg(&out).args(["--new", "--quiet"]).args(&run.flags);
    let log = bench.place.generated("out/last.log");
    let stats = child::run(&mut command, run.cores.map(Cores::First), &log)?;
    match stats.status.code() {
        Some(0 | SOME_FAILED) => Ok(stats),
        _ => anyhow::bail!("tagfleet run: {}: {}", stats.status, child::last_lines(&log)),
    }
}
