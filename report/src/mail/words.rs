//! The text of a mail, in the order of what matters, before it is laid out as text or as HTML.
//!
//! Lines are plain text without markup. Internal terms do not occur: images and dollars, not shards and
//! GB-seconds.

use super::super::reasons::explanation;
use super::super::verdict::{Grade, state};
use super::{Failure, RunId, State, Summary, Surroundings, cause_in_words};
use tagfleet_cost::Cost;
use tagfleet_pipeline::format::{count, dollars, duration, images, share, visible};

/// The text of a mail.
pub(super) struct Words {
    /// How good the news is.
    pub(super) grade: Grade,
    /// One line each: how the run ended, what it cost.
    pub(super) lead: Vec<String>,
    /// Sentences about what went wrong.
    pub(super) problem: Vec<String>,
    /// Failed images: how many, the reason, what it means.
    pub(super) failures: Vec<[String; 3]>,
    /// The report's address for a browser.
    pub(super) link: Option<String>,
    /// What to do, and the command that does it.
    pub(super) commands: Vec<(&'static str, String)>,
    /// What else people want to know: a name and a value.
    pub(super) details: Vec<(&'static str, String)>,
}

pub(super) fn of_summary(summary: &Summary, around: &Surroundings) -> Words {
    let run = summary.run.to_string();
    let mut commands = vec![("Open the report:", around.command(&["report", &run, "--open"]))];
    match summary.state {
        State::Complete => {}
        State::Interrupted | State::Incomplete => {
            commands.insert(0, ("Continue:", around.command(&["resume", &run])));
        }
        State::StoppedAtBudget => {
            let command = format!("{} --max-usd N", around.command(&["resume", &run]));
            commands.insert(0, ("Continue, with a higher limit for N:", command));
        }
    }
    Words {
        grade: Grade::of(summary),
        lead: lead(summary),
        problem: problem(summary),
        failures: failures(summary),
        link: around.link.as_deref().map(visible),
        commands,
        details: details(summary),
    }
}

fn lead(summary: &Summary) -> Vec<String> {
    let failed = match summary.all_failed() {
        0 => "none failed".to_owned(),
        failed => format!("{} failed ({})", count(failed), share(failed as f64, summary.images as f64)),
    };
    let mut lines = vec![format!("{}: {}, {failed}", state(summary.state), images(summary.images))];
    let mut used = Vec::new();
    if let Some(cost) = &summary.cost {
        let million = cost.usd_per_million.map(|usd| format!(" ({} per million images)", dollars(usd)));
        used.push(format!("{}{}", dollars(cost.total_usd), million.unwrap_or_default()));
    }
    if summary.seconds_here > 0.0 {
        used.push(duration(summary.seconds_here));
    }
    if !used.is_empty() {
        lines.push(used.join(", "));
    }
    if let Some(why) = &summary.cost_problem {
        lines.push(format!("Cost unknown: {}", visible(why)));
    }
    lines
}

fn problem(summary: &Summary) -> Vec<String> {
    let mut sentences = Vec::new();
    let open = summary.images.saturating_sub(summary.rows);
    if open > 0 {
        let part = share(open as f64, summary.images as f64);
        sentences.push(format!(
            "{} of {} ({part}) are not done. What is done is kept.",
            count(open),
            images(summary.images)
        ));
    }
    sentences.extend(summary.problem.as_deref().map(visible));
    if summary.has_too_many_flips() {
        sentences.push(
            "More images have other tags than you accept. Compare the runs before you use them.".to_owned(),
        );
    }
    sentences
}

/// The most frequent reason first.
fn failures(summary: &Summary) -> Vec<[String; 3]> {
    let mut by_number: Vec<(&String, &u64)> = summary.failed.iter().collect();
    by_number.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let row = |(code, number): (&String, &u64)| [count(*number), visible(code), explanation(code).to_owned()];
    by_number.into_iter().map(row).collect()
}

fn details(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut details = vec![("run", summary.run.to_string())];
    if !summary.tags.labels.is_empty() {
        details.push(("tags", summary.tags.to_string()));
    }
    details.extend(summary.since_in_words().map(|since| ("since", since)));
    details.extend(summary.flips_in_words().map(|flips| ("flips", flips)));
    details.push(("model", format!("{}, {}", visible(&summary.model), visible(&summary.engine))));
    if summary.images_per_second() > 0.0 {
        details.push(("speed", format!("{} images/s", count(summary.images_per_second().round() as u64))));
    }
    if let Some(plan) = summary.cost.as_ref().and_then(|cost| cost.plan.as_ref()) {
        details.push(("planned", visible(&plan.verdict())));
        details.extend(plan.causes().map(|causes| ("", causes)));
    }
    details.push(("results", visible(&summary.results)));
    details
}

pub(super) fn of_failure(run: &RunId, failure: &Failure, around: &Surroundings) -> Words {
    let run = run.to_string();
    let (problem, commands) = match (failure.error.as_str(), failure.state.as_str()) {
        ("BadRequest", "Plan") => {
            ("Nothing was started. Fix the request file and upload it again.", Vec::new())
        }
        ("DayIsSpent", _) => {
            let command = around.command(&["resume", &run]);
            (
                "Nothing was started. What the stack may spend on this day is spent or reserved.",
                vec![("Start it then:", command)],
            )
        }
        _ => {
            let command = around.command(&["resume", &run]);
            ("What is done is kept. Fix the cause, then continue.", vec![("Continue:", command)])
        }
    };
    Words {
        grade: Grade::Bad,
        lead: vec![format!("Failed: {}", cause_in_words(&failure.cause))],
        problem: vec![problem.to_owned()],
        failures: Vec::new(),
        link: None,
        commands,
        details: vec![("step", visible(&failure.state)), ("error", visible(&failure.error))],
    }
}

/// The mail for readers that show no HTML.
pub(super) fn text(words: &Words, cost: Option<&Cost>) -> String {
    let mut blocks = vec![words.lead.join("\n")];
    blocks.extend((!words.problem.is_empty()).then(|| words.problem.join("\n")));
    blocks.extend((!words.failures.is_empty()).then(|| failures_text(&words.failures)));
    blocks.extend(words.link.as_ref().map(|link| format!("Report (asks you to sign in to AWS):\n{link}")));
    blocks.extend(words.commands.iter().map(|(what, command)| format!("{what}\n{}", visible(command))));
    let details: Vec<String> =
        words.details.iter().map(|(name, value)| format!("{name:<9}{value}")).collect();
    blocks.push(details.join("\n"));
    blocks.extend(cost.map(|cost| cost.table().trim_end().to_owned()));
    blocks.join("\n\n") + "\n"
}

fn failures_text(failures: &[[String; 3]]) -> String {
    let wide = failures.iter().map(|[number, _, _]| number.chars().count()).max().unwrap_or(0);
    let lines: Vec<String> =
        failures.iter().map(|[number, code, meaning]| format!("{number:>wide$} {code}: {meaning}")).collect();
    lines.join("\n")
}
