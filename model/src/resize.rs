//! Resize and centre crop in one step, equal to resizing the whole picture and cropping it afterwards.
//!
//! Only the crop is computed. That is exact because the box in the source is derived from the *rounded* size of the
//! resized picture and the integer offset of the crop, and because the filter still sees the pixels beside the box.
//! Every sample is that of Pillow 13.0.0. A picture that was decoded at a fraction of its size goes the same way: sizes and
//! offsets are those of the whole picture, and only the box is measured in the samples that there are, as Pillow's
//! `resize(box=...)` has it. It never changes colours, and never scales or normalises samples.

mod resample;

use thiserror::Error;

use self::resample::{Resampler, kernel};
use crate::grid::{Grid, Reduction, Side};
use crate::preprocessing::{Decoding, Filter, Resize, ResizeTo, Size};

/// The size that a picture of `size` is resized to; each side at least 1.
#[must_use]
pub fn resized_size(size: Size, to: ResizeTo) -> Size {
    match to {
        ResizeTo::Exact(exact) => Size { height: exact.height.max(1), width: exact.width.max(1) },
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

/// timm's `ResizeKeepRatio`: both sides over the ratio to `target` that is chosen of theirs.
fn kept_ratio(size: Size, target: Size, choose: fn(f64, f64) -> f64) -> Size {
    let ratio = |side: u32, target: u32| f64::from(side) / f64::from(target.max(1));
    let ratio = choose(ratio(size.height, target.height), ratio(size.width, target.width));
    let side = |side: u32| (f64::from(side) / ratio).round_ties_even().max(1.0) as u32;
    Size { height: side(size.height), width: side(size.width) }
}

/// `floor(edge * long / short)`, which is Python's `int(edge * long / short)` for every size a picture can have.
fn long_side(edge: u32, long: u32, short: u32) -> u32 {
    let exact = u64::from(edge) * u64::from(long) / u64::from(short.max(1));
    u32::try_from(exact).unwrap_or(u32::MAX).max(1)
}

/// The strongest reduction of a picture of `size` that still covers what it is resized to, each side by itself.
///
/// None where nothing is resized, and with filters that take a pixel whole or not at all.
#[must_use]
pub fn reduction(size: Size, resize: Option<Resize>, decoding: Decoding) -> Reduction {
    let (Decoding::Scaled { cover }, Some(Resize { to, filter })) = (decoding, resize) else {
        return Reduction::None;
    };
    if !filter.is_continuous() {
        return Reduction::None;
    }
    let resized = resized_size(size, to);
    let covers = |length: u32, resized: u32, reduction: Reduction| {
        let needed = u64::from(resized) * u64::from(cover.max(1)) * u64::from(reduction.divisor());
        u64::from(length) >= needed
    };
    let fits = |reduction: &Reduction| {
        covers(size.width, resized.width, *reduction) && covers(size.height, resized.height, *reduction)
    };
    Reduction::ALL.into_iter().find(fits).unwrap_or(Reduction::None)
}

/// Where a crop of `crop` pixels starts in `length` pixels: half of what is over, rounded half to even. Negative where
/// the crop is larger.
#[must_use]
pub fn crop_offset(length: u32, crop: u32) -> i64 {
    let over = i64::from(length) - i64::from(crop);
    let half = over.div_euclid(2);
    if over % 2 == 0 { half } else { half + (half & 1) }
}

/// What is wanted of one picture: which part of its resized form, and at which place of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    across: Span,
    down: Span,
    filter: Filter,
}

/// One axis of a [`Window`], in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// Of the picture as it is: its pixels, and the samples that stand for them.
    source: Side,
    /// Of the picture as resized.
    resized: u32,
    /// The first pixel of the resized picture that is wanted.
    first: u32,
    /// How many of them.
    wanted: u32,
    /// Zeros before them in the output.
    pad: u32,
    /// Of the output.
    output: u32,
}

impl Window {
    /// The window onto a picture, neither side of it 0, resized and cropped as said.
    #[must_use]
    pub fn new(grid: &Grid, resize: Option<Resize>, crop: Option<Size>) -> Window {
        let size = grid.size();
        let resized = resize.map_or(size, |resize| resized_size(size, resize.to));
        let output = crop.unwrap_or(resized);
        Window {
            across: Span::new(grid.across, resized.width, output.width),
            down: Span::new(grid.down, resized.height, output.height),
            filter: resize.map_or(Filter::Nearest, |resize| resize.filter),
        }
    }

    /// The size of the output.
    #[must_use]
    pub fn output(&self) -> Size {
        Size { height: self.down.output, width: self.across.output }
    }

    /// The most bytes that [`Cropper::crop`] takes for this window, beside the picture and the output.
    #[must_use]
    pub fn memory(&self, channels: u8) -> u64 {
        let Size { height, width } = self.output();
        let unpadded = u64::from(height).saturating_mul(u64::from(width)).saturating_mul(u64::from(channels));
        let columns = u64::from(self.across.wanted) * size_of::<usize>() as u64;
        let resampling =
            kernel(self.filter).map_or(columns, |kernel| resample::memory(self, kernel, channels));
        resampling.saturating_add(if self.is_padded() { unpadded } else { 0 })
    }

    fn is_padded(&self) -> bool {
        self.across.wanted != self.across.output || self.down.wanted != self.down.output
    }
}

impl Span {
    fn new(source: Side, resized: u32, output: u32) -> Span {
        let offset = crop_offset(resized, output);
        let first = offset.max(0);
        let end = (offset + i64::from(output)).min(i64::from(resized));
        Span {
            source,
            resized,
            first: first as u32,
            wanted: (end - first) as u32,
            pad: (first - offset) as u32,
            output,
        }
    }

    /// Samples per resized pixel.
    fn scale(&self) -> f64 {
        self.source.extent() / f64::from(self.resized)
    }

    /// True where every resized pixel is one sample.
    fn is_unchanged(&self) -> bool {
        u64::from(self.source.length) == u64::from(self.resized) * u64::from(self.source.reduction.divisor())
    }

    /// The source sample under the centre of each wanted pixel, found by adding up steps as Pillow does.
    fn nearest(&self) -> impl Iterator<Item = usize> {
        let step = self.scale();
        let last = self.source.samples() as usize - 1;
        let first = self.source.start() + step * 0.5;
        let centres = std::iter::successors(Some(first), move |at| Some(at + step));
        centres.skip(self.first as usize).take(self.wanted as usize).map(move |at| (at as usize).min(last))
    }
}

/// A larger buffer is given back after the picture that needed it.
pub(crate) const KEPT: usize = 8 << 20;

/// Frees `buffer` where it takes more than `kept` bytes.
pub(crate) fn trim<T>(buffer: &mut Vec<T>, kept: usize) {
    if buffer.capacity().saturating_mul(size_of::<T>()) > kept {
        *buffer = Vec::new();
    }
}

/// One thread's resizer; keeps its buffers from picture to picture, unless they are large.
#[derive(Default)]
pub struct Cropper {
    resampler: Resampler,
    unpadded: Vec<u8>,
}

impl Cropper {
    /// Fills `output` with what `window` shows of `samples`, rows of `channels` (1 or 3) samples per pixel.
    ///
    /// `samples` must have the size of the grid that the window was made for, and `output` the window's, both times `channels`.
    ///
    /// # Errors
    /// Where these sizes do not match.
    pub fn crop(
        &mut self,
        samples: &[u8],
        channels: u8,
        window: &Window,
        output: &mut [u8],
    ) -> Result<(), WrongLength> {
        let channels = usize::from(channels);
        let Size { height, width } = window.output();
        let (across, down) = (window.across.source.samples(), window.down.source.samples());
        check("the picture", samples.len(), across, down, channels)?;
        check("the output", output.len(), width, height, channels)?;
        self.crop_checked(samples, channels, window, output);
        self.resampler.trim(KEPT);
        trim(&mut self.unpadded, KEPT);
        Ok(())
    }

    fn crop_checked(&mut self, samples: &[u8], channels: usize, window: &Window, output: &mut [u8]) {
        if !window.is_padded() {
            resample(&mut self.resampler, samples, channels, window, output);
            return;
        }
        let row = window.across.wanted as usize * channels;
        self.unpadded.clear();
        self.unpadded.resize(row * window.down.wanted as usize, 0);
        resample(&mut self.resampler, samples, channels, window, &mut self.unpadded);
        output.fill(0);
        let (top, left) = (window.down.pad as usize, window.across.pad as usize * channels);
        let rows = output.chunks_exact_mut(window.across.output as usize * channels).skip(top);
        for (to, from) in rows.zip(self.unpadded.chunks_exact(row)) {
            to[left..left + row].copy_from_slice(from);
        }
    }
}

/// A slice has another length than its size says.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{what} has {found} samples, {expected} are needed")]
pub struct WrongLength {
    what: &'static str,
    found: usize,
    expected: usize,
}

fn check(
    what: &'static str,
    found: usize,
    width: u32,
    height: u32,
    channels: usize,
) -> Result<(), WrongLength> {
    let expected = width as usize * height as usize * channels;
    if found == expected { Ok(()) } else { Err(WrongLength { what, found, expected }) }
}

/// Computes the wanted pixels, without padding.
fn resample(resampler: &mut Resampler, samples: &[u8], channels: usize, window: &Window, output: &mut [u8]) {
    let same_size = window.across.is_unchanged() && window.down.is_unchanged();
    match kernel(window.filter) {
        Some(kernel) if !same_size && channels == 1 => {
            resampler.resample::<1>(samples, window, kernel, output);
        }
        Some(kernel) if !same_size => resampler.resample::<3>(samples, window, kernel, output),
        _ => pick(samples, channels, window, output),
    }
}

/// Copies the nearest source samples; where no size changes, that is a plain crop.
fn pick(samples: &[u8], channels: usize, window: &Window, output: &mut [u8]) {
    let stride = window.across.source.samples() as usize * channels;
    let columns: Vec<usize> = window.across.nearest().collect();
    let rows = output.chunks_exact_mut(window.across.wanted as usize * channels);
    for (to, y) in rows.zip(window.down.nearest()) {
        let from = &samples[y * stride..][..stride];
        for (pixel, x) in to.chunks_exact_mut(channels).zip(&columns) {
            pixel.copy_from_slice(&from[x * channels..][..channels]);
        }
    }
}

#[cfg(test)]
mod tests;
