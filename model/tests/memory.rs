//! What hostile pictures cost: the peak memory of this process, read from Linux.
//!
//! Each test wants a process of its own, which `cargo nextest` gives it; the files are made here.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of the test functions")]

use std::fs;
use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use tagfleet_model::decode::{Limits, PixelBudget, decode};
use tagfleet_model::grid::Grid;
use tagfleet_model::pixels::Pixels;
use tagfleet_model::preprocessing::{Color, Filter, Preprocessing, Resize, ResizeTo, Size};
use tagfleet_model::tensor::Preprocessor;
use tagfleet_pipeline::tags::{Failure, Reason};

const MIB: u64 = 1 << 20;

/// The peak since it was last reset, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Forgets what making a file has cost.
fn reset_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// A vision transformer's: both sides are squeezed to 224, which keeps the most between the two passes.
fn steps(color: Color) -> Preprocessing {
    let size = Size { height: 224, width: 224 };
    Preprocessing {
        resize: Some(Resize { to: ResizeTo::Exact(size), filter: Filter::Bicubic }),
        ..Preprocessing::plain(color, size)
    }
}

/// Decodes and resizes `file` as a tagger does; the outcome, and the bytes that it added to this process.
fn cost(file: &[u8], color: Color) -> (Result<(), Failure>, u64) {
    let limits = Limits::default();
    let budget = PixelBudget::new(limits.max_memory);
    let mut preprocessor = Preprocessor::new(&steps(color)).unwrap();
    let mut tensor = vec![0.0; preprocessor.tensor_len()];
    reset_peak();
    let before = peak();
    let outcome = decode(file, &limits, &budget, true, &preprocessor)
        .map(|decoded| preprocessor.write(&decoded.pixels, &decoded.grid, &mut tensor).unwrap());
    (outcome, peak() - before)
}

fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn png(width: u32, height: u32) -> Vec<u8> {
    encode(&RgbImage::new(width, height).into(), ImageFormat::Png)
}

#[test]
fn sixty_million_rows_of_one_pixel() {
    let (outcome, added) = cost(&png(1, 60_000_000), Color::Rgb);
    assert!(outcome.is_ok());
    assert!(added < 400 * MIB, "{} MiB", added / MIB);
}

#[test]
fn sixty_million_rows_of_one_pixel_made_gray() {
    let (outcome, added) = cost(&png(1, 60_000_000), Color::Gray);
    assert!(outcome.is_ok());
    assert!(added < 400 * MIB, "{} MiB", added / MIB);
}

#[test]
fn sixty_million_pixels_in_one_row() {
    let (outcome, added) = cost(&png(60_000_000, 1), Color::Rgb);
    assert_eq!(outcome.err().map(|failure| failure.reason()), Some(Reason::TooManyPixels));
    assert!(added < 60 * MIB, "{} MiB", added / MIB);
}

#[test]
fn two_million_rows_of_ten_pixels() {
    let (outcome, added) = cost(&png(10, 2_000_000), Color::Rgb);
    assert!(outcome.is_ok());
    assert!(added < 100 * MIB, "{} MiB", added / MIB);
}

#[test]
fn a_large_jpeg_in_a_small_tiff() {
    let mut jpeg = encode(&GrayImage::new(64, 64).into(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x3e, 0x80, 0x3e, 0x80]);
    let (outcome, added) = cost(&in_tiff(&jpeg), Color::Rgb);
    assert_eq!(outcome.err().map(|failure| failure.reason()), Some(Reason::UnsupportedFeature));
    assert!(added < 10 * MIB, "{} MiB", added / MIB);
}

/// Twelve megapixels; `testdata/make_avifs.py` writes it.
#[test]
fn a_large_avif() {
    let (outcome, added) = cost(include_bytes!("../testdata/large.avif"), Color::Rgb);
    assert!(outcome.is_ok());
    assert!(added < 100 * MIB, "{} MiB", added / MIB);
}

/// A gray TIFF of 64x64 pixels, whose one strip is `jpeg`.
fn in_tiff(jpeg: &[u8]) -> Vec<u8> {
    const START: u32 = 8 + 2 + 9 * 12 + 4;
    let entries: [(u16, u16, u32); 9] = [
        (256, 3, 64),
        (257, 3, 64),
        (258, 3, 8),
        (259, 3, 7),
        (262, 3, 1),
        (273, 4, START),
        (277, 3, 1),
        (278, 3, 64),
        (279, 4, jpeg.len() as u32),
    ];
    let mut file = b"II*\0\x08\0\0\0\x09\0".to_vec();
    for (tag, kind, value) in entries {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([1_u32.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.extend([0; 4]);
    file.extend(jpeg);
    file
}

#[test]
fn what_is_large_is_given_back() {
    let mut preprocessor = Preprocessor::new(&steps(Color::Gray)).unwrap();
    let mut tensor = vec![0.0; preprocessor.tensor_len()];
    let picture = Pixels { width: 1, height: 60_000_000, channels: 3, data: vec![9; 180_000_000] };
    let grid = Grid::whole(Size { height: picture.height, width: picture.width });
    preprocessor.write(&picture, &grid, &mut tensor).unwrap();
    drop(picture);
    reset_peak();
    assert!(peak() < 60 * MIB, "{} MiB are kept", peak() / MIB);
}
