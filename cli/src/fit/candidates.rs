//! The ways in which pictures are usually prepared, as data: samples, geometry, filter.
//!
//! Two descriptions that give the same values in other words are one candidate. Nothing is tried here.

use tagfleet_model::folder::ModelSpec;
use tagfleet_model::graph::Element;
use tagfleet_model::preprocessing::{
    Anchor, Color, Decoding, Fill, Filter, Layout, Preprocessing, Resize, ResizeTo, Size,
};

/// One way to prepare pictures.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) steps: Preprocessing,
    /// Whether the model's folder describes it so, or its graph was taken to mean it.
    pub(super) is_present: bool,
}

/// A range of samples: `(x * scale + offset - mean) / std`, with mean and std in red, green, blue.
struct Range {
    name: &'static str,
    scale: f64,
    offset: f32,
    mean: [f32; 3],
    std: [f32; 3],
}

const UNIT: f64 = 1.0 / 255.0;

const fn plain(name: &'static str, scale: f64, offset: f32) -> Range {
    Range { name, scale, offset, mean: [0.0; 3], std: [1.0; 3] }
}

/// Ranges of colour pictures. ImageNet's mean and std as in torchvision, `transforms/_presets.py`; Caffe's mean as in Keras,
/// `applications/imagenet_utils.py`.
const RANGES: [Range; 6] = [
    plain("0..1", UNIT, 0.0),
    plain("0..255", 1.0, 0.0),
    plain("-1..1", 1.0 / 127.5, -1.0),
    Range {
        name: "ImageNet's mean and std",
        scale: UNIT,
        offset: 0.0,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    },
    Range {
        name: "0..255 less ImageNet's mean",
        scale: 1.0,
        offset: 0.0,
        mean: [123.68, 116.779, 103.939],
        std: [1.0; 3],
    },
    plain("-0.5..0.5", UNIT, -0.5),
];

/// Ranges of gray pictures: networks for digits often see white on black.
const GRAY_RANGES: [Range; 6] = [
    plain("0..1", UNIT, 0.0),
    plain("0..255", 1.0, 0.0),
    plain("-1..1", 1.0 / 127.5, -1.0),
    plain("-0.5..0.5", UNIT, -0.5),
    plain("1..0, inverted", -UNIT, 1.0),
    plain("255..0, inverted", -1.0, 255.0),
];

/// The filters of the last stage; the first stages take the first one.
const FILTERS: [Filter; 4] = [Filter::Bilinear, Filter::Bicubic, Filter::OpencvBilinear, Filter::Nearest];

/// How pictures get the size of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Geometry {
    square: Option<[u8; 3]>,
    to: Option<ResizeTo>,
    crop: Option<Size>,
    anchor: Anchor,
    fill: Fill,
}

impl Candidate {
    /// As the model's folder has it.
    pub(super) fn present(spec: &ModelSpec) -> Self {
        Self { steps: spec.preprocessing.clone(), is_present: true }
    }

    fn of(steps: Preprocessing) -> Self {
        Self { steps, is_present: false }
    }

    /// True if `other` has the same channel order, values and layout.
    pub(super) fn has_samples_of(&self, other: &Self) -> bool {
        let (left, right) = (&self.steps, &other.steps);
        left.color == right.color && left.layout == right.layout && is_same(&ends(left), &ends(right))
    }

    pub(super) fn geometry(&self) -> Geometry {
        let Preprocessing { square, resize, crop, input, .. } = self.steps;
        let to = resize.map(|resize| resize.to);
        // A crop that a resize has made already changes nothing.
        let crop = crop.filter(|crop| to != Some(ResizeTo::Exact(*crop)));
        let is_padded = matches!(to, Some(ResizeTo::Fit(size)) if size == input) && crop.is_some();
        // The ways to round the centre differ by half a pixel.
        let is_corner = crop.is_some() && self.steps.anchor == Anchor::TopLeft;
        let anchor = if is_corner { Anchor::TopLeft } else { Anchor::Center };
        let fill = if is_padded { self.steps.fill } else { Fill::default() };
        Geometry { square, to, crop, anchor, fill }
    }

    pub(super) fn filter(&self) -> Option<Filter> {
        self.steps.resize.map(|resize| resize.filter)
    }

    /// True if `other` prepares pictures likewise, whatever the words.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.has_samples_of(other) && self.geometry() == other.geometry() && self.filter() == other.filter()
    }

    pub(super) fn with_geometry(&self, geometry: Geometry) -> Self {
        let filter = self.filter().unwrap_or(Filter::Bilinear);
        let Geometry { square, to, crop, anchor, fill } = geometry;
        let resize = to.map(|to| Resize { to, filter });
        Self::of(Preprocessing { square, resize, crop, anchor, fill, ..self.steps.clone() })
    }

    pub(super) fn with_filter(&self, filter: Filter) -> Self {
        let resize = self.steps.resize.map(|resize| Resize { filter, ..resize });
        let decoding = if filter.is_continuous() { self.steps.decoding } else { Decoding::Exact };
        Self::of(Preprocessing { resize, decoding, ..self.steps.clone() })
    }
}

/// What the least and the greatest sample become, per channel in the order of the graph.
fn ends(steps: &Preprocessing) -> Vec<[f64; 2]> {
    let offset = f64::from(steps.offset);
    let mut ends = Vec::with_capacity(steps.mean.len());
    for (mean, std) in steps.mean.iter().zip(&steps.std) {
        let (mean, std) = (f64::from(*mean), f64::from(*std));
        let std = if steps.std_twice { std * std } else { std };
        ends.push([(offset - mean) / std, (255.0 * steps.scale + offset - mean) / std]);
    }
    ends
}

/// Values that differ by less than a fifth of a sample are the same.
fn is_same(left: &[[f64; 2]], right: &[[f64; 2]]) -> bool {
    let is_near = |(left, right): (&[f64; 2], &[f64; 2])| {
        let near = (left[1] - left[0]).abs() / 1024.0;
        (left[0] - right[0]).abs() <= near && (left[1] - right[1]).abs() <= near
    };
    left.len() == right.len() && left.iter().zip(right).all(is_near)
}

/// Every channel order and range, with pictures squashed to the input's size.
pub(super) fn samples(spec: &ModelSpec, is_layout_open: bool) -> Vec<Candidate> {
    let present = Candidate::present(spec);
    let squashed = present.with_geometry(squash(spec.preprocessing.input));
    let squashed = squashed.with_filter(Filter::Bilinear);
    let mut found = vec![squashed.clone()];
    if matches!(spec.input.element, Element::U8 | Element::I8) {
        for color in colors(spec) {
            let steps = Preprocessing { color, ..squashed.steps.clone() };
            add(&mut found, Candidate::of(steps));
        }
        return found;
    }
    let layouts = match (is_layout_open, spec.preprocessing.layout) {
        (false, layout) => vec![layout],
        (true, _) => vec![Layout::Nchw, Layout::Nhwc],
    };
    for layout in layouts {
        for range in ranges(spec) {
            for color in colors(spec) {
                add(&mut found, Candidate::of(range.steps(&squashed.steps, color, layout)));
            }
        }
    }
    found
}

fn ranges(spec: &ModelSpec) -> &'static [Range; 6] {
    if spec.preprocessing.mean.len() == 1 { &GRAY_RANGES } else { &RANGES }
}

fn colors(spec: &ModelSpec) -> Vec<Color> {
    if spec.preprocessing.mean.len() == 1 { vec![Color::Gray] } else { vec![Color::Rgb, Color::Bgr] }
}

impl Range {
    fn steps(&self, base: &Preprocessing, color: Color, layout: Layout) -> Preprocessing {
        let channels = base.mean.len();
        let in_order = |values: [f32; 3]| {
            let mut values = values.to_vec();
            if color == Color::Bgr {
                values.reverse();
            }
            values.truncate(channels);
            values
        };
        let (mean, std) = (in_order(self.mean), in_order(self.std));
        let (scale, offset) = (self.scale, self.offset);
        Preprocessing { color, layout, scale, offset, mean, std, std_twice: false, ..base.clone() }
    }
}

/// A candidate that is not there yet.
pub(super) fn add(candidates: &mut Vec<Candidate>, new: Candidate) {
    if !candidates.iter().any(|candidate| candidate.is_like(&new)) {
        candidates.push(new);
    }
}

fn squash(input: Size) -> Geometry {
    named_geometries(input)[0].1
}

/// Every geometry, the one of the model's folder included.
pub(super) fn geometries(spec: &ModelSpec) -> Vec<Geometry> {
    let mut found: Vec<Geometry> =
        named_geometries(spec.preprocessing.input).into_iter().map(|(_, geometry)| geometry).collect();
    let present = Candidate::present(spec).geometry();
    if !found.contains(&present) {
        found.push(present);
    }
    found
}

/// The usual geometries and their names. The crops are those of torchvision (256/224) and of networks trained without a
/// margin; the grays are those that YOLO's letterbox (114) and WD taggers (255) pad with.
fn named_geometries(input: Size) -> Vec<(&'static str, Geometry)> {
    let to = |to| Geometry {
        square: None,
        to: Some(to),
        crop: None,
        anchor: Anchor::default(),
        fill: Fill::default(),
    };
    let cropped = |target, anchor, gray| Geometry {
        crop: Some(input),
        anchor,
        fill: Fill::Color([gray; 3]),
        ..to(target)
    };
    let squashed = to(ResizeTo::Exact(input));
    if input.height != input.width {
        return vec![
            ("squash", squashed),
            ("cover and crop", cropped(ResizeTo::Cover(input), Anchor::Center, 0)),
            ("fit and pad with black", cropped(ResizeTo::Fit(input), Anchor::Center, 0)),
            ("fit and pad with gray", cropped(ResizeTo::Fit(input), Anchor::Center, 114)),
            ("fit and pad with white", cropped(ResizeTo::Fit(input), Anchor::Center, 255)),
        ];
    }
    let side = input.height;
    let larger = u32::try_from((u64::from(side) * 256 + 112) / 224).unwrap_or(side);
    let square = |gray| Geometry { square: Some([gray; 3]), ..squashed };
    vec![
        ("squash", squashed),
        ("shorter side 256/224 and crop", cropped(ResizeTo::ShortestEdge(larger), Anchor::Center, 0)),
        ("shorter side and crop", cropped(ResizeTo::ShortestEdge(side), Anchor::Center, 0)),
        ("pad to a square with black", square(0)),
        ("pad to a square with gray", square(114)),
        ("pad to a square with white", square(255)),
        ("fit into the top left, black", cropped(ResizeTo::Fit(input), Anchor::TopLeft, 0)),
    ]
}

/// The filters to try behind the first, that of the model's folder included.
pub(super) fn filters(spec: &ModelSpec) -> Vec<Filter> {
    let mut found = FILTERS.to_vec();
    found.extend(Candidate::present(spec).filter().filter(|filter| !FILTERS.contains(filter)));
    found
}

impl Candidate {
    /// The channel order and values: `BGR, 0..255`.
    pub(super) fn samples_name(&self) -> String {
        let color = match self.steps.color {
            Color::Rgb => "RGB",
            Color::Bgr => "BGR",
            Color::Gray | Color::GrayMean => "gray",
        };
        let table = if self.steps.mean.len() == 1 { &GRAY_RANGES } else { &RANGES };
        let is_it = |range: &&Range| {
            let steps = range.steps(&self.steps, self.steps.color, self.steps.layout);
            is_same(&ends(&steps), &ends(&self.steps))
        };
        let range = table.iter().find(is_it).map_or("values as described", |range| range.name);
        format!("{color}, {range}")
    }

    pub(super) fn geometry_name(&self) -> &'static str {
        let named = named_geometries(self.steps.input);
        let found = named.iter().find(|(_, geometry)| *geometry == self.geometry());
        found.map_or("size as described", |(name, _)| name)
    }

    pub(super) fn filter_name(&self) -> &'static str {
        match self.filter() {
            None => "no resize",
            Some(Filter::Nearest) => "nearest",
            Some(Filter::Lanczos) => "lanczos",
            Some(Filter::Bilinear) => "bilinear",
            Some(Filter::Bicubic) => "bicubic",
            Some(Filter::Box) => "box",
            Some(Filter::Hamming) => "hamming",
            Some(Filter::OpencvBilinear) => "opencv_bilinear",
        }
    }

    /// All of it in one line.
    pub(super) fn name(&self, with_layout: bool) -> String {
        let layout = match (with_layout, self.steps.layout) {
            (false, _) => "",
            (true, Layout::Nchw) => ", NCHW",
            (true, Layout::Nhwc) => ", NHWC",
        };
        format!("{}{layout}, {} ({})", self.samples_name(), self.geometry_name(), self.filter_name())
    }
}
