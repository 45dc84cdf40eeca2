//! The summary of a run for people: a few lines, each with a label, no colour.
//!
//! It is what the command prints; a mail is shorter. Names and causes come from users: each is on its own
//! line, and nothing in it is invisible.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{State, Summary, TopTags};
use tagfleet_cost::usage::{MachineUsage, Usage};
use tagfleet_pipeline::format::{count, visible};
use tagfleet_pipeline::reduce::Counted;
use tagfleet_pipeline::tags::Reason;

/// Missing shards that a text names.
const SHARDS_SHOWN: usize = 20;

/// The text names the slowest images if one took at least this many milliseconds: a photo of 12 megapixels
/// takes a tenth of it.
const WORTH_A_LINE: u64 = 1000;

/// `pug 1,203, tench 980 and 170 more labels, by best tag`
impl Display for TopTags {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (number, label) in self.labels.iter().enumerate() {
            let comma = if number == 0 { "" } else { "; " };
            write!(formatter, "{comma}{} {}", visible(&label.label), count(label.images))?;
        }
        match self.different.saturating_sub(self.labels.len() as u64) {
            0 => {}
            more => write!(formatter, "; {} more labels", count(more))?,
        }
        formatter.write_str(match self.counted {
            Counted::Best => " (images by best tag)",
            Counted::All => " (images by tag)",
        })
    }
}

impl Summary {
    /// The summary for a person: a few lines, no colour.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write_speed(&self, text: &mut String) -> std::fmt::Result {
        if self.images_here == 0 {
            return Ok(());
        }
        let (rate, seconds, threads) = (self.images_per_second(), self.seconds_here, self.threads);
        write!(
            text,
            "speed    {rate:.1} images/s: {} in {seconds:.1} s on {threads} threads",
            count(self.images_here)
        )?;
        let batch = if self.batch_size > 1 { format!(", batch {}", self.batch_size) } else { String::new() };
        writeln!(text, "{batch}")?;
        if self.slowest.took_at_least(WORTH_A_LINE) {
            writeln!(text, "slowest  {}", self.slowest)?;
        }
        Ok(())
    }

    /// What became of the inputs.
    fn write_images(&self, text: &mut String) -> std::fmt::Result {
        let (images, tagged, failed) = (count(self.images), count(self.tagged), count(self.all_failed()));
        writeln!(text, "images   {images}: {tagged} tagged, {failed} failed{}", self.open())?;
        for (code, images) in &self.failed {
            writeln!(text, "         {:>7} {}", count(*images), visible(code))?;
        }
        if let Some(since) = self.since_in_words() {
            writeln!(text, "since    {since}")?;
        }
        if let Some(flips) = self.flips_in_words() {
            writeln!(text, "flips    {flips}")?;
        }
        if self.failed.contains_key(Reason::Denied.code()) {
            let permit = "permit reading them (file permissions, bucket policy, object owner, KMS key)";
            writeln!(text, "denied   {permit}, then tag them again: the report has the commands")?;
        }
        if !self.skipped.is_empty() {
            writeln!(text, "skipped  {}", self.skipped.in_words())?;
        }
        if self.second_decoder > 0 {
            let images = count(self.second_decoder);
            let images = if self.second_decoder == 1 {
                "1 damaged JPEG was".to_owned()
            } else {
                format!("{images} damaged JPEGs were")
            };
            writeln!(text, "decoder  {images} recovered")?;
        }
        Ok(())
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let run = &self.run;
        let state = match self.state {
            State::Complete => "complete",
            State::Interrupted => "interrupted",
            State::Incomplete => "incomplete",
            State::StoppedAtBudget => "stopped at budget",
        };
        writeln!(text, "run      {run}: {state}")?;
        self.write_images(text)?;
        if !self.tags.labels.is_empty() {
            writeln!(text, "tags     {}", self.tags)?;
        }
        writeln!(text, "model    {}, {}", visible(&self.model), visible(&self.engine))?;
        if let Some(warning) = &self.warning {
            writeln!(text, "WARNING  {}", visible(warning))?;
        }
        self.write_speed(text)?;
        if let Some(device) = &self.device {
            writeln!(text, "stages   {} ({})", device.verdict(), device.shares())?;
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
        match self.state {
            State::Complete => writeln!(text, "results  {}", visible(&self.results))?,
            State::Incomplete | State::StoppedAtBudget if self.rows > 0 => {
                writeln!(text, "results  {} (of what is done)", visible(&self.results))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn write_cost(&self, text: &mut String) -> std::fmt::Result {
        if let Some(cost) = &self.cost {
            text.write_str(&cost.short())?;
        }
        if let Some(why) = &self.cost_problem {
            writeln!(text, "cost     unknown: {}", visible(why))?;
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
    writeln!(text, "lambda   {calls} calls, {gb_seconds:.1} GB-seconds")?;
    if !usage.foreign.is_empty() {
        writeln!(text, "records  {}", usage.foreign.in_words())?;
    }
    Ok(())
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
