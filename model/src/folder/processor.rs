//! `preprocessor_config.json`, as transformers wrote it over the years, to the steps it stands for.
//!
//! `size` and `crop_size` come as a number, `{height, width}` or `{shortest_edge}`; absent fields, and those that are
//! null, take the defaults of the named processor ([`super::processor_types`]).
//!
//! Centre crops follow torchvision and the Fast processors, which round half a pixel to even, whichever class the file
//! names: the slow classes' crops are one pixel off where they round down instead.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::processor_types::{DefaultSize, Kind, ProcessorType, by_class, by_model_type};
use super::steps::{PerChannel, Steps, filter_by_number, pixels};
use super::timm::Timm;
use super::{ModelError, files};
use crate::preprocessing::{Color, Resize, ResizeTo, Size};

pub(super) const NAME: &str = "preprocessor_config.json";

/// What tagfleet reads of the file; other fields are not its business.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Processor {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    size: Option<Value>,
    resample: Option<u8>,
    crop_pct: Option<f64>,
    do_center_crop: Option<bool>,
    crop_size: Option<Value>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    rescale_offset: Option<bool>,
    do_normalize: Option<bool>,
    image_mean: Option<PerChannel>,
    image_std: Option<PerChannel>,
    do_flip_channel_order: Option<bool>,
    do_pad: Option<bool>,
    include_top: Option<bool>,
    pretrained_cfg: Option<Timm>,
}

/// transformers' wrapper around timm models, whose file holds timm's own description.
const TIMM_WRAPPER: &str = "TimmWrapperImageProcessor";

/// Reads the file in `root`; `None` where there is none, or it leaves everything to `config.json`.
pub(super) fn read(
    root: &Path,
    model_type: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Option<Steps>, ModelError> {
    let Some(file) = files::read_json::<Processor>(&root.join(NAME))? else { return Ok(None) };
    if file.image_processor_type.as_deref() == Some(TIMM_WRAPPER) {
        let Some(timm) = &file.pretrained_cfg else { return Ok(None) };
        return timm.steps("pretrained_cfg of preprocessor_config.json").map(Some);
    }
    let kind = file.processor_type(model_type, notes)?;
    file.steps(&kind, notes).map(Some)
}

impl Processor {
    fn processor_type(
        &self,
        model_type: Option<&str>,
        notes: &mut Vec<String>,
    ) -> Result<ProcessorType, ModelError> {
        let class = self.image_processor_type.as_ref().or(self.feature_extractor_type.as_ref());
        if let Some(class) = class {
            return by_class(class).ok_or_else(|| unknown(class));
        }
        if let Some(model_type) = model_type
            && let Some(known) = by_model_type(model_type)
        {
            notes.push(format!(
                "{NAME} names no processor: absent fields take the defaults of the one for {model_type} models"
            ));
            return Ok(known);
        }
        notes.push(format!(
            "{NAME} names no processor: absent fields take ImageNet's mean, 1/255 and bilinear"
        ));
        Ok(ProcessorType::UNNAMED)
    }

    /// The steps; `known` gives what this file leaves out.
    pub(super) fn steps(&self, known: &ProcessorType, notes: &mut Vec<String>) -> Result<Steps, ModelError> {
        if self.do_pad == Some(true) {
            return Err(ModelError::new(format!(
                "{NAME}: do_pad is true, but tagfleet pads no pictures: give resize and crop in tagfleet.toml"
            )));
        }
        let mut steps = Steps { source: NAME, ..Steps::default() };
        if self.do_flip_channel_order.unwrap_or(known.flip) {
            steps.color = Some(Color::Bgr);
        }
        self.resize_and_crop(known, &mut steps, notes)?;
        steps.scale =
            if self.do_rescale.unwrap_or(true) { self.rescale_factor.unwrap_or(1.0 / 255.0) } else { 1.0 };
        if self.do_rescale.unwrap_or(true) && self.rescale_offset == Some(true) {
            steps.offset = -1.0;
        }
        self.normalise(known, &mut steps)?;
        Ok(steps)
    }

    fn resize_and_crop(
        &self,
        known: &ProcessorType,
        steps: &mut Steps,
        notes: &mut Vec<String>,
    ) -> Result<(), ModelError> {
        steps.crop = self.crop(known)?;
        let size = self.size(known)?;
        let (true, Some(to)) = (self.do_resize.unwrap_or(size.is_some()), size) else { return Ok(()) };
        let number = self.resample;
        let filter = match number {
            None => known.filter,
            Some(number) => filter_by_number(number).ok_or_else(|| {
                ModelError::new(format!("{NAME}: resample is {number}, but Pillow's filters are 0 to 5"))
            })?,
        };
        let to = match known.kind {
            Kind::Plain | Kind::EfficientNet | Kind::Unnamed => to,
            Kind::ConvNext => self.convnext(known, to, steps)?,
            Kind::PoolFormer => poolformer(to, self.crop_pct.or(known.crop_pct))?,
            Kind::Levit => match to {
                ResizeTo::ShortestEdge(side) => ResizeTo::ShortestEdge(pixels(
                    (256.0 / 224.0) * f64::from(side),
                    "size of preprocessor_config.json",
                )?),
                other => other,
            },
            Kind::Perceiver => perceiver(to, steps, notes)?,
        };
        steps.resize = Some(Resize { to, filter });
        Ok(())
    }

    fn size(&self, known: &ProcessorType) -> Result<Option<ResizeTo>, ModelError> {
        let Some(value) = &self.size else {
            return Ok(match known.size {
                DefaultSize::Square(side) => Some(ResizeTo::Exact(Size { height: side, width: side })),
                DefaultSize::ShortestEdge(side) => Some(ResizeTo::ShortestEdge(side)),
                DefaultSize::Unset => None,
            });
        };
        let number_is_square = matches!(known.size, DefaultSize::Square(_));
        size_field("size", value, number_is_square).map(Some)
    }

    fn crop(&self, known: &ProcessorType) -> Result<Option<Size>, ModelError> {
        let by_default = known.crop.is_some() || (known.kind == Kind::Unnamed && self.crop_size.is_some());
        if !self.do_center_crop.unwrap_or(by_default) {
            return Ok(None);
        }
        let Some(value) = &self.crop_size else {
            let side = known.crop_side.ok_or_else(|| {
                ModelError::new(format!(
                    "{NAME}: do_center_crop is true, but there is no crop_size: give crop in tagfleet.toml"
                ))
            })?;
            return Ok(Some(Size { height: side, width: side }));
        };
        match size_field("crop_size", value, true)? {
            ResizeTo::ShortestEdge(side) => Ok(Some(Size { height: side, width: side })),
            ResizeTo::Exact(size) | ResizeTo::Cover(size) | ResizeTo::Fit(size) | ResizeTo::Height(size) => {
                Ok(Some(size))
            }
        }
    }

    fn convnext(
        &self,
        known: &ProcessorType,
        to: ResizeTo,
        steps: &mut Steps,
    ) -> Result<ResizeTo, ModelError> {
        let side = match to {
            ResizeTo::ShortestEdge(side) => side,
            ResizeTo::Exact(size) if size.height == size.width => size.height,
            _ => {
                return Err(ModelError::new(format!(
                    "{NAME}: size must be square here: give resize and crop in tagfleet.toml"
                )));
            }
        };
        let square = Size { height: side, width: side };
        if side >= 384 {
            return Ok(ResizeTo::Exact(square));
        }
        steps.crop = Some(square);
        let crop_pct = self.crop_pct.or(known.crop_pct).unwrap_or(1.0);
        Ok(ResizeTo::ShortestEdge(pixels(f64::from(side) / crop_pct, "size over crop_pct")?))
    }

    /// EfficientNet's `include_top` divides by the standard deviation once more, without subtracting again.
    fn normalise(&self, known: &ProcessorType, steps: &mut Steps) -> Result<(), ModelError> {
        let many = |values: [f64; 3]| PerChannel::Many(values.to_vec());
        let normalises = self.do_normalize.unwrap_or(known.mean_std.is_some());
        let again = known.kind == Kind::EfficientNet && self.include_top.unwrap_or(true);
        if !normalises && !again {
            return Ok(());
        }
        let mean = self.image_mean.clone().or(known.mean_std.map(|(mean, _)| many(mean)));
        let std = self.image_std.clone().or(known.mean_std.map(|(_, std)| many(std)));
        let (Some(mean), Some(std)) = (mean, std) else {
            return Err(ModelError::new(format!(
                "{NAME}: do_normalize is true, but image_mean or image_std is missing"
            )));
        };
        if normalises {
            steps.mean = mean;
        }
        steps.std = if normalises && again { std.squared() } else { std };
        Ok(())
    }
}

fn unknown(class: &str) -> ModelError {
    let why = if class.starts_with("Siglip2") {
        "cuts pictures into a varying number of patches, which is no image input"
    } else {
        "is not a processor tagfleet knows"
    };
    ModelError::new(format!(
        "{NAME}: {class} {why}: remove the file and say resize, crop, scale, mean and std in tagfleet.toml"
    ))
}

fn poolformer(to: ResizeTo, crop_pct: Option<f64>) -> Result<ResizeTo, ModelError> {
    let Some(crop_pct) = crop_pct else { return Ok(to) };
    let over = |side: u32| pixels(f64::from(side) / crop_pct, "size over crop_pct");
    Ok(match to {
        ResizeTo::ShortestEdge(side) => ResizeTo::ShortestEdge(over(side)?),
        ResizeTo::Exact(size) if size.height == size.width => ResizeTo::ShortestEdge(over(size.height)?),
        ResizeTo::Exact(size) => {
            ResizeTo::Exact(Size { height: over(size.height)?, width: over(size.width)? })
        }
        other => other,
    })
}

/// Perceiver crops `size / crop_size` of the shorter side and then resizes to `size`. Resized first, the same region is
/// a crop of `size` out of a shorter side of `crop_size`.
fn perceiver(to: ResizeTo, steps: &mut Steps, notes: &mut Vec<String>) -> Result<ResizeTo, ModelError> {
    let (ResizeTo::Exact(size), Some(crop)) = (to, steps.crop) else { return Ok(to) };
    if size.height != size.width || crop.height != crop.width {
        return Err(ModelError::new(format!(
            "{NAME}: size and crop_size must be square: give them in tagfleet.toml"
        )));
    }
    notes.push(format!(
        "{NAME}: Perceiver crops before it resizes, tagfleet after: the same region, up to a pixel at its edges"
    ));
    steps.crop = Some(size);
    Ok(ResizeTo::ShortestEdge(crop.height))
}

/// A `size` or `crop_size` in any of the forms that transformers' `get_size_dict` accepts.
fn size_field(name: &str, value: &Value, number_is_square: bool) -> Result<ResizeTo, ModelError> {
    let what = format!("{name} of {NAME}");
    let side = |value: &Value| pixels(value.as_f64().unwrap_or(f64::NAN), &what);
    let exact = |height, width| Ok(ResizeTo::Exact(Size { height: side(height)?, width: side(width)? }));
    let keyed = |key| value.get(key).filter(|value| !value.is_null());
    match (value, keyed("shortest_edge"), keyed("height"), keyed("width")) {
        (Value::Number(_), ..) if number_is_square => exact(value, value),
        (Value::Number(_), ..) => Ok(ResizeTo::ShortestEdge(side(value)?)),
        (Value::Array(sides), ..) if sides.len() == 2 => exact(&sides[0], &sides[1]),
        (_, Some(shortest), None, None) if keyed("longest_edge").is_none() => {
            Ok(ResizeTo::ShortestEdge(side(shortest)?))
        }
        (_, None, Some(height), Some(width)) => exact(height, width),
        _ => Err(ModelError::new(format!(
            "{what} is {value}, but a number, height and width, or shortest_edge was expected: give resize and crop in tagfleet.toml"
        ))),
    }
}
