//! How good the end of a run is: a colour and a few words, the same in the page and in the mail.
//!
//! It decides nothing: exit codes and states follow from the rows alone.

use super::{State, Summary};
use tagfleet_pipeline::format::{count, share};

/// A run with more failed images than this share of all needs a person's attention.
const BAD_SHARE: f64 = 0.05;

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grade {
    /// Every image is tagged.
    Good,
    /// Up to 5 % failed.
    Fair,
    /// More failed, too many images have other tags than before, or the run is not complete.
    Bad,
}

impl Grade {
    pub(super) fn of(summary: &Summary) -> Self {
        match summary.state {
            State::Complete if !summary.has_too_many_flips() => Self::of_failures(summary),
            _ => Self::Bad,
        }
    }

    /// How good the number of failed images is by itself.
    pub(super) fn of_failures(summary: &Summary) -> Self {
        match summary.all_failed() {
            0 => Self::Good,
            failed if failed as f64 <= summary.images as f64 * BAD_SHARE => Self::Fair,
            _ => Self::Bad,
        }
    }

    /// As the style sheet has it.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Bad => "bad",
        }
    }
}

/// How the run ended, in a word or a few.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Complete => "Complete",
        State::Interrupted => "Interrupted",
        State::Incomplete => "Incomplete",
        State::StoppedAtBudget => "Stopped at its budget",
    }
}

/// `Complete, 8 failed (0.8 %)`
pub(super) fn outcome(summary: &Summary) -> String {
    let state = match summary.state {
        State::Complete if summary.has_too_many_flips() => "Complete, too many flips",
        other => state(other),
    };
    match summary.all_failed() {
        0 => state.to_owned(),
        failed => {
            format!("{state}, {} failed ({})", count(failed), share(failed as f64, summary.images as f64))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::summary;
    use super::*;

    #[test]
    fn more_than_one_in_twenty_is_bad() {
        let graded = |failed: u64, state| {
            let failed = BTreeMap::from([("corrupt".to_owned(), failed)]);
            let summary = Summary { failed, state, ..summary() };
            (Grade::of(&summary), outcome(&summary))
        };
        let grades = [0, 1, 50, 51].map(|failed| graded(failed, State::Complete).0);
        assert_eq!(grades, [Grade::Good, Grade::Fair, Grade::Fair, Grade::Bad]);
        assert_eq!(graded(51, State::Complete).1, "Complete, 51 failed (5.1\u{a0}%)");
        assert_eq!(graded(0, State::Incomplete), (Grade::Bad, "Incomplete".to_owned()));
    }
}
