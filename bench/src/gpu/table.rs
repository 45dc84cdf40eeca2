//! What whole runs on a GPU make of the slower of their two halves, from the figures alone.

use std::fmt::Write as _;

use super::{Way, Who, core_counts, decode_row};
use crate::args::Numbers;
use crate::models::Network;
use crate::results::{Part, Quantity, Results};

/// At least so much of the slower half is the goal.
const GOAL: f64 = 0.95;

/// The table, as lines of Markdown; none where nothing was measured.
pub(crate) fn lines(results: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    for network in Network::ON_GPUS {
        for numbers in [Numbers::Fp32, Numbers::Fp16] {
            for cores in core_counts(results.machine.cores) {
                lines.extend(line(results, Way { network, numbers }, cores));
            }
        }
    }
    lines
}

fn line(results: &Results, way: Way, cores: usize) -> Option<String> {
    let rate = |row: &str| results.median(Part::on_gpu(way.network), row, Quantity::ImagesPerSecond);
    let (decode, gpu) = (rate(&decode_row(cores))?, rate(&way.alone(Who::Tagfleet))?);
    let whole = rate(&way.whole(Who::Tagfleet, cores))?;
    let share = whole / decode.min(gpu);
    let binds = if decode < gpu { "decode" } else { "GPU" };
    let verdict = if share >= GOAL { "reached" } else { "missed" };
    let mut text = format!(
        "| {}, {cores} vCPUs | {decode:.0} | {gpu:.0} | {binds} | {whole:.0} | {share:.2} | {verdict} |",
        way.name()
    );
    let theirs = rate(&way.whole(Who::PyTorch, cores));
    let (theirs, times) = theirs.map_or((String::new(), String::new()), |theirs| {
        (format!("{theirs:.0}"), format!("{:.2}", whole / theirs))
    });
    // Writing to a String cannot fail.
    let _ = write!(text, " {theirs} | {times} |");
    Some(text)
}
