//! Google's Teachable Machine: its Keras export, which people convert with tf2onnx and publish with its
//! `labels.txt`.
//!
//! The code that it exports cuts a picture to a square with Pillow's `ImageOps.fit`, Lanczos, and feeds `x /
//! 127.5 - 1`.

use std::path::Path;

use super::evidence::squashed;
use super::steps::Steps;
use crate::error::ModelError;
use crate::files;
use crate::graph::ImageInput;
use crate::preprocessing::{Filter, Layout, Resize, ResizeTo, Size};

const LABELS: &str = "labels.txt";
const SIDE: usize = 224;

/// Whether every line of the labels starts with its number, from 0, next to a graph of Teachable Machine's
/// shape.
pub(super) fn is_exported(
    root: &Path,
    input: &ImageInput,
    classes: Option<usize>,
) -> Result<bool, ModelError> {
    let is_shape = input.layout == Layout::Nhwc && input.channels == 3;
    let is_size = [input.height, input.width] == [Some(SIDE); 2];
    if !is_shape || !is_size || classes.is_none() {
        return Ok(false);
    }
    let Some(text) = files::read_text(&root.join(LABELS))? else { return Ok(false) };
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let is_numbered = |(index, line): (usize, &&str)| line.starts_with(&format!("{index} "));
    Ok(Some(lines.len()) == classes && lines.iter().enumerate().all(is_numbered))
}

pub(super) fn steps(input: &ImageInput) -> Steps {
    let size = Size { height: SIDE as u32, width: SIDE as u32 };
    Steps {
        resize: Some(Resize { to: ResizeTo::Cut(size), filter: Filter::Lanczos }),
        scale: 1.0 / 127.5,
        offset: -1.0,
        ..squashed(input, LABELS)
    }
}
