//! The still picture of an AVIF, with the pixels that libavif gives, as Pillow uses it.
//!
//! The container is read here, AV1 by rav1d (dav1d in Rust), and colours are converted as libyuv does. Memory
//! is known from the container and the stream's own header before a frame is decoded. It never reads a second
//! frame, and never applies a colour profile, a gain map or a clean aperture.

use image::metadata::Orientation;
use tagfleet_pipeline::tags::{Cause, Failure};

use super::{Claim, Decoded, Job, failure};
use crate::grid::Reduction;
use crate::pixels::Pixels;

mod boxes;
mod color;
mod container;
mod planes;
mod sequence;

use container::{Item, Picture};
use planes::Planes;
use sequence::{Colors, Sequence};

/// The decoder's memory in addition to frames: tables, and rows of contexts.
const OVERHEAD: u64 = 6 << 20;
/// Bytes per pixel that the decoder keeps of a frame in addition to its samples: modes, motion, filters.
const CONTEXT: u64 = 2;

/// Decodes the primary picture of an AVIF.
pub(super) fn decode(job: &Job<'_>) -> Result<Decoded, Failure> {
    let picture = container::read(job.bytes)?;
    let color = Source::new(job.bytes, &picture.color)?;
    let alpha = match &picture.alpha {
        Some(item) => Some(Source::new(job.bytes, item)?),
        None => None,
    };
    let claim = claim(job, &picture, &color, alpha.as_ref());
    let memory = job.admit(&claim)?;
    let colors = color.colors(&picture);
    let planes = color.planes(job.bytes, Some(colors.is_full_range))?;
    let mut data = color::to_rgb(&planes, &colors);
    drop(planes);
    if let Some(alpha) = alpha {
        // libyuv drops the low bits of alpha.
        let gray = (!alpha.sequence.colors.is_full_range).then_some(false);
        let opacity = alpha.planes(job.bytes, gray)?;
        color::over_white(&mut data, &opacity, picture.is_premultiplied);
    }
    let (width, height) = (claim.width, claim.height);
    Ok(job.finish(Pixels { width, height, channels: 3, data }, &claim, memory, false))
}

/// An item, and the sample format in its first stream.
struct Source<'a> {
    item: &'a Item,
    sequence: Sequence,
}

impl<'a> Source<'a> {
    fn new(file: &[u8], item: &'a Item) -> Result<Source<'a>, Failure> {
        let first = item.tiles.first().ok_or_else(|| failure(Cause::Damaged, "there are no pixels"))?;
        let stream = first.bytes(file)?;
        let sequence = Sequence::find(&stream)
            .ok_or_else(|| failure(Cause::Damaged, "there is no header of a sequence"))?;
        Ok(Source { item, sequence })
    }

    /// `gray` is `Some(true)` if gray samples use the full range; with `None` their low bits are dropped.
    fn planes(&self, file: &[u8], gray: Option<bool>) -> Result<Planes, Failure> {
        let (width, height) = (self.item.width, self.item.height);
        let mut planes = Planes::new(width, height, &self.sequence, gray);
        for (number, tile) in self.item.tiles.iter().enumerate() {
            let place = self.item.place(number);
            let stream = tile.bytes(file)?;
            planes.decode(stream, tile.operating_point, place)?;
        }
        Ok(planes)
    }

    /// The container's word on colours counts more than the stream's.
    fn colors(&self, picture: &Picture) -> Colors {
        picture.colors.unwrap_or(self.sequence.colors)
    }

    /// Bytes that decoding takes: one tile's frames and contexts, the stream, and the planes.
    fn memory(&self) -> u64 {
        let tile = |width: u32, height: u32| {
            u64::from(width).next_multiple_of(128).saturating_mul(u64::from(height).next_multiple_of(128))
        };
        let (width, height) = self.item.tile_size();
        let sample = if self.sequence.depth > 8 { 2 } else { 1 };
        // With film grain a second frame is written.
        let frames = sample * self.sequence.layout.samples_per_two_pixels();
        let decoder = tile(width, height).saturating_mul(frames + CONTEXT);
        let planes = u64::from(self.item.width).saturating_mul(u64::from(self.item.height));
        let planes = planes.saturating_mul(self.sequence.layout.samples_per_two_pixels()) / 2;
        decoder.saturating_add(planes)
    }
}

fn claim(job: &Job<'_>, picture: &Picture, color: &Source<'_>, alpha: Option<&Source<'_>>) -> Claim {
    let (width, height) = (picture.color.width, picture.color.height);
    let alpha = alpha.map_or(0, Source::memory);
    let orientation = orientation(job, picture);
    let output = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(3);
    let extra = color.memory().max(alpha).saturating_add(OVERHEAD + job.bytes.len() as u64);
    Claim { width, height, reduction: Reduction::None, channels: 3, orientation, output, extra }
}

/// The container's turning counts more than EXIF, which Pillow then overwrites; XMP counts if neither is
/// there.
fn orientation(job: &Job<'_>, picture: &Picture) -> Orientation {
    if !job.apply_exif || picture.orientation != Orientation::NoTransforms || picture.has_exif {
        return if job.apply_exif { picture.orientation } else { Orientation::NoTransforms };
    }
    let packet = picture.xmp.as_ref().and_then(|tile| tile.bytes(job.bytes).ok());
    job.orientation(None, packet.as_deref())
}
