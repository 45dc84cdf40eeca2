//! PNG through the `png` crate, and its orientation from wherever writers put it.
//!
//! It exists because all rows of a file can be there though its end is not, and because EXIF may follow the
//! pixels or come as text, as ImageMagick writes it. It never reads a second frame, and never applies a gamma
//! or a colour profile.

use std::io::Cursor;

use image::ColorType;
use image::metadata::Orientation;
use png::{BitDepth, Decoder, DecodingError, InterlaceInfo, Limits, Reader, Transformations};
use tagfleet_pipeline::tags::{Cause, Failure};

use super::{Claim, Decoded, Job, failure, flatten};
use crate::grid::Reduction;
use crate::pixels::Pixels;

mod metadata;

/// What reading a header may take: chunks that come before any size is checked.
const HEADER_MEMORY: usize = 32 << 20;
/// The most chunks before the pixels that a picture can do without, and the most bytes of them: the decoder
/// keeps those that it knows, each in a structure of its own that counts for no limit.
const MOST_CHUNKS: usize = 1000;
const MOST_CHUNK_BYTES: usize = 8 << 20;
/// The decoder's memory in addition to pixels: tables and rows.
const OVERHEAD: u64 = 1 << 20;

/// Decodes a PNG.
pub(super) fn decode(job: &Job<'_>) -> Result<Decoded, Failure> {
    check_chunks(job.bytes)?;
    let mut decoder = Decoder::new_with_limits(Cursor::new(job.bytes), Limits { bytes: HEADER_MEMORY });
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(|error| explain(&error))?;
    let color = color_type(&reader)?;
    let claim = claim(job, &reader, color);
    let memory = job.admit(&claim)?;
    let mut data = vec![0; usize::try_from(claim.output).unwrap_or(usize::MAX)];
    read_rows(&mut reader, &mut data, color)?;
    if color.bytes_per_pixel() > color.channel_count() {
        to_native_order(&mut data);
    }
    let Some((data, channels)) = flatten::flatten(data, color) else {
        return Err(failure(Cause::Variant, format!("samples of kind {color:?}")));
    };
    let Claim { width, height, .. } = claim;
    Ok(job.finish(Pixels { width, height, channels, data }, &claim, memory, false))
}

fn check_chunks(file: &[u8]) -> Result<(), Failure> {
    let (chunks, bytes) = metadata::before_pixels(file, MOST_CHUNKS);
    if chunks <= MOST_CHUNKS && bytes <= MOST_CHUNK_BYTES {
        return Ok(());
    }
    let detail = format!(
        "{chunks} chunks of {bytes} bytes before the pixels, the limits are {MOST_CHUNKS} and {MOST_CHUNK_BYTES}"
    );
    Err(failure(Cause::TooMuchMemory, detail))
}

type PngReader<'a> = Reader<Cursor<&'a [u8]>>;

fn claim(job: &Job<'_>, reader: &PngReader<'_>, color: ColorType) -> Claim {
    let (width, height) = reader.info().size();
    let pixels = u64::from(width) * u64::from(height);
    let orientation = if job.apply_exif {
        let found = metadata::read(job.bytes);
        job.orientation(found.exif.as_deref(), found.xmp.as_deref())
    } else {
        Orientation::NoTransforms
    };
    let channels = if color.has_color() { 3 } else { 1 };
    // The decoder keeps a few rows, as wide as the picture.
    let extra = OVERHEAD + u64::from(width) * 8 * 4;
    let output = pixels.saturating_mul(u64::from(color.bytes_per_pixel()));
    Claim { width, height, reduction: Reduction::None, channels, orientation, output, extra }
}

fn color_type(reader: &PngReader<'_>) -> Result<ColorType, Failure> {
    let (color, depth) = reader.output_color_type();
    Ok(match (color, depth) {
        (png::ColorType::Grayscale, BitDepth::Eight) => ColorType::L8,
        (png::ColorType::Grayscale, BitDepth::Sixteen) => ColorType::L16,
        (png::ColorType::GrayscaleAlpha, BitDepth::Eight) => ColorType::La8,
        (png::ColorType::GrayscaleAlpha, BitDepth::Sixteen) => ColorType::La16,
        (png::ColorType::Rgb, BitDepth::Eight) => ColorType::Rgb8,
        (png::ColorType::Rgb, BitDepth::Sixteen) => ColorType::Rgb16,
        (png::ColorType::Rgba, BitDepth::Eight) => ColorType::Rgba8,
        (png::ColorType::Rgba, BitDepth::Sixteen) => ColorType::Rgba16,
        (color, depth) => {
            let message = format!("samples of kind {color:?} in {depth:?} bits");
            return Err(failure(Cause::Variant, message));
        }
    })
}

/// Reads as many rows as the picture has, and no further: what follows may be missing.
fn read_rows(reader: &mut PngReader<'_>, data: &mut [u8], color: ColorType) -> Result<(), Failure> {
    let (width, height) = reader.info().size();
    let pixel = usize::from(color.bytes_per_pixel());
    let stride = width as usize * pixel;
    let rows = if reader.info().interlaced { interlaced_rows(width, height) } else { u64::from(height) };
    for number in 0..rows {
        let row = reader.next_interlaced_row().map_err(|error| explain(&error))?;
        let Some(row) = row else {
            return Err(failure(Cause::PngTruncated, "rows are missing"));
        };
        match row.interlace() {
            InterlaceInfo::Adam7(info) => {
                png::expand_interlaced_row(data, stride, row.data(), info, pixel as u8 * 8);
            }
            InterlaceInfo::Null(_) => {
                data[number as usize * stride..][..stride].copy_from_slice(&row.data()[..stride]);
            }
        }
    }
    Ok(())
}

/// Rows over all seven passes of Adam7; a pass without columns has none.
fn interlaced_rows(width: u32, height: u32) -> u64 {
    const PASSES: [(u32, u32, u32); 7] =
        [(0, 0, 8), (4, 0, 8), (0, 4, 8), (2, 0, 4), (0, 2, 4), (1, 0, 2), (0, 1, 2)];
    let rows = |&(column, row, step): &(u32, u32, u32)| {
        if column < width { u64::from(height.saturating_sub(row).div_ceil(step)) } else { 0 }
    };
    PASSES.iter().map(rows).sum()
}

fn to_native_order(data: &mut [u8]) {
    for sample in data.chunks_exact_mut(2) {
        let value = u16::from_be_bytes([sample[0], sample[1]]);
        sample.copy_from_slice(&value.to_ne_bytes());
    }
}

fn explain(error: &DecodingError) -> Failure {
    match error {
        DecodingError::LimitsExceeded => {
            failure(Cause::TooMuchMemory, "chunks before the pixels are too large")
        }
        error => failure(Cause::Damaged, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_counted_as_they_come() {
        assert_eq!(interlaced_rows(1, 1), 1);
        assert_eq!(interlaced_rows(8, 8), 1 + 1 + 1 + 2 + 2 + 4 + 4);
        assert_eq!(interlaced_rows(2, 3), 1 + 1 + 2 + 1, "the passes of columns 4 and 2 are empty");
        assert_eq!(interlaced_rows(u32::MAX, 1), 1 + 1 + 1 + 1);
    }
}
