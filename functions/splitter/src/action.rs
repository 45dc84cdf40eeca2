//! What the splitter is asked to do: an event of the stack's bucket, or an action of the state machine.
//!
//! It refuses unknown fields, so that a misspelt field of the state machine is not taken for an absent one.

use serde::Deserialize;
use serde_json::Value;
use tagfleet_function::CallError;

use crate::event::ObjectCreated;

/// A payload.
#[derive(Debug, PartialEq)]
pub(crate) enum Payload {
    /// A request file was put.
    Event(ObjectCreated),
    /// The state machine calls.
    Action(Action),
}

/// An action of the state machine.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Action {
    /// Store the request that an execution was started with.
    Store {
        /// The id that its run gets: the execution's name.
        run: String,
        /// What is read as a request file is.
        request: Value,
    },
    /// Plan a run.
    Plan {
        /// Its id.
        run: String,
        /// The name of the execution, whose queue is made.
        execution: String,
    },
    /// Split one of its ranges, or continue it.
    Split {
        /// The run's id.
        run: String,
        /// The queue of the execution.
        queue_url: String,
        /// The range, from 0.
        range: u32,
    },
}

impl Payload {
    /// Reads a payload.
    pub(crate) fn parse(payload: Value) -> Result<Self, CallError> {
        let is_event = payload.get("detail-type").is_some();
        let parsed = if is_event {
            serde_json::from_value(payload).map(Self::Event)
        } else {
            serde_json::from_value(payload).map(Self::Action)
        };
        parsed.map_err(|error| CallError::broken(format!("not a payload of the splitter: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn actions_are_read_and_unknown_fields_refused() {
        let split = json!({"action": "split", "run": "r", "queue_url": "q", "range": 2});
        let expected = Action::Split { run: "r".to_owned(), queue_url: "q".to_owned(), range: 2 };
        assert_eq!(Payload::parse(split).unwrap(), Payload::Action(expected));
        for wrong in [
            json!({"action": "store", "run": "r"}),
            json!({"action": "plan", "run": "r"}),
            json!({"action": "plan", "run": "r", "execution": "r", "more": 1}),
            json!({"action": "compact", "run": "r", "group": 0}),
            json!({"detail-type": "Object Created", "detail": {}}),
            json!([]),
        ] {
            assert!(Payload::parse(wrong.clone()).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_panics(bytes: Vec<u8>, text in "[{}\"detail\\-typ:,0-9\\[\\]]{0,80}", run: String) {
            for hostile in [bytes, text.into_bytes()] {
                if let Ok(payload) = serde_json::from_slice(&hostile) {
                    let _ = Payload::parse(payload);
                }
            }
            let _ = Payload::parse(json!({"action": "plan", "run": run, "execution": run}));
            let _ = Payload::parse(json!({"detail-type": run, "detail": {"bucket": run, "object": {"key": run}}}));
        }
    }
}
