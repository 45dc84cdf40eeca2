//! BENCHMARKS.md, from the figures alone.
//!
//! Pure: it reads no file and no clock, so that the whole of it is a snapshot test.

#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Write as _;

use crate::engines::EngineConfig;
use crate::goals::{Goal, each_stage, goals};
use crate::gpu::table;
use crate::measure::median;
use crate::results::{Measured, Part, Quantity, Results, Row};
use crate::rows::cores_row;

impl Quantity {
    const ALL: [Self; 11] = [
        Self::ImagesPerSecond,
        Self::DelayedImagesPerSecond,
        Self::CpuMs,
        Self::DelayedCpuMs,
        Self::StartUp,
        Self::OneImage,
        Self::PeakMb,
        Self::ResidentMb,
        Self::Batch,
        Self::Agreement,
        Self::Difference,
    ];

    /// The head of its column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::ImagesPerSecond => "images/s",
            Self::DelayedImagesPerSecond => "images/s at 30 ms per GET",
            Self::CpuMs => "CPU ms per image",
            Self::DelayedCpuMs => "CPU ms per image at 30 ms per GET",
            Self::StartUp => "start-up s",
            Self::OneImage => "run of one image s",
            Self::PeakMb => "peak MB",
            Self::ResidentMb => "resident MB",
            Self::Batch => "batch",
            Self::Agreement => "same best class %",
            Self::Difference => "largest difference of a score",
        }
    }

    /// A value with as many digits as mean something.
    pub(crate) fn shown(self, value: f64) -> String {
        match self {
            Self::ImagesPerSecond | Self::DelayedImagesPerSecond if value < 100.0 => format!("{value:.1}"),
            Self::ImagesPerSecond
            | Self::DelayedImagesPerSecond
            | Self::PeakMb
            | Self::ResidentMb
            | Self::Batch => {
                format!("{value:.0}")
            }
            Self::Agreement => format!("{value:.1}"),
            Self::Difference => format!("{value:.1e}"),
            Self::CpuMs | Self::DelayedCpuMs | Self::StartUp | Self::OneImage => format!("{value:.2}"),
        }
    }
}

/// A part's heading, and what its table means.
fn heading(part: Part) -> (&'static str, &'static str) {
    match part {
        Part::Stages => (
            "Each stage alone",
            "One thread, through the model crate; CPU time of the process. `all stages` is one thread of a run without its surroundings.",
        ),
        Part::RunsMobilenet => (
            "Whole runs: MobileNetV2",
            "`tagfleet run` on a folder, every core. Images/s and CPU are slopes between a short and a long folder, so that starting and loading cancel; start-up is what a run of no images would take. \
             Peak memory is of both processes together, pages they share once, files left out; resident is the sum of their largest resident sets, files included.",
        ),
        Part::RunsResnet => ("Whole runs: ResNet-50", "The same."),
        Part::Cores => ("Two cores against one", "The same command, confined to so many cores."),
        Part::Latency => (
            "A bucket with latency",
            "Runs within one process from a folder, and from the same folder with 30 ms before each GET.",
        ),
        Part::Overhead => (
            "Everything but tagging",
            "A run whose taggers give each image the same row at once: what is left is listing, shards, reading, queue, Parquet and progress.",
        ),
        Part::Large => (
            "Pictures of 12 megapixels",
            "`tagfleet run` as it decodes by default, and with `--exact`, which decodes every pixel.",
        ),
        Part::PeersMobilenet => (
            "tagfleet and its peers: MobileNetV2",
            "Measured by the peers' harness, which counts daemons too, taking turns.",
        ),
        Part::PeersResnet => ("tagfleet and its peers: ResNet-50", "The same."),
        Part::PeersLarge => (
            "tagfleet and its peers: pictures of 12 megapixels",
            "The same, MobileNetV2. The peers decode every pixel.",
        ),
        Part::GpuMobilenet | Part::GpuResnet | Part::GpuVit => table::heading(part),
    }
}

/// The whole file; the figures of a machine with a GPU come last.
pub(crate) fn markdown(results: &Results, on_gpu: Option<&Results>) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, results).and_then(|()| table::write(&mut text, on_gpu));
    for (part, measured) in on_gpu.iter().flat_map(|results| &results.parts) {
        let _ = write_part(&mut text, *part, measured);
    }
    text
}

fn write_all(text: &mut String, results: &Results) -> std::fmt::Result {
    let machine = &results.machine;
    writeln!(text, "# Benchmarks\n")?;
    writeln!(
        text,
        "Written by `make bench` from `bench/results.json`; anyone can measure their own machine. Medians, with the"
    )?;
    writeln!(text, "least and the largest of all repetitions behind them.\n")?;
    writeln!(
        text,
        "Machine: {}, {} cores, {} GiB, {}; {}\n",
        machine.processor,
        machine.cores,
        machine.memory_gib,
        machine.system,
        if machine.instructions.is_empty() {
            "no wide vectors".to_owned()
        } else {
            machine.instructions.join(" ")
        }
    )?;
    write_goals(text, &goals(results))?;
    write_efficiency(text, results)?;
    for (part, measured) in &results.parts {
        write_part(text, *part, measured)?;
    }
    Ok(())
}

fn write_goals(text: &mut String, goals: &[Goal]) -> std::fmt::Result {
    writeln!(text, "## Goals\n")?;
    writeln!(text, "| | goal | measured | |")?;
    writeln!(text, "|---|---|---|---|")?;
    for goal in goals {
        let verdict = match goal.is_reached {
            Some(true) => "reached",
            Some(false) => "missed",
            None => "",
        };
        let measured = goal.measured.as_deref().unwrap_or("not measured");
        writeln!(text, "| {} | {} | {measured} | {verdict} |", goal.what, goal.target)?;
    }
    writeln!(text)
}

fn write_efficiency(text: &mut String, results: &Results) -> std::fmt::Result {
    let mut lines = Vec::new();
    for config in EngineConfig::of_runs() {
        let part = Part::runs(config.network);
        let whole = part.and_then(|part| results.median(part, &config.name(), Quantity::CpuMs));
        let one_core = results.median(Part::Cores, &cores_row(config, 1), Quantity::CpuMs);
        if let (Some([decode, resize, infer]), Some(whole)) = (each_stage(results, config), whole) {
            let stages = decode + resize + infer;
            let (efficiency, engine) = (stages / whole, 100.0 * infer / whole);
            let one_core = one_core.map_or([String::new(), String::new()], |one_core| {
                [format!("{one_core:.2}"), format!("{:.2}", stages / one_core)]
            });
            let one_core = one_core.join(" | ");
            lines.push(format!(
                "| {} | {decode:.2} | {resize:.2} | {infer:.2} | {stages:.2} | {whole:.2} | {efficiency:.2} | {engine:.0} % | {one_core} |",
                config.name()
            ));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(text, "## Efficiency\n")?;
    writeln!(
        text,
        "CPU milliseconds per image: decode, resize and infer alone, and all of a run. Where cores share their"
    )?;
    writeln!(
        text,
        "units, as hyperthreads do, a run on all of them takes more CPU time for the same work than one on one core."
    )?;
    writeln!(
        text,
        "Infer is the engine's own code: its share of the whole run is what no work on tagfleet can win.\n"
    )?;
    writeln!(
        text,
        "| | decode | resize | infer | together | whole run | efficiency | infer's share | whole run on one core | efficiency |"
    )?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")?;
    writeln!(text, "{}\n", lines.join("\n"))
}

fn write_part(text: &mut String, part: Part, measured: &Measured) -> std::fmt::Result {
    let (title, meaning) = heading(part);
    writeln!(text, "## {title}\n\n{meaning}\n")?;
    write_table(text, &measured.rows)?;
    for row in &measured.rows {
        if let Some(problem) = &row.problem {
            writeln!(text, "- {}: {problem}", row.name)?;
        }
    }
    if measured.rows.iter().any(|row| row.problem.is_some()) {
        writeln!(text)?;
    }
    let load = measured.load.map_or("unknown".to_owned(), |load| format!("{load:.1}"));
    let versions: Vec<_> =
        measured.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    writeln!(
        text,
        "{}, `{}`, {} repetitions, load {load} before. {}. {}.\n",
        measured.date,
        measured.command,
        measured.repetitions,
        measured.pictures,
        versions.join(", ")
    )
}

/// Rows that have figures, and the columns that any of them has.
fn write_table(text: &mut String, rows: &[Row]) -> std::fmt::Result {
    let rows: Vec<&Row> = rows.iter().filter(|row| !row.figures.is_empty()).collect();
    let has = |quantity: &Quantity| rows.iter().any(|row| row.figures.contains_key(quantity));
    let columns: Vec<Quantity> = Quantity::ALL.into_iter().filter(has).collect();
    if columns.is_empty() {
        return Ok(());
    }
    let titles: Vec<_> = columns.iter().map(|column| column.title()).collect();
    writeln!(text, "| | {} |", titles.join(" | "))?;
    writeln!(text, "|---|{}", "---:|".repeat(columns.len()))?;
    for row in rows {
        let cells: Vec<_> = columns.iter().map(|column| cell(row, *column)).collect();
        writeln!(text, "| {} | {} |", row.name, cells.join(" | "))?;
    }
    writeln!(text)
}

/// `239 (235–241)`; empty if it was not measured.
fn cell(row: &Row, quantity: Quantity) -> String {
    let values = row.figures.get(&quantity).map_or(&[][..], Vec::as_slice);
    let Some(middle) = median(values) else { return String::new() };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (least, most) = (quantity.shown(least), quantity.shown(most));
    let middle = quantity.shown(middle);
    if least == most { middle } else { format!("{middle} ({least}–{most})") }
}
