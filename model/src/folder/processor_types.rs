//! The image processors of transformers that are understood, with the defaults each gives to absent fields.
//!
//! `processors.json` is written by `scripts/processors.py` from an installed transformers, whose version is
//! in it. A processor is in it if its output equals the steps of its [`Kind`]. Nothing here reads a model's
//! files.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::processor::Processor;

/// Which steps a processor makes of its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Resize, centre crop, rescale, normalise.
    Plain,
    /// Below 384: shorter side to `int(size / crop_pct)`, crop `size`; from 384 on: exactly `size`, no crop.
    ConvNext,
    /// Shorter side to `int(size / crop_pct)` if `crop_pct` is set.
    PoolFormer,
    /// Shorter side to `int(256 / 224 * size)`.
    Levit,
    /// Divides by the standard deviation a second time if `include_top` is set.
    EfficientNet,
    /// Crops before it resizes.
    Perceiver,
    /// Nothing named the processor.
    #[default]
    Unnamed,
}

/// One processor.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ProcessorType {
    pub(super) kind: Kind,
    /// The values of absent fields.
    #[serde(flatten)]
    pub(super) defaults: Processor,
    /// Fields that would change its steps and are not read, with the value that leaves them as they are.
    #[serde(default)]
    pub(super) other: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Table {
    processors: BTreeMap<String, ProcessorType>,
    model_types: BTreeMap<String, String>,
}

/// Empty if it can't be parsed, which a test rules out.
static TABLE: LazyLock<Table> =
    LazyLock::new(|| serde_json::from_str(include_str!("processors.json")).unwrap_or_default());

/// The processor of that class name, e.g. `ViTImageProcessor`, `ViTImageProcessorFast`,
/// `ViTFeatureExtractor`.
pub(super) fn by_class(class: &str) -> Option<&'static ProcessorType> {
    const SUFFIXES: [&str; 4] =
        ["ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor"];
    let family = SUFFIXES.iter().find_map(|suffix| class.strip_suffix(suffix))?;
    let pil = format!("{family}Pil");
    let other_defaults = if class.ends_with("Pil") { TABLE.processors.get(&pil) } else { None };
    other_defaults.or_else(|| TABLE.processors.get(family))
}

/// The processor that transformers uses for a `model_type` if no class is named.
pub(super) fn by_model_type(model_type: &str) -> Option<&'static ProcessorType> {
    TABLE.processors.get(TABLE.model_types.get(model_type)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        let table: Table = serde_json::from_str(include_str!("processors.json")).unwrap();
        assert!(table.processors.len() > 40, "{}", table.processors.len());
        let lost = table.model_types.values().find(|family| !table.processors.contains_key(*family));
        assert_eq!(lost, None, "a model type without a processor");
    }
}
