//! BMP of Windows and OS/2, with the pixels that Pillow gives.
//!
//! It exists because the `image` crate takes unused alpha for transparency and rounds 5-bit samples
//! otherwise. Alpha that is zero in every pixel means that the writer left the field empty: the picture is
//! opaque. It never reads JPEG or PNG inside of a BMP, nor a colour profile.

use image::metadata::Orientation;
use tagfleet_pipeline::tags::{Cause, Failure};

use super::{Claim, Decoded, Job, failure, flatten};
use crate::grid::Reduction;
use crate::pixels::Pixels;

mod header;
mod rle;

use header::{Header, Masks, Storage};

/// The decoder's memory in addition to pixels.
const OVERHEAD: u64 = 1 << 20;

/// Decodes a BMP.
pub(super) fn decode(job: &Job<'_>) -> Result<Decoded, Failure> {
    let header = Header::read(job.bytes)?;
    let (width, height) = (header.width, header.height);
    let pixels = u64::from(width) * u64::from(height);
    let extra = OVERHEAD.saturating_add(if header.is_run_length() {
        pixels.saturating_mul(header.run_length_bytes())
    } else {
        0
    });
    let claim = Claim {
        width,
        height,
        reduction: Reduction::None,
        channels: 3,
        orientation: Orientation::NoTransforms,
        output: pixels.saturating_mul(3),
        extra,
    };
    let memory = job.admit(&claim)?;
    let mut data = Vec::with_capacity(pixels as usize * 3);
    if header.is_run_length() {
        write_run_lengths(&header, &mut data);
    } else {
        write_rows(&header, &mut data)?;
    }
    Ok(job.finish(Pixels { width, height, channels: 3, data }, &claim, memory, false))
}

/// The rows from the top, whichever way the file has them.
fn rows_from_top(header: &Header<'_>) -> impl Iterator<Item = usize> {
    let (height, top_down) = (header.height as usize, header.top_down);
    (0..height).map(move |row| if top_down { row } else { height - 1 - row })
}

fn write_rows(header: &Header<'_>, data: &mut Vec<u8>) -> Result<(), Failure> {
    let writer = RowWriter::of(header);
    let (stride, used) = (header.stride(), header.row_bytes());
    for row in rows_from_top(header) {
        let Some(bytes) = header.data.get(row * stride..).and_then(|rest| rest.get(..used)) else {
            return Err(failure(Cause::Damaged, "the pixels are cut off"));
        };
        writer.write(bytes, header, data);
    }
    Ok(())
}

fn write_run_lengths(header: &Header<'_>, data: &mut Vec<u8>) {
    let decoded = rle::decode(header);
    let unit = header.run_length_bytes() as usize;
    let stride = header.width as usize * unit;
    for row in rows_from_top(header) {
        let row = &decoded[row * stride..][..stride];
        if unit == 3 {
            row.chunks_exact(3).for_each(|pixel| data.extend([pixel[2], pixel[1], pixel[0]]));
        } else {
            row.iter().for_each(|&index| data.extend(header.color(index)));
        }
    }
}

/// How one row becomes RGB.
enum RowWriter {
    Indexed,
    Bgr,
    Masked { masks: Masks, alpha: bool },
}

impl RowWriter {
    fn of(header: &Header<'_>) -> RowWriter {
        match header.storage {
            Storage::Indexed => RowWriter::Indexed,
            Storage::Bgr => RowWriter::Bgr,
            Storage::Masked(masks) => RowWriter::Masked { masks, alpha: uses_alpha(header, &masks) },
        }
    }

    fn write(&self, bytes: &[u8], header: &Header<'_>, data: &mut Vec<u8>) {
        match self {
            RowWriter::Indexed => write_indexed(bytes, header, data),
            RowWriter::Bgr => {
                bytes.chunks_exact(3).for_each(|pixel| data.extend([pixel[2], pixel[1], pixel[0]]));
            }
            RowWriter::Masked { masks, alpha } => {
                for pixel in bytes.chunks_exact(header.bits as usize / 8) {
                    data.extend(masked(little_endian(pixel), masks, *alpha));
                }
            }
        }
    }
}

fn write_indexed(bytes: &[u8], header: &Header<'_>, data: &mut Vec<u8>) {
    let bits = header.bits as usize;
    let mask = (1_u16 << bits) - 1;
    for x in 0..header.width as usize {
        let at = x * bits;
        let shift = 8 - bits - at % 8;
        let index = u16::from(bytes[at / 8]) >> shift & mask;
        data.extend(header.color(index as u8));
    }
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn masked(pixel: u32, masks: &Masks, alpha: bool) -> [u8; 3] {
    let opacity = if alpha { masks.alpha.sample(pixel) } else { 255 };
    [&masks.red, &masks.green, &masks.blue].map(|mask| flatten::over_white(mask.sample(pixel), opacity))
}

/// True if the header names alpha and a pixel uses it.
fn uses_alpha(header: &Header<'_>, masks: &Masks) -> bool {
    let (stride, used) = (header.stride(), header.row_bytes());
    let unit = header.bits as usize / 8;
    let mut rows = header.data.chunks(stride).take(header.height as usize);
    rows.any(|row| {
        let row = &row[..used.min(row.len())];
        row.chunks_exact(unit).any(|pixel| masks.alpha.sample(little_endian(pixel)) != 0)
    })
}
