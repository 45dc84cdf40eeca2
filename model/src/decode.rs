//! The bytes of one file to 8-bit pixels, under limits that hold before any memory is taken.
//!
//! It exists so that nothing else meets a hostile file. The bytes decide the format, sizes are checked
//! against the header, and a bad file is a [`Failure`], never a panic. Each format has the decoder that gives
//! Pillow's pixels: libjpeg-turbo for JPEG, rav1d for AVIF, crates or code of our own for the others. Alpha
//! is laid over white.
//!
//! If the caller will shrink a JPEG anyway, libjpeg-turbo may decode it at 1/2, 1/4 or 1/8 of its size; a
//! [`Grid`] holds where the samples then lie.
//!
//! It never looks at a name, never resizes by anything else, and never decodes more than the first picture of
//! a file.

use std::sync::Arc;

use image::metadata::Orientation;
use serde::{Deserialize, Serialize};
use tagfleet_pipeline::tags::{Cause, Failure};

use crate::grid::{Grid, Reduction};
use crate::pixels::Pixels;
use crate::preprocessing::Size;

mod avif;
mod bmp;
mod budget;
mod exif;
mod flatten;
mod format;
mod gif;
mod jpeg;
mod markers;
mod orient;
mod panics;
mod png;
mod raster;
mod tiff;
mod turbo;
mod words;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use budget::{PixelBudget, Reservation};
pub(crate) use format::foreign_to_models;
use format::{Format, Sniffed};
pub use panics::quiet_panics;

/// The limits of one image. A file over a limit is a failed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most bytes of a stored file; 128 MiB by default.
    pub max_bytes: u64,
    /// The most pixels of a picture; 178,956,970 by default, at which Pillow too reports a decompression
    /// bomb.
    pub max_pixels: u64,
    /// The most bytes of memory that one picture may take: its pixels, and the decoder's own buffers (a
    /// progressive JPEG needs its coefficients, a 16-bit PNG twice its pixels) or the resizer's; 512 MiB by
    /// default.
    pub max_memory: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_bytes: 128 << 20, max_pixels: 178_956_970, max_memory: 512 << 20 }
    }
}

/// The resizing that follows decoding.
pub trait Resizing {
    /// The reduction at which a JPEG of `size`, as shown, may be decoded.
    fn reduction(&self, size: Size) -> Reduction;

    /// Bytes that resizing takes for a picture that lies on `grid`, in addition to its samples.
    fn memory(&self, grid: &Grid, channels: u8) -> u64;
}

/// A function of the memory alone wants every pixel.
impl<F: Fn(&Grid, u8) -> u64> Resizing for F {
    fn reduction(&self, _: Size) -> Reduction {
        Reduction::None
    }

    fn memory(&self, grid: &Grid, channels: u8) -> u64 {
        self(grid, channels)
    }
}

/// A decoded picture, and its share of the process's memory for pixels.
pub struct Decoded {
    /// The picture, as shown (after EXIF orientation, if that is applied).
    pub pixels: Pixels,
    /// Its size as stored, and where its samples lie on it; turned as `pixels` are.
    pub grid: Grid,
    /// True if libjpeg-turbo refused the file and the second decoder read it.
    pub second_decoder: bool,
    /// For the pixels, and for what resizing them takes. Held while the pixels are; a thread must drop one
    /// [`Decoded`] before it decodes the next image, else threads could wait for each other.
    pub memory: Reservation,
}

/// Decodes the first picture in `bytes`, which are one file as stored.
///
/// `resizing` holds how small the picture may come out, and how many bytes the caller will take to resize it.
/// Limits on pixels hold for the picture as stored, limits on memory for the decoded part. Waits until
/// `budget` has room for the picture and for resizing, all at once, so that no thread waits while it holds
/// memory; the caller must hold no other [`Decoded`]. With `apply_exif` the picture is turned by its EXIF
/// orientation; malformed EXIF counts as none.
///
/// # Errors
/// A [`Failure`] whose reason is one of `Empty`, `TooLarge`, `TooManyPixels`, `UnsupportedFormat`,
/// `UnsupportedFeature` and `Corrupt`.
pub fn decode(
    bytes: &[u8],
    limits: &Limits,
    budget: &Arc<PixelBudget>,
    apply_exif: bool,
    resizing: &dyn Resizing,
) -> Result<Decoded, Failure> {
    if bytes.is_empty() {
        return Err(failure(Cause::Empty, ""));
    }
    if bytes.len() as u64 > limits.max_bytes {
        let detail = format!("{} bytes, the limit is {}", bytes.len(), limits.max_bytes);
        return Err(failure(Cause::TooLarge, detail));
    }
    let job = Job { bytes, limits, budget, apply_exif, resizing };
    match format::sniff(bytes) {
        Sniffed::Decodable(Format::Jpeg) => jpeg::decode(&job),
        Sniffed::Decodable(format) => raster::decode(&job, format),
        Sniffed::Other(other) => Err(failure(other.cause, format!("looks like {}", other.name))),
    }
}

/// One image on its way through the decoders.
struct Job<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    budget: &'a Arc<PixelBudget>,
    apply_exif: bool,
    resizing: &'a dyn Resizing,
}

/// A picture's header.
struct Claim {
    width: u32,
    height: u32,
    /// How small it is decoded.
    reduction: Reduction,
    /// Samples per pixel once it is decoded: 3 or 1.
    channels: u8,
    orientation: Orientation,
    /// Bytes that the decoder writes.
    output: u64,
    /// Bytes that decoding takes in addition to them.
    extra: u64,
}

impl Claim {
    /// The picture as shown.
    fn grid(&self) -> Grid {
        let size = Size { height: self.height, width: self.width };
        orient::turn(Grid::new(size, self.reduction), self.orientation)
    }

    /// The most bytes held at once while the picture is decoded, then turned, then resized.
    fn memory(&self, job: &Job<'_>) -> u64 {
        let grid = self.grid();
        let turning = turning_memory(self.orientation, grid.samples(), self.channels);
        let resizing = job.resizing.memory(&grid, self.channels);
        self.output.saturating_add(self.extra.max(turning).max(resizing))
    }
}

impl Job<'_> {
    /// Checks a header's claim against the limits, then waits for its memory in the budget.
    fn admit(&self, claim: &Claim) -> Result<Reservation, Failure> {
        let Claim { width, height, .. } = *claim;
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 {
            return Err(failure(Cause::Damaged, format!("the header declares {width}x{height} pixels")));
        }
        if pixels > self.limits.max_pixels {
            let limit = self.limits.max_pixels;
            let detail = format!("{width}x{height} is {pixels} pixels, the limit is {limit}");
            return Err(failure(Cause::TooManyPixels, detail));
        }
        let limit = self.limits.max_memory.min(self.budget.total());
        let memory = claim.memory(self);
        let granted = if memory <= limit { self.budget.acquire(memory) } else { None };
        granted.ok_or_else(|| {
            let detail =
                format!("{width}x{height} needs {memory} bytes to decode and resize, the limit is {limit}");
            failure(Cause::TooMuchMemory, detail)
        })
    }

    /// The orientation in EXIF or XMP, if it is requested.
    fn orientation(&self, exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
        if self.apply_exif { exif::orientation(exif, xmp) } else { Orientation::NoTransforms }
    }

    /// Turns the picture, and gives back the memory that only decoding needed.
    fn finish(
        &self,
        pixels: Pixels,
        claim: &Claim,
        mut memory: Reservation,
        second_decoder: bool,
    ) -> Decoded {
        let grid = claim.grid();
        let resizing = self.resizing.memory(&grid, pixels.channels);
        let pixels = orient::apply(pixels, claim.orientation);
        memory.shrink_to((pixels.data.capacity() as u64).saturating_add(resizing));
        Decoded { pixels, grid, second_decoder, memory }
    }
}

/// Bytes that turning the picture takes in addition to the picture itself.
fn turning_memory(orientation: Orientation, samples: Size, channels: u8) -> u64 {
    if orient::transposes(orientation) {
        u64::from(samples.width) * u64::from(samples.height) * u64::from(channels)
    } else {
        0
    }
}

/// A failure whose detail quotes nothing of the file, whatever a library put into it.
fn failure(cause: impl Into<Cause>, detail: impl AsRef<str>) -> Failure {
    Failure::new(cause, words::without_quotes(detail.as_ref()))
}

/// Runs a decoder that might panic on a hostile file, and turns a panic into a "damaged" row.
fn contain<T>(decode: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    panics::catch(decode)
        .unwrap_or_else(|| Err(failure(Cause::Damaged, "the decoder gave up on these bytes (it panicked)")))
}
