//! The errors that a state machine catches between steps, and the names by which it knows those of ours.
//!
//! It exists so that a name is spelled once. It decides nothing about what follows from an error.

use serde::{Deserialize, Serialize};

/// The error of a run that ended because its limit was reached.
pub const STOPPED_AT_BUDGET: &str = "tagfleet.StoppedAtBudget";
/// The error of a run whose shards have no part after the last round.
pub const INCOMPLETE: &str = "tagfleet.Incomplete";
/// The error of a run that started and ended because a price became unknown.
pub const PRICE_UNKNOWN: &str = "tagfleet.PriceUnknown";
/// The error of a state whose time limit was reached, as Step Functions names it.
pub const TIMEOUT: &str = "States.Timeout";
/// What a job queue's time limit reports if it ended a job that got no machine.
pub const NO_CAPACITY: &str = "tagfleet: no capacity";

/// An error that the state machine caught and continued with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its name, `States.TaskFailed`.
    pub error: String,
    /// Its message; for a job that failed, its description as JSON.
    #[serde(default)]
    pub cause: String,
}

impl Problem {
    /// Whether the state machine ended the round because its time was over.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.error == TIMEOUT
    }

    /// Whether the run ended because its limit was spent.
    #[must_use]
    pub fn is_budget(&self) -> bool {
        self.error == STOPPED_AT_BUDGET
    }

    /// Whether the run ended because a price became unknown.
    #[must_use]
    pub fn is_price_unknown(&self) -> bool {
        self.error == PRICE_UNKNOWN
    }

    /// Whether the job never got a machine: another round would wait as long in vain.
    #[must_use]
    pub fn is_no_capacity(&self) -> bool {
        self.cause.contains(NO_CAPACITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_has_these_names() {
        let machine = include_str!("../../infra/state-machine.asl.json");
        for name in [INCOMPLETE, STOPPED_AT_BUDGET, PRICE_UNKNOWN] {
            assert!(machine.contains(&format!("\"Error\": \"{name}\"")), "{name}");
        }
    }
}
