//! A small JPEG of a decoded picture, for people to look at in a report.
//!
//! Made of the samples that were decoded for the model anyway: of a large picture only a few per pixel are averaged, so
//! that the cost does not grow with it. It never reads a file, and no row depends on it.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use crate::pixels::Pixels;

/// Pixels of the longer side; smaller pictures stay as they are.
const LONGEST_SIDE: u32 = 96;
/// The encoder's quality, of 100: 2 to 5 kB a thumbnail.
const QUALITY: u8 = 70;
/// Samples per side of the square that one pixel is averaged from, at most.
const TAPS: usize = 4;

/// The thumbnail of a picture; none where the encoder refuses it, which leaves the picture out of the report.
#[must_use]
pub fn thumbnail(pixels: &Pixels) -> Option<Vec<u8>> {
    let (width, height) = size(pixels.width, pixels.height);
    let shrunk = shrink(pixels, width, height);
    let color = if pixels.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode(&shrunk, width, height, color).ok()?;
    Some(jpeg)
}

/// The size of the thumbnail; each side at least 1.
fn size(width: u32, height: u32) -> (u32, u32) {
    let longest = u64::from(width.max(height).max(1));
    if longest <= u64::from(LONGEST_SIDE) {
        return (width.max(1), height.max(1));
    }
    let scaled = |side: u32| ((u64::from(side) * u64::from(LONGEST_SIDE) + longest / 2) / longest).max(1);
    (scaled(width) as u32, scaled(height) as u32)
}

fn shrink(pixels: &Pixels, width: u32, height: u32) -> Vec<u8> {
    let channels = usize::from(pixels.channels);
    let (columns, rows) = (taps(pixels.width, width), taps(pixels.height, height));
    let mut shrunk = Vec::with_capacity(columns.len() * rows.len() * channels);
    for lines in &rows {
        for positions in &columns {
            for channel in 0..channels {
                shrunk.push(mean(pixels, lines, positions, channel));
            }
        }
    }
    shrunk
}

/// For each of `wanted` pixels of a side, the samples that it is averaged from.
fn taps(length: u32, wanted: u32) -> Vec<Vec<usize>> {
    let (length, wanted) = (length as usize, wanted as usize);
    let of = |pixel: usize| {
        let first = pixel * length / wanted;
        let end = ((pixel + 1) * length / wanted).max(first + 1);
        (first..end).step_by((end - first).div_ceil(TAPS)).collect()
    };
    (0..wanted).map(of).collect()
}

fn mean(pixels: &Pixels, lines: &[usize], positions: &[usize], channel: usize) -> u8 {
    let (width, channels) = (pixels.width as usize, usize::from(pixels.channels));
    let mut sum = 0;
    for line in lines {
        for position in positions {
            sum += u32::from(pixels.data[(line * width + position) * channels + channel]);
        }
    }
    let samples = (lines.len() * positions.len()) as u32;
    ((sum + samples / 2) / samples) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(width: u32, height: u32, channels: u8) -> Pixels {
        let samples = width as usize * height as usize * usize::from(channels);
        Pixels { width, height, channels, data: (0..samples).map(|sample| (sample % 251) as u8).collect() }
    }

    fn decoded(jpeg: &[u8]) -> image::DynamicImage {
        image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).unwrap()
    }

    #[test]
    fn every_shape_becomes_a_small_jpeg() {
        for (shape, expected) in [
            ((4000, 3000), (96, 72)),
            ((3, 2), (3, 2)),
            ((1, 1), (1, 1)),
            ((20_000, 1), (96, 1)),
            ((97, 96), (96, 95)),
        ] {
            for channels in [1, 3] {
                let jpeg = thumbnail(&pixels(shape.0, shape.1, channels)).unwrap();
                let image = decoded(&jpeg);
                assert_eq!((image.width(), image.height()), expected, "{shape:?}");
                assert!(jpeg.len() < 16_000, "{shape:?}: {} bytes", jpeg.len());
            }
        }
    }

    #[test]
    fn colours_stay_where_they_are() {
        let (width, height) = (400, 300);
        let mut picture = pixels(width, height, 3);
        for (number, rgb) in picture.data.chunks_exact_mut(3).enumerate() {
            let is_left = number % (width as usize) < width as usize / 2;
            rgb.copy_from_slice(if is_left { &[200, 30, 40] } else { &[20, 60, 220] });
        }
        let image = decoded(&thumbnail(&picture).unwrap()).to_rgb8();
        let near = |found: &image::Rgb<u8>, wanted: [u8; 3]| {
            found.0.iter().zip(wanted).all(|(found, wanted)| found.abs_diff(wanted) < 12)
        };
        assert!(near(image.get_pixel(10, 40), [200, 30, 40]), "{:?}", image.get_pixel(10, 40));
        assert!(near(image.get_pixel(85, 40), [20, 60, 220]), "{:?}", image.get_pixel(85, 40));
    }
}
