//! An ONNX file's own `metadata_props`: Ultralytics' exports, and those of Azure Custom Vision and others
//! that follow ONNX's own names for images (onnx, `docs/MetadataProps.md`).

use std::collections::BTreeMap;

use super::evidence::squashed;
use super::steps::Steps;
use crate::error::ModelError;
use crate::graph::{Graph, ImageInput};
use crate::preprocessing::{Color, Filter, Resize, ResizeTo, Size};

const PIXELS: &str = "Image.BitmapPixelFormat";
const RANGE: &str = "Image.NominalPixelRange";

/// Keys with which authors describe preprocessing in words of their own.
const OTHERS: [&str; 14] = [
    "mean",
    "std",
    "image_mean",
    "image_std",
    "pixel_mean",
    "pixel_std",
    "normalize",
    "normalization",
    "preprocess",
    "preprocessing",
    "transform",
    "transforms",
    "input_range",
    "color_format",
];

/// The steps that `graph`'s metadata describes, if it does.
pub(super) fn steps(graph: &Graph, input: &ImageInput) -> Result<Option<Steps>, ModelError> {
    let metadata = &graph.metadata;
    if metadata.contains_key("task") && metadata.contains_key("names") {
        return ultralytics(metadata, input).map(Some);
    }
    if metadata.contains_key(PIXELS) || metadata.contains_key(RANGE) {
        return onnx_image(metadata, input).map(Some);
    }
    match metadata.iter().find(|(key, _)| OTHERS.contains(&key.to_lowercase().as_str())) {
        Some((key, value)) => {
            let value: String = value.chars().take(80).collect();
            Err(squashed(input, "the graph's metadata")
                .instead(&format!("the graph's metadata has {key} = {value:?}, which cannot be read")))
        }
        None => Ok(None),
    }
}

/// `classify_transforms` (ultralytics 8.3, `data/augment.py`): the shorter side to `imgsz`, bilinear, a
/// centre crop, 0..1.
fn ultralytics(metadata: &BTreeMap<String, String>, input: &ImageInput) -> Result<Steps, ModelError> {
    let task = metadata.get("task").map_or("", String::as_str);
    if task != "classify" {
        return Err(ModelError::new(format!(
            "this Ultralytics model's task is {task:?}, but tagfleet tags with classifiers: export a model of the task classify"
        )));
    }
    let size = metadata.get("imgsz").and_then(|text| numbers(text)).or_else(|| fixed(input));
    let Some(size) = size else {
        return Err(ModelError::new(
            "the graph's metadata has no imgsz, and its input no fixed size: give resize and crop in tagfleet.toml",
        ));
    };
    let to =
        if size.height == size.width { ResizeTo::ShortestEdge(size.height) } else { ResizeTo::Exact(size) };
    Ok(Steps {
        resize: Some(Resize { to, filter: Filter::Bilinear }),
        crop: Some(size),
        source: "the graph's metadata",
        ..Steps::default()
    })
}

/// `[224, 224]` or `224`: height and width.
fn numbers(text: &str) -> Option<Size> {
    let trimmed = text.trim().trim_start_matches(['[', '(']).trim_end_matches([']', ')']);
    let numbers: Option<Vec<u32>> = trimmed.split(',').map(|part| part.trim().parse().ok()).collect();
    match numbers?.as_slice() {
        [side] => Some(Size { height: *side, width: *side }),
        [height, width] => Some(Size { height: *height, width: *width }),
        _ => None,
    }
}

pub(super) fn fixed(input: &ImageInput) -> Option<Size> {
    let side = |side: Option<usize>| side.and_then(|side| u32::try_from(side).ok());
    Some(Size { height: side(input.height)?, width: side(input.width)? })
}

/// Custom Vision's own `onnxruntime_predict.py` resizes to the graph with Pillow's default filter, bicubic.
fn onnx_image(metadata: &BTreeMap<String, String>, input: &ImageInput) -> Result<Steps, ModelError> {
    let source = "the graph's metadata";
    let mut steps = squashed(input, source);
    if let Some(resize) = &mut steps.resize {
        resize.filter = Filter::Bicubic;
    }
    steps.color = match metadata.get(PIXELS).map(String::as_str) {
        Some("Bgr8" | "Bgra8") => Some(Color::Bgr),
        Some("Gray8") => Some(Color::Gray),
        Some("Rgb8" | "Rgba8") | None => None,
        Some(other) => {
            return Err(steps.instead(&format!("{PIXELS} in {source} is {other:?}, which is unknown")));
        }
    };
    // Without a range ONNX's is 0..255.
    match metadata.get(RANGE).map(String::as_str) {
        Some("NominalRange_0_255") | None => steps.scale = 1.0,
        Some("Normalized_0_1") => {}
        Some("Normalized_1_1") => {
            steps.scale = 1.0 / 127.5;
            steps.offset = -1.0;
        }
        Some("NominalRange_16_235") => {
            steps.scale = 219.0 / 255.0;
            steps.offset = 16.0;
        }
        Some(other) => {
            return Err(steps.instead(&format!("{RANGE} in {source} is {other:?}, which is unknown")));
        }
    }
    Ok(steps)
}
