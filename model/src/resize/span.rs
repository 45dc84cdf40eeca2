//! One axis of a window: which pixels of the resized picture are wanted, and which samples they are made of.
//!
//! A picture that is padded to a square keeps its samples: the padding is only counted, so that a picture of
//! 20,000 pixels in one row never becomes 400 million. Positions are counted in samples of the padded
//! picture.

use std::ops::Range;

use super::size::crop_offset;
use crate::grid::Side;
use crate::preprocessing::Anchor;

/// What a resize sees of one axis, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    /// Of the picture as padded.
    pub(super) padded: u32,
    /// How much of that is resized, from its middle.
    pub(super) cut: f64,
}

/// One axis of a window, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    /// Of the picture as it is: its pixels, and the samples that cover them.
    pub(super) source: Side,
    /// Of the picture as padded before the resize; no less than that of `source`, which lies in its middle.
    padded: u32,
    /// How much of that is resized, from its middle.
    cut: f64,
    /// Of the picture as resized.
    pub(super) resized: u32,
    /// The first pixel of the resized picture that is wanted.
    pub(super) first: u32,
    /// How many of them.
    pub(super) wanted: u32,
    /// Padding before them in the output.
    pub(super) pad: u32,
    /// Of the output.
    pub(super) output: u32,
}

impl Span {
    pub(super) fn new(source: Side, seen: Seen, resized: u32, output: u32, anchor: Anchor) -> Span {
        let Seen { padded, cut } = seen;
        let offset = crop_offset(resized, output, anchor);
        let first = offset.max(0);
        let end = (offset + i64::from(output)).min(i64::from(resized));
        Span {
            source,
            padded,
            cut,
            resized,
            first: first as u32,
            wanted: (end - first) as u32,
            pad: (first - offset) as u32,
            output,
        }
    }

    /// Whether the picture was padded before it was resized.
    pub(super) fn is_padded(&self) -> bool {
        self.padded != self.source.length
    }

    /// Samples of padding before the picture, whole ones and a part of one.
    fn margin(&self) -> f64 {
        let pixels = (self.padded - self.source.length) / 2;
        f64::from(pixels) / f64::from(self.source.reduction.divisor())
    }

    /// The place of the picture's first sample.
    pub(super) fn before(&self) -> usize {
        (self.margin() - self.source.start()).ceil().max(0.0) as usize
    }

    /// Where the padded picture starts: less than 1, and 0 unless a sample hangs over.
    pub(super) fn start(&self) -> f64 {
        self.before() as f64 + self.source.start() - self.margin()
    }

    fn extent(&self) -> f64 {
        f64::from(self.padded) / f64::from(self.source.reduction.divisor())
    }

    /// Samples of the padded picture.
    pub(super) fn samples(&self) -> usize {
        let real = self.before() + self.source.samples() as usize;
        real.max((self.start() + self.extent()).ceil() as usize)
    }

    /// Those of `samples` that the picture has, counted from its own first one. Empty ranges lie within it
    /// too.
    pub(super) fn real(&self, samples: &Range<usize>) -> Range<usize> {
        let (before, length) = (self.before(), self.source.samples() as usize);
        let place = |sample: usize| sample.saturating_sub(before).min(length);
        place(samples.start)..place(samples.end)
    }

    /// Samples per resized pixel.
    pub(super) fn scale(&self) -> f64 {
        self.cut / f64::from(self.source.reduction.divisor()) / f64::from(self.resized)
    }

    /// Samples between the start of the padded picture and what is resized of it.
    fn cut_before(&self) -> f64 {
        (f64::from(self.padded) - self.cut) * 0.5 / f64::from(self.source.reduction.divisor())
    }

    /// Where the middle of a resized pixel lies.
    pub(super) fn centre(&self, pixel: u32) -> f64 {
        self.start() + self.cut_before() + (f64::from(pixel) + 0.5) * self.scale()
    }

    /// True if every resized pixel is one sample.
    pub(super) fn is_unchanged(&self) -> bool {
        let divisor = self.source.reduction.divisor();
        let aligned = divisor == 1 || !self.is_padded();
        let is_whole = self.cut_before() == 0.0;
        aligned && is_whole && u64::from(self.padded) == u64::from(self.resized) * u64::from(divisor)
    }

    /// The picture's sample under the centre of each wanted pixel, found by adding up steps as Pillow does;
    /// `None` in padding.
    pub(super) fn nearest(&self) -> impl Iterator<Item = Option<usize>> {
        let step = self.scale();
        let (before, last) = (self.before(), self.samples() - 1);
        let samples = self.source.samples() as usize;
        let first = self.start() + self.cut_before() + step * 0.5;
        let centres = std::iter::successors(Some(first), move |at| Some(at + step));
        let wanted = centres.skip(self.first as usize).take(self.wanted as usize);
        let real = move |sample: usize| sample.checked_sub(before).filter(|sample| *sample < samples);
        wanted.map(move |at| real((at as usize).min(last)))
    }
}
