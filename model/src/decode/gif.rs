//! The first frame of a GIF on its canvas, through the `gif` crate.
//!
//! It exists because a frame may reach beyond the canvas, which then grows as in Pillow, and because a file
//! without a palette is gray. What the frame leaves uncovered is transparent, so white. It never reads a
//! second frame.

use std::io::Read;

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, Frame, MemoryLimit};
use image::metadata::Orientation;
use tagfleet_pipeline::tags::{Cause, Failure};

use super::{Claim, Decoded, Job, failure};
use crate::grid::Reduction;
use crate::pixels::Pixels;

/// The decoder's memory in addition to pixels: the table of codes, and text that it skips.
const OVERHEAD: u64 = 1 << 20;

/// Where the first frame lies.
struct Place {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    transparent: Option<u8>,
}

impl Place {
    fn of(frame: &Frame<'_>) -> Place {
        let [left, top, width, height] = [frame.left, frame.top, frame.width, frame.height].map(usize::from);
        Place { left, top, width, height, transparent: frame.transparent }
    }
}

/// Decodes the first frame of a GIF.
pub(super) fn decode(job: &Job<'_>) -> Result<Decoded, Failure> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    // Memory is granted below, before it is taken.
    options.set_memory_limit(MemoryLimit::Unlimited);
    options.allow_unknown_blocks(true);
    let mut decoder = options.read_info(with_palette(job.bytes)).map_err(|error| explain(&error))?;
    let Some(frame) = decoder.next_frame_info().map_err(|error| explain(&error))? else {
        return Err(failure(Cause::Damaged, "there is no frame"));
    };
    let place = Place::of(frame);
    let claim = claim(&decoder, &place);
    let memory = job.admit(&claim)?;
    let mut indices = vec![0; place.width * place.height];
    decoder.read_into_buffer(&mut indices).map_err(|error| explain(&error))?;
    let (width, height) = (claim.width, claim.height);
    let mut data = vec![255; width as usize * height as usize * 3];
    paint(&mut data, width as usize, &indices, &place, decoder.palette().unwrap_or_default());
    Ok(job.finish(Pixels { width, height, channels: 3, data }, &claim, memory, false))
}

/// The file; if it has no palette for all frames, with one of 256 shades of gray.
fn with_palette(file: &[u8]) -> impl Read {
    /// The version, and the size of the canvas.
    const HEAD: usize = 13;
    const FLAGS: usize = 10;
    const HAS_PALETTE: u8 = 0x80;
    const OF_256_COLORS: u8 = 0x07;
    let (head, rest) = file.split_at(HEAD.min(file.len()));
    let (mut head, mut palette) = (head.to_vec(), Vec::new());
    if let Some(flags) = head.get_mut(FLAGS).filter(|flags| **flags & HAS_PALETTE == 0) {
        *flags |= HAS_PALETTE | OF_256_COLORS;
        palette.extend((0..=255).flat_map(|shade| [shade; 3]));
    }
    std::io::Cursor::new(head).chain(std::io::Cursor::new(palette)).chain(rest)
}

fn claim<R: Read>(decoder: &Decoder<R>, place: &Place) -> Claim {
    let width = u32::from(decoder.width()).max((place.left + place.width) as u32);
    let height = u32::from(decoder.height()).max((place.top + place.height) as u32);
    Claim {
        width,
        height,
        reduction: Reduction::None,
        channels: 3,
        orientation: Orientation::NoTransforms,
        output: u64::from(width) * u64::from(height) * 3,
        extra: OVERHEAD + (place.width * place.height) as u64,
    }
}

/// `palette` is red, green and blue of each index.
fn paint(data: &mut [u8], width: usize, indices: &[u8], place: &Place, palette: &[u8]) {
    for (row, line) in indices.chunks_exact(place.width.max(1)).enumerate() {
        let start = ((place.top + row) * width + place.left) * 3;
        for (pixel, &index) in data[start..].chunks_exact_mut(3).zip(line) {
            if place.transparent != Some(index) {
                pixel.copy_from_slice(&color(palette, index));
            }
        }
    }
}

/// Black if the palette is too short.
fn color(palette: &[u8], index: u8) -> [u8; 3] {
    match palette.get(usize::from(index) * 3..).and_then(|rest| rest.first_chunk::<3>()) {
        Some(color) => *color,
        None => [0; 3],
    }
}

fn explain(error: &DecodingError) -> Failure {
    failure(Cause::Damaged, error.to_string())
}
