//! The usual ways to resize and crop pictures to a model's input, and their names.
//!
//! Data only; `candidates` turns it into descriptions.

use tagfleet_model::preprocessing::{Anchor, Fill, ResizeTo, Size};

/// How pictures get the size of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Geometry {
    pub(super) square: Option<[u8; 3]>,
    pub(super) to: Option<ResizeTo>,
    pub(super) crop: Option<Size>,
    pub(super) anchor: Anchor,
    pub(super) fill: Fill,
}

impl Geometry {
    fn to(to: ResizeTo) -> Self {
        Self { square: None, to: Some(to), crop: None, anchor: Anchor::default(), fill: Fill::default() }
    }

    fn cropped(to: ResizeTo, crop: Size) -> Self {
        Self { crop: Some(crop), ..Self::to(to) }
    }

    fn filled(self, gray: u8) -> Self {
        Self { fill: Fill::Color([gray; 3]), ..self }
    }

    /// Whether it goes straight to one size.
    pub(super) fn is_squash(self) -> bool {
        matches!(self, Self { square: None, to: Some(ResizeTo::Exact(_)), crop: None, .. })
    }

    /// Whether both are crops that keep the ratio, or the same.
    pub(super) fn is_like(self, other: Self) -> bool {
        let is_crop = |geometry: Self| matches!(geometry.to, Some(ResizeTo::ShortestEdge(_)));
        self == other || (is_crop(self) && is_crop(other))
    }

    /// Its name among those for `input`.
    pub(super) fn name(self, input: Size) -> &'static str {
        let found = all(input).into_iter().find(|named| named.geometry == self);
        found.map_or("size as described", |named| named.name)
    }
}

/// Straight to the input's size.
pub(super) fn squash(input: Size) -> Geometry {
    Geometry::to(ResizeTo::Exact(input))
}

/// A geometry with its name.
pub(super) struct NamedGeometry {
    pub(super) name: &'static str,
    pub(super) geometry: Geometry,
}

fn named(name: &'static str, geometry: Geometry) -> NamedGeometry {
    NamedGeometry { name, geometry }
}

/// All that are tried for `input`.
pub(super) fn all(input: Size) -> Vec<NamedGeometry> {
    usual(input).into_iter().chain(close(input)).collect()
}

/// The usual geometries. The crops are those of torchvision (256/224) and of networks trained without a
/// margin; the grays are those that YOLO's letterbox (114) and WD taggers (255) pad with.
pub(super) fn usual(input: Size) -> Vec<NamedGeometry> {
    if input.height != input.width {
        return usual_of_oblong(input);
    }
    let side = input.height;
    let square = |gray| Geometry { square: Some([gray; 3]), ..squash(input) };
    let corner = Geometry { anchor: Anchor::TopLeft, ..Geometry::cropped(ResizeTo::Fit(input), input) };
    let shorter = |side| Geometry::cropped(ResizeTo::ShortestEdge(side), input);
    vec![
        named("squash", squash(input)),
        named("shorter side 256/224 and crop", shorter(larger(side, 256, 224))),
        named("shorter side and crop", shorter(side)),
        named("pad to a square with black", square(0)),
        named("pad to a square with gray", square(114)),
        named("pad to a square with white", square(255)),
        named("fit into the top left, black", corner),
    ]
}

/// A fixed height is for lines of text, which are wide: the rest is zero after normalising (PaddleOCR,
/// `predict_cls.py`).
fn usual_of_oblong(input: Size) -> Vec<NamedGeometry> {
    let fitted = Geometry::cropped(ResizeTo::Fit(input), input);
    let mut found = vec![
        named("squash", squash(input)),
        named("cover and crop", Geometry::cropped(ResizeTo::Cover(input), input)),
        named("fit and pad with black", fitted),
        named("fit and pad with gray", fitted.filled(114)),
        named("fit and pad with white", fitted.filled(255)),
    ];
    if input.width > input.height {
        let fixed = Geometry::cropped(ResizeTo::Height(input), input);
        let line = Geometry { anchor: Anchor::TopLeft, fill: Fill::Zero, ..fixed };
        found.push(named("fixed height, padded with zero", line));
    }
    found
}

/// Geometries that are close to a usual one: the other margins that timm's networks are evaluated with
/// (`crop_pct` 0.95 and 0.9).
pub(super) fn close(input: Size) -> Vec<NamedGeometry> {
    if input.height != input.width {
        return Vec::new();
    }
    let side = input.height;
    let shorter = |side| Geometry::cropped(ResizeTo::ShortestEdge(side), input);
    vec![
        named("shorter side 1/0.95 and crop", shorter((f64::from(side) / 0.95) as u32)),
        named("shorter side 1/0.9 and crop", shorter((f64::from(side) / 0.9) as u32)),
    ]
}

/// `side * of / to`, rounded.
fn larger(side: u32, of: u64, to: u64) -> u32 {
    u32::try_from((u64::from(side) * of + to / 2) / to).unwrap_or(side)
}
