//! The steps from a picture to the model's input while they are being gathered, and the checks that end it.
//!
//! Whatever file they come from, they pass [`Steps::finish`]: no size, mean or factor reaches a run
//! unchecked.

use serde::Deserialize;

use crate::error::ModelError;
use crate::graph::{Element, ImageInput};
use crate::preprocessing::{
    Anchor, Arithmetic, Color, Decoding, Fill, Filter, Preprocessing, Resize, ResizeTo, Size, View,
};
use crate::tensor;

/// `IMAGENET_DEFAULT_MEAN` of transformers' `image_utils.py` and of timm; torchvision's classifiers use it
/// too.
pub(super) const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
/// `IMAGENET_DEFAULT_STD`, from the same places.
pub(super) const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

const LARGEST_SIDE: u32 = 8192;
/// Numbers in one batch of inputs: 256 MiB, because a graph of a few bytes may insist on a batch of
/// terabytes.
const LARGEST_INPUT: u64 = 64 << 20;

/// One number for every channel, or one per channel.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a number or a list of numbers")]
pub(super) enum PerChannel {
    One(f64),
    Many(Vec<f64>),
}

impl PerChannel {
    /// As a colour of samples: `round(255 * x)`, half to even as Python rounds.
    pub(super) fn as_color(&self) -> [u8; 3] {
        let sample = |value: f64| (255.0 * value).round_ties_even().clamp(0.0, 255.0) as u8;
        match self {
            Self::One(value) => [sample(*value); 3],
            Self::Many(values) => {
                let at = |index: usize| sample(values.get(index).or(values.first()).copied().unwrap_or(0.0));
                [at(0), at(1), at(2)]
            }
        }
    }

    pub(super) fn values(&self) -> &[f64] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }

    fn spread(&self, channels: usize) -> Option<Vec<f32>> {
        let values = match self {
            Self::One(value) => vec![*value; channels],
            Self::Many(values) if values.len() == 1 => vec![values[0]; channels],
            Self::Many(values) => values.clone(),
        };
        (values.len() == channels).then(|| values.iter().map(|&value| value as f32).collect())
    }
}

/// What [`Preprocessing`] will be made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steps {
    pub(super) color: Option<Color>,
    pub(super) square: Option<[u8; 3]>,
    pub(super) resize: Option<Resize>,
    pub(super) crop: Option<Size>,
    pub(super) anchor: Anchor,
    pub(super) fill: Fill,
    pub(super) scale: f64,
    pub(super) offset: f64,
    pub(super) mean: PerChannel,
    pub(super) std: PerChannel,
    pub(super) std_twice: bool,
    pub(super) arithmetic: Arithmetic,
    /// Their source, for errors.
    pub(super) source: &'static str,
}

impl Default for Steps {
    /// No resize, no crop, samples scaled to 0..=1.
    fn default() -> Self {
        Self {
            color: None,
            square: None,
            resize: None,
            crop: None,
            anchor: Anchor::default(),
            fill: Fill::default(),
            scale: 1.0 / 255.0,
            offset: 0.0,
            mean: PerChannel::One(0.0),
            std: PerChannel::One(1.0),
            std_twice: false,
            arithmetic: Arithmetic::default(),
            source: "tagfleet.toml",
        }
    }
}

impl Steps {
    /// No resize, no crop; samples scaled to 0..=1 for a graph of floats, and as they are for one of
    /// integers, which for signed bytes is less 128.
    pub(super) fn of_element(element: Element) -> Self {
        match element {
            Element::U8 => Self { scale: 1.0, ..Self::default() },
            Element::I8 => Self { scale: 1.0, offset: -128.0, ..Self::default() },
            Element::F32 | Element::F16 | Element::Other => Self::default(),
        }
    }

    /// Checks the steps by themselves and against the graph's input. Decoding is exact, unless decided
    /// otherwise later.
    pub(super) fn finish(self, input: &ImageInput, exif: bool) -> Result<Preprocessing, ModelError> {
        let channels = usize::from(input.channels);
        let color = self.color.unwrap_or(if channels == 1 { Color::Gray } else { Color::Rgb });
        if channels == 1 && !color.is_gray() {
            return Err(ModelError::new(format!(
                "the model's input takes {channels} channel(s), but a {color:?} picture was asked for: give another color in tagfleet.toml"
            )));
        }
        let size = self.output_size()?;
        self.check_size(size, input)?;
        check_input(size, input)?;
        let per_channel = |what: &str, values: &PerChannel| {
            values.spread(channels).ok_or_else(|| {
                ModelError::new(format!(
                    "{}: {what} does not have one value for each of the model's {channels} channel(s): give it in tagfleet.toml",
                    self.source
                ))
            })
        };
        let finished = Preprocessing {
            color,
            square: self.square,
            resize: self.resize,
            crop: self.crop,
            anchor: self.anchor,
            fill: self.fill,
            input: size,
            scale: self.scale,
            offset: self.offset as f32,
            mean: per_channel("the mean", &self.mean)?,
            std: per_channel("the standard deviation", &self.std)?,
            std_twice: self.std_twice,
            arithmetic: self.arithmetic,
            layout: input.layout,
            exif,
            decoding: Decoding::Exact,
            view: View::Plain,
        };
        self.check_numbers(&finished)?;
        self.check_integers(&finished, input)?;
        Ok(finished)
    }

    /// The size that every picture has after these steps.
    fn output_size(&self) -> Result<Size, ModelError> {
        if let Some(Resize { to: ResizeTo::ShortestEdge(side), .. }) = self.resize {
            check_side(side, self.source)?;
        }
        let (exact, bound) = match self.resize.map(|resize| resize.to) {
            Some(ResizeTo::Exact(size) | ResizeTo::Cut(size)) => (Some(size), None),
            Some(ResizeTo::Cover(size) | ResizeTo::Fit(size) | ResizeTo::Height(size)) => (None, Some(size)),
            Some(ResizeTo::ShortestEdge(_)) | None => (None, None),
        };
        if let Some(Resize { to: ResizeTo::Cut(_), filter: Filter::OpencvBilinear }) = self.resize {
            return Err(ModelError::new(format!(
                "{}: a resize that cuts has one of Pillow's filters, not opencv_bilinear: give another filter",
                self.source
            )));
        }
        for size in [exact, bound, self.crop].into_iter().flatten() {
            check_side(size.height, self.source)?;
            check_side(size.width, self.source)?;
        }
        self.crop.or(exact).ok_or_else(|| {
            ModelError::new(format!(
                "{} keeps each picture's own shape, but a model takes one size: give crop, or an exact resize, in tagfleet.toml",
                self.source
            ))
        })
    }

    fn check_size(&self, size: Size, input: &ImageInput) -> Result<(), ModelError> {
        let fits = |graph: Option<usize>, side: u32| graph.is_none_or(|graph| graph == side as usize);
        if fits(input.height, size.height) && fits(input.width, size.width) {
            return Ok(());
        }
        let wanted = |side: Option<usize>| side.map_or("any".to_owned(), |side| side.to_string());
        Err(ModelError::new(format!(
            "{} makes pictures of {}x{} (height x width), but the model takes {}x{}: give resize and crop in tagfleet.toml",
            self.source,
            size.height,
            size.width,
            wanted(input.height),
            wanted(input.width)
        )))
    }

    fn check_numbers(&self, finished: &Preprocessing) -> Result<(), ModelError> {
        let numbers = finished.mean.iter().chain(&finished.std).chain([&finished.offset]);
        let values = tensor::values(finished).map_err(|error| ModelError::new(error.to_string()))?;
        let erased = finished.scale == 0.0 || finished.std.contains(&0.0);
        let finite = numbers.copied().chain(values).all(f32::is_finite);
        if !erased && !finite {
            return Err(ModelError::new(format!(
                "{}: a scale, offset, mean or std is not a finite number",
                self.source
            )));
        }
        if erased {
            return Err(ModelError::new(format!(
                "{}: a scale or std is zero, which would erase the picture",
                self.source
            )));
        }
        Ok(())
    }

    /// What a graph of integers gets must be integers that it can hold, up to a rounding error.
    fn check_integers(&self, finished: &Preprocessing, input: &ImageInput) -> Result<(), ModelError> {
        let Some((least, most)) = input.element.integer_range() else { return Ok(()) };
        let values = tensor::values(finished).map_err(|error| ModelError::new(error.to_string()))?;
        let fits = |value: &f32| {
            let rounded = value.round();
            (value - rounded).abs() <= 0.01 && rounded >= least && rounded <= most
        };
        let Some(value) = values.iter().find(|value| !fits(value)) else { return Ok(()) };
        Err(ModelError::new(format!(
            "{}: the model takes integers from {least} to {most}, but a sample becomes {value}: give scale = 1.0, offset = {least:?}, mean = 0.0 and std = 1.0 in tagfleet.toml",
            self.source
        )))
    }
}

/// A batch of these pictures must fit in memory; no factor is larger than 8192, so that the product fits in
/// 64 bits.
fn check_input(size: Size, input: &ImageInput) -> Result<(), ModelError> {
    let batch = input.batch.unwrap_or(1);
    let values = batch as u64 * u64::from(input.channels) * u64::from(size.height) * u64::from(size.width);
    if values <= LARGEST_INPUT {
        return Ok(());
    }
    Err(ModelError::new(format!(
        "{batch} image(s) of {}x{} with {} channel(s) at once are {values} numbers, but tagfleet feeds at most {LARGEST_INPUT}: export the model with a smaller input or a dynamic batch",
        size.height, size.width, input.channels
    )))
}

/// `value` as a number of pixels, rounded down as Python's `int` does; an error outside 1..=8192.
pub(super) fn pixels(value: f64, what: &str) -> Result<u32, ModelError> {
    if value >= 1.0 && value < f64::from(LARGEST_SIDE) + 1.0 {
        return Ok(value as u32);
    }
    Err(ModelError::new(format!("{what} is {value}, but a side has 1 to {LARGEST_SIDE} pixels")))
}

fn check_side(side: u32, source: &str) -> Result<(), ModelError> {
    pixels(f64::from(side), &format!("a size of {source}")).map(|_| ())
}

/// Pillow's filter by Pillow's lowercase name, as timm and `tagfleet.toml` spell it.
pub(super) fn filter_by_name(name: &str) -> Result<Filter, ModelError> {
    match name {
        "nearest" => Ok(Filter::Nearest),
        "lanczos" => Ok(Filter::Lanczos),
        "bilinear" => Ok(Filter::Bilinear),
        "bicubic" => Ok(Filter::Bicubic),
        "box" => Ok(Filter::Box),
        "hamming" => Ok(Filter::Hamming),
        _ => Err(ModelError::new(format!(
            "config.json: the interpolation {name:?} is not known: give filter in tagfleet.toml"
        ))),
    }
}

/// Pillow's filter by Pillow's number (`PIL.Image.Resampling`).
pub(super) fn filter_by_number(number: u8) -> Option<Filter> {
    const FILTERS: [Filter; 6] =
        [Filter::Nearest, Filter::Lanczos, Filter::Bilinear, Filter::Bicubic, Filter::Box, Filter::Hamming];
    FILTERS.get(usize::from(number)).copied()
}
