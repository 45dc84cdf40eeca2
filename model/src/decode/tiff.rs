//! The first picture of a TIFF, with the pixels that Pillow and libtiff give.
//!
//! It exists because TIFFs of scanners, Photoshop and libtiff's tools use palettes, YCbCr, JPEG, fax codes
//! and planes, which the `image` crate does not read or reads otherwise. Chunks are unpacked one at a time,
//! so that memory is known from the directory. It never follows a second directory, and never applies a
//! colour profile.

use image::metadata::Orientation;
use tagfleet_pipeline::tags::{Cause, Failure};

use super::turbo::Color as Stream;
use super::{Claim, Decoded, Job, exif, failure};
use crate::grid::Reduction;
use crate::pixels::Pixels;

mod color;
mod depth;
mod directory;
mod fax;
mod jpeg;
mod layout;
mod packed;
mod tags;

use color::Converter;
use directory::Directory;
use jpeg::Streams;
use layout::{Color, Compression, Layout, Stored};

/// The decoder's memory in addition to pixels and chunks: tables, and the window of a compressed stream.
const OVERHEAD: u64 = 9 << 20;

/// Decodes the first picture of a TIFF.
pub(super) fn decode(job: &Job<'_>) -> Result<Decoded, Failure> {
    let directory = Directory::open(job.bytes)
        .ok_or_else(|| failure(Cause::Damaged, "there is no directory of a picture"))?;
    let layout = Layout::read(&directory)?;
    let claim = claim(job, &directory, &layout);
    let memory = job.admit(&claim)?;
    let (width, height, channels) = (layout.width, layout.height, claim.channels);
    let data = if layout.compression == Compression::OldJpeg {
        old_jpeg(&directory, &layout)?
    } else {
        Picture::new(&directory, &layout).read()?
    };
    Ok(job.finish(Pixels { width, height, channels, data }, &claim, memory, false))
}

fn claim(job: &Job<'_>, directory: &Directory<'_>, layout: &Layout<'_>) -> Claim {
    let Layout { width, height, .. } = *layout;
    let channels = layout.color.channels();
    let output = (u64::from(width) * u64::from(height)).saturating_mul(u64::from(channels));
    let orientation = if job.apply_exif { orientation(directory) } else { Orientation::NoTransforms };
    let extra = OVERHEAD.saturating_add(chunk_memory(job, layout));
    Claim { width, height, reduction: Reduction::None, channels, orientation, output, extra }
}

/// Bytes that a chunk takes: as stored, if it has to be copied; unpacked; and of all planes, side by side.
fn chunk_memory(job: &Job<'_>, layout: &Layout<'_>) -> u64 {
    let pixels = u64::from(layout.chunks.width) * u64::from(layout.chunks.height);
    let stored = if layout.is_reversed || layout.compression.is_jpeg() { job.bytes.len() as u64 } else { 0 };
    let unpacked = if layout.compression == Compression::OldJpeg {
        // The whole picture once more, if it is gray.
        (u64::from(layout.width) * u64::from(layout.height)).saturating_add(jpeg::memory(layout.width))
    } else if layout.compression.is_jpeg() {
        // A stream may be higher than its strip by less than a block.
        let stream = pixels.saturating_add(u64::from(layout.chunks.width) * 16);
        stream
            .saturating_mul(layout.samples_per_chunk() as u64)
            .saturating_add(jpeg::memory(layout.chunks.width))
    } else {
        layout.chunk_bytes(layout.chunks.height)
    };
    let samples = layout.samples as u64;
    let joined = if layout.is_planar { pixels } else { u64::from(layout.chunks.width) };
    let joined = joined.saturating_mul(samples);
    stored.saturating_add(unpacked).saturating_add(joined)
}

fn orientation(directory: &Directory<'_>) -> Orientation {
    let stated = directory.number(tags::ORIENTATION).and_then(|value| u8::try_from(value).ok());
    stated.and_then(Orientation::from_exif).unwrap_or_else(|| {
        exif::orientation(None, directory.values(tags::XMP).and_then(|values| values.as_bytes()))
    })
}

fn old_jpeg(directory: &Directory<'_>, layout: &Layout<'_>) -> Result<Vec<u8>, Failure> {
    let stream = jpeg::old_stream(directory, layout)?;
    let samples = jpeg::decode_old(&stream, layout)?;
    if samples.color != Stream::Gray {
        return Ok(samples.data);
    }
    Ok(samples.data.iter().flat_map(|&gray| [gray; 3]).collect())
}

/// A picture that is put together from chunks.
struct Picture<'a> {
    layout: &'a Layout<'a>,
    converter: Converter,
    streams: Streams<'a>,
    data: Vec<u8>,
}

/// Where a chunk lies, in pixels.
#[derive(Clone, Copy)]
struct Place {
    left: usize,
    top: usize,
    /// As many columns and rows as belong to the picture.
    width: usize,
    height: usize,
    /// Rows that are stored.
    rows: u32,
}

impl<'a> Picture<'a> {
    fn new(directory: &Directory<'a>, layout: &'a Layout<'a>) -> Picture<'a> {
        Picture {
            layout,
            converter: Converter::new(directory, layout),
            streams: Streams::new(directory, layout),
            data: Vec::new(),
        }
    }

    fn read(mut self) -> Result<Vec<u8>, Failure> {
        let Layout { width, height, ref chunks, .. } = *self.layout;
        let length = width as usize * height as usize * usize::from(self.layout.color.channels());
        self.data = vec![0; length];
        let (across, down) = (chunks.across(width), height.div_ceil(chunks.height));
        for number in 0..across * down {
            let place = self.place(number % across, number / across);
            if self.layout.is_planar {
                self.read_planes(place, number as usize, (across * down) as usize)?;
            } else {
                self.read_chunk(place, number as usize)?;
            }
        }
        Ok(self.data)
    }

    fn place(&self, column: u32, row: u32) -> Place {
        let Layout { width, height, ref chunks, .. } = *self.layout;
        let (left, top) = (column * chunks.width, row * chunks.height);
        let (right, bottom) = ((width - left).min(chunks.width), (height - top).min(chunks.height));
        Place {
            left: left as usize,
            top: top as usize,
            width: right as usize,
            height: bottom as usize,
            rows: if chunks.are_tiles { chunks.height } else { bottom },
        }
    }

    fn stored(&self, number: usize) -> Result<Stored<'a>, Failure> {
        let stored = self.layout.chunks.bytes(self.layout.file, number);
        stored.ok_or_else(|| failure(Cause::Damaged, "the pixels are cut off"))
    }

    fn read_chunk(&mut self, place: Place, number: usize) -> Result<(), Failure> {
        let stored = self.stored(number)?;
        if self.layout.compression == Compression::Jpeg {
            return self.read_jpeg(place, &stored);
        }
        let length = self.layout.chunk_bytes(place.rows) as usize;
        let mut bytes = packed::unpack(&stored, self.layout, length)?;
        if self.layout.predictor != layout::Predictor::None {
            depth::undo_predictor(bytes.to_mut(), self.layout);
        }
        if let Color::YCbCr { across, down } = self.layout.color {
            self.write_ycbcr(place, &bytes, Blocks { across, down });
            return Ok(());
        }
        let mut row = vec![0; self.layout.chunks.width as usize * self.layout.samples];
        for (y, packed) in bytes.chunks_exact(self.layout.row_bytes().max(1)).take(place.height).enumerate() {
            depth::unpack_row(packed, self.layout, &mut row, 1);
            self.write_row(place, y, &row);
        }
        Ok(())
    }

    /// libjpeg-turbo has made RGB of YCbCr.
    fn read_jpeg(&mut self, place: Place, stored: &Stored<'_>) -> Result<(), Failure> {
        let chunk = self.streams.decode(stored, self.layout, place.rows)?;
        let is_rgb = matches!(self.layout.color, Color::YCbCr { .. });
        let width = place.width.min(chunk.width);
        for (y, row) in chunk.data.chunks_exact(chunk.width * chunk.samples).take(place.height).enumerate() {
            if is_rgb {
                self.row_mut(place, y)[..width * 3].copy_from_slice(&row[..width * 3]);
            } else {
                self.write_row(place, y, &row[..width * chunk.samples]);
            }
        }
        Ok(())
    }

    /// Chunks of the planes are joined first.
    fn read_planes(&mut self, place: Place, number: usize, chunks: usize) -> Result<(), Failure> {
        let (width, samples) = (self.layout.chunks.width as usize, self.layout.samples);
        let mut joined = vec![0; width * samples * place.height];
        for plane in 0..self.layout.used_samples() {
            let stored = self.stored(plane * chunks + number)?;
            if self.layout.compression == Compression::Jpeg {
                let chunk = self.streams.decode(&stored, self.layout, place.rows)?;
                for (row, out) in
                    chunk.data.chunks_exact(chunk.width).zip(joined.chunks_exact_mut(width * samples))
                {
                    out[plane..].iter_mut().step_by(samples).zip(row).for_each(|(out, &value)| *out = value);
                }
                continue;
            }
            let length = self.layout.chunk_bytes(place.rows) as usize;
            let mut bytes = packed::unpack(&stored, self.layout, length)?;
            if self.layout.predictor != layout::Predictor::None {
                depth::undo_predictor(bytes.to_mut(), self.layout);
            }
            let rows = bytes.chunks_exact(self.layout.row_bytes().max(1));
            for (packed, out) in rows.zip(joined.chunks_exact_mut(width * samples)) {
                depth::unpack_row(packed, self.layout, &mut out[plane..], samples);
            }
        }
        for (y, row) in joined.chunks_exact(width * samples).enumerate() {
            self.write_row(place, y, row);
        }
        Ok(())
    }

    fn row_mut(&mut self, place: Place, y: usize) -> &mut [u8] {
        let channels = usize::from(self.layout.color.channels());
        let start = ((place.top + y) * self.layout.width as usize + place.left) * channels;
        &mut self.data[start..][..place.width * channels]
    }

    fn write_row(&mut self, place: Place, y: usize, samples: &[u8]) {
        let channels = usize::from(self.layout.color.channels());
        let start = ((place.top + y) * self.layout.width as usize + place.left) * channels;
        self.converter.row(samples, &mut self.data[start..][..place.width * channels]);
    }

    /// Blocks of luma in rows, then one blue and one red difference for all of them.
    fn write_ycbcr(&mut self, place: Place, bytes: &[u8], blocks: Blocks) {
        let size = blocks.across * blocks.down + 2;
        let per_row = (self.layout.chunks.width as usize).div_ceil(blocks.across);
        for (number, block) in bytes.chunks_exact(size).enumerate() {
            let (left, top) = (number % per_row * blocks.across, number / per_row * blocks.down);
            let (blue, red) = (block[size - 2], block[size - 1]);
            for (index, &luma) in block[..size - 2].iter().enumerate() {
                let (x, y) = (left + index % blocks.across, top + index / blocks.across);
                if x < place.width && y < place.height {
                    let color = self.converter.ycbcr(luma, blue, red);
                    self.row_mut(place, y)[x * 3..][..3].copy_from_slice(&color);
                }
            }
        }
    }
}

/// How many pixels share their chrominance.
#[derive(Clone, Copy)]
struct Blocks {
    across: usize,
    down: usize,
}
