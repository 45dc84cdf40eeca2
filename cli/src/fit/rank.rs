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
    /// Whether the graph leaves the layout open, so that names state it.
    pub(super) is_layout_open: bool,
    /// Whether the present description is a guess.
    pub(super) is_guess: bool,
    /// What could not be tried, and pictures that could not be tagged.
    pub(super) notes: Vec<String>,
}

impl Ranking {
    /// The same with its trials in order.
    pub(super) fn sorted(mut self) -> Self {
        self.trials.sort_by(compare);
        prefer_usual(&mut self.trials);
        self
    }

    pub(super) fn best(&self) -> &Trial {
        &self.trials[0]
    }

    /// The trial of the present description.
    pub(super) fn present(&self) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.candidate.is_present)
    }

    /// The rank of the present description, from 1.
    pub(super) fn present_rank(&self) -> Option<usize> {
        self.trials.iter().position(|trial| trial.candidate.is_present).map(|position| position + 1)
    }

    pub(super) fn name(&self, candidate: &Candidate) -> String {
        candidate.name(self.is_layout_open)
    }
}

/// Finalists first, then right tags, then the measure; ties stay in the order of trial, the present
/// description first.
pub(super) fn compare(a: &Trial, b: &Trial) -> Ordering {
    let finalists = b.is_finalist.cmp(&a.is_finalist);
    let right = b.score.rights().cmp(&a.score.rights());
    finalists.then(right).then(rounded(b).total_cmp(&rounded(a)))
}

/// Differences from rounding are not a reason to prefer one.
fn rounded(trial: &Trial) -> f64 {
    (trial.score.mean() * 1e4).round()
}

/// If something unusual is first only by chance, the usual takes its place: first what it is close to, then
/// the size of the present description or a squash, then the ordinary filter.
fn prefer_usual(trials: &mut [Trial]) {
    prefer(trials, |first, trial| {
        first.is_close
            && !trial.is_close
            && trial.has_samples_close_to(first)
            && trial.geometry().is_like(first.geometry())
    });
    prefer(trials, |first, trial| trial.is_present && trial.has_samples_of(first));
    prefer(trials, |first, trial| {
        !first.geometry().is_squash() && trial.geometry().is_squash() && trial.has_samples_of(first)
    });
    prefer(trials, |first, trial| {
        first.filter() != Some(Filter::Bilinear)
            && trial.filter() == Some(Filter::Bilinear)
            && trial.has_samples_of(first)
            && trial.geometry() == first.geometry()
    });
}

/// Puts the best of the siblings of the first into its place, if the first is better only by chance.
fn prefer(trials: &mut [Trial], is_sibling: impl Fn(&Candidate, &Candidate) -> bool) {
    let Some(first) = trials.first() else { return };
    if first.candidate.is_present {
        return;
    }
    let is_as_good = |trial: &Trial| {
        is_sibling(&first.candidate, &trial.candidate)
            && trial.is_finalist == first.is_finalist
            && trial.score.rights() == first.score.rights()
            && !Margin::of(&first.score, &trial.score).is_decided
    };
    if let Some(position) = trials.iter().position(is_as_good) {
        trials[..=position].rotate_right(1);
    }
}
