//! `config.json`: labels, the kind of problem, and timm's `pretrained_cfg`. Decides nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::timm::Timm;
use crate::error::ModelError;
use crate::files;

pub(crate) const NAME: &str = "config.json";

/// What tagfleet reads of `config.json`; other fields are not its business.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Config {
    pub(super) model_type: Option<String>,
    pub(super) problem_type: Option<String>,
    id2label: Option<BTreeMap<String, Value>>,
    label_names: Option<Vec<String>>,
    /// timm's name of `label_names` until 2023.
    labels: Option<Value>,
    image_size: Option<Value>,
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
        let of_timm = || Ok::<_, ModelError>(self.timm()?.and_then(Timm::labels));
        let old = || serde_json::from_value::<Vec<String>>(self.labels.clone()?).ok();
        let names = match self.label_names.clone().or_else(old) {
            Some(names) => Some(names),
            None => of_timm()?,
        };
        Ok(names.map(|names| (names, "label_names of config.json")))
    }

    /// The side of the pictures that a network of transformers takes, if it is a square.
    pub(super) fn image_size(&self) -> Option<u32> {
        let side = |value: &Value| value.as_u64().and_then(|side| u32::try_from(side).ok());
        match self.image_size.as_ref()? {
            Value::Array(sides) if sides.len() == 2 && sides[0] == sides[1] => side(&sides[0]),
            value => side(value),
        }
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
