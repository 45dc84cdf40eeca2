//! JPEG: libjpeg-turbo first, then the second decoder.
//!
//! libjpeg-turbo gives Pillow's pixels, and like Pillow its warnings are not fatal. Unlike in Pillow, a file
//! that is cut off is still a picture, as browsers show it, while at least half of its rows are there. Below
//! that it is `Corrupt`, because tags of a grey area help no user. CMYK becomes RGB as Pillow converts it. It
//! never applies a colour profile.

use image::codecs::jpeg::JpegDecoder;
use image::metadata::Orientation;
use tagfleet_pipeline::tags::{Cause, Failure, Reason};

use super::markers::{self, Markers};
use super::turbo::{Color, Header, MOST_CODED, Refusal, Samples, Turbo};
use super::{Claim, Decoded, Job, failure, flatten, orient, raster};
use crate::grid::Grid;
use crate::pixels::Pixels;
use crate::preprocessing::Size;

/// A decoder's memory in addition to pixels and coefficients: tables and rows of a few blocks' height.
const OVERHEAD: u64 = 1 << 20;
/// Rows of the widest JPEG take more than [`OVERHEAD`] in libjpeg-turbo; its own limit leaves room for them.
const SLACK: u64 = 32 << 20;

/// The end of a file in which the marker of its end is looked for.
const TAIL: usize = 1024;

/// Decodes a JPEG.
pub(super) fn decode(job: &Job<'_>) -> Result<Decoded, Failure> {
    let markers = markers::read(job.bytes);
    let refusal = match with_turbo(job, &markers) {
        Ok(decoded) => return Ok(decoded),
        Err(Refusal::Final(failure)) => return Err(failure),
        Err(Refusal::Unreadable(message)) => message,
    };
    if let Some(kind) = markers.unsupported() {
        return Err(failure(Cause::JpegVariant, kind));
    }
    with_second(job, &markers, &refusal)
}

fn with_turbo(job: &Job<'_>, markers: &Markers<'_>) -> Result<Decoded, Refusal> {
    let mut turbo = Turbo::open(job.bytes)?;
    let header = *turbo.header();
    let orientation = job.orientation(markers.exif, markers.xmp);
    let coefficients = coefficient_memory(&header, markers);
    let claim = claim(job, &header, orientation, OVERHEAD + coefficients);
    let reservation = job.admit(&claim).map_err(Refusal::Final)?;
    let samples = turbo.decode(claim.reduction, coefficients + SLACK, MOST_CODED).map_err(refuse)?;
    check_rows(job, &samples, &header).map_err(Refusal::Final)?;
    Ok(job.finish(into_pixels(samples), &claim, reservation, false))
}

/// The reduction is the caller's choice for the picture as shown.
fn claim(job: &Job<'_>, header: &Header, orientation: Orientation, extra: u64) -> Claim {
    let Header { width, height, color, .. } = *header;
    let shown = orient::turn(Grid::whole(Size { height, width }), orientation).size();
    let reduction = job.resizing.reduction(shown);
    let samples = u64::from(reduction.samples(width)) * u64::from(reduction.samples(height));
    let output = samples * u64::from(color.channels());
    Claim { width, height, reduction, channels: color.channels().min(3), orientation, output, extra }
}

/// The second decoder counts no scans, so a file that libjpeg-turbo stopped at for that is not given to it.
fn refuse(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Unreadable(message) if message.contains("scans") => {
            Refusal::Final(failure(Cause::JpegVariant, message))
        }
        refusal => refusal,
    }
}

/// Bytes of coefficients that are kept until the last scan; blocks at the edges are whole.
fn coefficient_memory(header: &Header, markers: &Markers<'_>) -> u64 {
    if markers.one_scan && !header.progressive {
        return 0;
    }
    let (width, height) = (header.width.next_multiple_of(32), header.height.next_multiple_of(32));
    u64::from(width) * u64::from(height) * header.coefficient_bytes
}

/// If the data ends early, libjpeg-turbo leaves the rows that are missing in middle grey.
fn check_rows(job: &Job<'_>, samples: &Samples, header: &Header) -> Result<(), Failure> {
    if !samples.damaged {
        return Ok(());
    }
    let is_blank = |row: &[u8]| row.iter().all(|sample| matches!(sample, 127 | 128));
    let rows = Rows { data: &samples.data, rows: samples.size.height, height: header.height };
    check_blank_rows(&rows, is_blank).map_err(|detail| failure(damage(job), detail))
}

/// The samples of a picture.
struct Rows<'a> {
    data: &'a [u8],
    /// This many rows are in `data`.
    rows: u32,
    /// They cover this many rows of the picture.
    height: u32,
}

/// How much can be read, if that is less than half of the picture.
fn check_blank_rows(picture: &Rows<'_>, is_blank: impl Fn(&[u8]) -> bool) -> Result<(), String> {
    let Rows { data, rows, height } = *picture;
    let each = data.chunks_exact(data.len() / rows as usize);
    let missing = each.rev().take_while(|row| is_blank(row)).count() as u64;
    let there = u64::from(rows) - missing;
    if missing > there {
        let there = there * u64::from(height) / u64::from(rows);
        return Err(format!("only {there} of {height} rows can be read"));
    }
    Ok(())
}

/// Whether a damaged file is cut off: every JPEG ends with a marker that its pixels cannot contain. Some
/// writers leave bytes of their own behind it.
fn damage(job: &Job<'_>) -> Cause {
    const END: [u8; 2] = [0xff, 0xd9];
    let tail = &job.bytes[job.bytes.len().saturating_sub(TAIL)..];
    if tail.windows(END.len()).any(|pair| pair == END) { Cause::JpegDamaged } else { Cause::JpegTruncated }
}

fn into_pixels(samples: Samples) -> Pixels {
    let Samples { mut data, size, color, .. } = samples;
    if color == Color::Cmyk {
        cmyk_to_rgb(&mut data);
    }
    let channels = if color == Color::Gray { 1 } else { 3 };
    Pixels { width: size.width, height: size.height, channels, data }
}

/// Pillow's conversion, in place: samples are taken as inverted, as Adobe's encoders write them.
fn cmyk_to_rgb(data: &mut Vec<u8>) {
    let pixels = data.len() / 4;
    for pixel in 0..pixels {
        let black = data[pixel * 4 + 3];
        for color in 0..3 {
            let ink = 255 - data[pixel * 4 + color];
            data[pixel * 3 + color] = black - flatten::product(ink, black);
        }
    }
    data.truncate(pixels * 3);
}

fn with_second(job: &Job<'_>, markers: &Markers<'_>, refusal: &str) -> Result<Decoded, Failure> {
    let both = |found: &str| failure(damage(job), format!("{refusal}; second decoder: {found}"));
    let named = |found: Failure| match found.reason() {
        Reason::Corrupt => both(found.detail.text().unwrap_or_default()),
        Reason::UnsupportedFeature => Failure { cause: Cause::JpegVariant, ..found },
        _ => found,
    };
    let made = super::contain(|| {
        let decoder =
            JpegDecoder::new(std::io::Cursor::new(job.bytes)).map_err(|error| raster::explain(&error))?;
        // The decoder has a copy of the file, and if it keeps coefficients, two bytes for each sample.
        let extra = |samples: u64| OVERHEAD + job.bytes.len() as u64 + samples * 2;
        raster::read(job, decoder, job.orientation(markers.exif, markers.xmp), extra)
    });
    let mut decoded = made.map_err(named)?;
    let is_blank =
        |row: &[u8]| row.iter().all(|&sample| matches!(sample, 127..=129)) || row.iter().all(|&s| s == 0);
    let height = decoded.pixels.height;
    let rows = Rows { data: &decoded.pixels.data, rows: height, height };
    check_blank_rows(&rows, is_blank).map_err(|detail| both(&detail))?;
    decoded.second_decoder = true;
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Image.frombytes("CMYK", ...).convert("RGB")` after Pillow's inversion.
    #[test]
    fn cmyk_as_pillow_converts_it() {
        let mut data = vec![255, 255, 255, 255, 0, 0, 0, 0, 10, 100, 200, 128, 255, 0, 128, 255];
        cmyk_to_rgb(&mut data);
        assert_eq!(data, [255, 255, 255, 0, 0, 0, 5, 50, 100, 255, 0, 128]);
    }
}
