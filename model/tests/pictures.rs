//! Decoding against Pillow: small files of many makers, each with the pixels that it should give.
//!
//! `testdata/make_pictures.py` writes them, and explains for each why its pixels are right if they are not
//! Pillow's. `TAGFLEET_PICTURES` names another folder of the same form.

use std::fs;
use std::path::{Path, PathBuf};

use tagfleet_model::decode::{Limits, PixelBudget, decode};
use tagfleet_model::grid::Grid;
use tagfleet_model::pixels::Pixels;

/// The tolerances above zero, by the start of a name.
///
/// libavif smooths chrominance in floating point if libyuv has no constants, and keeps ten bits if there is
/// alpha.
const TOLERANCES: [(&str, u8); 5] = [
    ("avif_10_rgba", 3),
    ("avif_fcc_420", 7),
    ("avif_rgba_premultiplied", 2),
    ("avif_smpte240_420", 6),
    ("avif_ycgco_420", 5),
];

fn folder() -> PathBuf {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pictures");
    std::env::var_os("TAGFLEET_PICTURES").map_or_else(own, PathBuf::from)
}

fn rgb(pixels: &Pixels) -> Vec<u8> {
    match pixels.channels {
        1 => pixels.data.iter().flat_map(|&gray| [gray; 3]).collect(),
        _ => pixels.data.clone(),
    }
}

/// What is wrong with the file's pixels, in words.
fn difference(file: &[u8], expected: &image::RgbImage, tolerance: u8) -> Option<String> {
    let limits = Limits::default();
    let budget = PixelBudget::new(limits.max_memory);
    let decoded = match decode(file, &limits, &budget, true, &|_: &Grid, _: u8| 0) {
        Ok(decoded) => decoded,
        Err(failure) => return Some(format!("{:?}: {failure}", failure.reason())),
    };
    let pixels = &decoded.pixels;
    if (pixels.width, pixels.height) != expected.dimensions() {
        return Some(format!("{}x{}", pixels.width, pixels.height));
    }
    let differences =
        rgb(pixels).iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b)).collect::<Vec<_>>();
    let worst = differences.iter().max().copied().unwrap_or(0);
    let many = differences.iter().filter(|&&difference| difference > tolerance).count();
    (worst > tolerance).then(|| format!("{many} of {} samples differ, by up to {worst}", differences.len()))
}

#[test]
fn pixels_are_those_of_pillow() {
    let folder = folder();
    let (mut wrong, mut count) = (String::new(), 0);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.is_file()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let expected = image::open(folder.join("expected").join(format!("{name}.png"))).unwrap().to_rgb8();
        let tolerance =
            TOLERANCES.iter().find(|(start, _)| name.starts_with(start)).map_or(0, |(_, most)| *most);
        if let Some(difference) = difference(&fs::read(path).unwrap(), &expected, tolerance) {
            wrong += &format!("{name}: {difference}\n");
        }
        count += 1;
    }
    assert!(count > 200, "only {count} pictures");
    assert!(wrong.is_empty(), "\n{wrong}");
}
