//! JPEG streams inside of a TIFF: each strip or tile is one, with tables that all share.
//!
//! It exists because such a stream is not a complete file: its tables are in the directory, and the directory
//! describes its components. So one file is made of each stream, with Adobe's marker for the colours, and
//! libjpeg-turbo reads it. A stream's own size never counts for more than the chunk's.

use tagfleet_pipeline::tags::{Cause, Failure};

use super::super::failure;
use super::super::turbo::{Color as Stream, MOST_CODED, Refusal, Samples, Turbo};
use super::directory::Directory;
use super::layout::{Color, Compression, Layout, Stored, unsupported};
use super::tags;
use crate::grid::Reduction;

/// libjpeg-turbo's memory in addition to pixels: rows of blocks, and coefficients of a small progressive
/// stream.
pub(super) fn memory(width: u32) -> u64 {
    (4 << 20) + u64::from(width) * 256
}

const START: [u8; 2] = [0xff, 0xd8];
const END: [u8; 2] = [0xff, 0xd9];

/// Streams of one TIFF.
pub(super) struct Streams<'a> {
    tables: &'a [u8],
    /// Adobe's number for how colours are coded.
    transform: u8,
    /// Samples per pixel that the directory lets expect.
    samples: usize,
}

/// A decoded chunk.
pub(super) struct Chunk {
    /// Interleaved.
    pub(super) data: Vec<u8>,
    pub(super) width: usize,
    pub(super) samples: usize,
}

impl<'a> Streams<'a> {
    /// The tables and colours of the directory.
    pub(super) fn new(directory: &Directory<'a>, layout: &Layout<'a>) -> Streams<'a> {
        let tables = directory.values(tags::JPEG_TABLES).and_then(|values| values.as_bytes());
        let is_ycbcr = matches!(layout.color, Color::YCbCr { .. });
        Streams {
            tables: tables.unwrap_or_default(),
            transform: u8::from(is_ycbcr && !layout.is_planar),
            samples: layout.samples_per_chunk(),
        }
    }

    /// Decodes one chunk of `rows` rows.
    pub(super) fn decode(
        &self,
        stored: &Stored<'_>,
        layout: &Layout<'_>,
        rows: u32,
    ) -> Result<Chunk, Failure> {
        let file = self.file(stored.bytes);
        let mut turbo = Turbo::open(&file).map_err(refuse)?;
        let header = turbo.header();
        let (width, height) = (header.width, header.height);
        // A last strip may have been coded as high as the others.
        if width > layout.chunks.width || height > layout.chunks.height.max(rows).next_multiple_of(16) {
            return Err(unsupported("a JPEG inside of the TIFF is larger than its strip or tile"));
        }
        if usize::from(header.color.channels()) != self.samples {
            return Err(unsupported("a JPEG inside of the TIFF has other components than the TIFF"));
        }
        // All streams together may cost what one picture may.
        let most_coded = MOST_CODED / streams_in(layout);
        let samples = turbo.decode(Reduction::None, memory(width), most_coded).map_err(refuse)?;
        Ok(Chunk { width: width as usize, samples: self.samples, data: samples.data })
    }

    /// The stream with the tables in front, and with no other word on its colours than the directory's.
    fn file(&self, stream: &[u8]) -> Vec<u8> {
        let tables = self.tables.strip_prefix(&START).unwrap_or(self.tables);
        let tables = tables.strip_suffix(&END).unwrap_or(tables);
        let mut file = START.to_vec();
        if self.samples > 1 {
            file.extend(adobe(self.transform));
        }
        copy_segments(tables, &mut file);
        copy_segments(stream.strip_prefix(&START).unwrap_or(stream), &mut file);
        file
    }
}

/// Strips or tiles of the whole picture; at least 1.
fn streams_in(layout: &Layout<'_>) -> u64 {
    let across = layout.width.div_ceil(layout.chunks.width);
    let down = layout.height.div_ceil(layout.chunks.height);
    let planes = if layout.is_planar { layout.samples as u64 } else { 1 };
    (u64::from(across) * u64::from(down) * planes).max(1)
}

/// Adobe's segment: version 100, no flags, and the transform.
fn adobe(transform: u8) -> [u8; 16] {
    let mut segment = *b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0";
    segment[15] = transform;
    segment
}

/// Leaves out JFIF's and Adobe's segments, and takes the rest as it is from the first scan on.
fn copy_segments(mut bytes: &[u8], file: &mut Vec<u8>) {
    while let [0xff, marker, high, low, ..] = *bytes {
        let length = 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == 0xda || marker == 0xff || length > bytes.len() {
            break;
        }
        if !matches!(marker, 0xe0 | 0xee) {
            file.extend_from_slice(&bytes[..length]);
        }
        bytes = &bytes[length..];
    }
    file.extend_from_slice(bytes);
}

/// The one stream of an old JPEG in a TIFF: whole in one place, or its headers there and its scan in the
/// strip.
pub(super) fn old_stream(directory: &Directory<'_>, layout: &Layout<'_>) -> Result<Vec<u8>, Failure> {
    let missing = || unsupported("an old JPEG inside of the TIFF that is in pieces");
    let strip = layout.chunks.bytes(layout.file, 0).map(|stored| stored.bytes).unwrap_or_default();
    let start = directory.number(tags::OLD_JPEG).and_then(|start| usize::try_from(start).ok());
    let stream = start.and_then(|start| layout.file.get(start..)).unwrap_or(strip);
    if !stream.starts_with(&START) {
        return Err(missing());
    }
    let stated = directory.number(tags::OLD_JPEG_LENGTH).and_then(|length| usize::try_from(length).ok());
    let head = &stream[..stated.unwrap_or(stream.len()).min(stream.len())];
    if has_scan(head) {
        return Ok(stream.to_vec());
    }
    let head = head.strip_suffix(&END).unwrap_or(head);
    Ok([head, strip].concat())
}

fn has_scan(stream: &[u8]) -> bool {
    stream.windows(2).any(|pair| pair == [0xff, 0xda])
}

/// Decodes an old JPEG, which is the whole picture.
pub(super) fn decode_old(stream: &[u8], layout: &Layout<'_>) -> Result<Samples, Failure> {
    debug_assert_eq!(layout.compression, Compression::OldJpeg);
    let mut turbo = Turbo::open(stream).map_err(refuse)?;
    let header = turbo.header();
    if (header.width, header.height) != (layout.width, layout.height) || header.color == Stream::Cmyk {
        return Err(unsupported("an old JPEG inside of the TIFF is another picture than the TIFF"));
    }
    // As libtiff does for these.
    turbo.repeat_chrominance().map_err(refuse)?;
    turbo.decode(Reduction::None, memory(layout.width), MOST_CODED).map_err(refuse)
}

fn refuse(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Unreadable(message) => failure(Cause::Damaged, message),
        Refusal::Final(found) if found.cause == Cause::JpegArithmetic => {
            unsupported("a JPEG with arithmetic coding inside of the TIFF")
        }
        Refusal::Final(found) => unsupported(found.detail.text().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_colors_are_left_out_and_scans_kept() {
        let stream = b"\xff\xe0\0\x04ab\xff\xdb\0\x03x\xff\xee\0\x02\xff\xda\0\x02\xff\xe0\0\x03z";
        let mut file = Vec::new();
        copy_segments(stream, &mut file);
        assert_eq!(file, b"\xff\xdb\0\x03x\xff\xda\0\x02\xff\xe0\0\x03z");
    }

    #[test]
    fn broken_segments_end_the_copy() {
        let mut file = Vec::new();
        copy_segments(b"\xff\xdb\xff\xffshort", &mut file);
        assert_eq!(file, b"\xff\xdb\xff\xffshort");
    }
}
