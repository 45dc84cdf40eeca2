//! A small JPEG of a decoded picture, for people to look at in a report.
//!
//! Made of the samples that were decoded for the model anyway: of a large picture only a few per pixel are
//! averaged, so that the cost does not grow with it. Only the scores may show whether a thumbnail is wanted,
//! when the pixels are gone: until then a draft replaces them. It never reads a file, and no row depends on
//! it.

use turbojpeg::{Image, PixelFormat, Subsamp};

use crate::pixels::Pixels;

/// Pixels of the longer side; smaller pictures stay as they are.
const LONGEST_SIDE: u32 = 256;
/// The encoder's quality, of 100: 8 to 14 kB a photo.
const QUALITY: i32 = 75;
/// Samples per side of the square that one pixel is averaged from, at most.
const TAPS: usize = 3;
/// A picture of at most this many samples is copied as it is, which takes a tenth of the time of shrinking:
/// 1.5 MB.
const COPIED: usize = 1_500_000;

/// What a thumbnail can be made from.
pub struct Draft(Pixels);

impl Draft {
    /// Of a picture whose pixels will be gone when it is decided whether a thumbnail is made.
    #[must_use]
    pub fn new(pixels: &Pixels) -> Self {
        if pixels.data.len() <= COPIED { Self(pixels.clone()) } else { Self(shrunk(pixels)) }
    }

    /// The thumbnail; none if the encoder refuses it, which leaves the picture out of the report.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let Pixels { width, height, channels, data } = &shrunk(&self.0);
        let (width, height) = (*width as usize, *height as usize);
        let (format, subsampling) = match channels {
            1 => (PixelFormat::GRAY, Subsamp::Gray),
            _ => (PixelFormat::RGB, Subsamp::Sub2x2),
        };
        let pitch = width * usize::from(*channels);
        let image = Image { pixels: data.as_slice(), width, pitch, height, format };
        turbojpeg::compress(image, QUALITY, subsampling).ok().map(|jpeg| jpeg.to_vec())
    }
}

/// The picture in the size of its thumbnail.
fn shrunk(pixels: &Pixels) -> Pixels {
    let (width, height) = size(pixels.width, pixels.height);
    if (width, height) == (pixels.width, pixels.height) {
        return pixels.clone();
    }
    let (columns, rows) = (Taps::new(pixels.width, width), Taps::new(pixels.height, height));
    let data = match pixels.channels {
        1 => averaged::<1>(pixels, &columns, &rows),
        _ => averaged::<3>(pixels, &columns, &rows),
    };
    Pixels { width, height, channels: pixels.channels, data }
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

/// The samples of a side that the pixels of a thumbnail are averaged from: as many for each of them.
struct Taps {
    each: usize,
    places: Vec<usize>,
}

impl Taps {
    fn new(length: u32, wanted: u32) -> Self {
        let (length, wanted) = (length as usize, wanted as usize);
        let each = length.div_ceil(wanted).min(TAPS);
        let mut places = Vec::with_capacity(wanted * each);
        for pixel in 0..wanted {
            let (first, end) = (pixel * length / wanted, (pixel + 1) * length / wanted);
            places.extend(
                (0..each).map(|tap| (first + (end - first) * (2 * tap + 1) / (2 * each)).min(length - 1)),
            );
        }
        Self { each, places }
    }
}

fn averaged<const CHANNELS: usize>(pixels: &Pixels, columns: &Taps, rows: &Taps) -> Vec<u8> {
    let stride = pixels.width as usize * CHANNELS;
    let samples = (columns.each * rows.each) as u32;
    let mut sums = vec![[0_u32; CHANNELS]; columns.places.len() / columns.each];
    let mut data = Vec::with_capacity(sums.len() * rows.places.len() / rows.each * CHANNELS);
    for lines in rows.places.chunks_exact(rows.each) {
        sums.fill([0; CHANNELS]);
        for line in lines {
            let (line, _) = pixels.data[line * stride..][..stride].as_chunks::<CHANNELS>();
            for (sum, places) in sums.iter_mut().zip(columns.places.chunks_exact(columns.each)) {
                for place in places {
                    sum.iter_mut().zip(&line[*place]).for_each(|(sum, sample)| *sum += u32::from(*sample));
                }
            }
        }
        data.extend(sums.as_flattened().iter().map(|sum| ((sum + samples / 2) / samples) as u8));
    }
    data
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
            ((4000, 3000), (256, 192)),
            ((3, 2), (3, 2)),
            ((1, 1), (1, 1)),
            ((20_000, 1), (256, 1)),
            ((257, 256), (256, 255)),
            ((500, 375), (256, 192)),
        ] {
            for channels in [1, 3] {
                let jpeg = Draft::new(&pixels(shape.0, shape.1, channels)).encode().unwrap();
                let image = decoded(&jpeg);
                assert_eq!((image.width(), image.height()), expected, "{shape:?}");
                assert!(jpeg.len() < 64_000, "{shape:?}: {} bytes", jpeg.len());
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
        let image = decoded(&Draft::new(&picture).encode().unwrap()).to_rgb8();
        let near = |found: &image::Rgb<u8>, wanted: [u8; 3]| {
            found.0.iter().zip(wanted).all(|(found, wanted)| found.abs_diff(wanted) < 12)
        };
        assert!(near(image.get_pixel(30, 100), [200, 30, 40]), "{:?}", image.get_pixel(30, 100));
        assert!(near(image.get_pixel(225, 100), [20, 60, 220]), "{:?}", image.get_pixel(225, 100));
    }
}
