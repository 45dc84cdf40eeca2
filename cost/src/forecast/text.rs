//! A plan in words: tables, the assumptions behind them, and one sentence at the end.
//!
//! Pure text; it computes no figure that the plan does not have.

use std::fmt::Write as _;

use super::{
    BOOT_SECONDS, Bottleneck, Ceiling, CountSource, GpuLine, Line, OVERHEAD, Plan, Question, Range,
    S3_GETS_PER_SECOND,
};

use tagfleet_pipeline::split::copies_in_words;

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
        CountSource::Counted => "counted",
        CountSource::AtLeast => "at least: listing stopped there; use --images for more",
        CountSource::Said => "from --images",
    };
    writeln!(text, "images   {} ({how}), {:.0} kB on average", plan.images, plan.mean_bytes / 1000.0)?;
    if plan.kept > 0 {
        writeln!(text, "kept     {} rows of the earlier run", plan.kept)?;
    }
    if let Some(copies) = copies_in_words(plan.copies) {
        writeln!(text, "copies   {copies}")?;
    }
    writeln!(text, "\nmeasured on this machine, on one core{:>16} {:>12}", "CPU ms/image", "top-1 as fp32")?;
    for way in &plan.measured {
        let agreement = way.agreement.map_or("-".to_owned(), |(same, of)| format!("{same} of {of}"));
        writeln!(text, "  {:<38} {:>12.2} {agreement:>12}", way.engine, way.cpu_ms)?;
    }
    writeln!(text, "\nwhat no machine changes ({})", plan.region)?;
    for fixed in &plan.requests {
        writeln!(text, "  {:<38} {:>12}", fixed.what, format!("${:.2}", fixed.usd))?;
    }
    let shown = &plan.lines[..plan.lines.len().min(SHOWN)];
    let width = shown.iter().map(|line| line.engine.len()).max().unwrap_or(0).max(30);
    writeln!(
        text,
        "\n  {:<width$} {:<16} {:>11} {:>11} {:>9} {:>15} {:>17}  bound by",
        "engine", "machines", "images/s", "hours", "machine h", "spot $", "on demand $"
    )?;
    for line in shown {
        row(text, line, width)?;
    }
    if plan.lines.len() > SHOWN {
        writeln!(text, "  and {} more: --json", plan.lines.len() - SHOWN)?;
    }
    gpus(text, plan)?;
    writeln!(text)?;
    for note in &plan.notes {
        writeln!(text, "note     {note}")?;
    }
    writeln!(text, "\n{}", plan.recommendation)
}

fn row(text: &mut String, line: &Line, width: usize) -> std::fmt::Result {
    let between = |range: Range, digits: usize| format!("{:.digits$}-{:.digits$}", range.low, range.high);
    let limit = match line.limit {
        Bottleneck::Processors => "processors",
        Bottleneck::Network => "network",
        Bottleneck::S3Requests => "S3 requests",
        Bottleneck::MaxVcpus => "MaxVcpus",
    };
    let late = if line.keeps_deadline { "" } else { ", may miss the deadline" };
    let scaled = if line.is_scaled { "*" } else { "" };
    writeln!(
        text,
        "  {:<width$} {:<16} {:>11} {:>11} {:>9} {:>15} {:>17}  {limit}{late}",
        line.engine,
        format!("{}x {}{scaled}", line.instances, line.instance_type),
        between(line.images_per_second, 0),
        between(line.hours, 2),
        between(line.instance_hours, 1),
        between(line.spot_usd, 2),
        between(line.on_demand_usd, 2),
    )
}

fn gpus(text: &mut String, plan: &Plan) -> std::fmt::Result {
    if plan.gpu_lines.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\n  {:<14} {:<12} {:>16} {:>12} {:>14}  model on the GPU",
        "with a GPU", "", "decodes images/s", "spot $ from", "on demand from"
    )?;
    for line in &plan.gpu_lines {
        let scaled = if line.is_scaled { "*" } else { "" };
        writeln!(
            text,
            "  {:<14} {:<12} {:>16} {:>12.2} {:>14.2}  {}",
            format!("{}{scaled}", line.instance_type),
            line.gpu,
            format!("{:.0}-{:.0}", line.decodes.low, line.decodes.high),
            line.spot_usd_at_least,
            line.on_demand_usd_at_least,
            on_the_gpu(line),
        )?;
    }
    Ok(())
}

/// What the model would have to do there.
fn on_the_gpu(line: &GpuLine) -> String {
    if let Some(Range { low, high }) = line.infers {
        return format!("{low:.0}-{high:.0} images/s");
    }
    match line.pays_from {
        Some(_) if !line.may_pay() => "not known: cannot pay, whatever it does".to_owned(),
        Some(rate) => format!("not known: measure on a GPU; may pay from {rate:.0} images/s a machine"),
        None => "not known: measure on a GPU".to_owned(),
    }
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

pub(super) fn notes(question: &Question, lines: &[Line], gpu_lines: &[GpuLine]) -> Vec<String> {
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
    notes.push(s3_requests(question));
    if !gpu_lines.is_empty() {
        notes.push(
            "machines with a GPU: decoding is measured on this machine and assumed to be done by their vCPUs alone; no GPU \
             was measured, so none is recommended"
                .to_owned(),
        );
    }
    if lines.iter().any(|line| line.limit == Bottleneck::MaxVcpus) {
        let Ceiling { vcpus, set_by } = &question.ceiling;
        notes.push(format!(
            "at most {vcpus} vCPUs at once, as {set_by} has it (MaxVcpus): more workers would wait; deploy with a larger \
             MAX_VCPUS, or plan with --max-vcpus, for a shorter run"
        ));
    }
    if let Some(most) = lines.iter().map(|line| line.vcpus).max() {
        notes.push(format!(
            "the quota for standard spot vCPUs has to allow them (up to {most} here; new accounts have 5): `tagfleet doctor` asks"
        ));
    }
    notes
}

fn s3_requests(question: &Question) -> String {
    let prefixes = question.prefixes.max(1);
    let at_least = if question.images_are == CountSource::AtLeast { " at least" } else { "" };
    let folders = if prefixes == 1 { "folder" } else { "folders" };
    format!(
        "S3 promises {S3_GETS_PER_SECOND:.0} GET/s for each prefix that it keeps in a partition of its own: the images listed \
         here are in{at_least} {prefixes} {folders}, and it is assumed to have one for each. It makes them only under load, \
         in half an hour to an hour: until then a large fleet is slower"
    )
}
