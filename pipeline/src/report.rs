//! Report: the summary of a run, as JSON for machines and as text for people; [`mail`] makes a mail of it, [`html`] a page.
//!
//! What tells people is pure, so every form of it is a snapshot test; [`samples`] and [`throughput`] read what workers left
//! behind. Nothing here reads a clock.

pub mod binding;
pub mod html;
pub mod mail;
pub mod samples;
pub mod throughput;
pub mod thumbnails;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use self::binding::Binding;
use crate::cost::Cost;
use crate::filter::Skipped;
use crate::number::count;
use crate::run::RunId;
use crate::usage::{MachineUsage, Usage};
use crate::visible::visible;

/// The version of the summary's stored form.
pub const SUMMARY_VERSION: u32 = 1;

/// Missing shards that a text names.
const SHARDS_SHOWN: usize = 20;

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Every input has its row.
    Complete,
    /// It was stopped and can be taken up again.
    Interrupted,
    /// Some shards could not be tagged in any round.
    Incomplete,
    /// What it may cost is spent.
    StoppedAtBudget,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SUMMARY_VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// How it stands.
    pub state: State,
    /// Inputs of the run.
    pub images: u64,
    /// Inputs that have a row.
    pub rows: u64,
    /// Of these, tagged.
    pub tagged: u64,
    /// Of these, failed, by error code.
    pub failed: BTreeMap<String, u64>,
    /// Files that are not meant as images and were not read.
    #[serde(default, skip_serializing_if = "Skipped::is_empty")]
    pub skipped: Skipped,
    /// Tagged images that the first decoder refused and the second read.
    pub second_decoder: u64,
    /// Shards without a part, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_shards: Vec<String>,
    /// The model's name.
    pub model: String,
    /// Over all files of the model.
    pub model_sha256: String,
    /// Engine, version, precision: `onnxruntime 1.32.0 fp32`.
    pub engine: String,
    /// Threads that tagged.
    pub threads: usize,
    /// Images that a thread tagged at once in the end, as was found to be the fastest; 0 where that is not known.
    #[serde(default)]
    pub batch_size: u64,
    /// Images tagged or failed by this process, or all workers of a fleet; other than `rows` where a run was taken up
    /// again or a shard came twice.
    pub images_here: u64,
    /// Wall time that this process took to split, infer and reduce, or the fleet to infer, in seconds.
    pub seconds_here: f64,
    /// Where people find the rows.
    pub results: String,
    /// What bound it, where a device ran the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Binding>,
    /// What a fleet used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it cost, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Why that is not known, where it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_problem: Option<String>,
    /// What went wrong in the last round, where the run is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Summary {
    /// Images per second of this process; 0 where it had none.
    #[must_use]
    pub fn images_per_second(&self) -> f64 {
        if self.seconds_here > 0.0 { self.images_here as f64 / self.seconds_here } else { 0.0 }
    }

    /// All failed rows.
    #[must_use]
    pub fn all_failed(&self) -> u64 {
        self.failed.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The summary for a person: a few lines, no colour.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Self { run, images, tagged, .. } = self;
        let state = match self.state {
            State::Complete => "complete",
            State::Interrupted => "interrupted",
            State::Incomplete => "incomplete",
            State::StoppedAtBudget => "stopped at budget",
        };
        writeln!(text, "run      {run}: {state}")?;
        let (images, tagged, failed) = (count(*images), count(*tagged), count(self.all_failed()));
        writeln!(text, "images   {images}: {tagged} tagged, {failed} failed{}", self.open())?;
        for (code, images) in &self.failed {
            writeln!(text, "         {:>7} {}", count(*images), visible(code))?;
        }
        if !self.skipped.is_empty() {
            writeln!(text, "skipped  {}", self.skipped.in_words())?;
        }
        if self.second_decoder > 0 {
            let images = count(self.second_decoder);
            writeln!(text, "decoder  {images} images were read only by the second decoder")?;
        }
        writeln!(text, "model    {}, {}", visible(&self.model), visible(&self.engine))?;
        if self.images_here > 0 {
            let (rate, seconds, threads) = (self.images_per_second(), self.seconds_here, self.threads);
            write!(
                text,
                "speed    {rate:.1} images/s: {} in {seconds:.1} s on {threads} threads",
                count(self.images_here)
            )?;
            let batch =
                if self.batch_size > 1 { format!(", {} at once", self.batch_size) } else { String::new() };
            writeln!(text, "{batch}")?;
        }
        if let Some(device) = &self.device {
            writeln!(text, "stages   {}: {}", device.verdict(), device.shares())?;
            writeln!(text, "         {}", device.rates())?;
        }
        if let Some(usage) = &self.usage {
            write_usage(text, usage)?;
        }
        self.write_cost(text)?;
        if !self.missing_shards.is_empty() {
            writeln!(text, "missing  shards {}", visible(&some_of(&self.missing_shards)))?;
        }
        if let Some(problem) = &self.problem {
            writeln!(text, "problem  {}", visible(problem))?;
        }
        if self.state == State::Complete {
            writeln!(text, "results  {}", visible(&self.results))?;
        }
        Ok(())
    }

    fn write_cost(&self, text: &mut String) -> std::fmt::Result {
        if let Some(cost) = &self.cost {
            text.write_str(&cost.short())?;
        }
        if let Some(why) = &self.cost_problem {
            writeln!(text, "cost     not known: {}", visible(why))?;
        }
        Ok(())
    }

    fn open(&self) -> String {
        match self.images.saturating_sub(self.rows) {
            0 => String::new(),
            open => format!(", {} not done", count(open)),
        }
    }
}

fn write_usage(text: &mut String, usage: &Usage) -> std::fmt::Result {
    for (number, used) in usage.machines.iter().enumerate() {
        let label = if number == 0 { "workers " } else { "        " };
        writeln!(text, "{label} {}", machine(used))?;
    }
    let (mut calls, mut mb_milliseconds) = (0_u64, 0_u64);
    for used in usage.functions.values() {
        calls = calls.saturating_add(used.calls);
        mb_milliseconds = mb_milliseconds.saturating_add(used.mb_milliseconds);
    }
    // As Lambda bills: GB-seconds of 1,024 MB.
    let gb_seconds = mb_milliseconds as f64 / 1024.0 / 1000.0;
    let calls = count(calls);
    writeln!(text, "lambda   {calls} calls, {gb_seconds:.1} GB-seconds")
}

fn machine(used: &MachineUsage) -> String {
    let kind = used.machine.instance_type.as_deref().unwrap_or("machines of unknown type");
    let life_cycle = used.machine.life_cycle.as_deref().map(|it| format!(" {it}")).unwrap_or_default();
    let zone = used.machine.zone.as_deref().map(|it| format!(" in {it}")).unwrap_or_default();
    let kind = visible(&format!("{kind}{life_cycle}{zone}"));
    let (workers, hours, vcpu_hours) = (used.workers, hours(used.seconds), hours(used.vcpu_seconds));
    let (workers, images) = (count(workers), count(used.images));
    let gpus =
        used.gpu.as_ref().map(|gpu| format!(", {} {}", gpu.count, visible(&gpu.name))).unwrap_or_default();
    format!("{workers} on {kind}: {hours:.3} hours, {vcpu_hours:.3} vCPU-hours, {images} images{gpus}")
}

fn hours(seconds: u64) -> f64 {
    seconds as f64 / 3600.0
}

/// The first few of many.
fn some_of(shards: &[String]) -> String {
    let more = shards.len().saturating_sub(SHARDS_SHOWN);
    let first = shards.iter().take(SHARDS_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn summary() -> Summary {
        Summary {
            version: SUMMARY_VERSION,
            run: RunId::try_from("20261123-170000-0a1b2c".to_owned()).unwrap(),
            state: State::Complete,
            images: 1000,
            rows: 1000,
            tagged: 990,
            failed: BTreeMap::from([("corrupt".to_owned(), 8), ("empty".to_owned(), 2)]),
            skipped: Skipped::default(),
            second_decoder: 3,
            missing_shards: vec![],
            model: "mobilenet".to_owned(),
            model_sha256: "ab".repeat(32),
            engine: "onnxruntime 1.32.0 fp32".to_owned(),
            threads: 2,
            batch_size: 1,
            images_here: 1000,
            seconds_here: 4.0,
            results: "tags/20261123-170000-0a1b2c/results".to_owned(),
            device: None,
            usage: None,
            cost: None,
            cost_problem: None,
            problem: None,
        }
    }

    #[test]
    fn complete() {
        insta::assert_snapshot!(summary().text(), @r"
        run      20261123-170000-0a1b2c: complete
        images   1,000: 990 tagged, 10 failed
                       8 corrupt
                       2 empty
        decoder  3 images were read only by the second decoder
        model    mobilenet, onnxruntime 1.32.0 fp32
        speed    250.0 images/s: 1,000 in 4.0 s on 2 threads
        results  tags/20261123-170000-0a1b2c/results
        ");
    }

    #[test]
    fn a_cost_that_is_not_known_says_why() {
        let why = Some("no price of EC2 g6.xlarge spot in mars-1".to_owned());
        let text = Summary { cost_problem: why, ..summary() }.text();
        assert!(text.contains("cost     not known: no price of EC2 g6.xlarge spot in mars-1\n"), "{text}");
    }

    #[test]
    fn batches() {
        let text = Summary { batch_size: 4, ..summary() }.text();
        assert!(text.contains("on 2 threads, 4 at once\n"), "{text}");
    }

    #[test]
    fn incomplete() {
        let missing_shards = vec!["00000-0000001".to_owned(), "00000-0000003".to_owned()];
        let summary =
            Summary { state: State::Incomplete, rows: 488, tagged: 478, missing_shards, ..summary() };
        insta::assert_snapshot!(summary.text(), @r"
        run      20261123-170000-0a1b2c: incomplete
        images   1,000: 478 tagged, 10 failed, 512 not done
                       8 corrupt
                       2 empty
        decoder  3 images were read only by the second decoder
        model    mobilenet, onnxruntime 1.32.0 fp32
        speed    250.0 images/s: 1,000 in 4.0 s on 2 threads
        missing  shards 00000-0000001, 00000-0000003
        ");
    }

    #[test]
    fn stored_form() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&summary()).unwrap());
    }
}
