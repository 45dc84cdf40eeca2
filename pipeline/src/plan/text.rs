//! A plan in words: tables, the assumptions behind them, and one sentence at the end.
//!
//! Pure text; it computes no figure that the plan does not have.

use std::fmt::Write as _;

use super::{BOOT_SECONDS, Known, Limit, Line, OVERHEAD, Plan, Question, Range};

/// Lines of the table that a person gets to see; JSON has all.
const SHOWN: usize = 12;

pub(super) fn text(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, plan);
    text
}

fn write(text: &mut String, plan: &Plan) -> std::fmt::Result {
    let how = match plan.images_are {
        Known::Counted => "counted",
        Known::AtLeast => "at least: listing was ended there, --images says more",
        Known::Said => "as said with --images",
    };
    writeln!(text, "images   {} ({how}), {:.0} kB on average", plan.images, plan.mean_bytes / 1000.0)?;
    writeln!(text, "\nmeasured here, on one core{:>27} {:>12}", "CPU ms/image", "top-1 as fp32")?;
    for way in &plan.measured {
        let agreement = way.agreement.map_or("-".to_owned(), |(same, of)| format!("{same} of {of}"));
        writeln!(text, "  {:<38} {:>12.2} {agreement:>12}", way.engine, way.cpu_ms)?;
    }
    writeln!(text, "\nwhat no machine changes ({})", plan.region)?;
    for fixed in &plan.requests {
        writeln!(text, "  {:<38} {:>12}", fixed.what, format!("${:.2}", fixed.usd))?;
    }
    writeln!(
        text,
        "\n  {:<30} {:<16} {:>11} {:>11} {:>9} {:>15} {:>17}  bound by",
        "engine", "machines", "images/s", "hours", "machine h", "spot $", "on demand $"
    )?;
    for line in plan.lines.iter().take(SHOWN) {
        row(text, line)?;
    }
    if plan.lines.len() > SHOWN {
        writeln!(text, "  and {} more: --json", plan.lines.len() - SHOWN)?;
    }
    writeln!(text)?;
    for note in &plan.notes {
        writeln!(text, "note     {note}")?;
    }
    writeln!(text, "\n{}", plan.recommendation)
}

fn row(text: &mut String, line: &Line) -> std::fmt::Result {
    let between = |range: Range, digits: usize| format!("{:.digits$}-{:.digits$}", range.low, range.high);
    let limit = match line.limit {
        Limit::Processors => "processors",
        Limit::Network => "network",
        Limit::S3Requests => "S3 requests",
    };
    let late = if line.keeps_deadline { "" } else { ", may miss the deadline" };
    let scaled = if line.is_scaled { "*" } else { "" };
    writeln!(
        text,
        "  {:<30} {:<16} {:>11} {:>11} {:>9} {:>15} {:>17}  {limit}{late}",
        line.engine,
        format!("{}x {}{scaled}", line.instances, line.instance_type),
        between(line.images_per_second, 0),
        between(line.hours, 2),
        between(line.instance_hours, 1),
        between(line.spot_usd, 2),
        between(line.on_demand_usd, 2),
    )
}

pub(super) fn recommendation(line: Option<&Line>, question: &Question) -> String {
    let Some(line) = line else {
        return "no engine and machine fit together: install an engine, or refresh the prices with `tagfleet prices refresh`"
            .to_owned();
    };
    let Line { engine, instance_type, instances, .. } = line;
    let deadline = match (question.deadline_seconds, line.keeps_deadline) {
        (None, _) => "",
        (Some(_), true) => ", within the deadline",
        (Some(_), false) => ", though none is sure to keep the deadline",
    };
    format!(
        "take {engine} on {instances} {instance_type} as spot: {:.1} to {:.1} hours and ${:.2} to ${:.2}{deadline}",
        line.hours.low, line.hours.high, line.spot_usd.low, line.spot_usd.high
    )
}

pub(super) fn notes(question: &Question, lines: &[Line]) -> Vec<String> {
    let mut notes = Vec::new();
    if lines.iter().any(|line| line.is_scaled) {
        notes.push(
            "* scaled: measured on another machine. A vCPU that is a core of its own is taken as 0.7 to 1.1 of a core here, one that is \
             half a core as 0.4 to 0.75; run plan on the target to narrow it"
                .to_owned(),
        );
    }
    notes.push(format!(
        "{:.0} % are added for image pulls and the last shards, and {} minutes until the first worker tags",
        OVERHEAD * 100.0,
        BOOT_SECONDS / 60
    ));
    notes.push(
        "list prices without free tiers and discounts; spot prices are a snapshot, lowest to highest zone"
            .to_owned(),
    );
    if lines.iter().any(|line| line.limit == Limit::S3Requests) {
        notes.push(format!(
            "S3 promises 5,500 GET/s for each partitioned prefix: {} counted here; a bucket with more partitions is faster",
            question.prefixes.max(1)
        ));
    }
    if let Some(most) = lines.iter().map(|line| line.vcpus).max() {
        notes.push(format!(
            "the quota for standard spot vCPUs has to allow them (up to {most} here; new accounts have 5): `tagfleet doctor` asks"
        ));
    }
    notes
}
