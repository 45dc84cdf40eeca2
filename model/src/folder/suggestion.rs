//! The `tagfleet.toml` that is equivalent to a model's files in another form, for errors that ask the user to
//! write it.

use std::fmt::Write as _;

use super::steps::{PerChannel, Steps};
use super::written::{anchor, color, fill, filter, paint, sides, target};
use crate::error::ModelError;
use crate::preprocessing::Anchor;

impl Steps {
    /// An error: what can't be read, and the file to write in its place, as far as these steps know it.
    pub(super) fn instead(&self, why: &str) -> ModelError {
        ModelError::new(format!(
            "{why}; write tagfleet.toml into the model's folder with the steps its author uses. As far as they are known:\n\n{}",
            self.toml()
        ))
    }

    /// These steps as lines of `tagfleet.toml`, indented.
    fn toml(&self) -> String {
        let mut lines = Vec::new();
        lines.extend(self.color.map(|it| format!("color = {}", color(it))));
        lines.extend(self.square.map(|it| format!("square = {}", paint(it))));
        let none = || "\"none\"".to_owned();
        lines.push(format!("resize = {}", self.resize.map_or_else(none, |resize| target(resize.to))));
        lines.push(format!("crop = {}", self.crop.map_or_else(none, sides)));
        lines.extend(self.resize.map(|resize| format!("filter = {}", filter(resize.filter))));
        if self.anchor == Anchor::TopLeft {
            lines.push(format!("anchor = {}", anchor(self.anchor)));
        }
        if !self.fill.is_black() {
            lines.push(format!("fill = {}", fill(self.fill)));
        }
        lines.push(format!("scale = {}", number(self.scale)));
        if self.offset != 0.0 {
            lines.push(format!("offset = {}", number(self.offset)));
        }
        lines.push(format!("mean = {}", per_channel(&self.mean)));
        lines.push(format!("std = {}", per_channel(&self.std)));
        let mut text = String::new();
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
        text.trim_end().to_owned()
    }
}

/// A number that TOML reads as a float.
fn number(value: f64) -> String {
    format!("{value:?}")
}

fn per_channel(values: &PerChannel) -> String {
    match values {
        PerChannel::One(value) => number(*value),
        PerChannel::Many(values) => {
            format!("[{}]", values.iter().map(|&value| number(value)).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Overrides;
    use crate::preprocessing::{Color, Fill, Filter, Resize, ResizeTo, Size};

    #[test]
    fn what_is_suggested_can_be_written_as_it_is() {
        let size = Size { height: 8, width: 9 };
        let filled = Steps {
            square: Some([1, 2, 3]),
            anchor: Anchor::TopLeft,
            fill: Fill::Zero,
            offset: -1.0,
            resize: Some(Resize { to: ResizeTo::Fit(size), filter: Filter::OpencvBilinear }),
            crop: Some(size),
            ..Steps::default()
        };
        for color in [Color::Rgb, Color::Bgr, Color::Gray, Color::GrayMean] {
            let steps = Steps { color: Some(color), ..filled.clone() };
            let mut read = Steps::default();
            Overrides::parse(&steps.toml()).unwrap().apply(&mut read, &mut Vec::new()).unwrap();
            assert_eq!(Steps { source: steps.source, ..read }, steps);
        }
    }
}
