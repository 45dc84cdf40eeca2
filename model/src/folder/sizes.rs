//! Sizes as transformers' processors write them, and what single families make of them. It reads no file.

use serde_json::Value;

use super::steps::{Steps, pixels};
use crate::error::ModelError;
use crate::preprocessing::{Resize, ResizeTo, Size};

/// A `size` in any of the forms that transformers' `get_size_dict` accepts; `name` is the file it is in.
pub(super) fn of_field(
    field: &str,
    value: &Value,
    number_is_square: bool,
    name: &str,
) -> Result<ResizeTo, ModelError> {
    let what = format!("{field} of {name}");
    let side = |value: &Value| pixels(value.as_f64().unwrap_or(f64::NAN), &what);
    let exact = |height, width| Ok(ResizeTo::Exact(Size { height: side(height)?, width: side(width)? }));
    let keyed = |key| value.get(key).filter(|value| !value.is_null());
    match (value, keyed("shortest_edge"), keyed("height"), keyed("width")) {
        (Value::Number(_), ..) if number_is_square => exact(value, value),
        (Value::Number(_), ..) => Ok(ResizeTo::ShortestEdge(side(value)?)),
        (Value::Array(sides), ..) if sides.len() == 2 => exact(&sides[0], &sides[1]),
        (_, Some(shortest), None, None) if keyed("longest_edge").is_none() => {
            Ok(ResizeTo::ShortestEdge(side(shortest)?))
        }
        (_, None, Some(height), Some(width)) => exact(height, width),
        _ => Err(ModelError::new(format!(
            "{what} is {value}, but a number, height and width, or shortest_edge was expected: give resize and crop in tagfleet.toml"
        ))),
    }
}

/// A `crop_size`, in the same forms; one side alone is that of a square.
pub(super) fn of_crop(value: &Value, name: &str) -> Result<Size, ModelError> {
    match of_field("crop_size", value, true, name)? {
        ResizeTo::ShortestEdge(side) => Ok(Size { height: side, width: side }),
        ResizeTo::Exact(size)
        | ResizeTo::Cut(size)
        | ResizeTo::Cover(size)
        | ResizeTo::Fit(size)
        | ResizeTo::Height(size) => Ok(size),
    }
}

/// The steps for pictures of another side, in proportion: 256 and a crop of 224 become 439 and 384.
pub(super) fn scaled(mut steps: Steps, side: u32) -> Steps {
    let from = steps.crop.map(|crop| crop.height).or(match steps.resize {
        Some(Resize { to: ResizeTo::ShortestEdge(side), .. }) => Some(side),
        Some(Resize { to: ResizeTo::Exact(size), .. }) => Some(size.height),
        _ => None,
    });
    let Some(from) = from.filter(|&from| from != 0 && from != side) else { return steps };
    let other = |old: u32| (f64::from(old) * f64::from(side) / f64::from(from)).round() as u32;
    let size = |old: Size| Size { height: other(old.height), width: other(old.width) };
    steps.crop = steps.crop.map(size);
    if let Some(resize) = &mut steps.resize {
        resize.to = match resize.to {
            ResizeTo::ShortestEdge(side) => ResizeTo::ShortestEdge(other(side)),
            ResizeTo::Exact(old) => ResizeTo::Exact(size(old)),
            same => same,
        };
    }
    steps
}

/// LeViT's `int(256 / 224 * size)` for the shorter side.
pub(super) fn levit(to: ResizeTo) -> Result<ResizeTo, ModelError> {
    match to {
        ResizeTo::ShortestEdge(side) => {
            Ok(ResizeTo::ShortestEdge(pixels((256.0 / 224.0) * f64::from(side), "256/224 of size")?))
        }
        other => Ok(other),
    }
}

/// PoolFormer's size over `crop_pct`.
pub(super) fn poolformer(to: ResizeTo, crop_pct: Option<f64>) -> Result<ResizeTo, ModelError> {
    let Some(crop_pct) = crop_pct else { return Ok(to) };
    let over = |side: u32| pixels(f64::from(side) / crop_pct, "size over crop_pct");
    Ok(match to {
        ResizeTo::ShortestEdge(side) => ResizeTo::ShortestEdge(over(side)?),
        ResizeTo::Exact(size) if size.height == size.width => ResizeTo::ShortestEdge(over(size.height)?),
        ResizeTo::Exact(size) => {
            ResizeTo::Exact(Size { height: over(size.height)?, width: over(size.width)? })
        }
        other => other,
    })
}

/// Perceiver crops `size / crop_size` of the shorter side and then resizes to `size`. Resized first, the same
/// region is a crop of `size` out of a shorter side of `crop_size`.
pub(super) fn perceiver(
    to: ResizeTo,
    steps: &mut Steps,
    notes: &mut Vec<String>,
) -> Result<ResizeTo, ModelError> {
    let (ResizeTo::Exact(size), Some(crop)) = (to, steps.crop) else { return Ok(to) };
    let name = steps.source;
    if size.height != size.width || crop.height != crop.width {
        return Err(ModelError::new(format!(
            "{name}: size and crop_size must be square: give them in tagfleet.toml"
        )));
    }
    notes.push(format!(
        "{name}: Perceiver crops before it resizes, tagfleet after: the same region, up to a pixel at its edges"
    ));
    steps.crop = Some(size);
    Ok(ResizeTo::ShortestEdge(crop.height))
}
