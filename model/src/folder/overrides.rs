//! `tagfleet.toml`: what its user states of a model, over whatever else was found. Its format is in
//! [`super`].
//!
//! A setting that the file leaves out keeps the value it has without the file.

use std::path::Path;

use serde::Deserialize;

use super::steps::{PerChannel, Steps};
use crate::error::ModelError;
use crate::files;
use crate::nearest::nearest;
use crate::preprocessing::Activation;
use crate::preprocessing::{Anchor, Arithmetic, Color, Fill, Filter, Layout, Resize, ResizeTo, Size};

pub(super) const NAME: &str = "tagfleet.toml";

/// Every key, in the order in which people read them.
pub(super) const KEYS: [&str; 17] = [
    "color",
    "square",
    "resize",
    "filter",
    "crop",
    "anchor",
    "fill",
    "scale",
    "offset",
    "mean",
    "std",
    "std_twice",
    "arithmetic",
    "layout",
    "activation",
    "output",
    "labels",
];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Overrides {
    color: Option<Color>,
    square: Option<Paint>,
    resize: Option<To>,
    crop: Option<Sides>,
    anchor: Option<Anchor>,
    fill: Option<Paint>,
    filter: Option<Filter>,
    scale: Option<f64>,
    offset: Option<f64>,
    mean: Option<PerChannel>,
    std: Option<PerChannel>,
    std_twice: Option<bool>,
    arithmetic: Option<Arithmetic>,
    pub(super) layout: Option<Layout>,
    pub(super) activation: Option<Activation>,
    pub(super) output: Option<String>,
    pub(crate) labels: Option<String>,
}

/// A height and a width, or one number for both.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number of pixels, [height, width] or \"none\"")]
enum Sides {
    One(u32),
    Two([u32; 2]),
    None(Nothing),
}

/// What a picture is resized to.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected a number of pixels for the shorter side, [height, width], { cut = [height, width] }, { cover = [height, width] }, { fit = [height, width] }, { height = pixels, width = pixels } or \"none\""
)]
enum To {
    ShortestEdge(u32),
    Exact([u32; 2]),
    Cut { cut: [u32; 2] },
    Cover { cover: [u32; 2] },
    Fit { fit: [u32; 2] },
    Height { height: u32, width: u32 },
    None(Nothing),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Nothing {
    None,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Zero {
    Zero,
}

/// A colour, or the word in its place.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a number from 0 to 255 for a gray, [red, green, blue], or \"none\" for square and \"zero\" for fill"
)]
enum Paint {
    Gray(u8),
    Color([u8; 3]),
    Zero(Zero),
    None(Nothing),
}

impl Overrides {
    pub(super) fn read(root: &Path) -> Result<Self, ModelError> {
        let path = root.join(NAME);
        let Some(text) = files::read_text(&path)? else { return Ok(Self::default()) };
        Self::parse(&text).map_err(|error| error.about(&path))
    }

    /// Understands the text of the file.
    pub(super) fn parse(text: &str) -> Result<Self, ModelError> {
        let misunderstood = |error| ModelError::new(format!("the file can't be understood: {error}"));
        let table: toml::Table = toml::from_str(text).map_err(misunderstood)?;
        check_keys(&table)?;
        let overrides: Self = toml::from_str(text).map_err(misunderstood)?;
        overrides.check_paints()?;
        Ok(overrides)
    }

    /// A square has a colour, and padding is never absent.
    fn check_paints(&self) -> Result<(), ModelError> {
        if matches!(self.square, Some(Paint::Zero(_))) {
            return Err(ModelError::new(
                "square is \"zero\", but pictures are padded to a square before normalising: give a colour, or \"none\"",
            ));
        }
        if matches!(self.fill, Some(Paint::None(_))) {
            return Err(ModelError::new(
                "fill is \"none\": give a colour, or \"zero\" for 0.0 after normalising",
            ));
        }
        Ok(())
    }

    /// Puts what the file states over `steps`, and notes which keys it has.
    ///
    /// # Errors
    /// If its numbers fit those of `steps` so badly that one of them must be missing.
    pub(super) fn apply(&self, steps: &mut Steps, notes: &mut Vec<String>) -> Result<(), ModelError> {
        let stated = self.stated();
        if !stated.is_empty() {
            notes.push(format!("{NAME} overrides {}", stated.join(", ")));
            steps.source = NAME;
        }
        steps.color = self.color.or(steps.color);
        self.apply_geometry(steps);
        steps.scale = self.scale.unwrap_or(steps.scale);
        steps.offset = self.offset.unwrap_or(steps.offset);
        steps.mean = self.mean.clone().unwrap_or(steps.mean.clone());
        steps.std = self.std.clone().unwrap_or(steps.std.clone());
        steps.std_twice = self.std_twice.unwrap_or(steps.std_twice);
        steps.arithmetic = self.arithmetic.unwrap_or(steps.arithmetic);
        if self.normalises() { check_mean(steps) } else { Ok(()) }
    }

    fn apply_geometry(&self, steps: &mut Steps) {
        match self.square {
            Some(Paint::Gray(gray)) => steps.square = Some([gray; 3]),
            Some(Paint::Color(color)) => steps.square = Some(color),
            Some(Paint::None(_)) => steps.square = None,
            Some(Paint::Zero(_)) | None => {}
        }
        let filter = self.filter.or(steps.resize.map(|resize| resize.filter)).unwrap_or(Filter::Bilinear);
        let to = self.resize.map_or(steps.resize.map(|resize| resize.to), To::target);
        steps.resize = to.map(|to| Resize { to, filter });
        match self.crop {
            None => {}
            Some(Sides::One(side)) => steps.crop = Some(Size { height: side, width: side }),
            Some(Sides::Two(sides)) => steps.crop = Some(size(sides)),
            Some(Sides::None(_)) => steps.crop = None,
        }
        steps.anchor = self.anchor.unwrap_or(steps.anchor);
        match self.fill {
            Some(Paint::Gray(gray)) => steps.fill = Fill::Color([gray; 3]),
            Some(Paint::Color(color)) => steps.fill = Fill::Color(color),
            Some(Paint::Zero(_)) => steps.fill = Fill::Zero,
            Some(Paint::None(_)) | None => {}
        }
    }

    /// Whether the file alone describes size and values, so that nothing need be guessed.
    pub(super) fn describes(&self) -> bool {
        (self.resize.is_some() || self.crop.is_some()) && self.normalises()
    }

    /// The keys given that change what happens to a picture.
    fn stated(&self) -> Vec<&'static str> {
        let given = [
            ("color", self.color.is_some()),
            ("square", self.square.is_some()),
            ("resize", self.resize.is_some()),
            ("filter", self.filter.is_some()),
            ("crop", self.crop.is_some()),
            ("anchor", self.anchor.is_some()),
            ("fill", self.fill.is_some()),
            ("scale", self.scale.is_some()),
            ("offset", self.offset.is_some()),
            ("mean", self.mean.is_some()),
            ("std", self.std.is_some()),
            ("std_twice", self.std_twice.is_some()),
            ("arithmetic", self.arithmetic.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    /// Whether the file gives a scale or an offset, which no mean and standard deviation of another scale
    /// fit.
    pub(super) fn rescales(&self) -> bool {
        self.scale.is_some() || self.offset.is_some()
    }

    fn normalises(&self) -> bool {
        self.scale.is_some() || self.offset.is_some() || self.mean.is_some() || self.std.is_some()
    }
}

impl To {
    fn target(self) -> Option<ResizeTo> {
        match self {
            Self::ShortestEdge(side) => Some(ResizeTo::ShortestEdge(side)),
            Self::Exact(sides) => Some(ResizeTo::Exact(size(sides))),
            Self::Cut { cut } => Some(ResizeTo::Cut(size(cut))),
            Self::Cover { cover } => Some(ResizeTo::Cover(size(cover))),
            Self::Fit { fit } => Some(ResizeTo::Fit(size(fit))),
            Self::Height { height, width } => Some(ResizeTo::Height(Size { height, width })),
            Self::None(_) => None,
        }
    }
}

fn size([height, width]: [u32; 2]) -> Size {
    Size { height, width }
}

fn check_keys(table: &toml::Table) -> Result<(), ModelError> {
    let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) else { return Ok(()) };
    let known = KEYS.map(str::to_owned);
    let meant = nearest(unknown, &known);
    Err(ModelError::new(format!(
        "the key {unknown:?} is not known: is {:?} meant? The keys are {}",
        meant.first().copied().unwrap_or_default(),
        KEYS.join(", ")
    )))
}

/// A mean that no sample can have belongs to another scale: a key was left out, and would darken or brighten
/// every picture.
fn check_mean(steps: &Steps) -> Result<(), ModelError> {
    let ends = [steps.offset, 255.0 * steps.scale + steps.offset];
    let (least, most) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    let tolerance = (most - least) * 1e-3;
    let outside = |mean: &f64| *mean < least - tolerance || *mean > most + tolerance;
    let Some(mean) = steps.mean.values().iter().copied().find(outside) else { return Ok(()) };
    Err(ModelError::new(format!(
        "{NAME}: the mean {mean} is not within {least} to {most}, which are the values that scale = {} and offset = {} give: give scale and offset with it, for example scale = 1.0 if samples stay 0 to 255, or scale = {} if they become 0 to 1",
        steps.scale,
        steps.offset,
        1.0 / 255.0
    )))
}
