//! What the state machine asks the reducer for.
//!
//! It refuses unknown fields, so that a misspelt field of the state machine is not taken for an absent one.

use serde::Deserialize;
use serde_json::Value;
use tagfleet_fleet::problem::Problem;
use tagfleet_function::CallError;
use tagfleet_report::mail::Failure;

/// An action of the state machine on a run.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Action {
    /// Find what is missing, and send it again.
    Check {
        run: String,
        queue_url: String,
        /// 0 after split, from 1 after a round of infer.
        round: u32,
        /// Whether an earlier execution had planned the run.
        resumed: bool,
        /// How much was missing before the job that has just ended; none before the first.
        before: Option<u64>,
        /// What stopped the round, if anything did.
        problem: Option<Problem>,
        /// The last shard that an earlier call sent again, which ended before all were; else empty.
        #[serde(default)]
        sent: String,
    },
    /// Compact a group.
    Compact {
        run: String,
        /// The group, from 0.
        group: u32,
    },
    /// End a run that came to its end.
    Finish { run: String, queue_url: String, problem: Option<Problem> },
    /// Clean up after a run that failed.
    Fail { run: String, queue_url: Option<String>, failure: Failure },
    /// Send the mail to its recipients.
    Mail {
        run: String,
        /// The name of the execution.
        execution: String,
        /// What stopped it; `None` if it came to its end.
        failure: Option<Failure>,
    },
}

impl Action {
    /// Reads a payload.
    pub(crate) fn parse(payload: Value) -> Result<Self, CallError> {
        serde_json::from_value(payload)
            .map_err(|error| CallError::broken(format!("not a payload of the reducer: {error}")))
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Check { .. } => "check",
            Self::Compact { .. } => "compact",
            Self::Finish { .. } => "finish",
            Self::Fail { .. } => "fail",
            Self::Mail { .. } => "mail",
        }
    }

    /// The run's id as the state machine gave it.
    pub(crate) fn run(&self) -> &str {
        match self {
            Self::Check { run, .. }
            | Self::Compact { run, .. }
            | Self::Finish { run, .. }
            | Self::Fail { run, .. }
            | Self::Mail { run, .. } => run,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn payloads_are_read() {
        let problem = json!({"error": "States.TaskFailed", "cause": "x"});
        let failure = json!({"state": "Plan", "error": "BadRequest", "cause": "x"});
        for (name, payload) in [
            (
                "check",
                json!({"queue_url": "q", "round": 0, "resumed": false, "before": null, "problem": null, "sent": ""}),
            ),
            (
                "check",
                json!({"queue_url": "q", "round": 1, "resumed": true, "before": 7, "problem": problem, "sent": "00000-0000007"}),
            ),
            ("compact", json!({"group": 3})),
            ("finish", json!({"queue_url": "q", "problem": null})),
            ("fail", json!({"queue_url": null, "failure": failure})),
            ("mail", json!({"execution": "r-2", "failure": null})),
            ("mail", json!({"execution": "r", "failure": failure})),
        ] {
            let mut payload = payload;
            payload["action"] = json!(name);
            payload["run"] = json!("r");
            let action = Action::parse(payload.clone()).unwrap();
            assert_eq!((action.name(), action.run()), (name, "r"));
            payload["more"] = json!(1);
            assert!(Action::parse(payload).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_no_payload_is_refused() {
        for wrong in
            [json!(null), json!({"action": "plan", "run": "r"}), json!({"action": "compact", "run": "r"})]
        {
            assert!(Action::parse(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
