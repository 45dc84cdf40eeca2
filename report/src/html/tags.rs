//! The tags: the most frequent labels, each with a bar, and how the scores of the best tags are spread.

use super::table::{bar, table};
use crate::text::{count, images, name, number, share};
use tagfleet_pipeline::reduce::{Bin, Counted, TagCounts};

/// Labels that are shown.
const LABELS: usize = 20;
/// The picture's own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 240.0;

pub(super) fn section(tags: &TagCounts, counted: Counted, tagged: u64) -> String {
    let shown = tags.most_frequent(usize::MAX, counted);
    let (labels, heading) = (
        shown.len(),
        match counted {
            Counted::Best => "Images by best tag",
            Counted::All => "Images by tag",
        },
    );
    let mut html = format!(
        "<section aria-labelledby=\"tags\">\n<h2 id=\"tags\">{heading}</h2>\n<p>{}</p>\n",
        lead(tags, (counted, labels), tagged)
    );
    if labels > 0 {
        html.push_str("<div class=\"columns\">\n");
        let rows: Vec<(&str, u64)> =
            shown.iter().take(LABELS).map(|(label, found)| (*label, found.of(counted))).collect();
        html.push_str(&labels_table(&rows, tagged));
        html.push_str(&histogram(&tags.scores.spread()));
        html.push_str("</div>\n");
    }
    html.push_str("</section>\n");
    html
}

/// What is counted, and how many labels and images are not in the table.
fn lead(tags: &TagCounts, (counted, labels): (Counted, usize), tagged: u64) -> String {
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

fn labels_table(labels: &[(&str, u64)], tagged: u64) -> String {
    let most = labels.first().map_or(0.0, |(_, images)| *images as f64);
    let row = |(label, images): &(&str, u64)| {
        let found = *images as f64;
        vec![name(label), bar(found, most), count(*images), share(found, tagged as f64)]
    };
    let rows: Vec<Vec<String>> = labels.iter().map(row).collect();
    let columns = [("Tag", false), ("", false), ("Images", true), ("Share", true)];
    table("Most frequent tags", &columns, &rows, None)
}

/// A bar for each bin; the numbers are in the labels of the bars and in the sentence below.
fn histogram(bins: &[Bin]) -> String {
    let most = bins.iter().map(|bin| bin.scores).max().unwrap_or(0);
    let (Some(first), Some(last)) = (bins.first(), bins.last()) else { return String::new() };
    if most == 0 {
        return String::new();
    }
    let width = WIDTH / bins.len() as f64;
    let mut bars = String::new();
    for (place, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.scores > 0) {
        // A single image among millions is still a line.
        let height = (bin.scores as f64 / most as f64 * HEIGHT).max(2.0);
        bars.push_str(&format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{} to {}: {}</title></rect>\n",
            place as f64 * width + width * 0.08,
            HEIGHT - height,
            width * 0.84,
            edge(bin.from),
            edge(bin.to),
            images(bin.scores)
        ));
    }
    let caption = caption(bins);
    format!(
        "<figure class=\"chart histogram\">\n<p class=\"caption\" id=\"scores\">Scores of the best tags</p>\n<div class=\"plot\">\n\
         <span class=\"high\" aria-hidden=\"true\">{most}</span><span class=\"low\" aria-hidden=\"true\">0</span>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Histogram of scores. {caption}\">\n\
         <path class=\"grid\" d=\"M0 0H{WIDTH}M0 {HEIGHT}H{WIDTH}\"/>\n{bars}</svg>\n</div>\n\
         <div class=\"times\" aria-hidden=\"true\"><span>{low}</span><span>{middle}</span><span>{high}</span></div>\n\
         <figcaption>{caption}</figcaption>\n</figure>\n",
        most = count(most),
        low = edge(first.from),
        middle = edge(f64::midpoint(first.from, last.to)),
        high = edge(last.to),
    )
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
