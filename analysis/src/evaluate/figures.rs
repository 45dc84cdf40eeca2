//! Precision, recall and F1 of each label, and their means.
//!
//! Definitions are scikit-learn's `precision_recall_fscore_support` with `zero_division=0`, over the labels
//! that are in the truth or were given; a test compares the figures.

use super::{Averages, LabelFigures, Scores};
use crate::labels::{Counts, LabelId, Labels};

/// Counts by label.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Images that have the label.
    support: Counts,
    /// Images that were given the label.
    predicted: Counts,
    /// Images that were given it and have it.
    right: Counts,
}

/// The counts of one label, or of all together.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    support: u64,
    predicted: u64,
    right: u64,
}

impl Figures {
    pub(super) fn add_support(&mut self, id: LabelId) {
        self.support.add(id);
    }

    pub(super) fn add_predicted(&mut self, id: LabelId, is_right: bool) {
        self.predicted.add(id);
        if is_right {
            self.right.add(id);
        }
    }

    /// The figures of each label in the order of names.
    pub(super) fn labels(&self, labels: &Labels) -> Vec<LabelFigures> {
        let mut figures = Vec::new();
        for (id, name) in labels.iter() {
            let counted = self.of(id);
            if counted.support + counted.predicted > 0 {
                figures.push(LabelFigures {
                    label: name.to_owned(),
                    scores: counted.scores(),
                    support: counted.support,
                    predicted: counted.predicted,
                });
            }
        }
        figures.sort_by(|a, b| a.label.cmp(&b.label));
        figures
    }

    /// The means over `labels`, which are those of [`Figures::labels`].
    pub(super) fn averages(&self, labels: &[LabelFigures], names: &Labels) -> Averages {
        let all: u64 = labels.iter().map(|label| label.support).sum();
        let mut together = Counted::default();
        for (id, _) in names.iter() {
            let of = self.of(id);
            together.support += of.support;
            together.predicted += of.predicted;
            together.right += of.right;
        }
        Averages {
            of_labels: mean(labels, labels.len() as f64, |_| 1.0),
            weighted: mean(labels, all as f64, |label| label.support as f64),
            micro: together.scores(),
        }
    }

    fn of(&self, id: LabelId) -> Counted {
        Counted { support: self.support.of(id), predicted: self.predicted.of(id), right: self.right.of(id) }
    }
}

impl Counted {
    fn scores(self) -> Scores {
        let (precision, recall) = (ratio(self.right, self.predicted), ratio(self.right, self.support));
        Scores { precision, recall, f1: ratio(2 * self.right, self.predicted + self.support) }
    }
}

fn ratio(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

fn mean(labels: &[LabelFigures], all: f64, weight: impl Fn(&LabelFigures) -> f64) -> Scores {
    let mut sum = Scores::default();
    for label in labels {
        let share = if all > 0.0 { weight(label) / all } else { 0.0 };
        sum.precision += label.scores.precision * share;
        sum.recall += label.scores.recall * share;
        sum.f1 += label.scores.f1 * share;
    }
    sum
}
