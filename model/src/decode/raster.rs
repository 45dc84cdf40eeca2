//! PNG, WebP, GIF, BMP and TIFF through the `image` crate, and its way of reading a picture under our limits.
//!
//! Sizes are checked on the header that each decoder has read, before any of them allocates pixels. It never reads
//! a second frame.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageError};
use tagfleet_pipeline::tags::{Failure, Reason};

use super::format::Format;
use super::{Decoded, Job, contain, exif, failure, finish, flatten, turning_memory};
use crate::pixels::Pixels;

/// What reading a header may take: colour profiles and comments, which come before any size is checked.
const HEADER_MEMORY: u64 = 32 << 20;
/// What a decoder holds beside pixels: tables and rows.
const OVERHEAD: u64 = 1 << 20;
/// What a TIFF's strip and tables may take in a small picture.
const STRIP: u64 = 8 << 20;

/// Decodes anything but a JPEG.
pub(super) fn decode(job: &Job<'_>, format: Format) -> Result<Decoded, Failure> {
    contain(|| decode_format(job, format).map_err(|failed| name_format(&failed, format)))
}

fn decode_format(job: &Job<'_>, format: Format) -> Result<Decoded, Failure> {
    let input = Cursor::new(job.bytes);
    match format {
        Format::Png => {
            let limits = limits(HEADER_MEMORY);
            let mut decoder = PngDecoder::with_limits(input, limits).map_err(|error| explain(&error))?;
            let orientation = orientation_of(job, &mut decoder);
            read(job, decoder, orientation, |_| OVERHEAD)
        }
        Format::WebP => {
            let mut decoder = WebPDecoder::new(input).map_err(|error| explain(&error))?;
            let orientation = orientation_of(job, &mut decoder);
            // Planes or RGBA beside the output; with alpha or frames also a canvas, a frame and its alpha.
            let plain = !decoder.has_animation() && decoder.color_type() == image::ColorType::Rgb8;
            let (width, height) = decoder.dimensions();
            let pixels = u64::from(width) * u64::from(height);
            read(job, decoder, orientation, |_| OVERHEAD + pixels * if plain { 4 } else { 11 })
        }
        // A frame that does not cover the canvas is decoded beside it.
        Format::Gif => {
            let decoder = GifDecoder::new(input).map_err(|error| explain(&error))?;
            read(job, decoder, Orientation::NoTransforms, |output| OVERHEAD + output)
        }
        Format::Bmp => {
            let decoder = BmpDecoder::new(input).map_err(|error| explain(&error))?;
            read(job, decoder, Orientation::NoTransforms, |_| OVERHEAD)
        }
        // The whole picture once more, and a strip that may be as large, or larger than a small picture.
        Format::Tiff => {
            let mut decoder = TiffDecoder::new(input).map_err(|error| explain(&error))?;
            let turned = decoder.orientation().unwrap_or(Orientation::NoTransforms);
            let orientation = if job.apply_exif { turned } else { Orientation::NoTransforms };
            read(job, decoder, orientation, |output| STRIP + 2 * output)
        }
        Format::Jpeg => Err(failure(Reason::Corrupt, "a jpeg came to the wrong decoder")),
    }
}

/// Reads the picture whose header `decoder` has read; `extra` is what it takes beside its output, both in bytes.
pub(super) fn read(
    job: &Job<'_>,
    mut decoder: impl ImageDecoder,
    orientation: Orientation,
    extra: impl Fn(u64) -> u64,
) -> Result<Decoded, Failure> {
    let (width, height) = decoder.dimensions();
    let (output, color) = (decoder.total_bytes(), decoder.color_type());
    let extra = extra(output).max(turning_memory(orientation, width, height, 3));
    let memory = job.admit(width, height, output.saturating_add(extra))?;
    decoder.set_limits(limits(extra)).map_err(|error| explain(&error))?;
    let mut data = vec![0; usize::try_from(output).unwrap_or(usize::MAX)];
    decoder.read_image(&mut data).map_err(|error| explain(&error))?;
    let Some((data, channels)) = flatten::flatten(data, color) else {
        return Err(failure(
            Reason::UnsupportedFeature,
            format!("samples of kind {color:?} are not decoded"),
        ));
    };
    Ok(finish(Pixels { width, height, channels, data }, orientation, memory, false))
}

fn orientation_of(job: &Job<'_>, decoder: &mut impl ImageDecoder) -> Orientation {
    if !job.apply_exif {
        return Orientation::NoTransforms;
    }
    let block = decoder.exif_metadata().ok().flatten();
    let packet = decoder.xmp_metadata().ok().flatten();
    exif::orientation(block.as_deref(), packet.as_deref())
}

fn limits(max_memory: u64) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(max_memory);
    limits
}

/// A library's error as a failed row.
pub(super) fn explain(error: &ImageError) -> Failure {
    let reason = match error {
        ImageError::Unsupported(_) => Reason::UnsupportedFeature,
        ImageError::Limits(_) => Reason::TooManyPixels,
        _ => Reason::Corrupt,
    };
    // Where the library wraps a decoder's own error, that one says more and repeats less.
    let inner = std::error::Error::source(error).map(ToString::to_string);
    failure(reason, inner.unwrap_or_else(|| error.to_string()))
}

fn name_format(failed: &Failure, format: Format) -> Failure {
    failure(failed.reason, format!("{format:?}: {}", failed.message))
}
