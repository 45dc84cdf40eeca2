//! Real JPEGs decoded at a fraction of their size: the tensor is that of exact decoding, nothing shifts, and
//! the limits hold for what is really decoded.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of the test functions")]

use tagfleet_model::decode::{Limits, PixelBudget, decode};
use tagfleet_model::grid::Reduction;
use tagfleet_model::preprocessing::{Color, Decoding, Filter, Preprocessing, Resize, ResizeTo, Size};
use tagfleet_model::tensor::Preprocessor;
use tagfleet_pipeline::tags::{Failure, Reason};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

const EDGE: u32 = 64;
const CROP: Size = Size { height: 56, width: 56 };

fn steps(color: Color, decoding: Decoding) -> Preprocessing {
    Preprocessing {
        resize: Some(Resize { to: ResizeTo::ShortestEdge(EDGE), filter: Filter::Bilinear }),
        crop: Some(CROP),
        decoding,
        ..Preprocessing::plain(color, CROP)
    }
}

/// How a picture is stored.
#[derive(Clone, Copy, Debug)]
struct Stored {
    subsampling: Subsamp,
    progressive: bool,
    cmyk: bool,
}

const BASELINE: Stored = Stored { subsampling: Subsamp::Sub2x2, progressive: false, cmyk: false };

/// A picture without symmetry whose colours go up and down in waves.
fn waves(width: u32, height: u32, stored: Stored) -> Vec<u8> {
    let channels = if stored.cmyk { 4 } else { 3 };
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (across, down) = (x as f32 / width as f32, y as f32 / height as f32);
            for channel in 0..channels {
                let phase = channel as f32 + 14.0 * across + 9.0 * down + 5.0 * across * down;
                pixels.push(if channel == 3 { 255 } else { (127.5 + 100.0 * phase.sin()).round() as u8 });
            }
        }
    }
    let (width, height) = (width as usize, height as usize);
    let format = if stored.cmyk { PixelFormat::CMYK } else { PixelFormat::RGB };
    let image = Image { pixels: pixels.as_slice(), width, pitch: width * channels, height, format };
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(98).unwrap();
    compressor.set_subsamp(stored.subsampling).unwrap();
    compressor.set_progressive(stored.progressive).unwrap();
    compressor.compress_to_vec(image).unwrap()
}

/// The JPEG with an EXIF segment after its first marker, which holds its orientation.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut segment = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    segment.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = (segment.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &segment, &jpeg[2..]].concat()
}

/// A tensor, the picture's size as shown, and the samples that were decoded.
type Prepared = (Vec<f32>, Size, Size);

fn prepare(jpeg: &[u8], steps: &Preprocessing, limits: &Limits) -> Result<Prepared, Failure> {
    let mut preprocessor = Preprocessor::new(steps).unwrap();
    let budget = PixelBudget::new(limits.max_memory);
    let decoded = decode(jpeg, limits, &budget, steps.exif, &preprocessor)?;
    let mut tensor = vec![0.0; preprocessor.tensor_len()];
    preprocessor.write(&decoded.pixels, &decoded.grid, &mut tensor).unwrap();
    let samples = Size { height: decoded.pixels.height, width: decoded.pixels.width };
    assert_eq!(decoded.grid.samples(), samples);
    Ok((tensor, decoded.grid.size(), samples))
}

/// The signal-to-noise ratio of 8-bit samples in decibels.
fn psnr(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let error: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32;
    10.0 * (255.0 * 255.0 / error).log10()
}

/// Compares exact and scaled decoding, which differ by noise of at least `least` decibels, and returns the
/// scaled samples' size.
fn assert_equal_but_for_noise(jpeg: &[u8], color: Color, cover: u32, least: f32, what: &str) -> Size {
    let limits = Limits::default();
    let exact = prepare(jpeg, &steps(color, Decoding::Exact), &limits).unwrap();
    let scaled = prepare(jpeg, &steps(color, Decoding::Scaled { cover }), &limits).unwrap();
    assert_eq!(scaled.1, exact.1, "{what}: a row tells the size of the whole picture");
    let ratio = psnr(&exact.0, &scaled.0);
    assert!(ratio > least, "{what}: {ratio} dB");
    scaled.2
}

#[test]
fn every_reduction_and_orientation_gives_the_same_crop() {
    // Sides that no divisor divides: the last sample always hangs over.
    let sides = [(Reduction::Half, 211, 167), (Reduction::Quarter, 421, 333), (Reduction::Eighth, 841, 667)];
    for (reduction, width, height) in sides {
        let upright = waves(width, height, BASELINE);
        for orientation in 1..=8 {
            let jpeg = turned(&upright, orientation);
            let what = format!("{reduction:?}, orientation {orientation}");
            let samples = assert_equal_but_for_noise(&jpeg, Color::Rgb, 1, 46.0, &what);
            let (width, height) = (reduction.samples(width), reduction.samples(height));
            let shown = if orientation < 5 { (width, height) } else { (height, width) };
            assert_eq!((samples.width, samples.height), shown, "{what}");
        }
    }
}

#[test]
fn every_way_to_store_a_picture_gives_the_same_crop() {
    for subsampling in [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub1x2, Subsamp::Sub2x2, Subsamp::Gray] {
        for progressive in [false, true] {
            let stored = Stored { subsampling, progressive, cmyk: false };
            for (width, height) in [(209, 150), (405, 310), (840, 539)] {
                let jpeg = waves(width, height, stored);
                for color in [Color::Bgr, Color::Gray] {
                    let what = format!("{stored:?} {width}x{height} {color:?}");
                    // Colours that are stored coarser in one direction alone are smoothed at the reduced
                    // size.
                    let samples = assert_equal_but_for_noise(&jpeg, color, 1, 40.0, &what);
                    assert!(samples.width < width, "{what} was not scaled");
                }
            }
        }
    }
    let stored = Stored { cmyk: true, subsampling: Subsamp::None, ..BASELINE };
    let samples = assert_equal_but_for_noise(&waves(405, 310, stored), Color::Rgb, 1, 46.0, "CMYK");
    assert_eq!((samples.width, samples.height), (102, 78));
}

#[test]
fn twice_the_target_decodes_more() {
    let jpeg = waves(841, 667, BASELINE);
    let samples = assert_equal_but_for_noise(&jpeg, Color::Rgb, 2, 50.0, "cover 2");
    assert_eq!((samples.width, samples.height), (211, 167));
}

#[test]
fn pixels_are_limited_as_stored_and_memory_as_decoded() {
    let jpeg = waves(1600, 1200, BASELINE);
    let scaled = steps(Color::Rgb, Decoding::Scaled { cover: 1 });
    let limits = Limits { max_memory: 3 << 20, ..Limits::default() };
    assert_eq!(
        prepare(&jpeg, &steps(Color::Rgb, Decoding::Exact), &limits).unwrap_err().reason(),
        Reason::TooManyPixels
    );
    assert_eq!(prepare(&jpeg, &scaled, &limits).unwrap().2, Size { height: 150, width: 200 });
    let limits = Limits { max_pixels: 1600 * 1200 - 1, ..Limits::default() };
    assert_eq!(prepare(&jpeg, &scaled, &limits).unwrap_err().reason(), Reason::TooManyPixels);
}

#[test]
fn a_jpeg_that_is_cut_off_counts_the_rows_of_the_whole_picture() {
    let jpeg = waves(841, 667, BASELINE);
    let scaled = steps(Color::Rgb, Decoding::Scaled { cover: 1 });
    let of = |part: usize| prepare(&jpeg[..jpeg.len() * part / 10], &scaled, &Limits::default());
    assert!(of(8).is_ok());
    let failure = of(2).unwrap_err();
    assert_eq!(failure.reason(), Reason::Corrupt);
    assert!(failure.to_string().ends_with("of 667 rows can be read"), "{failure}");
}
