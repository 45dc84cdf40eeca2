//! `tagfleet.toml`: what its user says of a model, over whatever else was found. Its format is in [`super`].

use std::path::Path;

use serde::Deserialize;

use super::steps::{PerChannel, Steps};
use super::{Activation, ModelError, files};
use crate::preprocessing::{Color, Filter, Layout, Resize, ResizeTo, Size};

pub(super) const NAME: &str = "tagfleet.toml";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manual {
    color: Option<Color>,
    resize: Option<Sides>,
    crop: Option<Sides>,
    filter: Option<Filter>,
    scale: Option<f64>,
    offset: Option<f64>,
    mean: Option<PerChannel>,
    std: Option<PerChannel>,
    pub(super) layout: Option<Layout>,
    pub(super) activation: Option<Activation>,
    pub(super) output: Option<String>,
    pub(crate) labels: Option<String>,
}

/// `224`, `[224, 320]` or `"none"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number of pixels, [height, width] or \"none\"")]
enum Sides {
    One(u32),
    Two([u32; 2]),
    None(Nothing),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Nothing {
    None,
}

impl Manual {
    pub(super) fn read(root: &Path) -> Result<Self, ModelError> {
        let path = root.join(NAME);
        let Some(text) = files::read_text(&path)? else { return Ok(Self::default()) };
        let parsed = toml::from_str(&text);
        parsed.map_err(|error| ModelError::new(format!("{} can't be understood: {error}", path.display())))
    }

    /// Puts what the file says over `steps`, and notes which fields it said.
    pub(super) fn apply(&self, steps: &mut Steps, notes: &mut Vec<String>) {
        let said = self.said();
        if !said.is_empty() {
            notes.push(format!("{NAME} overrides {}", said.join(", ")));
        }
        steps.color = self.color.or(steps.color);
        match self.crop {
            None => {}
            Some(Sides::One(side)) => steps.crop = Some(Size { height: side, width: side }),
            Some(Sides::Two([height, width])) => steps.crop = Some(Size { height, width }),
            Some(Sides::None(_)) => steps.crop = None,
        }
        let filter = self.filter.or(steps.resize.map(|resize| resize.filter)).unwrap_or(Filter::Bilinear);
        let to = match self.resize {
            None => steps.resize.map(|resize| resize.to),
            Some(Sides::One(side)) => Some(ResizeTo::ShortestEdge(side)),
            Some(Sides::Two([height, width])) => Some(ResizeTo::Exact(Size { height, width })),
            Some(Sides::None(_)) => None,
        };
        steps.resize = to.map(|to| Resize { to, filter });
        if self.crop.is_some() || self.resize.is_some() {
            steps.source = NAME;
        }
        self.apply_numbers(steps);
    }

    /// Whether the file alone describes size and values, so that nothing need be guessed.
    pub(super) fn describes(&self) -> bool {
        (self.resize.is_some() || self.crop.is_some()) && self.normalises()
    }

    /// The fields given that change what happens to a picture.
    fn said(&self) -> Vec<&'static str> {
        let fields = [
            ("color", self.color.is_some()),
            ("resize", self.resize.is_some()),
            ("crop", self.crop.is_some()),
            ("filter", self.filter.is_some()),
            ("scale, offset, mean and std", self.normalises()),
        ];
        fields.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    fn normalises(&self) -> bool {
        self.scale.is_some() || self.offset.is_some() || self.mean.is_some() || self.std.is_some()
    }

    /// Scale, offset, mean and std are given together: half of one convention and half of another fits no model.
    fn apply_numbers(&self, steps: &mut Steps) {
        if !self.normalises() {
            return;
        }
        steps.scale = self.scale.unwrap_or(1.0);
        steps.offset = self.offset.unwrap_or(0.0);
        steps.mean = self.mean.clone().unwrap_or(PerChannel::One(0.0));
        steps.std = self.std.clone().unwrap_or(PerChannel::One(1.0));
        steps.source = NAME;
    }
}
