//! Why a run may not keep the rows of an earlier one: what decides rows, compared field by field.
//!
//! It compares requests only; which rows are kept is for split.

use serde_json::{Value, json};

use super::RunRequest;

/// The longest decision that is shown: thresholds of a thousand labels are not.
const MAX_SHOWN: usize = 300;
/// Fields of a model's spec that are only for people.
const SENTENCES: [&str; 2] = ["notes", "warning"];

impl RunRequest {
    /// Why this run may not keep rows of the run that `earlier` requested: the first thing that decides rows
    /// and differs. `None` if it may. Keys are comparable only if both are of one bucket or folder, which the
    /// caller compares.
    #[must_use]
    pub fn differs_from(&self, earlier: &Self) -> Option<String> {
        let (then, now) = (earlier.decisions(), self.decisions());
        for ((what, then), (_, now)) in then.iter().zip(&now) {
            if then.len().max(now.len()) > MAX_SHOWN && then != now {
                return Some(format!("its {what} differs"));
            }
            if then != now {
                return Some(format!("its {what} is {then}, now {now}"));
            }
        }
        let field = changed_field(&earlier.model.spec, &self.model.spec)?;
        Some(format!("its model's {field} differs"))
    }

    /// What decides rows besides the inputs and the model's spec, by name.
    fn decisions(&self) -> [(&'static str, String); 8] {
        [
            ("format", self.version.to_string()),
            ("model", self.model.id()),
            ("model's hash", self.model.sha256.clone()),
            ("engine", self.engine.to_string()),
            ("choice of tags", json!(self.tags).to_string()),
            ("vector", json!(self.vector).to_string()),
            ("limit of bytes", self.max_image_bytes.to_string()),
            ("decoder's version", self.decoder.to_string()),
        ]
    }
}

/// A field of a model's spec that differs. Sentences for people decide no row.
fn changed_field(then: &Value, now: &Value) -> Option<String> {
    let (Value::Object(then), Value::Object(now)) = (then, now) else {
        return (then != now).then(|| "spec".to_owned());
    };
    let fields = then.keys().chain(now.keys()).filter(|field| !SENTENCES.contains(&field.as_str()));
    fields.into_iter().find(|field| then.get(*field) != now.get(*field)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::request;

    #[test]
    fn the_first_thing_that_decides_rows_and_differs_is_named() {
        let (now, mut earlier) = (request(), request());
        earlier.input.location = "elsewhere".to_owned();
        earlier.model.spec = json!({"notes": ["other words"], "labels": ["a"]});
        let mut same = now.clone();
        same.model.spec = json!({"notes": [], "labels": ["a"]});
        assert_eq!(same.differs_from(&earlier), None, "sentences and inputs decide no row");
        same.model.spec = json!({"labels": ["b"]});
        assert_eq!(same.differs_from(&earlier).as_deref(), Some("its model's labels differs"));
        earlier.decoder = 7;
        assert_eq!(now.differs_from(&earlier).as_deref(), Some("its decoder's version is 7, now 1"));
        earlier.tags.labels = Some(vec!["x".repeat(MAX_SHOWN)]);
        assert_eq!(now.differs_from(&earlier).as_deref(), Some("its choice of tags differs"));
    }
}
