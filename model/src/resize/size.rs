//! The size that a picture is resized to, and how small it may be decoded for that.
//!
//! Every rounding is that of a library, named at [`ResizeTo`]. Arithmetic only.

use super::Frame;
use crate::grid::Reduction;
use crate::preprocessing::{Anchor, Decoding, Resize, ResizeTo, Size};

/// The size that a picture of `size` is resized to; each side at least 1.
#[must_use]
pub fn resized_size(size: Size, to: ResizeTo) -> Size {
    match to {
        ResizeTo::Exact(exact) | ResizeTo::Cut(exact) => {
            Size { height: exact.height.max(1), width: exact.width.max(1) }
        }
        ResizeTo::ShortestEdge(edge) if size.width <= size.height => {
            Size { width: edge.max(1), height: long_side(edge, size.height, size.width) }
        }
        ResizeTo::ShortestEdge(edge) => {
            Size { width: long_side(edge, size.width, size.height), height: edge.max(1) }
        }
        ResizeTo::Cover(cover) => kept_ratio(size, cover, f64::min),
        ResizeTo::Fit(inside) => kept_ratio(size, inside, f64::max),
        ResizeTo::Height(most) => {
            let ratio = f64::from(size.width) / f64::from(size.height.max(1));
            let width = (f64::from(most.height) * ratio).ceil().clamp(1.0, f64::from(most.width.max(1)));
            Size { height: most.height.max(1), width: width as u32 }
        }
    }
}

/// The part of a picture that a resize sees, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// What is left of a picture of `size` once it has the aspect ratio of the target, as `ImageOps.fit` computes
/// it; all of it for every other resize.
pub(super) fn cut(size: Size, to: ResizeTo) -> Cut {
    let whole = Cut { width: f64::from(size.width), height: f64::from(size.height) };
    let ResizeTo::Cut(target) = to else { return whole };
    let (ratio, wanted) =
        (whole.width / whole.height, f64::from(target.width.max(1)) / f64::from(target.height.max(1)));
    if ratio >= wanted {
        Cut { width: wanted * whole.height, ..whole }
    } else {
        Cut { height: whole.width / wanted, ..whole }
    }
}

/// `floor(edge * long / short)`, which is Python's `int(edge * long / short)` for every size a picture can
/// have.
fn long_side(edge: u32, long: u32, short: u32) -> u32 {
    let exact = u64::from(edge) * u64::from(long) / u64::from(short.max(1));
    u32::try_from(exact).unwrap_or(u32::MAX).max(1)
}

/// timm's `ResizeKeepRatio`: both sides over the ratio to `target` that is chosen of theirs.
fn kept_ratio(size: Size, target: Size, choose: fn(f64, f64) -> f64) -> Size {
    let ratio = |side: u32, target: u32| f64::from(side) / f64::from(target.max(1));
    let ratio = choose(ratio(size.height, target.height), ratio(size.width, target.width));
    let side = |side: u32| (f64::from(side) / ratio).round_ties_even().max(1.0) as u32;
    Size { height: side(size.height), width: side(size.width) }
}

/// The strongest reduction of a picture of `size` that still covers what it is resized to, each side by
/// itself.
///
/// None if nothing is resized, and with filters that take a pixel whole or not at all.
#[must_use]
pub fn reduction(size: Size, frame: &Frame, decoding: Decoding) -> Reduction {
    let (Decoding::Scaled { cover }, Some(Resize { to, filter })) = (decoding, frame.resize) else {
        return Reduction::None;
    };
    if !filter.is_continuous() {
        return Reduction::None;
    }
    let padded = frame.padded(size);
    let resized = resized_size(padded, to);
    let cut = cut(padded, to);
    let covers = |length: f64, resized: u32, reduction: Reduction| {
        let needed = u64::from(resized) * u64::from(cover.max(1)) * u64::from(reduction.divisor());
        length >= needed as f64
    };
    // A sample that hangs over the edge would count as picture, not as padding.
    let ends = |length: u32, padded: u32, reduction: Reduction| {
        length == padded || length.is_multiple_of(reduction.divisor())
    };
    let fits = |reduction: &Reduction| {
        covers(cut.width, resized.width, *reduction)
            && covers(cut.height, resized.height, *reduction)
            && ends(size.width, padded.width, *reduction)
            && ends(size.height, padded.height, *reduction)
    };
    Reduction::ALL.into_iter().find(fits).unwrap_or(Reduction::None)
}

/// Where a crop of `crop` pixels starts in `length` pixels; negative if the crop is larger.
#[must_use]
pub fn crop_offset(length: u32, crop: u32, anchor: Anchor) -> i64 {
    let over = i64::from(length) - i64::from(crop);
    match anchor {
        Anchor::TopLeft => 0,
        Anchor::CenterFloor => over.div_euclid(2),
        Anchor::CenterTrunc => over / 2,
        Anchor::Center if over < 0 => over / 2,
        // Halves are rounded to even: 0.5 to 0, 1.5 to 2.
        Anchor::Center => over / 2 + i64::from(over % 4 == 3),
    }
}
