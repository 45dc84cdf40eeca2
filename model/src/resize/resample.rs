//! Pillow's resampling, to the bit: its filters, its weights in 22-bit fixed point, its order of the two
//! passes.
//!
//! It is ours because no library gives Pillow's samples: the SIMD ones round their weights to 15 bits and
//! always go down first, which changes one sample in a hundred by one level, and that is enough to flip the
//! answers of models that quantise dynamically (6 of 200 photos, measured). The order is Pillow 13.0.0's;
//! older ones always go across first, and differ by one level in tall pictures. It computes only the wanted
//! pixels, and of padding to a square only how much each of them has of it.

mod passes;

use std::ops::Range;

use self::passes::{ROWS, across, down, turn};
use super::{Span, Window};
use crate::preprocessing::Filter;

/// Bits behind the point of a weight: 32, less 8 of a sample and 2 of headroom, as in Pillow.
const PRECISION: u32 = 22;
const HALF: i32 = 1 << (PRECISION - 1);

/// One thread's buffers; [`Resampler::trim`] gives back what only a large picture needs.
#[derive(Default)]
pub(super) struct Resampler {
    across: Weights,
    /// Of one row: the second axis needs each row's weights only once.
    down: Taps,
    /// What the first pass makes and the second one reads.
    between: Vec<u8>,
    /// Some rows that go across at once, turned: a column's samples lie side by side.
    block: Vec<[u8; ROWS]>,
    /// One row of padding, as the second pass down sees it.
    padding: Vec<u8>,
}

impl Resampler {
    /// Fills `output` with the wanted pixels of `samples`; both have `CHANNELS` samples per pixel.
    pub(super) fn resample<const CHANNELS: usize>(
        &mut self,
        samples: &[u8],
        window: &Window,
        kernel: Kernel,
        output: &mut [u8],
    ) {
        self.across.compute(&window.across, kernel);
        if goes_down_first(window) {
            self.down_then_across::<CHANNELS>(samples, window, kernel, output);
        } else {
            self.across_then_down::<CHANNELS>(samples, window, kernel, output);
        }
    }

    fn across_then_down<const CHANNELS: usize>(
        &mut self,
        samples: &[u8],
        window: &Window,
        kernel: Kernel,
        output: &mut [u8],
    ) {
        let (rows, columns) = (reads(&window.down, kernel), reads(&window.across, kernel));
        let stride = window.across.source.samples() as usize * CHANNELS;
        let width = window.across.wanted as usize * CHANNELS;
        let between = grow(&mut self.between, rows.len() * width);
        let block = grow(&mut self.block, columns.len() * CHANNELS);
        let color = &window.square[..CHANNELS];
        let padding: [[u8; ROWS]; CHANNELS] = std::array::from_fn(|channel| [color[channel]; ROWS]);
        let needed = &samples[rows.start * stride..];
        for (to, from) in between.chunks_mut(width * ROWS).zip(needed.chunks(stride * ROWS)) {
            for (index, row) in from.chunks_exact(stride).enumerate() {
                turn(index, &row[columns.start * CHANNELS..columns.end * CHANNELS], block);
            }
            across::<CHANNELS>(&self.across, columns.start, block, &padding, to, width);
        }
        self.padding.clear();
        self.padding.reserve_exact(width);
        self.padding.extend(self.across.padding(color));
        for (to, pixel) in output.chunks_exact_mut(width).zip(window.down.first..) {
            self.down.compute(&window.down, kernel, pixel);
            let from = self.down.first.clamp(rows.start, rows.end) - rows.start;
            down(&self.down, &between[from * width..], width, &self.padding, to);
        }
    }

    fn down_then_across<const CHANNELS: usize>(
        &mut self,
        samples: &[u8],
        window: &Window,
        kernel: Kernel,
        output: &mut [u8],
    ) {
        let columns = reads(&window.across, kernel);
        let stride = window.across.source.samples() as usize * CHANNELS;
        let width = columns.len() * CHANNELS;
        let row = grow(&mut self.between, width);
        let color = &window.square[..CHANNELS];
        let wanted = window.across.wanted as usize * CHANNELS;
        let block = grow(&mut self.block, width);
        self.padding.clear();
        self.padding.reserve_exact(width);
        self.padding.extend(color.iter().copied().cycle().take(width));
        let first = window.down.first as usize;
        let rows = (0..window.down.wanted as usize).step_by(ROWS);
        for (start, to) in rows.zip(output.chunks_mut(wanted * ROWS)) {
            let mut padding = [[0; ROWS]; CHANNELS];
            for (index, _) in to.chunks_exact(wanted).enumerate() {
                self.down.compute(&window.down, kernel, (first + start + index) as u32);
                let from = (self.down.first * stride + columns.start * CHANNELS).min(samples.len());
                down(&self.down, &samples[from..], stride, &self.padding, row);
                turn(index, row, block);
                for (of_channel, sample) in padding.iter_mut().zip(color) {
                    of_channel[index] = self.down.of_padding(*sample);
                }
            }
            across::<CHANNELS>(&self.across, columns.start, block, &padding, to, wanted);
        }
    }

    /// The bytes of all buffers.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let of_taps = |taps: &Taps| taps.all.capacity() * 4 + taps.exact.capacity() * 8;
        let of_weights = |weights: &Weights| {
            weights.pixels.capacity() * size_of::<Place>()
                + weights.weights.capacity() * 4
                + of_taps(&weights.taps)
        };
        let buffers = self.between.capacity() + self.padding.capacity() + self.block.capacity() * ROWS;
        of_weights(&self.across) + of_taps(&self.down) + buffers
    }

    /// Gives back every buffer of more than `kept` bytes.
    pub(super) fn trim(&mut self, kept: usize) {
        super::trim(&mut self.across.pixels, kept);
        super::trim(&mut self.across.weights, kept);
        for taps in [&mut self.across.taps, &mut self.down] {
            super::trim(&mut taps.all, kept);
            super::trim(&mut taps.exact, kept);
        }
        super::trim(&mut self.between, kept);
        super::trim(&mut self.block, kept);
        super::trim(&mut self.padding, kept);
    }
}

/// The order of Pillow 13: down first if the height shrinks by more than twice as much as the width, in
/// samples of the whole picture, whatever part of it is requested.
pub(super) fn goes_down_first(window: &Window) -> bool {
    let shrinks = |span: &Span| span.samples() as i64 - i64::from(span.resized);
    let (across, down) = (shrinks(&window.across), shrinks(&window.down));
    down > 0 && down > across * 2
}

/// The most bytes that [`Resampler::resample`] takes for `window`.
pub(super) fn memory(window: &Window, kernel: Kernel, channels: u8) -> u64 {
    let (across, down) = (&window.across, &window.down);
    let bytes_of = |span: &Span| most_taps(span, kernel) * (size_of::<i32>() + size_of::<f64>()) as u64;
    let stored = most_taps(across, kernel).min(u64::from(across.source.samples()));
    let pixel = size_of::<Place>() as u64 + stored * size_of::<i32>() as u64;
    let columns = reads(across, kernel).len() as u64;
    let (rows, width) = if goes_down_first(window) {
        (1, columns)
    } else {
        (reads(down, kernel).len() as u64, u64::from(across.wanted))
    };
    let weights = u64::from(across.wanted).saturating_mul(pixel);
    // A row more is that of padding.
    let between = width.saturating_mul(u64::from(channels)).saturating_mul(rows + 1);
    let block = columns * u64::from(channels) * ROWS as u64;
    let buffers = between.saturating_add(block);
    weights.saturating_add(buffers).saturating_add(bytes_of(across) + bytes_of(down))
}

/// The first `length` values of `buffer`, which grows only as far as needed.
fn grow<T: Copy + Default>(buffer: &mut Vec<T>, length: usize) -> &mut [T] {
    if buffer.len() < length {
        buffer.clear();
        buffer.reserve_exact(length);
        buffer.resize(length, T::default());
    }
    &mut buffer[..length]
}

/// For each wanted pixel of one axis: which source pixels it is made of, and how much of each.
#[derive(Default)]
struct Weights {
    pixels: Vec<Place>,
    weights: Vec<i32>,
    taps: Taps,
}

/// Where the weights of one pixel are.
struct Place {
    /// The first source pixel.
    first: usize,
    weights: Range<usize>,
    /// The weight of all padding together.
    padding: i32,
}

impl Weights {
    fn compute(&mut self, span: &Span, kernel: Kernel) {
        self.pixels.clear();
        self.weights.clear();
        self.pixels.reserve_exact(span.wanted as usize);
        let stored = most_taps(span, kernel).min(u64::from(span.source.samples()));
        self.weights.reserve_exact(span.wanted as usize * stored as usize);
        for pixel in span.first..span.first + span.wanted {
            self.taps.compute(span, kernel, pixel);
            let start = self.weights.len();
            self.weights.extend_from_slice(self.taps.weights());
            let weights = start..self.weights.len();
            self.pixels.push(Place { first: self.taps.first, weights, padding: self.taps.padding });
        }
    }

    fn all(&self) -> impl Iterator<Item = (&Place, &[i32])> {
        self.pixels.iter().map(|place| (place, &self.weights[place.weights.clone()]))
    }

    /// What a row of nothing but padding of `color` becomes.
    fn padding(&self, color: &[u8]) -> impl Iterator<Item = u8> {
        self.all().flat_map(move |(place, weights)| {
            let sum = place.padding + weights.iter().sum::<i32>();
            color.iter().map(move |sample| constant(sum, *sample))
        })
    }
}

/// What one pixel of one axis is made of.
#[derive(Default)]
struct Taps {
    /// The first source pixel that is not padding.
    first: usize,
    /// How much of each sample of the padded picture, from the first one that counts.
    all: Vec<i32>,
    /// Those of `all` that are of source pixels.
    real: Range<usize>,
    /// The sum of the others.
    padding: i32,
    exact: Vec<f64>,
}

impl Taps {
    fn compute(&mut self, span: &Span, kernel: Kernel, pixel: u32) {
        let sources = sources(span, kernel, pixel);
        self.weigh(span, kernel, pixel, &sources);
        let real = span.real(&sources);
        self.first = real.start;
        let skipped = (real.start + span.before()).saturating_sub(sources.start).min(self.all.len());
        self.real = skipped..skipped + real.len();
        self.padding = if real.len() == self.all.len() {
            0
        } else {
            self.all.iter().sum::<i32>() - self.weights().iter().sum::<i32>()
        };
    }

    /// Weights are made to sum up to 1 and rounded half away from zero.
    fn weigh(&mut self, span: &Span, kernel: Kernel, pixel: u32, sources: &Range<usize>) {
        self.all.clear();
        self.all.reserve_exact(sources.len());
        if span.is_unchanged() {
            self.all.push(1 << PRECISION);
            return;
        }
        let (scale, centre) = (span.scale(), span.centre(pixel));
        let weight = |source| (kernel.weight)((source as f64 - centre + 0.5) * (1.0 / scale.max(1.0)));
        self.exact.clear();
        self.exact.reserve_exact(sources.len());
        self.exact.extend(sources.clone().map(weight));
        let sum: f64 = self.exact.iter().sum();
        self.all.extend(self.exact.iter().map(|exact| {
            let weight = if sum == 0.0 { *exact } else { exact / sum } * f64::from(1 << PRECISION);
            (weight + 0.5_f64.copysign(weight)) as i32
        }));
    }

    /// Those of the source pixels.
    fn weights(&self) -> &[i32] {
        &self.all[self.real.clone()]
    }

    /// What a column of nothing but padding becomes.
    fn of_padding(&self, sample: u8) -> u8 {
        constant(self.all.iter().sum(), sample)
    }
}

/// The result of this amount of the same sample.
fn constant(weight: i32, sample: u8) -> u8 {
    passes::clip(HALF + weight * i32::from(sample))
}

/// The samples of the padded picture that a resized pixel is made of.
fn sources(span: &Span, kernel: Kernel, pixel: u32) -> Range<usize> {
    if span.is_unchanged() {
        return pixel as usize..pixel as usize + 1;
    }
    let (centre, support) = (span.centre(pixel), kernel.support * span.scale().max(1.0));
    let first = (centre - support + 0.5).max(0.0) as usize;
    first..((centre + support + 0.5) as usize).min(span.samples())
}

/// The source pixels that any wanted pixel is made of.
fn reads(span: &Span, kernel: Kernel) -> Range<usize> {
    let last = span.first + span.wanted.saturating_sub(1);
    span.real(&(sources(span, kernel, span.first).start..sources(span, kernel, last).end))
}

/// No pixel is made of more samples of the padded picture than this.
fn most_taps(span: &Span, kernel: Kernel) -> u64 {
    let reach = (2.0 * kernel.support * span.scale().max(1.0)).ceil() as u64 + 1;
    if span.is_unchanged() { 1 } else { reach.min(span.samples() as u64) }
}

/// A filter's curve, and how far it reaches from its centre when it enlarges.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    support: f64,
    weight: fn(f64) -> f64,
}

/// None for the one filter that picks pixels and computes nothing.
pub(super) fn kernel(filter: Filter) -> Option<Kernel> {
    let (support, weight): (f64, fn(f64) -> f64) = match filter {
        Filter::Nearest | Filter::OpencvBilinear => return None,
        Filter::Box => (0.5, |x| if x > -0.5 && x <= 0.5 { 1.0 } else { 0.0 }),
        Filter::Bilinear => (1.0, |x| (1.0 - x.abs()).max(0.0)),
        Filter::Hamming => (1.0, hamming),
        Filter::Bicubic => (2.0, bicubic),
        Filter::Lanczos => (3.0, |x| if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }),
    };
    Some(Kernel { support, weight })
}

fn hamming(x: f64) -> f64 {
    let x = x.abs();
    if x >= 1.0 { 0.0 } else { sinc(x) * (0.54 + 0.46 * (x * std::f64::consts::PI).cos()) }
}

/// Keys' cubic with a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x == 0.0 { 1.0 } else { x.sin() / x }
}
