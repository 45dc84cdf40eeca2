//! `processor_config.json` and `preprocessor_config.json`, in all forms that transformers has written, to the
//! steps that they mean.
//!
//! `size` and `crop_size` come as a number, `{height, width}` or `{shortest_edge}`; absent fields, and those
//! that are null, get the defaults of the named processor ([`super::processor_types`]). An unread field that
//! would change the steps is an error, never ignored.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::processor_types::{Kind, Processor, ProcessorType, by_class, by_model_type};
use super::sizes::{self, poolformer};
use super::steps::{IMAGENET_MEAN, IMAGENET_STD, PerChannel, Steps, filter_by_number, pixels};
use crate::error::ModelError;
use crate::files;
use crate::graph::ImageInput;
use crate::preprocessing::{Anchor, Arithmetic, Color, Filter, Resize, ResizeTo, Size};

/// The image processor alone.
pub(super) const NAME: &str = "preprocessor_config.json";
/// Every processor of a model, with the image processor in `image_processor` (transformers 5).
pub(super) const NESTED: &str = "processor_config.json";

#[derive(Debug, Deserialize)]
struct Nested {
    image_processor: Option<Processor>,
}

/// Facts about the pictures from a model's other files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) model_type: Option<&'a str>,
    pub(super) input: &'a ImageInput,
}

/// transformers' wrapper around timm models, whose file holds timm's own description.
const TIMM_WRAPPER: &str = "TimmWrapperImageProcessor";

/// Reads the files in `root`, the nested one first, as transformers does; `None` if there is none, or it
/// leaves everything to `config.json`.
pub(super) fn read(
    root: &Path,
    context: Context<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Steps>, ModelError> {
    let nested = files::read_json::<Nested>(&root.join(NESTED))?.and_then(|file| file.image_processor);
    let (file, name) = match nested {
        Some(file) => (file, NESTED),
        None => match files::read_json::<Processor>(&root.join(NAME))? {
            Some(file) => (file, NAME),
            None => return Ok(None),
        },
    };
    if file.image_processor_type.as_deref() == Some(TIMM_WRAPPER) {
        let Some(timm) = &file.pretrained_cfg else { return Ok(None) };
        return timm.steps(name).map(Some);
    }
    file.described(name, context, notes).map(Some)
}

/// The steps of a model of that type whose folder has no processor file, if neither its graph nor
/// `image_size` names another size than the processor's default.
pub(super) fn of_model_type(
    model_type: &str,
    side: Option<u32>,
    notes: &mut Vec<String>,
) -> Result<Option<Steps>, ModelError> {
    let Some(known) = by_model_type(model_type) else { return Ok(None) };
    let steps = known.defaults.steps(known, "config.json", notes)?;
    notes.push(format!(
        "no processor file: preprocessing from transformers' defaults for model_type {model_type:?} in config.json"
    ));
    Ok(Some(match side {
        Some(side) => sizes::scaled(steps, side),
        None => steps,
    }))
}

impl Processor {
    pub(super) fn described(
        &self,
        name: &'static str,
        context: Context<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Steps, ModelError> {
        let unnamed = unnamed();
        let class = self.image_processor_type.as_ref().or(self.feature_extractor_type.as_ref());
        let known = match (class, context.model_type.and_then(by_model_type)) {
            (Some(class), _) => match by_class(class) {
                Some(known) => known,
                None => return Err(self.unknown(name, class)),
            },
            (None, Some(known)) => {
                notes.push(format!(
                    "{name} names no processor: absent fields get the defaults of the one for {} models",
                    context.model_type.unwrap_or_default()
                ));
                known
            }
            (None, None) => {
                notes.push(format!(
                    "{name} names no processor: absent fields get ImageNet's mean, 1/255 and bilinear"
                ));
                &unnamed
            }
        };
        let merged = self.over(&known.defaults);
        let mut steps = merged.steps(known, name, notes)?;
        if class.is_some_and(|class| class.ends_with("Fast")) {
            steps.arithmetic = merged.fast_arithmetic();
            steps.anchor = Anchor::CenterTrunc;
        }
        if known.kind == Kind::Unnamed {
            self.fit_graph(&mut steps, context.input);
        }
        self.check_rest(known, name, &steps)?;
        Ok(steps)
    }

    /// The steps of a file whose fields are all filled in.
    pub(super) fn steps(
        &self,
        known: &ProcessorType,
        name: &'static str,
        notes: &mut Vec<String>,
    ) -> Result<Steps, ModelError> {
        let mut steps = Steps { source: name, anchor: Anchor::CenterFloor, ..Steps::default() };
        if self.do_flip_channel_order == Some(true) {
            steps.color = Some(Color::Bgr);
        }
        self.resize_and_crop(known, &mut steps, notes)?;
        let rescales = self.do_rescale.unwrap_or(true);
        steps.scale = if rescales { self.rescale_factor.unwrap_or(1.0 / 255.0) } else { 1.0 };
        if rescales && self.rescale_offset == Some(true) {
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
        let name = steps.source;
        steps.crop = self.crop(known, name)?;
        let size =
            self.size.as_ref().map(|size| sizes::of_field("size", size, known.number_is_square(), name));
        let (true, Some(to)) = (self.do_resize.unwrap_or(size.is_some()), size.transpose()?) else {
            return Ok(());
        };
        let filter = match self.resample {
            None => Filter::Bilinear,
            Some(number) => filter_by_number(number).ok_or_else(|| {
                ModelError::new(format!("{name}: resample is {number}, but Pillow's filters are 0 to 5"))
            })?,
        };
        let to = match known.kind {
            Kind::Plain | Kind::EfficientNet | Kind::Unnamed => to,
            Kind::ConvNext => self.convnext(to, steps)?,
            Kind::PoolFormer => poolformer(to, self.crop_pct)?,
            Kind::Levit => sizes::levit(to)?,
            Kind::Perceiver => sizes::perceiver(to, steps, notes)?,
        };
        steps.resize = Some(Resize { to, filter });
        Ok(())
    }

    fn crop(&self, known: &ProcessorType, name: &'static str) -> Result<Option<Size>, ModelError> {
        let by_default = known.kind == Kind::Unnamed && self.crop_size.is_some();
        if !self.do_center_crop.unwrap_or(by_default) {
            return Ok(None);
        }
        let Some(value) = &self.crop_size else {
            return Err(ModelError::new(format!(
                "{name}: do_center_crop is true, but there is no crop_size: give crop in tagfleet.toml"
            )));
        };
        sizes::of_crop(value, name).map(Some)
    }

    fn convnext(&self, to: ResizeTo, steps: &mut Steps) -> Result<ResizeTo, ModelError> {
        let name = steps.source;
        let side = match to {
            ResizeTo::ShortestEdge(side) => side,
            ResizeTo::Exact(size) if size.height == size.width => size.height,
            _ => {
                return Err(ModelError::new(format!(
                    "{name}: size must be square for this processor: give resize and crop in tagfleet.toml"
                )));
            }
        };
        let square = Size { height: side, width: side };
        if side >= 384 {
            return Ok(ResizeTo::Exact(square));
        }
        steps.crop = Some(square);
        let crop_pct = self.crop_pct.unwrap_or(1.0);
        Ok(ResizeTo::ShortestEdge(pixels(f64::from(side) / crop_pct, "size over crop_pct")?))
    }

    /// EfficientNet's `include_top` divides by the standard deviation once more, without subtracting again.
    fn normalise(&self, known: &ProcessorType, steps: &mut Steps) -> Result<(), ModelError> {
        let again = known.kind == Kind::EfficientNet && self.include_top.unwrap_or(true);
        let normalises = self.do_normalize.unwrap_or(false);
        if !normalises && !again {
            return Ok(());
        }
        let (Some(mean), Some(std)) = (self.image_mean.clone(), self.image_std.clone()) else {
            let name = steps.source;
            return Err(ModelError::new(format!(
                "{name}: do_normalize is true, but image_mean or image_std is missing"
            )));
        };
        if normalises {
            steps.mean = mean;
        }
        steps.std = std;
        steps.std_twice = normalises && again;
        Ok(())
    }

    /// transformers' torchvision processors multiply mean and std with 255 if they scale and normalise.
    fn fast_arithmetic(&self) -> Arithmetic {
        match (self.do_rescale.unwrap_or(true), self.do_normalize.unwrap_or(false)) {
            (true, true) => Arithmetic::Fused,
            (true, false) => Arithmetic::Single,
            (false, _) => Arithmetic::Separate,
        }
    }

    /// A number alone may be the shorter side or a square; a graph of exactly that square decides.
    fn fit_graph(&self, steps: &mut Steps, input: &ImageInput) {
        let (None, Some(Resize { to: ResizeTo::ShortestEdge(side), filter })) = (steps.crop, steps.resize)
        else {
            return;
        };
        let is_number = self.size.as_ref().is_some_and(Value::is_number);
        let sides = [input.height, input.width];
        if is_number && sides == [Some(side as usize); 2] {
            steps.resize = Some(Resize { to: ResizeTo::Exact(Size { height: side, width: side }), filter });
        }
    }

    /// Refuses fields that would change the steps and are not read.
    fn check_rest(&self, known: &ProcessorType, name: &str, steps: &Steps) -> Result<(), ModelError> {
        for (field, value) in &self.rest {
            let changes = match known.other.get(field) {
                Some(default) => !value.is_null() && value != default,
                None => changes_steps(field, value),
            };
            if changes {
                let why = format!("{name} is read only in part: tagfleet does not know {field} = {value}");
                return Err(steps.instead(&why));
            }
        }
        Ok(())
    }

    fn unknown(&self, name: &'static str, class: &str) -> ModelError {
        let why = if class.starts_with("Siglip2") {
            "cuts pictures into a varying number of patches, which is not an image input"
        } else {
            "is not a processor tagfleet knows"
        };
        let unnamed = unnamed();
        let merged = self.over(&unnamed.defaults);
        let steps = merged.steps(&unnamed, name, &mut Vec::new()).unwrap_or_default();
        steps.instead(&format!("{name}: {class} {why}"))
    }
}

/// Fields of processors of any family that change their steps when they are switched on.
fn changes_steps(field: &str, value: &Value) -> bool {
    const HARMLESS: [&str; 4] =
        ["do_convert_rgb", "do_reduce_labels", "do_convert_annotations", "do_sample_frames"];
    value == &Value::Bool(true)
        && !HARMLESS.contains(&field)
        && (field.starts_with("do_")
            || matches!(field, "keep_aspect_ratio" | "crop_to_patches" | "use_thumbnail"))
}

/// What a folder gets whose files name no processor: resize and crop as far as they are given, ImageNet's
/// mean.
fn unnamed() -> ProcessorType {
    let defaults = Processor {
        do_normalize: Some(true),
        image_mean: Some(PerChannel::Many(IMAGENET_MEAN.to_vec())),
        image_std: Some(PerChannel::Many(IMAGENET_STD.to_vec())),
        ..Processor::default()
    };
    ProcessorType { defaults, ..ProcessorType::default() }
}
