//! Failed images: how many, why, a few of each reason, and the commands that tag them again.

use maud::{Markup, html};
use tagfleet_pipeline::format::{count, images, share, visible};
use tagfleet_pipeline::thumbnails::FailedImage;

use super::pictures::image;
use super::table::{Table, text};
use crate::Summary;
use crate::reasons::explanation;
use crate::samples::Samples;
use crate::text::{name, visible_lines};

/// Empty if no image failed.
pub(super) fn section(summary: &Summary, samples: &Samples) -> Markup {
    if summary.failed.is_empty() {
        return Markup::default();
    }
    let by_number = by_number(summary);
    let all = summary.all_failed();
    html! {
        section aria-labelledby="failures" {
            h2 #failures { (images(all)) " failed (" (share(all as f64, summary.images as f64)) ")" }
            p { "Each of them has a row in the results, with the reason." }
            (reasons(&by_number, summary.images as f64))
            (retry(summary))
            div.columns.narrow { @for (code, _) in by_number { (examples(code, samples)) } }
        }
    }
}

/// The most frequent reason first.
fn by_number(summary: &Summary) -> Vec<(&str, u64)> {
    let mut by_number: Vec<(&str, u64)> =
        summary.failed.iter().map(|(code, number)| (code.as_str(), *number)).collect();
    by_number.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    by_number
}

fn reasons(by_number: &[(&str, u64)], all: f64) -> Table<'static> {
    let row = |(code, number): &(&str, u64)| {
        let reason = html! { code { (visible(code)) } span.why { (explanation(code)) } };
        vec![reason, text(count(*number)), text(share(*number as f64, all))]
    };
    Table {
        caption: "Failed images by reason",
        columns: &[("Reason", false), ("Images", true), ("Share", true)],
        rows: by_number.iter().map(row).collect(),
        foot: vec![],
    }
}

fn retry(summary: &Summary) -> Markup {
    let Some(commands) = &summary.retry else { return Markup::default() };
    html! {
        h3 { "Tag them again" }
        pre { code { (visible_lines(commands)) } }
    }
}

fn examples(code: &str, samples: &Samples) -> Markup {
    let Some(failures) = samples.failures.get(code) else { return Markup::default() };
    html! {
        div {
            h3 { "Examples of " code { (visible(code)) } }
            ul.keys { @for failure in failures { (example(failure)) } }
        }
    }
}

fn example(failure: &FailedImage) -> Markup {
    html! {
        li {
            @if let Some(jpeg) = &failure.jpeg { (image(jpeg, "The picture that failed")) }
            span.key { (name(&failure.key)) }
            @if !failure.message.is_empty() { " " span.why { (name(&failure.message)) } }
        }
    }
}
