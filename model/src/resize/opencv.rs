//! OpenCV's `resize` of 8-bit samples with `INTER_LINEAR`, to the bit: weights of 11 bits, and no
//! antialiasing.
//!
//! Authors who read pictures with `cv2` resize them like this, and the difference from Pillow's filters is
//! large if pictures shrink. The steps are those of `modules/imgproc/src/resize.cpp` (OpenCV 5.0.0): across
//! first, in 19 bits, then down in 16. Only the requested pixels are computed.

use super::{Span, Window};

/// `INTER_RESIZE_COEF_SCALE`.
const ONE: f32 = 2048.0;

/// The most bytes that [`bilinear`] takes for `window`.
pub(super) fn memory(window: &Window, channels: u8) -> u64 {
    let sums = 2 * u64::from(channels) * size_of::<i32>() as u64;
    u64::from(window.across.wanted) * (sums + size_of::<Tap>() as u64)
}

/// Fills `output` with the wanted pixels of `samples`; both have `channels` samples per pixel.
pub(super) fn bilinear(samples: &[u8], channels: usize, window: &Window, output: &mut [u8]) {
    let picture = Picture::new(samples, channels, window);
    if is_half(&window.across) && is_half(&window.down) {
        average(&picture, window, output);
        return;
    }
    let columns: Vec<Tap> = taps(&window.across, Edge::Kept).collect();
    let width = columns.len() * channels;
    let (mut above, mut below) = (Line::new(width), Line::new(width));
    for (to, row) in output.chunks_exact_mut(width).zip(taps(&window.down, Edge::Repeated)) {
        if below.row == Some(row.first) {
            std::mem::swap(&mut above, &mut below);
        }
        above.fill(&picture, row.first, &columns);
        below.fill(&picture, row.second, &columns);
        for ((to, above), below) in to.iter_mut().zip(&above.sums).zip(&below.sums) {
            let part = |sum: &i32, weight: i32| (weight * (sum >> 4)) >> 16;
            let sum = part(above, row.weights[0]) + part(below, row.weights[1]);
            *to = ((sum + 2) >> 2).clamp(0, 255) as u8;
        }
    }
}

/// A picture and the colour of the square around it.
struct Picture<'a> {
    samples: &'a [u8],
    channels: usize,
    stride: usize,
    padding: &'a [u8],
}

impl<'a> Picture<'a> {
    fn new(samples: &'a [u8], channels: usize, window: &'a Window) -> Self {
        let stride = window.across.source.samples() as usize * channels;
        Self { samples, channels, stride, padding: &window.square[..channels] }
    }

    fn pixel(&self, row: Option<usize>, column: Option<usize>) -> &[u8] {
        let Some((row, column)) = row.zip(column) else { return self.padding };
        &self.samples[row * self.stride + column * self.channels..][..self.channels]
    }
}

/// The two samples of one axis that a resized pixel is made of, none if they are padding, and how much of
/// each.
struct Tap {
    first: Option<usize>,
    second: Option<usize>,
    weights: [i32; 2],
}

/// What happens to the weights of a pixel that lies between the last sample and the edge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// The sample counts whole: across.
    Kept,
    /// The sample is taken twice, and each part rounded: down.
    Repeated,
}

fn taps(span: &Span, edge: Edge) -> impl Iterator<Item = Tap> {
    let (length, before) = (span.samples() as i64, span.before() as i64);
    let real = span.source.samples();
    // OpenCV inverts the inverse, which is not always the same number.
    let scale = 1.0 / (f64::from(span.resized) / length as f64);
    let sample = move |at: i64| {
        let real = u32::try_from(at.clamp(0, length - 1) - before).ok().filter(|at| *at < real);
        real.map(|at| at as usize)
    };
    (span.first..span.first + span.wanted).map(move |pixel| {
        let at = ((f64::from(pixel) + 0.5) * scale - 0.5) as f32;
        let first = at.floor();
        let (mut part, mut first) = (at - first, first as i64);
        if edge == Edge::Kept && !(0..length - 1).contains(&first) {
            (part, first) = (0.0, first.clamp(0, length - 1));
        }
        let weights = [1.0 - part, part].map(|weight| (weight * ONE).round_ties_even() as i32);
        Tap { first: sample(first), second: sample(first + 1), weights }
    })
}

/// One row, resized across.
struct Line {
    /// Which one: `Some(None)` is padding.
    row: Option<Option<usize>>,
    sums: Vec<i32>,
}

impl Line {
    fn new(width: usize) -> Self {
        Self { row: None, sums: vec![0; width] }
    }

    fn fill(&mut self, picture: &Picture<'_>, row: Option<usize>, columns: &[Tap]) {
        if self.row.replace(row) == Some(row) {
            return;
        }
        for (sums, tap) in self.sums.chunks_exact_mut(picture.channels).zip(columns) {
            let (first, second) = (picture.pixel(row, tap.first), picture.pixel(row, tap.second));
            for ((sum, first), second) in sums.iter_mut().zip(first).zip(second) {
                *sum = i32::from(*first) * tap.weights[0] + i32::from(*second) * tap.weights[1];
            }
        }
    }
}

fn is_half(span: &Span) -> bool {
    span.samples() as u64 == 2 * u64::from(span.resized)
}

/// OpenCV takes `INTER_AREA` for exactly half of both sides: the mean of four.
fn average(picture: &Picture<'_>, window: &Window, output: &mut [u8]) {
    let place = |span: &Span, at: usize| {
        let real = (span.first as usize * 2 + at).checked_sub(span.before());
        real.filter(|at| *at < span.source.samples() as usize)
    };
    let channels = picture.channels;
    let rows = output.chunks_exact_mut(window.across.wanted as usize * channels);
    for (row, to) in rows.enumerate() {
        for (column, pixel) in to.chunks_exact_mut(channels).enumerate() {
            let of = |down: usize, across: usize| {
                picture.pixel(place(&window.down, 2 * row + down), place(&window.across, 2 * column + across))
            };
            let four = [of(0, 0), of(0, 1), of(1, 0), of(1, 1)];
            for (channel, sample) in pixel.iter_mut().enumerate() {
                let sum: u16 = four.iter().map(|pixel| u16::from(pixel[channel])).sum();
                *sample = ((sum + 2) >> 2) as u8;
            }
        }
    }
}
