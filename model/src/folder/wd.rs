//! The WD taggers (SmilingWolf): a graph of channels last with `selected_tags.csv`, next to a `config.json`
//! that describes the network it was converted from.
//!
//! Their own code pads a picture to a white square, resizes it bicubic and feeds blue, green, red of 0 to
//! 255.

use std::path::Path;

use super::evidence::squashed;
use super::steps::Steps;
use crate::graph::ImageInput;
use crate::preprocessing::{Color, Filter, Layout};

/// Their labels.
pub(super) const NAME: &str = "selected_tags.csv";

pub(super) fn is_tagger(root: &Path, input: &ImageInput) -> bool {
    input.layout == Layout::Nhwc && input.channels == 3 && root.join(NAME).is_file()
}

pub(super) fn steps(input: &ImageInput) -> Steps {
    let mut steps = squashed(input, NAME);
    if let Some(resize) = &mut steps.resize {
        resize.filter = Filter::Bicubic;
    }
    Steps { color: Some(Color::Bgr), square: Some([255; 3]), scale: 1.0, ..steps }
}
