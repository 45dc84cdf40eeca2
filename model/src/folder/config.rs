//! `config.json`: labels, the kind of problem, and timm's `pretrained_cfg`. Decides nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::timm::Timm;
use super::{ModelError, files};

pub(crate) const NAME: &str = "config.json";

/// What tagfleet reads of `config.json`; other fields are not its business.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Config {
    pub(super) model_type: Option<String>,
    pub(super) problem_type: Option<String>,
    id2label: Option<BTreeMap<String, Value>>,
    label_names: Option<Vec<String>>,
    pretrained_cfg: Option<Value>,
    architecture: Option<String>,
    input_size: Option<Value>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

impl Config {
    pub(super) fn read(root: &Path) -> Result<Self, ModelError> {
        Ok(files::read_json(&root.join(NAME))?.unwrap_or_default())
    }

    /// timm's description of the model: `pretrained_cfg`, or the whole file as timm wrote it before 2023
    /// (`_parse_model_cfg` in timm's `models/_hub.py`).
    pub(super) fn timm(&self) -> Result<Option<Timm>, ModelError> {
        let parsed = match (&self.pretrained_cfg, &self.architecture, &self.input_size) {
            (Some(value), _, _) => Timm::deserialize(value),
            (None, Some(_), Some(size)) => {
                let mut old = self.rest.clone();
                old.insert("input_size".to_owned(), size.clone());
                Timm::deserialize(Value::Object(old.into_iter().collect()))
            }
            _ => return Ok(None),
        };
        parsed
            .map(Some)
            .map_err(|error| ModelError::new(format!("{NAME}: pretrained_cfg can't be understood: {error}")))
    }

    /// The labels in the order of their indices, and the field they come from.
    pub(crate) fn labels(&self) -> Result<Option<(Vec<String>, &'static str)>, ModelError> {
        if let Some(map) = self.id2label.as_ref().filter(|map| !map.is_empty()) {
            return Ok(Some((in_order(map)?, "id2label of config.json")));
        }
        if let Some(names) =
            self.label_names.as_ref().or(self.timm()?.and_then(|timm| timm.label_names).as_ref())
        {
            return Ok(Some((names.clone(), "label_names of config.json")));
        }
        Ok(None)
    }
}

fn in_order(map: &BTreeMap<String, Value>) -> Result<Vec<String>, ModelError> {
    let label = |index: usize| match map.get(&index.to_string()) {
        Some(Value::String(label)) => Ok(label.clone()),
        Some(other) => Ok(other.to_string()),
        None => Err(ModelError::new(format!(
            "id2label of config.json has {} entries but none for {index}: number them 0 to {}",
            map.len(),
            map.len() - 1
        ))),
    };
    (0..map.len()).map(label).collect()
}
