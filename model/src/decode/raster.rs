//! Every format but JPEG by its own decoder; WebP, and JPEG the second time, through the `image` crate under our limits.
//!
//! Sizes are checked on the header that each decoder has read, before any of them allocates pixels. It never reads
//! a second frame.

use std::io::Cursor;

use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageError};
use tagfleet_pipeline::tags::{Failure, Reason};

use super::format::Format;
use super::{Claim, Decoded, Job, avif, bmp, contain, failure, flatten, gif, png, tiff};
use crate::grid::Reduction;
use crate::pixels::Pixels;

/// What a decoder holds beside pixels: tables and rows.
const OVERHEAD: u64 = 1 << 20;

/// Decodes anything but a JPEG.
pub(super) fn decode(job: &Job<'_>, format: Format) -> Result<Decoded, Failure> {
    contain(|| decode_format(job, format).map_err(|failed| name_format(&failed, format)))
}

fn decode_format(job: &Job<'_>, format: Format) -> Result<Decoded, Failure> {
    let input = Cursor::new(job.bytes);
    match format {
        Format::Png => png::decode(job),
        Format::Gif => gif::decode(job),
        Format::Bmp => bmp::decode(job),
        Format::WebP => {
            let decoder = WebPDecoder::new(input).map_err(|error| explain(&error))?;
            let block = riff_chunk(job.bytes, *b"EXIF");
            let packet = riff_chunk(job.bytes, *b"XMP ");
            let orientation = job.orientation(block, packet);
            // Planes or RGBA beside the output; with alpha or frames also a canvas, a frame and its alpha.
            let plain = !decoder.has_animation() && decoder.color_type() == image::ColorType::Rgb8;
            let (width, height) = decoder.dimensions();
            let pixels = u64::from(width) * u64::from(height);
            read(job, decoder, orientation, |_| OVERHEAD + pixels * if plain { 4 } else { 11 })
        }
        Format::Tiff => tiff::decode(job),
        Format::Avif => avif::decode(job),
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
    let extra = extra(output);
    let channels = if color.has_color() { 3 } else { 1 };
    let reduction = Reduction::None;
    let claim = Claim { width, height, reduction, channels, orientation, output, extra };
    let memory = job.admit(&claim)?;
    decoder.set_limits(limits(extra)).map_err(|error| explain(&error))?;
    let mut data = vec![0; usize::try_from(output).unwrap_or(usize::MAX)];
    decoder.read_image(&mut data).map_err(|error| explain(&error))?;
    let Some((data, channels)) = flatten::flatten(data, color) else {
        return Err(failure(
            Reason::UnsupportedFeature,
            format!("samples of kind {color:?} are not decoded"),
        ));
    };
    Ok(job.finish(Pixels { width, height, channels, data }, &claim, memory, false))
}

/// The contents of the first chunk of this name in a WebP file.
fn riff_chunk(file: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    let mut rest = file.get(12..)?;
    loop {
        let (head, contents) = rest.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if head.starts_with(&name) {
            return contents.get(..length);
        }
        rest = contents.get(length.next_multiple_of(2)..)?;
    }
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
