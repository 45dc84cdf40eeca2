//! The usual preprocessing of pictures, as data: samples and filter here, sizes in `geometry`.
//!
//! Two descriptions that give the same values in other words are one candidate. Nothing is tried here.

use tagfleet_model::folder::ModelSpec;
use tagfleet_model::graph::Element;
use tagfleet_model::preprocessing::{
    Anchor, Color, Decoding, Fill, Filter, Layout, Preprocessing, Resize, ResizeTo,
};

use super::geometry::{Geometry, squash};

/// One way to prepare pictures.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) steps: Preprocessing,
    /// Whether it is the present description of the model, from its folder or guessed from its graph.
    pub(super) is_present: bool,
    /// Whether it is tried only because it is close to something more usual.
    pub(super) is_close: bool,
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

/// Ranges of colour pictures. ImageNet's mean and std as in torchvision, `transforms/_presets.py`; Caffe's
/// mean as in Keras, `applications/imagenet_utils.py`; CLIP's as in OpenCLIP, `constants.py`. The first
/// [`FIRST`] are tried with every channel order; each of the others is close to one of them, and is tried if
/// that is the best.
const RANGES: [Range; 9] = [
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
    Range {
        name: "CLIP's mean and std",
        scale: UNIT,
        offset: 0.0,
        mean: [0.48145466, 0.4578275, 0.40821073],
        std: [0.26862954, 0.261_302_6, 0.275_777_1],
    },
    plain("0..255 less 128", 1.0, -128.0),
    Range {
        name: "0..1 less ImageNet's mean",
        scale: UNIT,
        offset: 0.0,
        mean: [0.485, 0.456, 0.406],
        std: [1.0; 3],
    },
];
const FIRST: usize = 6;

/// Ranges of gray pictures: networks for digits often see white on black. MNIST's mean and std are those of
/// PyTorch's example.
const GRAY_RANGES: [Range; 9] = [
    plain("0..1", UNIT, 0.0),
    plain("0..255", 1.0, 0.0),
    plain("-1..1", 1.0 / 127.5, -1.0),
    plain("-0.5..0.5", UNIT, -0.5),
    plain("1..0, inverted", -UNIT, 1.0),
    plain("255..0, inverted", -1.0, 255.0),
    Range { name: "MNIST's mean and std", scale: UNIT, offset: 0.0, mean: [0.1307; 3], std: [0.3081; 3] },
    plain("0..255 less 128", 1.0, -128.0),
    plain("1..-1, inverted", -1.0 / 127.5, 1.0),
];

/// The filters of the last stage; the first stages take the first one.
const FILTERS: [Filter; 4] = [Filter::Bilinear, Filter::Bicubic, Filter::OpencvBilinear, Filter::Nearest];

impl Candidate {
    /// As the model's folder has it.
    pub(super) fn present(spec: &ModelSpec) -> Self {
        Self { steps: spec.preprocessing.clone(), is_present: true, is_close: false }
    }

    fn of(steps: Preprocessing) -> Self {
        Self { steps, is_present: false, is_close: false }
    }

    /// The same, marked as close to another.
    pub(super) fn closely(self) -> Self {
        Self { is_close: true, ..self }
    }

    /// True if `other` has the same layout, the same channel order or gray pictures, and nearly the same
    /// values: pictures rarely decide between them.
    pub(super) fn has_samples_close_to(&self, other: &Self) -> bool {
        let (left, right) = (&self.steps, &other.steps);
        let is_near = |(left, right): (&[f64; 2], &[f64; 2])| are_within(left, right, CLOSE);
        let (left_ends, right_ends) = (ends(left), ends(right));
        let is_color_near = left.color == right.color || left.color.is_gray() || right.color.is_gray();
        is_color_near && left.layout == right.layout && left_ends.iter().zip(&right_ends).all(is_near)
    }

    /// True if `other` has the same channel order, values and layout.
    pub(super) fn has_samples_of(&self, other: &Self) -> bool {
        let (left, right) = (&self.steps, &other.steps);
        left.color == right.color && left.layout == right.layout && is_same(&ends(left), &ends(right))
    }

    pub(super) fn geometry(&self) -> Geometry {
        let Preprocessing { square, resize, crop, input, .. } = self.steps;
        let to = resize.map(|resize| resize.to);
        // A crop to the size of the resize changes nothing.
        let crop = crop.filter(|crop| to != Some(ResizeTo::Exact(*crop)));
        let is_padded = crop.is_some()
            && matches!(to, Some(ResizeTo::Fit(size) | ResizeTo::Height(size)) if size == input);
        // The ways to round the centre differ by half a pixel.
        let is_corner = crop.is_some() && self.steps.anchor == Anchor::TopLeft;
        let anchor = if is_corner { Anchor::TopLeft } else { Anchor::Center };
        let fill = if is_padded { self.steps.fill } else { Fill::default() };
        Geometry { square, to, crop, anchor, fill }
    }

    pub(super) fn filter(&self) -> Option<Filter> {
        self.steps.resize.map(|resize| resize.filter)
    }

    /// True if `other` prepares pictures in the same way, however it is described.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.has_samples_of(other) && self.geometry() == other.geometry() && self.filter() == other.filter()
    }

    pub(super) fn with_geometry(&self, geometry: Geometry) -> Self {
        let filter = self.filter().unwrap_or(Filter::Bilinear);
        let Geometry { square, to, crop, anchor, fill } = geometry;
        let resize = to.map(|to| Resize { to, filter });
        let steps = Preprocessing { square, resize, crop, anchor, fill, ..self.steps.clone() };
        Self { is_present: false, is_close: self.is_close, steps }
    }

    pub(super) fn with_filter(&self, filter: Filter) -> Self {
        let resize = self.steps.resize.map(|resize| Resize { filter, ..resize });
        let decoding = if filter.is_continuous() { self.steps.decoding } else { Decoding::Exact };
        let steps = Preprocessing { resize, decoding, ..self.steps.clone() };
        Self { is_present: false, is_close: self.is_close, steps }
    }
}

/// The values of the least and the greatest sample, per channel in the order of the graph.
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

/// Ends that differ by less than this share of the range are close; CLIP's and ImageNet's differ by 9 %.
const CLOSE: f64 = 0.12;

/// Values that differ by less than a fifth of a sample are the same.
fn is_same(left: &[[f64; 2]], right: &[[f64; 2]]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(left, right)| are_within(left, right, 1.0 / 1024.0))
}

fn are_within(left: &[f64; 2], right: &[f64; 2], share: f64) -> bool {
    let near = (left[1] - left[0]).abs() * share;
    (left[0] - right[0]).abs() <= near && (left[1] - right[1]).abs() <= near
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
        for range in first_ranges(spec) {
            for color in colors(spec) {
                let candidate = Candidate::of(range.steps(&squashed.steps, color, layout));
                let is_turned_gray = color.is_gray() && spec.preprocessing.mean.len() > 1;
                add(&mut found, if is_turned_gray { candidate.closely() } else { candidate });
            }
        }
    }
    found
}

/// What is close to `best`: other ranges, and another gray.
pub(super) fn close_samples(spec: &ModelSpec, best: &Candidate) -> Vec<Candidate> {
    let mut found = vec![best.clone()];
    if matches!(spec.input.element, Element::U8 | Element::I8) {
        return found;
    }
    let Preprocessing { color, layout, .. } = best.steps;
    for range in ranges(spec) {
        let candidate = Candidate::of(range.steps(&best.steps, color, layout)).closely();
        if candidate.has_samples_close_to(best) {
            add(&mut found, candidate);
        }
    }
    if color.is_gray() {
        let steps = Preprocessing { color: Color::GrayMean, ..best.steps.clone() };
        add(&mut found, Candidate::of(steps).closely());
    }
    found
}

/// Gray pictures have one channel order, so that all their ranges can be tried.
fn first_ranges(spec: &ModelSpec) -> &'static [Range] {
    let ranges = ranges(spec);
    if spec.preprocessing.mean.len() == 1 { ranges } else { &ranges[..FIRST] }
}

fn ranges(spec: &ModelSpec) -> &'static [Range; 9] {
    if spec.preprocessing.mean.len() == 1 { &GRAY_RANGES } else { &RANGES }
}

fn colors(spec: &ModelSpec) -> Vec<Color> {
    if spec.preprocessing.mean.len() == 1 {
        vec![Color::Gray]
    } else {
        vec![Color::Rgb, Color::Bgr, Color::Gray]
    }
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

/// Adds a candidate unless one like it is there.
pub(super) fn add(candidates: &mut Vec<Candidate>, new: Candidate) {
    if !candidates.iter().any(|candidate| candidate.is_like(&new)) {
        candidates.push(new);
    }
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
            Color::Gray => "gray",
            Color::GrayMean => "gray as the mean",
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
        self.geometry().name(self.steps.input)
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

#[cfg(test)]
mod tests {
    use tagfleet_model::preprocessing::Size;

    use super::*;
    use crate::fit::geometry;

    fn squashed(input: Size) -> Candidate {
        Candidate::of(Preprocessing::plain(Color::Rgb, input)).with_geometry(squash(input))
    }

    #[test]
    fn every_geometry_has_a_name_and_is_read_back() {
        for (height, width) in [(224, 224), (48, 192), (192, 48)] {
            let input = Size { height, width };
            for named in geometry::all(input) {
                let candidate = squashed(input).with_geometry(named.geometry);
                assert_eq!((candidate.geometry(), candidate.geometry_name()), (named.geometry, named.name));
            }
        }
    }

    #[test]
    fn ranges_that_pictures_rarely_tell_apart_are_close() {
        let of = |name: &str, color| {
            let range = RANGES.iter().find(|range| range.name == name).unwrap();
            let base = squashed(Size { height: 8, width: 8 });
            Candidate::of(range.steps(&base.steps, color, Layout::Nchw))
        };
        let imagenet = of("ImageNet's mean and std", Color::Rgb);
        assert!(imagenet.has_samples_close_to(&of("CLIP's mean and std", Color::Rgb)));
        assert!(imagenet.has_samples_close_to(&of("ImageNet's mean and std", Color::Gray)));
        for (name, color) in
            [("-1..1", Color::Rgb), ("ImageNet's mean and std", Color::Bgr), ("0..255", Color::Gray)]
        {
            assert!(!imagenet.has_samples_close_to(&of(name, color)), "{name}");
        }
        let (less, centred) =
            (of("0..255 less 128", Color::Bgr), of("0..255 less ImageNet's mean", Color::Bgr));
        assert!(less.has_samples_close_to(&centred) && !less.has_samples_of(&centred));
    }
}
