//! PaddleClas's `inference.yml`: the operations before an exported model, and its labels
//! (PaddleClas 2.6, `ppcls/data/preprocess/ops/operators.py`).

use std::path::Path;

use serde_json::Value;

use super::steps::{PerChannel, Steps};
use crate::error::ModelError;
use crate::files;
use crate::preprocessing::{Anchor, Arithmetic, Color, Filter, Resize, ResizeTo, Size};

/// Under these names the file is exported.
pub(super) const NAMES: [&str; 2] = ["inference.yml", "inference.yaml"];
const SOURCE: &str = "inference.yml";

/// The file in `root`, if there is one.
pub(super) fn file(root: &Path) -> Result<Option<Value>, ModelError> {
    for name in NAMES {
        if let Some(value) = files::read_yaml(&root.join(name))? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// The steps of its `PreProcess`, if it has one.
pub(super) fn steps(file: &Value) -> Result<Option<Steps>, ModelError> {
    let Some(Value::Array(operations)) = file.pointer("/PreProcess/transform_ops") else { return Ok(None) };
    // Its pictures are read as blue, green, red, and turned unless the file has another order.
    let mut steps = Steps {
        scale: 1.0,
        anchor: Anchor::CenterFloor,
        arithmetic: Arithmetic::Single,
        source: SOURCE,
        ..Steps::default()
    };
    for operation in operations {
        let Some((name, arguments)) = operation.as_object().and_then(|fields| fields.iter().next()) else {
            return Err(steps.instead(&format!("{SOURCE}: {operation} is not an operation with a name")));
        };
        add(&mut steps, name, arguments)?;
    }
    Ok(Some(steps))
}

fn add(steps: &mut Steps, name: &str, arguments: &Value) -> Result<(), ModelError> {
    let understood = match name {
        "DecodeImage" => {
            let is_rgb = arguments.get("to_rgb").and_then(Value::as_bool).unwrap_or(true);
            steps.color = if is_rgb { None } else { Some(Color::Bgr) };
            true
        }
        "ResizeImage" => resize(steps, arguments),
        "CropImage" => {
            steps.crop = size(arguments.get("size"));
            steps.crop.is_some()
        }
        "NormalizeImage" => normalise(steps, arguments),
        "ToCHWImage" | "KeepKeys" => true,
        _ => false,
    };
    if understood { Ok(()) } else { Err(steps.instead(&format!("{SOURCE}: {name} {arguments} is not read"))) }
}

/// `int(round(side * short / min(sides)))` for each side, or an exact size; OpenCV's bilinear by default.
fn resize(steps: &mut Steps, arguments: &Value) -> bool {
    let text = |key: &str| arguments.get(key).and_then(Value::as_str).map(str::to_lowercase);
    let is_pillow = text("backend").is_some_and(|backend| backend == "pil");
    let filter = match (text("interpolation").as_deref().unwrap_or("bilinear"), is_pillow) {
        ("bilinear", false) => Filter::OpencvBilinear,
        ("bilinear", true) => Filter::Bilinear,
        ("bicubic", true) => Filter::Bicubic,
        ("lanczos", true) => Filter::Lanczos,
        ("nearest", true) => Filter::Nearest,
        _ => return false,
    };
    let to = match (size(arguments.get("resize_short")), size(arguments.get("size"))) {
        (Some(short), None) => ResizeTo::Cover(short),
        (None, Some(size)) => ResizeTo::Exact(size),
        _ => return false,
    };
    steps.resize = Some(Resize { to, filter });
    true
}

fn normalise(steps: &mut Steps, arguments: &Value) -> bool {
    let scale = match arguments.get("scale") {
        None | Some(Value::Null) => Some(1.0 / 255.0),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => fraction(text),
        Some(_) => None,
    };
    let numbers = |key: &str| serde_json::from_value::<PerChannel>(arguments.get(key)?.clone()).ok();
    let (Some(scale), Some(mean), Some(std)) = (scale, numbers("mean"), numbers("std")) else { return false };
    (steps.scale, steps.mean, steps.std) = (scale, mean, std);
    true
}

/// `1.0/255.0` as Python evaluates it, or a number.
fn fraction(text: &str) -> Option<f64> {
    match text.split_once('/') {
        Some((over, under)) => Some(over.trim().parse::<f64>().ok()? / under.trim().parse::<f64>().ok()?),
        None => text.trim().parse().ok(),
    }
}

/// One number for a square, or width and height, as PaddleClas unpacks `size`.
fn size(value: Option<&Value>) -> Option<Size> {
    let side = |value: &Value| value.as_u64().and_then(|side| u32::try_from(side).ok());
    match value? {
        Value::Array(sides) if sides.len() == 2 => {
            Some(Size { width: side(&sides[0])?, height: side(&sides[1])? })
        }
        value => side(value).map(|side| Size { height: side, width: side }),
    }
}

/// The labels of `PostProcess`: a list, or a file next to the model.
pub(super) fn labels(file: &Value) -> Option<Vec<String>> {
    let list = file.pointer("/PostProcess/Topk/label_list").or_else(|| {
        file.pointer("/PostProcess")?.as_object()?.values().find_map(|post| post.get("label_list"))
    })?;
    let text = |label: &Value| label.as_str().map_or_else(|| label.to_string(), str::to_owned);
    Some(list.as_array()?.iter().map(text).collect())
}
