//! The harness `bench.py`, which runs all competitors, and its raw rows.
//!
//! It alternates between the competitors, gives each a control group and counts daemons too. Slopes are
//! computed here from its raw rows, per repetition, as for tagfleet's own runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::competition::{Competition, Competitor};
use super::log;
use crate::child::last_lines;
use crate::context::Bench;
use crate::measure::{Timing, slope};
use crate::results::{Quantity, Rows};

/// One run of one competitor, as the harness writes it.
#[derive(Clone, Debug, Deserialize)]
struct Run {
    name: String,
    #[serde(rename = "which")]
    dataset: Dataset,
    rep: u32,
    n: usize,
    rc: i32,
    wall: f64,
    cpu: f64,
    /// MiB.
    peak: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Dataset {
    Small,
    Large,
}

/// The program that the harness starts for a competitor.
pub(super) struct Script<'a> {
    pub(super) competitor: &'a Competitor,
    pub(super) path: PathBuf,
}

/// The copy of the peers' scripts, and the Python that runs them.
pub(super) struct Harness<'a> {
    pub(super) copy: &'a Path,
    pub(super) python: &'a Path,
}

/// Runs all competitors in turn and fills their rows. If the harness itself fails, their rows report it.
pub(super) fn run(
    bench: &Bench,
    competition: &Competition<'_>,
    scripts: &[Script<'_>],
    harness: &Harness<'_>,
    rows: &mut Rows,
) -> Result<()> {
    let Harness { copy, python } = *harness;
    let log_of_runs = copy.join("runs.jsonl");
    let pictures = competition.pictures;
    let mut command = Command::new(python);
    command.current_dir(copy).arg("bench.py");
    command.arg("--model").arg(bench.models.folder(competition.network, false).join("model.onnx"));
    command.arg("--small").arg(&pictures.short.path).arg("--large").arg(&pictures.long.path);
    command.args(["--reps", &bench.repetitions.to_string(), "--threads", &bench.machine.cores.to_string()]);
    command.arg("--log").arg(&log_of_runs).arg("--lock").arg(copy.join("lock"));
    for Script { competitor, path } in scripts {
        command.arg(format!("{}={}", competitor.id, path.display()));
    }
    let errors = copy.join("harness.log");
    let file = fs::File::create(&errors).with_context(|| errors.display().to_string())?;
    // Its progress is for people; its table is not taken.
    let status = command.stdout(std::io::stderr()).stderr(file).status();
    let status = status.with_context(|| format!("{} cannot be started", python.display()))?;
    let text = fs::read_to_string(&log_of_runs).unwrap_or_default();
    let runs = parse(&text)?;
    for Script { competitor, .. } in scripts {
        fill(rows, competitor, &runs, || bench.publishable(&last_lines(&log(copy, competitor))));
        let has_nothing = !runs.iter().any(|run| run.name == competitor.id);
        if has_nothing || !status.success() {
            let why = bench.publishable(&last_lines(&errors));
            rows.fail(&competitor.name, format!("the harness failed ({status}): {why}"));
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for line in text.lines() {
        let run = serde_json::from_str(line);
        runs.push(run.with_context(|| format!("a row of the harness that is not understood: {line}"))?);
    }
    Ok(runs)
}

/// The figures of one competitor from all runs; `last_lines` is called if it failed.
fn fill(rows: &mut Rows, competitor: &Competitor, runs: &[Run], last_lines: impl FnOnce() -> String) {
    let name = &competitor.name;
    let mut repetitions: BTreeMap<u32, (Option<&Run>, Option<&Run>)> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.name == competitor.id) {
        let pair = repetitions.entry(run.rep).or_default();
        match run.dataset {
            Dataset::Small => pair.0 = Some(run),
            Dataset::Large => pair.1 = Some(run),
        }
        if run.rc != 0 {
            return rows.fail(name, format!("failed with exit code {}: {}", run.rc, last_lines()));
        }
    }
    for (small, large) in repetitions.into_values() {
        let (Some(small), Some(large)) = (small, large) else { continue };
        rows.add_slope(name, slope(timing(small), timing(large)));
        rows.add(name, Quantity::PeakMb, large.peak * 1.048_576);
    }
}

fn timing(run: &Run) -> Timing {
    Timing { images: run.n, wall: run.wall, cpu: run.cpu }
}

#[cfg(test)]
mod tests {
    use super::super::competition::Kind;
    use super::*;
    use crate::results::Row;

    const RUNS: &str = r#"{"rc": 0, "wall": 4.0, "cpu": 6.0, "peak": 200, "name": "pool", "which": "small", "rep": 0, "n": 500, "model": "m", "spec": "s"}
{"rc": 0, "wall": 11.5, "cpu": 18.0, "peak": 250.0, "name": "pool", "which": "large", "rep": 0, "n": 2000, "model": "m", "spec": "s"}
{"rc": 1, "wall": 1.0, "cpu": 1.0, "peak": 10.0, "name": "spark", "which": "small", "rep": 0, "n": 500, "model": "m", "spec": "s"}"#;

    fn row(id: &str) -> Row {
        let kind = Kind::Peer { script: "peer.py", arguments: vec![], modules: vec![] };
        let competitor = Competitor { id: id.to_owned(), name: id.to_uppercase(), kind };
        let mut rows = Rows::default();
        fill(&mut rows, &competitor, &parse(RUNS).unwrap(), || "no java".to_owned());
        rows.0.pop().unwrap()
    }

    #[test]
    fn slopes_of_the_harness() {
        let row = row("pool");
        assert_eq!(row.median(Quantity::ImagesPerSecond), Some(200.0));
        assert_eq!(row.median(Quantity::CpuMs), Some(8.0));
        assert_eq!(row.median(Quantity::StartUp), Some(1.5));
        assert_eq!(row.problem, None);
    }

    #[test]
    fn who_fails_says_why_and_has_no_figures() {
        let row = row("spark");
        assert_eq!(row.problem.as_deref(), Some("failed with exit code 1: no java"));
        assert!(row.figures.is_empty());
    }

    #[test]
    fn a_row_of_another_harness_is_shown() {
        let error = parse("{\"name\": 1}").unwrap_err();
        assert!(error.to_string().contains("{\"name\": 1}"), "{error}");
    }
}
