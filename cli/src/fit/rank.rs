//! Candidates with their scores, the best first.
//!
//! It orders; what the order means is for `verdict`.

use std::cmp::Ordering;

use tagfleet_model::preprocessing::Filter;

use super::candidates::Candidate;
use super::score::{Margin, Score};
use super::trial::Answers;

/// A candidate that was tried.
pub(super) struct Trial {
    pub(super) candidate: Candidate,
    pub(super) answers: Answers,
    pub(super) score: Score,
    /// Whether it came into the last stage, whose scores are of more views than those of the others.
    pub(super) is_finalist: bool,
}

/// All that were tried, the best first; at least one.
pub(super) struct Ranking {
    pub(super) trials: Vec<Trial>,
    pub(super) is_labelled: bool,
    /// Whether the graph leaves the layout open, so that names say it.
    pub(super) is_layout_open: bool,
    /// Whether the present description is a guess.
    pub(super) is_guess: bool,
    /// What could not be tried, and pictures that could not be tagged.
    pub(super) notes: Vec<String>,
}

/// What is known beside the trials.
pub(super) struct Facts {
    pub(super) is_labelled: bool,
    pub(super) is_layout_open: bool,
    pub(super) is_guess: bool,
    pub(super) notes: Vec<String>,
}

impl Ranking {
    /// Sorts `trials`; nothing without one.
    pub(super) fn new(mut trials: Vec<Trial>, facts: Facts) -> Option<Self> {
        trials.sort_by(compare);
        prefer_bilinear(&mut trials);
        let Facts { is_labelled, is_layout_open, is_guess, notes } = facts;
        (!trials.is_empty()).then_some(Self { trials, is_labelled, is_layout_open, is_guess, notes })
    }

    pub(super) fn best(&self) -> &Trial {
        &self.trials[0]
    }

    /// The present description and its rank, from 1.
    pub(super) fn present(&self) -> Option<(usize, &Trial)> {
        (1..).zip(&self.trials).find(|(_, trial)| trial.candidate.is_present)
    }

    pub(super) fn name(&self, candidate: &Candidate) -> String {
        candidate.name(self.is_layout_open)
    }
}

/// Finalists first, then right tags, then the measure; ties stay in the order of trial, the present description first.
pub(super) fn compare(a: &Trial, b: &Trial) -> Ordering {
    let finalists = b.is_finalist.cmp(&a.is_finalist);
    let right = b.score.rights().cmp(&a.score.rights());
    finalists.then(right).then(rounded(b).total_cmp(&rounded(a)))
}

/// What rounding does to scores is no reason to prefer one.
fn rounded(trial: &Trial) -> f64 {
    (trial.score.mean() * 1e4).round()
}

/// If a filter is first only by chance, the ordinary filter takes its place.
fn prefer_bilinear(trials: &mut [Trial]) {
    let Some(first) = trials.first() else { return };
    if first.candidate.filter() == Some(Filter::Bilinear) || first.candidate.is_present {
        return;
    }
    let is_sibling = |trial: &Trial| {
        trial.candidate.has_samples_of(&first.candidate)
            && trial.candidate.geometry() == first.candidate.geometry()
            && trial.candidate.filter() == Some(Filter::Bilinear)
            && trial.is_finalist == first.is_finalist
            && trial.score.rights() == first.score.rights()
            && !Margin::of(&first.score, &trial.score).is_decided
    };
    if let Some(position) = trials.iter().position(is_sibling) {
        trials[..=position].rotate_right(1);
    }
}
