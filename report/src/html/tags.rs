//! The tags: the most frequent labels, each with a bar, and how the scores of the best tags are spread.

use maud::{Markup, html};
use tagfleet_pipeline::reduce::{Bin, Counted, TagCount, TagCounts};

use super::table::{Table, bar, text};
use crate::text::name;
use tagfleet_pipeline::format::{count, images, number, share};

/// Labels that are shown.
const LABELS: usize = 20;
/// The picture's own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 240.0;

pub(super) fn section(tags: &TagCounts, counted: Counted, tagged: u64) -> Markup {
    let shown = tags.most_frequent(usize::MAX, counted);
    let heading = match counted {
        Counted::Best => "Images by best tag",
        Counted::All => "Images by tag",
    };
    html! {
        section aria-labelledby="tags" {
            h2 #tags { (heading) }
            p { (lead(tags, counted, shown.len(), tagged)) }
            @if !shown.is_empty() {
                div.columns {
                    (labels_table(&shown[..shown.len().min(LABELS)], counted, tagged))
                    (histogram(&tags.scores.spread()))
                }
            }
        }
    }
}

/// What is counted, and how many labels and images are not in the table.
fn lead(tags: &TagCounts, counted: Counted, labels: usize, tagged: u64) -> String {
    if labels == 0 {
        return "No image has a tag.".to_owned();
    }
    let mut text = match counted {
        Counted::Best => "Each image counts once, for the tag with its highest score.",
        Counted::All => "Each image counts for every tag that its row keeps.",
    }
    .to_owned();
    if labels > LABELS {
        text.push_str(&format!(" Top {LABELS} of {} labels.", count(labels as u64)));
    }
    if tags.beyond > 0 {
        text.push_str(&format!(" {} tags of still more labels are not counted.", count(tags.beyond)));
    }
    let untagged = tagged.saturating_sub(tags.scores.scores());
    if untagged > 0 && tags.scores.scores() > 0 {
        let have = if untagged == 1 { "has" } else { "have" };
        text.push_str(&format!(" {} {have} no tag: no score reaches the threshold.", images(untagged)));
    }
    text
}

fn labels_table(labels: &[(&str, TagCount)], counted: Counted, tagged: u64) -> Table<'static> {
    let most = labels.first().map_or(0.0, |(_, found)| found.of(counted) as f64);
    let row = |(label, found): &(&str, TagCount)| {
        let (found, all) = (found.of(counted), tagged as f64);
        vec![name(label), bar(found as f64, most), text(count(found)), text(share(found as f64, all))]
    };
    Table {
        caption: "Most frequent tags",
        columns: &[("Tag", false), ("", false), ("Images", true), ("Share", true)],
        rows: labels.iter().map(row).collect(),
        foot: vec![],
    }
}

/// A bar for each bin; the numbers are in the labels of the bars and in the sentence below.
fn histogram(bins: &[Bin]) -> Markup {
    let most = bins.iter().map(|bin| bin.scores).max().unwrap_or(0);
    let (Some(first), Some(last)) = (bins.first(), bins.last()) else { return Markup::default() };
    if most == 0 {
        return Markup::default();
    }
    let caption = caption(bins);
    html! {
        figure.chart.histogram {
            p #scores .caption { "Scores of the best tags" }
            div.plot {
                span.high aria-hidden="true" { (count(most)) }
                span.low aria-hidden="true" { "0" }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                    aria-label={ "Histogram of scores. " (caption) } {
                    path.grid d={ "M0 0H" (WIDTH) "M0 " (HEIGHT) "H" (WIDTH) } {}
                    @for (place, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.scores > 0) {
                        (bin_bar(place, bin, WIDTH / bins.len() as f64, most))
                    }
                }
            }
            div.times aria-hidden="true" {
                span { (edge(first.from)) }
                span { (edge(f64::midpoint(first.from, last.to))) }
                span { (edge(last.to)) }
            }
            figcaption { (caption) }
        }
    }
}

fn bin_bar(place: usize, bin: &Bin, width: f64, most: u64) -> Markup {
    // A single image among millions is still a line.
    let height = (bin.scores as f64 / most as f64 * HEIGHT).max(2.0);
    let (x, y) = (place as f64 * width + width * 0.08, HEIGHT - height);
    let unit = |value: f64| format!("{value:.1}");
    html! {
        rect x=(unit(x)) y=(unit(y)) width=(unit(width * 0.84)) height=(unit(height)) {
            title { (edge(bin.from)) " to " (edge(bin.to)) ": " (images(bin.scores)) }
        }
    }
}

/// Where most scores are.
fn caption(bins: &[Bin]) -> String {
    let all: u64 = bins.iter().map(|bin| bin.scores).sum();
    let mut until = 0;
    for bin in bins {
        until += bin.scores;
        if until * 2 >= all {
            let (from, to) = (edge(bin.from), edge(bin.to));
            return format!("The median is between {from} and {to}; {}.", low_end(bins, all));
        }
    }
    String::new()
}

fn low_end(bins: &[Bin], all: u64) -> String {
    let is_probability =
        bins.first().is_some_and(|bin| bin.from >= 0.0) && bins.last().is_some_and(|bin| bin.to <= 1.0);
    if !is_probability {
        let lowest = bins.first().map_or(0.0, |bin| bin.from);
        return format!("no score is below {}", edge(lowest));
    }
    let below: u64 = bins.iter().filter(|bin| bin.to <= 0.5 + 1e-9).map(|bin| bin.scores).sum();
    format!("{} of the images score below 0.5", share(below as f64, all as f64))
}

fn edge(value: f64) -> String {
    match value {
        value if value.abs() < 100.0 => format!("{value:.2}"),
        value if value < 0.0 => format!("-{}", number(-value)),
        value => number(value),
    }
}
