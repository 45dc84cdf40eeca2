//! `tagfleet.toml` as text: what the reader of that file understands as the same preprocessing.
//!
//! It exists so that an error can show the file to write, and so that what was found by trying can be kept.
//! It states every setting, so that nothing depends on what is assumed without the file.

use std::fmt::Write as _;

use super::ModelSpec;
use crate::preprocessing::Activation;
use crate::preprocessing::{Anchor, Arithmetic, Color, Fill, Filter, Layout, Preprocessing, ResizeTo, Size};

/// What a `tagfleet.toml` can state of a model.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// From picture to input.
    pub preprocessing: &'a Preprocessing,
    /// From scores to probabilities.
    pub activation: Option<Activation>,
    /// The output that holds the scores.
    pub output: Option<&'a str>,
    /// A file of labels in the model's folder.
    pub labels: Option<&'a str>,
}

impl<'a> Description<'a> {
    /// All facts about a model except the source of its labels.
    #[must_use]
    pub fn of(spec: &'a ModelSpec) -> Self {
        Self {
            preprocessing: &spec.preprocessing,
            activation: spec.scores.as_ref().map(|_| spec.activation),
            output: spec.scores.as_ref().map(|port| port.name.as_str()),
            labels: None,
        }
    }

    /// The text of the file, one `key = value` per line.
    #[must_use]
    pub fn toml(&self) -> String {
        let mut text = String::new();
        for (key, value) in self.lines() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key} = {value}");
        }
        text
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let steps = self.preprocessing;
        let mut lines = vec![("color", color(steps.color).to_owned())];
        lines.push(("square", steps.square.map_or("\"none\"".to_owned(), paint)));
        lines.push(("resize", steps.resize.map_or("\"none\"".to_owned(), |resize| target(resize.to))));
        lines.extend(steps.resize.map(|resize| ("filter", filter(resize.filter).to_owned())));
        lines.push(("crop", steps.crop.map_or("\"none\"".to_owned(), sides)));
        lines.push(("anchor", anchor(steps.anchor).to_owned()));
        lines.push(("fill", fill(steps.fill)));
        lines.push(("scale", format!("{:?}", steps.scale)));
        lines.push(("offset", format!("{:?}", steps.offset)));
        lines.push(("mean", format!("{:?}", steps.mean)));
        lines.push(("std", format!("{:?}", steps.std)));
        lines.push(("std_twice", steps.std_twice.to_string()));
        lines.push(("arithmetic", arithmetic(steps.arithmetic).to_owned()));
        lines.push(("layout", layout(steps.layout).to_owned()));
        lines.extend(self.activation.map(|it| ("activation", activation(it).to_owned())));
        lines.extend(self.output.map(|name| ("output", string(name))));
        lines.extend(self.labels.map(|name| ("labels", string(name))));
        lines
    }
}

/// Names of outputs and files may hold anything. TOML's strings are JSON's, but for one control character.
fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

pub(super) fn sides(size: Size) -> String {
    format!("[{}, {}]", size.height, size.width)
}

pub(super) fn paint([red, green, blue]: [u8; 3]) -> String {
    if red == green && green == blue { red.to_string() } else { format!("[{red}, {green}, {blue}]") }
}

pub(super) fn target(to: ResizeTo) -> String {
    match to {
        ResizeTo::ShortestEdge(side) => side.to_string(),
        ResizeTo::Exact(size) => sides(size),
        ResizeTo::Cut(size) => format!("{{ cut = {} }}", sides(size)),
        ResizeTo::Cover(size) => format!("{{ cover = {} }}", sides(size)),
        ResizeTo::Fit(size) => format!("{{ fit = {} }}", sides(size)),
        ResizeTo::Height(size) => format!("{{ height = {}, width = {} }}", size.height, size.width),
    }
}

pub(super) fn fill(fill: Fill) -> String {
    match fill {
        Fill::Color(color) => paint(color),
        Fill::Zero => "\"zero\"".to_owned(),
    }
}

pub(super) fn color(color: Color) -> &'static str {
    match color {
        Color::Rgb => "\"rgb\"",
        Color::Bgr => "\"bgr\"",
        Color::Gray => "\"gray\"",
        Color::GrayMean => "\"gray_mean\"",
    }
}

pub(super) fn filter(filter: Filter) -> &'static str {
    match filter {
        Filter::Nearest => "\"nearest\"",
        Filter::Lanczos => "\"lanczos\"",
        Filter::Bilinear => "\"bilinear\"",
        Filter::Bicubic => "\"bicubic\"",
        Filter::Box => "\"box\"",
        Filter::Hamming => "\"hamming\"",
        Filter::OpencvBilinear => "\"opencv_bilinear\"",
    }
}

pub(super) fn anchor(anchor: Anchor) -> &'static str {
    match anchor {
        Anchor::Center => "\"center\"",
        Anchor::CenterTrunc => "\"center_trunc\"",
        Anchor::CenterFloor => "\"center_floor\"",
        Anchor::TopLeft => "\"top_left\"",
    }
}

fn arithmetic(arithmetic: Arithmetic) -> &'static str {
    match arithmetic {
        Arithmetic::Separate => "\"separate\"",
        Arithmetic::Fused => "\"fused\"",
        Arithmetic::Single => "\"single\"",
    }
}

fn layout(layout: Layout) -> &'static str {
    match layout {
        Layout::Nchw => "\"nchw\"",
        Layout::Nhwc => "\"nhwc\"",
    }
}

fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Softmax => "\"softmax\"",
        Activation::Sigmoid => "\"sigmoid\"",
        Activation::None => "\"none\"",
        Activation::BinaryLogit => "\"binary_logit\"",
        Activation::BinaryProbability => "\"binary_probability\"",
    }
}
