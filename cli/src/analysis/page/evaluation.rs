//! The page of an evaluation: figures, confusions with pictures, labels, calibration, thresholds.
//!
//! Pure but for the pictures, which were read before.

use std::collections::BTreeSet;

use tagfleet_analysis::evaluate::{Calibration, Confusion, Evaluation, LabelThreshold, Scores, Thresholds};
use tagfleet_analysis::percent;
use tagfleet_pipeline::number::count;
use tagfleet_report::html::name;
use tagfleet_report::html::table::{bar, table};

use super::super::pictures::Pictures;
use super::{ROWS, cut, figures, keys, label, note, pairs, section, whole};

/// The keys whose pictures the page shows.
pub(in super::super) fn shown(evaluation: &Evaluation) -> BTreeSet<&str> {
    keys(evaluation.confusions.iter().map(|confusion| confusion.examples.as_slice()))
}

pub(in super::super) fn page(evaluation: &Evaluation, pictures: &Pictures) -> String {
    let main = [
        key_figures(evaluation),
        left_out(evaluation),
        confusions(evaluation, pictures),
        labels(evaluation),
        evaluation.calibration.as_ref().map(calibration).unwrap_or_default(),
        evaluation.thresholds.as_ref().map(thresholds).unwrap_or_default(),
    ];
    let run = &evaluation.run;
    let lead = format!("{}, compared with {}", run.in_words(), evaluation.truth);
    let title = format!("tagfleet evaluation {}", run.run);
    whole(&title, (&format!("Evaluation of {}", run.run), &lead), &main.concat())
}

fn key_figures(evaluation: &Evaluation) -> String {
    let optional = |share: Option<f64>| share.map_or_else(|| "unknown".to_owned(), percent);
    let mut all = vec![
        ("Evaluated", count(evaluation.images.evaluated), "images".to_owned()),
        ("Top 1", optional(evaluation.top_1), "best tag is right".to_owned()),
        ("Top 5", optional(evaluation.top_5), "one of five is right".to_owned()),
    ];
    if evaluation.exact.is_some() {
        all.push(("Exact", optional(evaluation.exact), "all tags and no other".to_owned()));
    }
    all.push(("Macro F1", format!("{:.3}", evaluation.averages.of_labels.f1), "mean of labels".to_owned()));
    if let Some(calibration) = &evaluation.calibration {
        all.push(("ECE", format!("{:.3}", calibration.ece), "calibration error".to_owned()));
    }
    figures(&all)
}

/// What is in no figure.
fn left_out(evaluation: &Evaluation) -> String {
    let images = &evaluation.images;
    let some = |keys: &[String]| keys.iter().map(|key| name(key)).collect::<Vec<_>>().join(", ");
    let failed: Vec<String> =
        evaluation.failed.iter().map(|(code, images)| format!("{} {}", name(code), count(*images))).collect();
    let unknown: Vec<String> = evaluation.unknown_labels.iter().map(|label| label.label.clone()).collect();
    let all = [
        ("Failed in the run", images.failed, failed.join(", ")),
        ("With unknown labels only", images.unknown_label, some(&unknown)),
        ("Without a label in the truth", images.without_label, String::new()),
        ("Only in the truth", images.only_in_truth, some(&evaluation.only_in_truth)),
        ("Only in the run", images.only_in_run, some(&evaluation.only_in_run)),
    ];
    let present = all.into_iter().filter(|(_, images, examples)| *images > 0 || !examples.is_empty());
    let rows: Vec<Vec<String>> =
        present.map(|(what, images, examples)| vec![what.to_owned(), count(images), examples]).collect();
    let mut content = String::new();
    if !rows.is_empty() {
        let columns = [("What", false), ("Images", true), ("For example", false)];
        content = table("Images that are in no figure", &columns, &rows, None);
    }
    for text in &evaluation.notes {
        content.push_str(&format!("<p class=\"notes\">{}</p>\n", tagfleet_report::html::escape(text)));
    }
    section(("out", "Not evaluated"), "These images count neither as right nor as wrong.", &content)
}

fn heading(confusion: &Confusion) -> String {
    format!(
        "{} tagged as {} <small>{}</small>",
        label(confusion.truth.as_deref(), "something else"),
        label(confusion.predicted.as_deref(), "no tag"),
        count(confusion.images)
    )
}

fn confusions(evaluation: &Evaluation, pictures: &Pictures) -> String {
    let all =
        evaluation.confusions.iter().map(|confusion| (heading(confusion), confusion.examples.as_slice()));
    let content = pairs(all, pictures);
    if content.is_empty() {
        return String::new();
    }
    let lead = "The most frequent wrong tags, with images drawn at random. A truth may be wrong as well: look at the pictures.";
    section(("confusions", "Confusions"), lead, &(note(pictures) + &content))
}

fn scores(first: String, scores: &Scores, more: &[u64]) -> Vec<String> {
    let numbers = [scores.precision, scores.recall, scores.f1].map(|number| format!("{number:.3}"));
    let bars = bar(scores.f1, 1.0);
    [first, bars].into_iter().chain(numbers).chain(more.iter().map(|number| count(*number))).collect()
}

fn labels(evaluation: &Evaluation) -> String {
    let columns = [
        ("Label", false),
        ("", false),
        ("Precision", true),
        ("Recall", true),
        ("F1", true),
        ("Support", true),
        ("Tagged", true),
    ];
    let row = |label: &tagfleet_analysis::evaluate::LabelFigures| {
        scores(name(&label.label), &label.scores, &[label.support, label.predicted])
    };
    let rows: Vec<Vec<String>> = evaluation.labels.iter().take(ROWS).map(row).collect();
    let averages = &evaluation.averages;
    let means = [("macro", averages.of_labels), ("weighted", averages.weighted), ("micro", averages.micro)]
        .map(|(mean, of)| scores(mean.to_owned(), &of, &[]));
    let means = table("Means", &columns[..5], &means, None);
    let lead = format!(
        "Support: images that have the label. Tagged: images that were given it.{}",
        cut(evaluation.labels.len(), "labels")
    );
    section(("labels", "Labels"), &lead, &(means + &table("By label", &columns, &rows, None)))
}

fn calibration(calibration: &Calibration) -> String {
    let columns = [("Score", false), ("", false), ("Right", true), ("Mean score", true), ("Tags", true)];
    let row = |bin: &tagfleet_analysis::evaluate::CalibrationBin| {
        let edges = format!("{:.1} to {:.1}", bin.from, bin.to);
        vec![
            edges,
            bar(bin.right, 1.0),
            percent(bin.right),
            format!("{:.3}", bin.mean_score),
            count(bin.tags),
        ]
    };
    let rows: Vec<Vec<String>> = calibration.bins.iter().map(row).collect();
    let lead = format!(
        "If scores are probabilities, the share of right tags equals the mean score. The expected calibration error is {:.3}.",
        calibration.ece
    );
    section(("calibration", "Reliability"), &lead, &table("Tags by score", &columns, &rows, None))
}

fn thresholds(thresholds: &Thresholds) -> String {
    let columns =
        [("Label", false), ("Threshold", true), ("Kept", true), ("Right of these", true), ("All tags", true)];
    let row = |label: &LabelThreshold| {
        let found = match label.threshold {
            Some(threshold) => format!("{threshold:.3}"),
            None if label.too_few => "too few tags".to_owned(),
            None => "never".to_owned(),
        };
        vec![name(&label.label), found, count(label.kept), count(label.kept_right), count(label.tags)]
    };
    let rows: Vec<Vec<String>> = thresholds.labels.iter().take(ROWS).map(row).collect();
    let lead = format!(
        "The lowest score of each label from which {} of its tags are right. `tagfleet run --thresholds thresholds.toml` keeps \
         these tags only.{}",
        percent(thresholds.precision),
        cut(thresholds.labels.len(), "labels")
    );
    section(("thresholds", "Thresholds"), &lead, &table("Thresholds by label", &columns, &rows, None))
}
