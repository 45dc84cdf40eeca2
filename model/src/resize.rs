//! Pad to a square, resize and crop in one step, equal to doing one after the other to the whole picture.
//!
//! Only the crop is computed. That is exact because the box in the source is derived from the *rounded*
//! size of the resized picture and the integer offset of the crop, and because the filter still sees the
//! pixels next to the box. Every sample is that of Pillow 13.0.0, or of OpenCV 5.0.0 with its filters. A
//! picture that was decoded at a fraction of its size is treated in the same way: sizes and offsets are
//! those of the whole picture, and only the box is measured in the decoded samples, like Pillow's
//! `resize(box=...)`. It never changes colours, and never scales or normalises samples.

mod opencv;
mod resample;
mod size;
mod span;

use thiserror::Error;

use self::resample::{Resampler, kernel};
pub use self::size::{crop_offset, reduction, resized_size};
use self::span::{Seen, Span};
use crate::grid::Grid;
use crate::preprocessing::{Anchor, Fill, Filter, Preprocessing, Resize, ResizeTo, Size};

/// What happens to a picture's geometry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The colour that pads the picture to a square before it is resized.
    pub square: Option<[u8; 3]>,
    /// The resize, if there is one.
    pub resize: Option<Resize>,
    /// The crop, if there is one.
    pub crop: Option<Size>,
    /// Where the crop lies.
    pub anchor: Anchor,
    /// The colour of the part of a crop outside the picture.
    pub fill: [u8; 3],
}

impl Frame {
    /// The cropping in `steps`. Padding that is zero after normalising is black until then.
    #[must_use]
    pub fn of(steps: &Preprocessing) -> Frame {
        let fill = match steps.fill {
            Fill::Color(color) => color,
            Fill::Zero => [0; 3],
        };
        let Preprocessing { square, resize, crop, anchor, .. } = *steps;
        Frame { square, resize, crop, anchor, fill }
    }

    /// The size of a picture of `size` before it is resized.
    fn padded(&self, size: Size) -> Size {
        let side = size.height.max(size.width);
        if self.square.is_some() { Size { height: side, width: side } } else { size }
    }
}

/// What is wanted of one picture: which part of its resized form, and at which place of the output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    across: Span,
    down: Span,
    filter: Filter,
    /// The colour of the square; gray pictures take its first sample.
    square: [u8; 3],
    /// The colour outside the picture.
    fill: [u8; 3],
}

impl Window {
    /// The window onto a picture, neither side of it 0, in `frame`.
    #[must_use]
    pub fn new(grid: &Grid, frame: &Frame) -> Window {
        let padded = frame.padded(grid.size());
        let resized = frame.resize.map_or(padded, |resize| resized_size(padded, resize.to));
        let output = frame.crop.unwrap_or(resized);
        let anchor = frame.anchor;
        let cut = size::cut(padded, frame.resize.map_or(ResizeTo::Exact(padded), |resize| resize.to));
        let seen = |padded, cut| Seen { padded, cut };
        let (columns, rows) = (seen(padded.width, cut.width), seen(padded.height, cut.height));
        Window {
            across: Span::new(grid.across, columns, resized.width, output.width, anchor),
            down: Span::new(grid.down, rows, resized.height, output.height, anchor),
            filter: frame.resize.map_or(Filter::Nearest, |resize| resize.filter),
            square: frame.square.unwrap_or_default(),
            fill: frame.fill,
        }
    }

    /// The size of the output.
    #[must_use]
    pub fn output(&self) -> Size {
        Size { height: self.down.output, width: self.across.output }
    }

    /// The pixels of the output.
    pub(crate) fn pixels(&self) -> usize {
        self.down.output as usize * self.across.output as usize
    }

    /// Whether a pixel of the output is one of the resized picture.
    pub(crate) fn shows(&self, row: usize, column: usize) -> bool {
        let within = |span: &Span, at: usize| {
            let first = span.pad as usize;
            (first..first + span.wanted as usize).contains(&at)
        };
        within(&self.down, row) && within(&self.across, column)
    }

    /// Whether what is seen of its padding is not gray.
    pub(crate) fn is_coloured(&self) -> bool {
        let colored = |[red, green, blue]: [u8; 3]| red != green || green != blue;
        let squared = self.across.is_padded() || self.down.is_padded();
        (squared && colored(self.square)) || (self.is_padded() && colored(self.fill))
    }

    /// Crops one channel alone.
    pub(crate) fn of_channel(&self, channel: usize) -> Window {
        Window { square: [self.square[channel]; 3], fill: [self.fill[channel]; 3], ..*self }
    }

    /// The most bytes that [`Cropper::crop`] takes for this window, in addition to the picture and the
    /// output.
    #[must_use]
    pub fn memory(&self, channels: u8) -> u64 {
        let Size { height, width } = self.output();
        let unpadded = u64::from(height).saturating_mul(u64::from(width)).saturating_mul(u64::from(channels));
        let columns = u64::from(self.across.wanted) * size_of::<Option<usize>>() as u64;
        let resampling = match kernel(self.filter) {
            Some(kernel) => resample::memory(self, kernel, channels),
            None if self.filter == Filter::OpencvBilinear => opencv::memory(self, channels),
            None => columns,
        };
        resampling.saturating_add(if self.is_padded() { unpadded } else { 0 })
    }

    fn is_padded(&self) -> bool {
        self.across.wanted != self.across.output || self.down.wanted != self.down.output
    }

    fn is_unchanged(&self) -> bool {
        self.across.is_unchanged() && self.down.is_unchanged()
    }
}

/// A larger buffer is given back after the picture that needed it.
pub(crate) const KEPT: usize = 8 << 20;

/// Frees `buffer` if it takes more than `kept` bytes.
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
    /// `samples` must have the size of the grid that the window was made for, and `output` the window's, both
    /// times `channels`.
    ///
    /// # Errors
    /// If these sizes do not match.
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
        for pixel in output.chunks_exact_mut(channels) {
            pixel.copy_from_slice(&window.fill[..channels]);
        }
        let (top, left) = (window.down.pad as usize, window.across.pad as usize * channels);
        let rows = output.chunks_exact_mut(window.across.output as usize * channels).skip(top);
        for (to, from) in rows.zip(self.unpadded.chunks_exact(row)) {
            to[left..left + row].copy_from_slice(from);
        }
    }
}

/// The length of a slice differs from its size.
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
    match kernel(window.filter) {
        _ if window.is_unchanged() => pick(samples, channels, window, output),
        Some(kernel) if channels == 1 => resampler.resample::<1>(samples, window, kernel, output),
        Some(kernel) => resampler.resample::<3>(samples, window, kernel, output),
        None if window.filter == Filter::OpencvBilinear => {
            opencv::bilinear(samples, channels, window, output);
        }
        None => pick(samples, channels, window, output),
    }
}

/// Copies the nearest source samples; if no size changes, that is a plain crop.
fn pick(samples: &[u8], channels: usize, window: &Window, output: &mut [u8]) {
    let stride = window.across.source.samples() as usize * channels;
    let columns: Vec<Option<usize>> = window.across.nearest().collect();
    let padding = &window.square[..channels];
    let rows = output.chunks_exact_mut(window.across.wanted as usize * channels);
    for (to, y) in rows.zip(window.down.nearest()) {
        let row = y.map(|y| &samples[y * stride..][..stride]);
        for (pixel, x) in to.chunks_exact_mut(channels).zip(&columns) {
            let found = row.zip(*x).map(|(row, x)| &row[x * channels..][..channels]);
            pixel.copy_from_slice(found.unwrap_or(padding));
        }
    }
}

#[cfg(test)]
mod tests;
