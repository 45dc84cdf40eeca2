//! The image processors of transformers that are understood: their fields, and the defaults of absent ones.
//!
//! `processors.json` is written by `scripts/processors.py` from an installed transformers, whose version is
//! in it. A processor is in it if its output equals the steps of its [`Kind`]. Nothing here reads a model's
//! files.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::steps::PerChannel;
use super::timm::Timm;

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

/// What is read of the file. Fields that are not here are in `rest`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Processor {
    pub(super) image_processor_type: Option<String>,
    pub(super) feature_extractor_type: Option<String>,
    pub(super) do_resize: Option<bool>,
    pub(super) size: Option<Value>,
    pub(super) resample: Option<u8>,
    pub(super) crop_pct: Option<f64>,
    pub(super) do_center_crop: Option<bool>,
    pub(super) crop_size: Option<Value>,
    pub(super) do_rescale: Option<bool>,
    pub(super) rescale_factor: Option<f64>,
    pub(super) rescale_offset: Option<bool>,
    pub(super) do_normalize: Option<bool>,
    pub(super) image_mean: Option<PerChannel>,
    pub(super) image_std: Option<PerChannel>,
    pub(super) do_flip_channel_order: Option<bool>,
    pub(super) include_top: Option<bool>,
    pub(super) pretrained_cfg: Option<Timm>,
    #[serde(flatten)]
    pub(super) rest: BTreeMap<String, Value>,
}

impl Processor {
    /// This file's fields, and those of `defaults` that it leaves out.
    pub(super) fn over(&self, defaults: &Self) -> Self {
        let own = self.clone();
        Self {
            do_resize: own.do_resize.or(defaults.do_resize),
            size: given(own.size).or_else(|| defaults.size.clone()),
            resample: own.resample.or(defaults.resample),
            crop_pct: own.crop_pct.or(defaults.crop_pct),
            do_center_crop: own.do_center_crop.or(defaults.do_center_crop),
            crop_size: given(own.crop_size).or_else(|| defaults.crop_size.clone()),
            do_rescale: own.do_rescale.or(defaults.do_rescale),
            rescale_factor: own.rescale_factor.or(defaults.rescale_factor),
            rescale_offset: own.rescale_offset.or(defaults.rescale_offset),
            do_normalize: own.do_normalize.or(defaults.do_normalize),
            image_mean: own.image_mean.or_else(|| defaults.image_mean.clone()),
            image_std: own.image_std.or_else(|| defaults.image_std.clone()),
            do_flip_channel_order: own.do_flip_channel_order.or(defaults.do_flip_channel_order),
            include_top: own.include_top.or(defaults.include_top),
            ..own
        }
    }
}

/// A null counts as absent.
fn given(value: Option<Value>) -> Option<Value> {
    value.filter(|value| !value.is_null())
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

impl ProcessorType {
    /// Whether a size of one number is the side of a square, as for processors whose own size has a height.
    pub(super) fn number_is_square(&self) -> bool {
        self.defaults.size.as_ref().is_some_and(|size| size.get("height").is_some())
    }
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
