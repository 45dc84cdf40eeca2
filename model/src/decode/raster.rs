//! Every format but JPEG by its own decoder; WebP, and JPEG the second time, through the `image` crate under
//! our limits.
//!
//! Sizes are checked on the header that each decoder has read, before any of them allocates pixels. It never
//! reads a second frame.

use std::io::Cursor;

use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageError};
use tagfleet_pipeline::tags::{Cause, Failure};

use super::format::Format;
use super::{Claim, Decoded, Job, avif, bmp, contain, failure, flatten, gif, png, tiff};
use crate::grid::Reduction;
use crate::pixels::Pixels;

/// A decoder's memory in addition to pixels: tables and rows.
const OVERHEAD: u64 = 1 << 20;

/// Decodes anything but a JPEG.
pub(super) fn decode(job: &Job<'_>, format: Format) -> Result<Decoded, Failure> {
    contain(|| decode_format(job, format).map_err(|failed| in_format(failed, format)))
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
            // Planes or RGBA in addition to the output; with alpha or frames also a canvas, a frame and its
            // alpha.
            let plain = !decoder.has_animation() && decoder.color_type() == image::ColorType::Rgb8;
            let (width, height) = decoder.dimensions();
            let pixels = u64::from(width) * u64::from(height);
            read(job, decoder, orientation, |_| OVERHEAD + pixels * if plain { 4 } else { 11 })
        }
        Format::Tiff => tiff::decode(job),
        Format::Avif => avif::decode(job),
        Format::Jpeg => Err(failure(Cause::JpegDamaged, "it came to the wrong decoder")),
    }
}

/// Reads the picture whose header `decoder` has read; `extra` is the memory in addition to its output, both
/// in bytes.
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
        return Err(failure(Cause::Variant, format!("samples of kind {color:?}")));
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

/// A library's error as a failed row of no known format.
pub(super) fn explain(error: &ImageError) -> Failure {
    let cause = match error {
        ImageError::Unsupported(_) => Cause::Variant,
        ImageError::Limits(_) => Cause::TooMuchMemory,
        _ => Cause::Damaged,
    };
    // If the library wraps a decoder's own error, that one is more informative and repeats less.
    let inner = std::error::Error::source(error).map(ToString::to_string);
    failure(cause, inner.unwrap_or_else(|| error.to_string()))
}

/// The failure of a file whose format is known.
fn in_format(failed: Failure, format: Format) -> Failure {
    let cause = match (failed.cause, format) {
        (Cause::Damaged, Format::Png) => png_damage(failed.detail.text().unwrap_or_default()),
        (Cause::Damaged, Format::Jpeg) => Cause::JpegDamaged,
        (Cause::Damaged, Format::WebP) => Cause::WebpDamaged,
        (Cause::Damaged, Format::Gif) => Cause::GifDamaged,
        (Cause::Damaged, Format::Bmp) => Cause::BmpDamaged,
        (Cause::Damaged, Format::Tiff) => Cause::TiffDamaged,
        (Cause::Damaged, Format::Avif) => Cause::AvifDamaged,
        (Cause::Variant, Format::Jpeg) => Cause::JpegVariant,
        (Cause::Variant, Format::Tiff) => Cause::TiffVariant,
        (Cause::Variant, Format::Avif) => Cause::AvifVariant,
        (cause, _) => cause,
    };
    Failure { cause, ..failed }
}

/// The PNG decoder distinguishes kinds of damage by its words only.
fn png_damage(words: &str) -> Cause {
    let words = words.to_lowercase();
    if words.contains("crc error") || words.contains("checksum") {
        return Cause::PngChecksum;
    }
    let is_cut_off = ["unexpected end", "unexpected eof", "failed to fill whole buffer"];
    if is_cut_off.iter().any(|end| words.contains(end)) { Cause::PngTruncated } else { Cause::PngDamaged }
}
