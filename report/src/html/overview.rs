//! How a run ended: the heading, the way to each section, the key figures, the problem if there was one.

use maud::{Markup, html};
use tagfleet_pipeline::format::{count, dollars, duration, images, number, share, visible};

use crate::text::name;
use crate::verdict::{Grade, outcome};
use crate::{State, Summary};

/// Shards that are named.
const SHARDS: usize = 50;

pub(super) fn header(summary: &Summary) -> Markup {
    html! {
        header {
            p.brand { "tagfleet" }
            h1 { "Run " (name(&summary.run.to_string())) }
            p class={ "state " (Grade::of(summary).class()) } { (outcome(summary)) }
            p.lead { (lead(summary)) }
        }
    }
}

/// One sentence for who reads nothing else.
fn lead(summary: &Summary) -> Markup {
    let open = summary.images.saturating_sub(summary.rows);
    html! {
        (count(summary.tagged)) " of " (images(summary.images)) " tagged with " (name(&summary.model)) ", "
        @match summary.all_failed() { 0 => "none failed", failed => { (count(failed)) " failed" } }
        @if open > 0 { ", " (count(open)) " not done" }
        "."
        @if let Some(since) = summary.since_in_words() {
            " Since run " (name(&since)) ". Pictures are of images that this run tagged."
        }
        @if let Some(flips) = summary.flips_in_words() { " " (flips) "." }
    }
}

/// Links to the sections that `main` has.
pub(super) fn contents(main: &Markup) -> Markup {
    let sections = [
        ("problem", "Not complete"),
        ("failures", "Failed"),
        ("tags", "Tags"),
        ("scores", "Scores"),
        ("unsure", "Least certain"),
        ("pictures", "By tag"),
        ("random", "Random sample"),
        ("speed", "Speed"),
        ("cost", "Cost"),
        ("ran", "This run"),
    ];
    let present = sections.iter().filter(|(id, _)| main.0.contains(&format!(" id=\"{id}\"")));
    html! {
        nav aria-label="Sections" {
            ul { @for (id, heading) in present { li { a href={ "#" (id) } { (heading) } } } }
        }
    }
}

/// One of the key figures.
struct Figure {
    name: &'static str,
    value: String,
    more: Option<String>,
}

pub(super) fn figures(summary: &Summary) -> Markup {
    html! {
        section aria-labelledby="figures" {
            h2 #figures .hidden { "Key figures" }
            dl.figures {
                @for figure in key_figures(summary) {
                    @let grade = (figure.name == "Failed").then(|| Grade::of_failures(summary).class());
                    div class=(grade.unwrap_or("plain")) {
                        dt { (figure.name) }
                        dd { (figure.value) @if let Some(more) = &figure.more { " " small { (more) } } }
                    }
                }
            }
        }
    }
}

fn key_figures(summary: &Summary) -> Vec<Figure> {
    let (all, failed) = (summary.images as f64, summary.all_failed());
    let tagged = Some(share(summary.tagged as f64, all));
    let mut figures = vec![
        Figure { name: "Images", value: count(summary.images), more: None },
        Figure { name: "Tagged", value: count(summary.tagged), more: tagged },
        Figure { name: "Failed", value: count(failed), more: Some(share(failed as f64, all)) },
    ];
    if summary.images_here > 0 {
        let (time, rate) = (duration(summary.seconds_here), number(summary.images_per_second()));
        figures.push(Figure { name: "Time", value: time, more: Some(threads(summary)) });
        figures.push(Figure { name: "Images per second", value: rate, more: None });
    }
    if let Some(cost) = &summary.cost {
        let per_million = cost.usd_per_million.map(|usd| format!("{} per million images", dollars(usd)));
        figures.push(Figure { name: "Cost", value: dollars(cost.total_usd), more: per_million });
    }
    figures
}

fn threads(summary: &Summary) -> String {
    match summary.usage {
        Some(_) => format!("{} vCPUs", count(summary.threads as u64)),
        None => format!("{} threads", summary.threads),
    }
}

/// Why the tags are probably wrong, before anything that shows them.
pub(super) fn warning(summary: &Summary) -> Markup {
    html! {
        @if let Some(warning) = &summary.warning {
            section.problem aria-labelledby="warning" {
                h2 #warning { "Check these tags" }
                p { (name(warning)) }
            }
        }
    }
}

/// What is missing and why, and how to continue; empty if the run is complete.
pub(super) fn problem(summary: &Summary) -> Markup {
    if summary.state == State::Complete {
        return Markup::default();
    }
    html! {
        section.problem aria-labelledby="problem" {
            h2 #problem { "Not complete" }
            @if let Some(problem) = &summary.problem { p { (name(problem)) } }
            @if !summary.missing_shards.is_empty() {
                p { "Shards without rows: " (shards(&summary.missing_shards)) "." }
            }
            p { "What is done is kept. " (resume(summary)) }
        }
    }
}

fn shards(missing: &[String]) -> String {
    let named: Vec<String> = missing.iter().take(SHARDS).map(|shard| visible(shard)).collect();
    let more = match missing.len().saturating_sub(SHARDS) {
        0 => String::new(),
        more => format!(" and {} more", count(more as u64)),
    };
    format!("{}{more}", named.join(", "))
}

fn resume(summary: &Summary) -> Markup {
    let more = if summary.state == State::StoppedAtBudget { " --max-usd N" } else { "" };
    html! {
        @if summary.usage.is_some() {
            code { "tagfleet resume " (visible(&summary.run.to_string())) (more) } " continues from here."
        } @else {
            "Run the same command again to continue."
        }
    }
}
