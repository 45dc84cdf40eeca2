//! The page of an evaluation: figures, confusions with pictures, labels, calibration, thresholds.
//!
//! Pure but for the pictures, which were read before.

use std::collections::BTreeSet;

use maud::{Markup, html};
use tagfleet_analysis::evaluate::{
    Calibration, CalibrationBin, Confusion, Evaluation, LabelFigures, LabelThreshold, Scores, Thresholds,
};
use tagfleet_pipeline::format::{count, percent, visible};
use tagfleet_report::html::name;
use tagfleet_report::html::table::{Column, Table, bar, text};

use super::super::pictures::Pictures;
use super::{Figure, Heads, ROWS, Section, cut, figures, keys, label, note, pairs};

const LABELS: [Column; 7] = [
    ("Label", false),
    ("", false),
    ("Precision", true),
    ("Recall", true),
    ("F1", true),
    ("Support", true),
    ("Tagged", true),
];

/// The keys whose pictures the page shows.
pub(in super::super) fn shown(evaluation: &Evaluation) -> BTreeSet<&str> {
    keys(evaluation.confusions.iter().map(|confusion| confusion.examples.as_slice()))
}

pub(in super::super) fn page(evaluation: &Evaluation, pictures: &Pictures) -> String {
    let run = &evaluation.run;
    let main = html! {
        (key_figures(evaluation))
        (left_out(evaluation))
        (confusions(evaluation, pictures))
        (labels(evaluation))
        @if let Some(found) = &evaluation.calibration { (calibration(found)) }
        @if let Some(found) = &evaluation.thresholds { (thresholds(found)) }
    };
    let heads = Heads {
        title: format!("tagfleet evaluation {}", run.run),
        heading: format!("Evaluation of {}", run.run),
        lead: format!("{}, compared with {}", run.in_words(), evaluation.truth),
    };
    heads.page(&main)
}

fn key_figures(evaluation: &Evaluation) -> Markup {
    let optional = |share: Option<f64>| share.map_or_else(|| "unknown".to_owned(), percent);
    let mut all = vec![
        Figure::new("Evaluated", count(evaluation.images.evaluated), "images"),
        Figure::new("Top 1", optional(evaluation.top_1), "best tag is right"),
        Figure::new("Top 5", optional(evaluation.top_5), "one of five is right"),
    ];
    if evaluation.exact.is_some() {
        all.push(Figure::new("Exact", optional(evaluation.exact), "all tags and no other"));
    }
    all.push(Figure::new("Macro F1", format!("{:.3}", evaluation.averages.of_labels.f1), "mean of labels"));
    if let Some(calibration) = &evaluation.calibration {
        all.push(Figure::new("ECE", format!("{:.3}", calibration.ece), "calibration error"));
    }
    figures(&all)
}

/// Names in a row, with commas.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> Markup {
    html! { @for (place, key) in names.enumerate() { @if place > 0 { ", " } (name(key)) } }
}

/// What is in no figure.
fn left_out(evaluation: &Evaluation) -> Markup {
    let images = &evaluation.images;
    let failed = html! {
        @for (place, (code, images)) in evaluation.failed.iter().enumerate() {
            @if place > 0 { ", " } (name(code)) " " (count(*images))
        }
    };
    let unknown = list(evaluation.unknown_labels.iter().map(|label| label.label.as_str()));
    let some = |keys: &[String]| list(keys.iter().map(String::as_str));
    let all = [
        ("Failed in the run", images.failed, failed),
        ("With unknown labels only", images.unknown_label, unknown),
        ("Without a label in the truth", images.without_label, Markup::default()),
        ("Only in the truth", images.only_in_truth, some(&evaluation.only_in_truth)),
        ("Only in the run", images.only_in_run, some(&evaluation.only_in_run)),
    ];
    let present = all.into_iter().filter(|(_, images, examples)| *images > 0 || !examples.0.is_empty());
    let rows: Vec<Vec<Markup>> =
        present.map(|(what, images, examples)| vec![text(what), text(count(images)), examples]).collect();
    if rows.is_empty() && evaluation.notes.is_empty() {
        return Markup::default();
    }
    let columns = &[("What", false), ("Images", true), ("For example", false)];
    let content = html! {
        @if !rows.is_empty() {
            (Table { caption: "Images that are in no figure", columns, rows, foot: vec![] })
        }
        @for note in &evaluation.notes { p.notes { (visible(note)) } }
    };
    let lead = "These images count neither as right nor as wrong.";
    Section { id: "out", heading: "Not evaluated", lead }.html(&content)
}

fn heading(confusion: &Confusion) -> Markup {
    html! {
        (label(confusion.truth.as_deref(), "something else")) " tagged as "
        (label(confusion.predicted.as_deref(), "no tag")) " " small { (count(confusion.images)) }
    }
}

fn confusions(evaluation: &Evaluation, pictures: &Pictures) -> Markup {
    if evaluation.confusions.is_empty() {
        return Markup::default();
    }
    let all =
        evaluation.confusions.iter().map(|confusion| (heading(confusion), confusion.examples.as_slice()));
    let content = html! { (note(pictures)) (pairs(all, pictures)) };
    let lead = "The most frequent wrong tags, with images drawn at random. A truth may be wrong as well: look at the pictures.";
    Section { id: "confusions", heading: "Confusions", lead }.html(&content)
}

fn scores(first: Markup, scores: &Scores, more: &[u64]) -> Vec<Markup> {
    let numbers = [scores.precision, scores.recall, scores.f1].map(|number| text(format!("{number:.3}")));
    let counts = more.iter().map(|number| text(count(*number)));
    [first, bar(scores.f1, 1.0)].into_iter().chain(numbers).chain(counts).collect()
}

fn labels(evaluation: &Evaluation) -> Markup {
    let row =
        |label: &LabelFigures| scores(name(&label.label), &label.scores, &[label.support, label.predicted]);
    let averages = &evaluation.averages;
    let means = [("macro", averages.of_labels), ("weighted", averages.weighted), ("micro", averages.micro)];
    let means = Table {
        caption: "Means",
        columns: &LABELS[..5],
        rows: means.iter().map(|(mean, of)| scores(text(mean), of, &[])).collect(),
        foot: vec![],
    };
    let by_label = Table {
        caption: "By label",
        columns: &LABELS,
        rows: evaluation.labels.iter().take(ROWS).map(row).collect(),
        foot: vec![],
    };
    let lead = format!(
        "Support: images that have the label. Tagged: images that were given it.{}",
        cut(evaluation.labels.len(), "labels")
    );
    Section { id: "labels", heading: "Labels", lead: &lead }.html(&html! { (means) (by_label) })
}

fn calibration(calibration: &Calibration) -> Markup {
    let row = |bin: &CalibrationBin| {
        vec![
            text(format!("{:.1} to {:.1}", bin.from, bin.to)),
            bar(bin.right, 1.0),
            text(percent(bin.right)),
            text(format!("{:.3}", bin.mean_score)),
            text(count(bin.tags)),
        ]
    };
    let table = Table {
        caption: "Tags by score",
        columns: &[("Score", false), ("", false), ("Right", true), ("Mean score", true), ("Tags", true)],
        rows: calibration.bins.iter().map(row).collect(),
        foot: vec![],
    };
    let lead = format!(
        "If scores are probabilities, the share of right tags equals the mean score. The expected calibration error is {:.3}.",
        calibration.ece
    );
    Section { id: "calibration", heading: "Reliability", lead: &lead }.html(&text(table))
}

fn thresholds(thresholds: &Thresholds) -> Markup {
    let columns = &[
        ("Label", false),
        ("Threshold", true),
        ("Kept", true),
        ("Right of these", true),
        ("All tags", true),
    ];
    let row = |label: &LabelThreshold| {
        let found = match label.threshold {
            Some(threshold) => format!("{threshold:.3}"),
            None if label.too_few => "too few tags".to_owned(),
            None => "never".to_owned(),
        };
        let counts = [label.kept, label.kept_right, label.tags].map(|number| text(count(number)));
        [name(&label.label), text(found)].into_iter().chain(counts).collect()
    };
    let rows = thresholds.labels.iter().take(ROWS).map(row).collect();
    let lead = format!(
        "The lowest score of each label from which {} of its tags are right. `tagfleet run --thresholds thresholds.toml` keeps \
         these tags only.{}",
        percent(thresholds.precision),
        cut(thresholds.labels.len(), "labels")
    );
    let table = Table { caption: "Thresholds by label", columns, rows, foot: vec![] };
    Section { id: "thresholds", heading: "Thresholds", lead: &lead }.html(&text(table))
}
