//! The `tagfleet.toml` that says what a model's files say in another form, for errors that ask the user to write it.

use std::fmt::Write as _;

use super::ModelError;
use super::steps::{PerChannel, Steps};
use crate::preprocessing::{Anchor, Fill, ResizeTo, Size};

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
        if let Some(color) = self.color {
            lines.push(format!("color = \"{}\"", format!("{color:?}").to_lowercase()));
        }
        if let Some([red, green, blue]) = self.square {
            lines.push(format!("square = [{red}, {green}, {blue}]"));
        }
        lines.push(self.resize.map_or("resize = \"none\"".to_owned(), |resize| resized(resize.to)));
        lines.push(self.crop.map_or("crop = \"none\"".to_owned(), |crop| format!("crop = {}", sides(crop))));
        if let Some(resize) = self.resize {
            let filter = serde_json::to_string(&resize.filter).unwrap_or_default();
            lines.push(format!("filter = {filter}"));
        }
        if self.anchor == Anchor::TopLeft {
            lines.push("anchor = \"top_left\"".to_owned());
        }
        match self.fill {
            Fill::Color([0, 0, 0]) => {}
            Fill::Color([red, green, blue]) => lines.push(format!("fill = [{red}, {green}, {blue}]")),
            Fill::Zero => lines.push("fill = \"zero\"".to_owned()),
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

fn resized(to: ResizeTo) -> String {
    match to {
        ResizeTo::ShortestEdge(side) => format!("resize = {side}"),
        ResizeTo::Exact(size) => format!("resize = {}", sides(size)),
        ResizeTo::Cut(size) => format!("resize = {{ cut = {} }}", sides(size)),
        ResizeTo::Cover(size) => format!("resize = {{ cover = {} }}", sides(size)),
        ResizeTo::Fit(size) => format!("resize = {{ fit = {} }}", sides(size)),
        ResizeTo::Height(size) => format!("resize = {{ height = {}, width = {} }}", size.height, size.width),
    }
}

fn sides(size: Size) -> String {
    format!("[{}, {}]", size.height, size.width)
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
