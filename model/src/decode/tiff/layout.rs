//! The pixel layout in a TIFF's directory, checked before any memory is taken.
//!
//! It exists so that every combination that is not decoded is refused in one place, with a message that names
//! it. It never reads pixels.

use tagfleet_pipeline::tags::{Cause, Failure};

use super::super::failure;
use super::directory::{Directory, Order, Values};
use super::tags;

/// More samples than any writer puts into a pixel; Pillow's limit is 6.
const MOST_SAMPLES: u64 = 64;

/// More strips or tiles than any writer makes of a picture that is decoded.
const MOST_CHUNKS: u64 = 1 << 20;
/// Tiles of a small picture may be larger than it, by this many pixels.
const TILE_MARGIN: u64 = 1 << 24;

/// How pixels are stored.
pub(super) struct Layout<'a> {
    pub(super) file: &'a [u8],
    pub(super) order: Order,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Per sample.
    pub(super) bits: u32,
    pub(super) is_float: bool,
    /// Per pixel, with those that are not shown.
    pub(super) samples: usize,
    /// One chunk for each sample, not one for all.
    pub(super) is_planar: bool,
    pub(super) color: Color,
    pub(super) alpha: Option<Alpha>,
    pub(super) compression: Compression,
    pub(super) predictor: Predictor,
    /// The lowest bit of each byte comes first.
    pub(super) is_reversed: bool,
    pub(super) chunks: Chunks<'a>,
}

/// What samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Color {
    Gray {
        inverted: bool,
    },
    Rgb,
    Palette,
    Cmyk,
    /// The columns and rows that one chrominance sample covers.
    YCbCr {
        across: usize,
        down: usize,
    },
}

impl Color {
    /// Samples that the colour takes.
    pub(super) fn samples(self) -> usize {
        match self {
            Color::Gray { .. } | Color::Palette => 1,
            Color::Rgb | Color::YCbCr { .. } => 3,
            Color::Cmyk => 4,
        }
    }

    /// Samples of a decoded pixel.
    pub(super) fn channels(self) -> u8 {
        if matches!(self, Color::Gray { .. }) { 1 } else { 3 }
    }
}

/// Which sample is opacity, and whether colours were multiplied with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alpha {
    pub(super) at: usize,
    pub(super) associated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// CCITT's one-dimensional code, rows at whole bytes.
    Huffman,
    Fax3 {
        two_dimensional: bool,
    },
    Fax4,
    Lzw,
    /// Of TIFF 6.0: one stream for the whole picture.
    OldJpeg,
    Jpeg,
    Deflate,
    PackBits,
    Zstd,
}

impl Compression {
    pub(super) fn is_fax(self) -> bool {
        matches!(self, Compression::Huffman | Compression::Fax3 { .. } | Compression::Fax4)
    }

    pub(super) fn is_jpeg(self) -> bool {
        matches!(self, Compression::Jpeg | Compression::OldJpeg)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    Difference,
    Float,
}

/// Strips or tiles.
pub(super) struct Chunks<'a> {
    pub(super) width: u32,
    /// The last strip has fewer rows, the last tile has not.
    pub(super) height: u32,
    pub(super) are_tiles: bool,
    offsets: Values<'a>,
    lengths: Option<Values<'a>>,
}

impl<'a> Layout<'a> {
    /// Reads and checks the directory.
    pub(super) fn read(directory: &Directory<'a>) -> Result<Layout<'a>, Failure> {
        let (width, height) = (size(directory, tags::WIDTH)?, size(directory, tags::HEIGHT)?);
        let compression = compression(directory)?;
        let color = color(directory, compression)?;
        let samples = samples(directory, color, compression)?;
        let is_planar = directory.number_or(tags::PLANAR, 1) == 2 && samples > 1;
        let layout = Layout {
            file: directory.file,
            order: directory.order,
            width,
            height,
            bits: bits(directory, samples)?,
            is_float: is_float(directory)?,
            samples,
            is_planar,
            color,
            alpha: alpha(directory, color, samples),
            compression,
            predictor: predictor(directory, compression)?,
            is_reversed: directory.number_or(tags::FILL_ORDER, 1) == 2,
            chunks: chunks(directory, width, height)?,
        };
        layout.check()?;
        layout.check_work()?;
        Ok(layout)
    }

    /// Samples of a pixel up to the last one that counts.
    pub(super) fn used_samples(&self) -> usize {
        self.color.samples().max(self.alpha.map_or(0, |alpha| alpha.at + 1))
    }

    /// Samples of a pixel in one chunk.
    pub(super) fn samples_per_chunk(&self) -> usize {
        if self.is_planar { 1 } else { self.samples }
    }

    /// Bytes of `rows` rows of a chunk once it is unpacked.
    pub(super) fn chunk_bytes(&self, rows: u32) -> u64 {
        let (width, rows) = (u64::from(self.chunks.width), u64::from(rows));
        if let Color::YCbCr { across, down } = self.color
            && !self.is_planar
        {
            let blocks = width.div_ceil(across as u64) * rows.div_ceil(down as u64);
            return blocks.saturating_mul((across * down + 2) as u64);
        }
        (self.row_bytes() as u64).saturating_mul(rows)
    }

    /// Bytes of a row of a chunk once it is unpacked.
    pub(super) fn row_bytes(&self) -> usize {
        let bits = u64::from(self.chunks.width) * self.samples_per_chunk() as u64 * u64::from(self.bits);
        bits.div_ceil(8) as usize
    }

    fn check(&self) -> Result<(), Failure> {
        let Layout { bits, .. } = *self;
        let is_read = match self.color {
            Color::Palette => bits <= 8,
            Color::YCbCr { .. } => bits == 8,
            _ => bits <= 16 || (self.is_float && bits == 32 && self.color == Color::Rgb),
        };
        if !is_read || bits == 0 || (self.is_float && bits != 32) {
            let kind = if self.is_float { "floating-point " } else { "" };
            return Err(unsupported(format!("{kind}samples of {bits} bits")));
        }
        if self.compression.is_fax() && (bits, self.samples) != (1, 1) {
            return Err(unsupported("ccitt compression of more than one bit per pixel"));
        }
        let is_ycbcr = matches!(self.color, Color::YCbCr { .. });
        if self.compression.is_jpeg() && is_ycbcr && self.samples > 3 {
            return Err(unsupported("a JPEG of YCbCr with more samples"));
        }
        if self.compression.is_jpeg() && bits != 8 {
            return Err(unsupported(format!("JPEG of {bits} bits per sample")));
        }
        let is_subsampled =
            matches!(self.color, Color::YCbCr { across, down } if across * down > 1 || self.samples > 3);
        if is_subsampled && (self.is_planar || self.samples > 3) && !self.compression.is_jpeg() {
            return Err(unsupported("YCbCr in this arrangement"));
        }
        Ok(())
    }
}

impl Layout<'_> {
    /// Bounds what unpacking all chunks takes, because chunks may be many, larger than the picture, or all of
    /// the same bytes.
    fn check_work(&self) -> Result<(), Failure> {
        let across = u64::from(self.chunks.across(self.width));
        let down = u64::from(self.height.div_ceil(self.chunks.height));
        let planes = if self.is_planar { self.samples as u64 } else { 1 };
        let number = across.saturating_mul(down).saturating_mul(planes);
        if number > MOST_CHUNKS {
            return Err(unsupported("more strips or tiles than are read"));
        }
        let pixels = u64::from(self.width) * u64::from(self.height);
        let each = u64::from(self.chunks.width) * u64::from(self.chunks.height);
        if each.saturating_mul(across * down) > pixels.saturating_mul(4).saturating_add(TILE_MARGIN) {
            return Err(unsupported("tiles that are much larger than the picture"));
        }
        let lengths = (0..number as usize)
            .map(|index| self.chunks.bytes(self.file, index).map_or(0, |stored| stored.bytes.len() as u64));
        if self.compression != Compression::None && lengths.sum::<u64>() > self.file.len() as u64 * 4 {
            return Err(unsupported("strips or tiles that share their bytes"));
        }
        Ok(())
    }
}

impl<'a> Chunks<'a> {
    /// Chunks side by side, in one plane.
    pub(super) fn across(&self, width: u32) -> u32 {
        width.div_ceil(self.width)
    }

    /// The bytes of a chunk as stored, and all that follow in the file.
    pub(super) fn bytes(&self, file: &'a [u8], number: usize) -> Option<Stored<'a>> {
        let start = usize::try_from(self.offsets.number(number)?).ok()?;
        let rest = file.get(start..)?;
        let stated = self.lengths.and_then(|lengths| lengths.number(number)).unwrap_or(0);
        let length = usize::try_from(stated).ok().filter(|&length| length > 0).unwrap_or(rest.len());
        Some(Stored { bytes: &rest[..length.min(rest.len())], rest })
    }
}

/// A chunk as stored.
pub(super) struct Stored<'a> {
    /// The length in the directory.
    pub(super) bytes: &'a [u8],
    /// Up to the end of the file, because some writers state a wrong length.
    pub(super) rest: &'a [u8],
}

pub(super) fn unsupported(message: impl AsRef<str>) -> Failure {
    failure(Cause::Variant, message)
}

fn size(directory: &Directory<'_>, tag: u16) -> Result<u32, Failure> {
    let stated = directory.number(tag).and_then(|size| u32::try_from(size).ok());
    stated.ok_or_else(|| failure(Cause::Damaged, "the directory states no size"))
}

fn compression(directory: &Directory<'_>) -> Result<Compression, Failure> {
    let two_dimensional = directory.number_or(tags::T4_OPTIONS, 0) & 1 == 1;
    Ok(match directory.number_or(tags::COMPRESSION, 1) {
        1 => Compression::None,
        2 => Compression::Huffman,
        3 => Compression::Fax3 { two_dimensional },
        4 => Compression::Fax4,
        5 => Compression::Lzw,
        6 => Compression::OldJpeg,
        7 => Compression::Jpeg,
        8 | 32946 => Compression::Deflate,
        32773 => Compression::PackBits,
        50000 => Compression::Zstd,
        other => return Err(unsupported(format!("compression {other}"))),
    })
}

/// Writers that state no colour mean white-is-zero, as Pillow reads it.
fn color(directory: &Directory<'_>, compression: Compression) -> Result<Color, Failure> {
    let stated = directory.number_or(tags::PHOTOMETRIC, 0);
    let stated = if compression == Compression::OldJpeg { 6 } else { stated };
    Ok(match stated {
        0 => Color::Gray { inverted: true },
        1 => Color::Gray { inverted: false },
        2 => Color::Rgb,
        3 => Color::Palette,
        5 => Color::Cmyk,
        6 => ycbcr(directory)?,
        other => return Err(unsupported(format!("colors of kind {other}"))),
    })
}

fn ycbcr(directory: &Directory<'_>) -> Result<Color, Failure> {
    let factors = directory.values(tags::SUBSAMPLING);
    let factor = |index| factors.and_then(|factors| factors.number(index)).unwrap_or(2);
    match (factor(0), factor(1)) {
        (across @ (1 | 2 | 4), down @ (1 | 2 | 4)) => {
            Ok(Color::YCbCr { across: across as usize, down: down as usize })
        }
        (across, down) => Err(unsupported(format!("chrominance of {across}x{down}"))),
    }
}

fn samples(directory: &Directory<'_>, color: Color, compression: Compression) -> Result<usize, Failure> {
    let default = if compression == Compression::OldJpeg { 3 } else { 1 };
    let samples = directory.number_or(tags::SAMPLES, default);
    // An old JPEG may be gray even if the directory contradicts that.
    if compression != Compression::OldJpeg && samples < color.samples() as u64 {
        return Err(failure(
            Cause::Damaged,
            format!("{samples} samples per pixel are too few for the color"),
        ));
    }
    if samples > MOST_SAMPLES {
        return Err(unsupported(format!("{samples} samples per pixel")));
    }
    Ok(samples as usize)
}

fn bits(directory: &Directory<'_>, samples: usize) -> Result<u32, Failure> {
    let Some(stated) = directory.values(tags::BITS) else { return Ok(1) };
    let first = stated.number(0).unwrap_or(0);
    for index in 1..samples.min(stated.count) {
        if stated.number(index) != Some(first) {
            return Err(unsupported("samples of different numbers of bits"));
        }
    }
    u32::try_from(first).map_err(|_| unsupported(format!("samples of {first} bits")))
}

fn is_float(directory: &Directory<'_>) -> Result<bool, Failure> {
    let eight = directory.number_or(tags::BITS, 1) <= 8;
    match directory.number_or(tags::SAMPLE_FORMAT, 1) {
        1 | 4 => Ok(false),
        // Pillow reads bytes with a sign as bytes.
        2 if eight => Ok(false),
        2 => Err(unsupported("samples with a sign")),
        3 => Ok(true),
        other => Err(unsupported(format!("samples of format {other}"))),
    }
}

/// The first extra sample that is opacity; RGB with a fourth sample of unknown meaning has opacity there.
fn alpha(directory: &Directory<'_>, color: Color, samples: usize) -> Option<Alpha> {
    let first = color.samples();
    let Some(kinds) = directory.values(tags::EXTRA_SAMPLES) else {
        return (color == Color::Rgb && samples == 4).then_some(Alpha { at: first, associated: false });
    };
    for index in 0..samples.saturating_sub(first) {
        match kinds.number(index) {
            Some(1) => return Some(Alpha { at: first + index, associated: true }),
            // 999 is Corel Draw's.
            Some(2 | 999) => return Some(Alpha { at: first + index, associated: false }),
            _ => {}
        }
    }
    None
}

fn predictor(directory: &Directory<'_>, compression: Compression) -> Result<Predictor, Failure> {
    let has_one = matches!(compression, Compression::Lzw | Compression::Deflate | Compression::Zstd);
    match directory.number_or(tags::PREDICTOR, 1) {
        _ if !has_one => Ok(Predictor::None),
        0 | 1 => Ok(Predictor::None),
        2 => Ok(Predictor::Difference),
        3 => Ok(Predictor::Float),
        other => Err(unsupported(format!("predictor {other}"))),
    }
}

fn chunks<'a>(directory: &Directory<'a>, width: u32, height: u32) -> Result<Chunks<'a>, Failure> {
    let missing = || failure(Cause::Damaged, "the directory states no place of the pixels");
    let tile = |tag| directory.number(tag).and_then(|size| u32::try_from(size).ok()).filter(|&size| size > 0);
    if let (Some(width), Some(height)) = (tile(tags::TILE_WIDTH), tile(tags::TILE_HEIGHT)) {
        // Some writers keep tiles under the tag of strips.
        let offsets = directory.values(tags::TILE_OFFSETS).or_else(|| directory.values(tags::STRIP_OFFSETS));
        let lengths = directory.values(tags::TILE_LENGTHS).or_else(|| directory.values(tags::STRIP_LENGTHS));
        return Ok(Chunks { width, height, are_tiles: true, offsets: offsets.ok_or_else(missing)?, lengths });
    }
    let rows = tile(tags::ROWS_PER_STRIP).unwrap_or(height).min(height);
    let offsets = directory.values(tags::STRIP_OFFSETS);
    // An old JPEG has a place of its own.
    let offsets = offsets.or_else(|| directory.values(tags::OLD_JPEG)).ok_or_else(missing)?;
    let lengths = directory.values(tags::STRIP_LENGTHS);
    Ok(Chunks { width: width.max(1), height: rows.max(1), are_tiles: false, offsets, lengths })
}
