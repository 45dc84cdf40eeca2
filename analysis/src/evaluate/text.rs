//! An evaluation in words, for the terminal.
//!
//! Pure text; the JSON has everything, the text what people look at first.

use tagfleet_pipeline::format::{count, images, percent, visible};
use tagfleet_pipeline::reduce::Counted;

use super::{Averages, Evaluation, LabelFigures, Scores};
use crate::text::{by_name, columns, label, some};

/// Labels and confusions that are printed.
const SHOWN: usize = 10;

impl Evaluation {
    /// The evaluation as lines that start with a name.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| text.push_str(&format!("{name:<9}{value}\n"));
        line("run", self.run.in_words());
        line("truth", visible(&self.truth));
        line("images", self.images_in_words());
        for left_out in self.left_out() {
            line("", left_out);
        }
        line("top 1", optional(self.top_1));
        line("top 5", optional(self.top_5));
        if self.counted == Counted::All {
            line("exact", optional(self.exact));
        }
        if let Some(calibration) = &self.calibration {
            line("ece", format!("{:.4} (expected calibration error)", calibration.ece));
        }
        for note in &self.notes {
            line("note", note.clone());
        }
        text.push_str(&self.means());
        text.push_str(&self.worst());
        text.push_str(&self.confused());
        text.push_str(&self.thresholds_in_words());
        text
    }

    fn images_in_words(&self) -> String {
        format!("{} evaluated", count(self.images.evaluated))
    }

    /// What is in no figure, with examples.
    fn left_out(&self) -> Vec<String> {
        let of = &self.images;
        let unknown: Vec<String> = self.unknown_labels.iter().map(|label| label.label.clone()).collect();
        let all_unknown = unknown.len() as u64;
        let mut lines = Vec::new();
        let mut add = |number: u64, what: String| {
            if number > 0 {
                lines.push(format!("{} {what}", count(number)));
            }
        };
        add(of.failed, format!("failed ({})", by_name(self.failed.iter())));
        add(of.unknown_label, "with no label that the model has".to_owned());
        add(of.without_label, "without a label in the truth".to_owned());
        add(of.only_in_truth, format!("only in the truth ({})", some(&self.only_in_truth, of.only_in_truth)));
        add(of.only_in_run, format!("only in the run ({})", some(&self.only_in_run, of.only_in_run)));
        if all_unknown > 0 {
            lines.push(format!("labels that the model does not have: {}", some(&unknown, all_unknown)));
        }
        lines
    }

    fn means(&self) -> String {
        let Averages { of_labels, weighted, micro } = &self.averages;
        let row = |name: &str, scores: &Scores| cells(name.to_owned(), scores, Vec::new());
        let head = ["mean", "precision", "recall", "F1"].map(str::to_owned).to_vec();
        let rows = vec![head, row("macro", of_labels), row("weighted", weighted), row("micro", micro)];
        format!("\n{}", columns(&[1, 2, 3], &rows))
    }

    /// The labels with the lowest F1 of those that are in the truth.
    fn worst(&self) -> String {
        let mut labels: Vec<&LabelFigures> = self.labels.iter().filter(|label| label.support > 0).collect();
        labels.sort_by(|a, b| a.scores.f1.total_cmp(&b.scores.f1).then_with(|| a.label.cmp(&b.label)));
        if labels.is_empty() {
            return String::new();
        }
        let head = ["label", "precision", "recall", "F1", "support"].map(str::to_owned).to_vec();
        let mut rows = vec![head];
        for figures in labels.iter().take(SHOWN) {
            let name = label(Some(&figures.label));
            rows.push(cells(name, &figures.scores, vec![count(figures.support)]));
        }
        let more = match labels.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("and {more} with a higher F1\n"),
        };
        format!("\n{}{more}", columns(&[1, 2, 3, 4], &rows))
    }

    fn confused(&self) -> String {
        if self.confusions.is_empty() {
            return String::new();
        }
        let head = match self.counted {
            Counted::Best => ["images", "is", "tagged as", "for example"],
            Counted::All => ["images", "missed", "wrong", "for example"],
        };
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for confusion in self.confusions.iter().take(SHOWN) {
            let keys: Vec<String> = confusion.examples.iter().map(|example| example.key.clone()).collect();
            let [truth, predicted] =
                [&confusion.truth, &confusion.predicted].map(|name| self.pair_label(name.as_deref()));
            rows.push(vec![count(confusion.images), truth, predicted, some(&keys, confusion.images)]);
        }
        let others =
            self.confusions.iter().skip(SHOWN).map(|pair| pair.images).sum::<u64>() + self.other_confusions;
        let more = match others {
            0 => String::new(),
            others => format!("and {} of other pairs of labels\n", images(others)),
        };
        format!("\n{}{more}", columns(&[0], &rows))
    }

    /// Of several labels only one of a pair is there.
    fn pair_label(&self, name: Option<&str>) -> String {
        match (self.counted, name) {
            (Counted::All, None) => "-".to_owned(),
            (_, name) => label(name),
        }
    }

    fn thresholds_in_words(&self) -> String {
        let Some(thresholds) = &self.thresholds else { return String::new() };
        let found = thresholds.labels.iter().filter(|label| label.threshold.is_some()).count();
        let few = thresholds.labels.iter().filter(|label| label.too_few).count();
        let never = thresholds.labels.len() - found - few;
        format!(
            "\nthresholds for a precision of {}: {found} of {} labels have one, {never} never reach it, {few} have too few \
             tags\n",
            percent(thresholds.precision),
            thresholds.labels.len()
        )
    }
}

fn optional(share: Option<f64>) -> String {
    share.map_or_else(|| "unknown".to_owned(), percent)
}

fn cells(name: String, scores: &Scores, more: Vec<String>) -> Vec<String> {
    let numbers = [scores.precision, scores.recall, scores.f1].map(|number| format!("{number:.3}"));
    [name].into_iter().chain(numbers).chain(more).collect()
}
