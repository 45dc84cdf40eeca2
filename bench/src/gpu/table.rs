//! The section on GPUs: the share of the slower half, decoding or GPU, that whole runs reach.

use std::fmt::Write as _;

use super::options::GpuPrecision;
use super::{Contender, GpuConfig, core_counts, decode_row};
use crate::models::Network;
use crate::results::{Part, Quantity, Results};

/// The share of the slower half that is the goal.
const GOAL: f64 = 0.95;

/// A part's heading, and what its table means.
pub(crate) fn heading(part: Part) -> (&'static str, &'static str) {
    match part {
        Part::GpuMobilenet => (
            "MobileNetV2",
            "`alone` is the model fed with bytes from the host's memory, nothing decoded; runs are `tagfleet run --device gpu` confined to so many vCPUs, and a DataLoader with so many workers. \
             TF32 is off on both sides; PyTorch has its fastest batch and layout of a few, and decodes every pixel, where tagfleet decodes large pictures smaller. Scores are compared on 200 pictures: weights are random, so that few best classes are clear.",
        ),
        Part::GpuResnet => ("ResNet-50", "The same."),
        _ => ("ViT-B/16", "The same."),
    }
}

/// The section before the tables of the parts; how to measure it if nothing was measured.
pub(crate) fn write(text: &mut String, results: Option<&Results>) -> std::fmt::Result {
    writeln!(text, "# On a GPU\n")?;
    let Some(results) = results else {
        return writeln!(
            text,
            "Not measured: no GPU was at hand. Where there is one, `scripts/setup.sh gpu` and then\n`make bench BENCH=\"--only \
             gpu-mobilenet --only gpu-resnet --only gpu-vit\"` write this part."
        );
    };
    let machine = &results.machine;
    writeln!(
        text,
        "Machine: {}, {}, {} cores, {} GiB, {}\n",
        machine.gpu.as_deref().unwrap_or("no GPU"),
        machine.processor,
        machine.cores,
        machine.memory_gib,
        machine.system
    )?;
    let lines = lines(results);
    if !lines.is_empty() {
        writeln!(
            text,
            "Images per second. A run should have 0.95 of what decoding or the GPU has alone, whichever is slower.\n"
        )?;
        writeln!(
            text,
            "| | decode alone | GPU alone | slower | whole run | of the slower | goal 0.95 | PyTorch | times |"
        )?;
        writeln!(text, "|---|---:|---:|---|---:|---:|---|---:|---:|\n{}\n", lines.join("\n"))?;
    }
    Ok(())
}

/// The table, as lines of Markdown; empty if nothing was measured.
fn lines(results: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    for network in Network::ON_GPUS {
        for precision in [GpuPrecision::Fp32, GpuPrecision::Fp16] {
            for cores in core_counts(results.machine.cores) {
                lines.extend(line(results, GpuConfig { network, precision }, cores));
            }
        }
    }
    lines
}

fn line(results: &Results, config: GpuConfig, cores: usize) -> Option<String> {
    let rate = |row: &str| results.median(Part::on_gpu(config.network), row, Quantity::ImagesPerSecond);
    let (decode, gpu) = (rate(&decode_row(cores))?, rate(&config.alone(Contender::Tagfleet))?);
    let whole = rate(&config.whole(Contender::Tagfleet, cores))?;
    let share = whole / decode.min(gpu);
    let binds = if decode < gpu { "decode" } else { "GPU" };
    let verdict = if share >= GOAL { "reached" } else { "missed" };
    let mut text = format!(
        "| {}, {cores} vCPUs | {decode:.0} | {gpu:.0} | {binds} | {whole:.0} | {share:.2} | {verdict} |",
        config.name()
    );
    let theirs = rate(&config.whole(Contender::PyTorch, cores));
    let (theirs, times) = theirs.map_or((String::new(), String::new()), |theirs| {
        (format!("{theirs:.0}"), format!("{:.2}", whole / theirs))
    });
    // Writing to a String cannot fail.
    let _ = write!(text, " {theirs} | {times} |");
    Some(text)
}
