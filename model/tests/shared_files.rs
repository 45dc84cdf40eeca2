//! Decoding against files from elsewhere: photographs, and hostile images with Pillow's results.
//!
//! The files are not part of the project. If they are absent these tests print that and pass.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests, outside of the test functions"
)]

mod shared;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tagfleet_model::decode::{Decoded, Limits, PixelBudget, decode};
use tagfleet_model::grid::Grid;
use tagfleet_pipeline::tags::{Failure, Reason};

use self::shared::shared;

/// One line of the manifest: what Pillow made of a file.
struct Line {
    file: String,
    /// "ok", "header" (only the header could be read) or "no".
    pillow: String,
    /// Pillow's name of the format.
    format: String,
    /// As stored, before EXIF orientation.
    size: Option<(u32, u32)>,
}

fn manifest(hostile: &Path) -> Vec<Line> {
    let text = fs::read_to_string(hostile.join("MANIFEST.tsv")).unwrap();
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let size = fields[6].parse().ok().zip(fields[7].parse().ok());
        Line { file: fields[0].to_owned(), pillow: fields[4].to_owned(), format: fields[5].to_owned(), size }
    };
    text.lines().skip(1).map(parse).collect()
}

fn read(bytes: &[u8], apply_exif: bool) -> Result<Decoded, Failure> {
    let limits = Limits::default();
    decode(bytes, &limits, &PixelBudget::new(limits.max_memory), apply_exif, &|_: &Grid, _: u8| 0)
}

#[test]
fn every_hostile_file_ends_in_time() {
    let Some(hostile) = shared("hostile") else { return };
    for line in manifest(&hostile) {
        let bytes = fs::read(hostile.join(&line.file)).unwrap();
        let start = Instant::now();
        let outcome = read(&bytes, true);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(10), "{} took {took:?}", line.file);
        if let Err(failure) = outcome {
            let is_plain = failure.to_string().chars().all(|c| (' '..='~').contains(&c));
            assert!(is_plain, "{}: {failure}", line.file);
        }
    }
}

/// Files that Pillow decodes and this crate does not, each with a valid reason:
///
/// - JPEG: more than half of the rows are blank, in Pillow's result too.
/// - PNG: damaged streams of pixels, which Pillow does not notice; missing palettes.
/// - TIFF: an old JPEG in pieces; a file whose pixels are missing, some of which Pillow invents.
#[test]
fn what_pillow_decodes_is_decoded() {
    let Some(hostile) = shared("hostile") else { return };
    let mut lost = String::new();
    for line in manifest(&hostile) {
        let is_ours =
            ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"].contains(&line.format.as_str());
        if line.pillow != "ok" || !is_ours {
            continue;
        }
        let bytes = fs::read(hostile.join(&line.file)).unwrap();
        match read(&bytes, false) {
            Ok(decoded) => {
                let size = (decoded.pixels.width, decoded.pixels.height);
                if Some(size) != line.size {
                    lost += &format!("{}: {size:?} for {:?}\n", line.file, line.size);
                }
            }
            Err(failure) => lost += &format!("{}: {:?}: {failure}\n", line.file, failure.reason()),
        }
    }
    insta::assert_snapshot!(lost, @r"
    jpeg_fuzz/170c48e30e24bcc05a1a8730953d70fa1f48e00e.jpg: Corrupt: JPEG is damaged: only 177 of 2336 rows can be read
    jpeg_fuzz/836fdb54f11f6ead6ad8efb6c67f72287f442727.jpg: Corrupt: JPEG is damaged: only 353 of 2336 rows can be read
    jpeg_fuzz/fdf676d4d9167477345d11feaa7bd3a3bc7852ac.jpg: Corrupt: JPEG is damaged: only 209 of 2336 rows can be read
    jpeg_imagetestsuite/dc-predictor-overflow.jpg: Corrupt: JPEG is damaged: only 32 of 144 rows can be read
    libgd/webp__bug_double_free.jpg: Corrupt: JPEG is damaged: only 17 of 255 rows can be read
    libvips/ojpeg-tile.tif: UnsupportedFeature: this kind of TIFF is not supported; convert it to JPEG, PNG or WebP: an old JPEG inside of the TIFF that is in pieces
    pillow_crash/crash-0da013a13571cc8eb457a39fee8db18f8a3c7127.tif: Corrupt: TIFF is damaged or truncated: the pixels are cut off
    png_fuzz/40c8a8a9d17077bf7e69cfa86dff7d9a29d54d14.png: Corrupt: PNG is damaged: Missing palette of indexed image.
    png_fuzz/9c99e7fba818f2b25f762641b5bbb9de065d2402.png: Corrupt: PNG is damaged: Corrupt deflate stream. DistanceTooFarBack
    png_fuzz/a99a4e7a3c47836255b65f81d3511b0d739f0419.png: Corrupt: PNG is damaged: Corrupt deflate stream. InvalidCodeLengthRepeat
    png_fuzz/ead9da41b1d218ee044471e3060da731592c3347.png: Corrupt: PNG is damaged: Missing palette of indexed image.
    png_fuzz/eddbd6d6e4f81dca02180148ee69b717ffb87b18.png: Corrupt: PNG is damaged: Missing palette of indexed image.
    ");
}

#[test]
fn bombs_cost_no_memory() {
    let Some(bombs) = shared("hostile/bombs") else { return };
    for entry in fs::read_dir(bombs).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let budget = PixelBudget::new(64 << 20);
        let limits = Limits { max_memory: 64 << 20, ..Limits::default() };
        if let Err(failure) = decode(&bytes, &limits, &budget, true, &|_: &Grid, _: u8| 0) {
            eprintln!("{}: {:?}: {failure}", path.display(), failure.reason());
            assert_ne!(failure.reason(), Reason::Crashed);
        }
        assert_eq!(budget.free(), budget.total());
    }
}

#[test]
fn every_photo_is_decoded_by_the_first_decoder() {
    let Some(photos) = shared("photos") else { return };
    for entry in fs::read_dir(photos).unwrap() {
        let path = entry.unwrap().path();
        let decoded = read(&fs::read(&path).unwrap(), true).map_err(|failure| failure.to_string()).unwrap();
        assert!(!decoded.second_decoder, "{}", path.display());
    }
}
