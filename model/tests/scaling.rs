//! What decoding JPEGs at a fraction of their size does to tags: top-1 agreement with exact decoding, on real
//! photos made into large pictures, through real models.
//!
//! Neither is part of the project: if they are absent, the test prints that and passes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests, outside of the test functions"
)]

mod shared;

use std::fs;
use std::path::{Path, PathBuf};

use tagfleet_model::decode::{Limits, PixelBudget, decode};
use tagfleet_model::engine::{EngineChoice, EngineOptions, resolve};
use tagfleet_model::folder::{Model, ModelOptions};
use tagfleet_model::grid::{Grid, Reduction};
use tagfleet_model::pixels::Pixels;
use tagfleet_model::preprocessing::{Decoding, Filter, Resize, ResizeTo, Size};
use tagfleet_model::resize::{self, Cropper, Frame, Window};
use tagfleet_model::tagger::{ImageTagger, TaggerFactory};
use tagfleet_pipeline::run::TagOptions;
use tagfleet_pipeline::tagger::Tagger;
use tagfleet_pipeline::tags::{Outcome, Tag};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use self::shared::shared;

const SQUEEZENET: &str = r#"
color = "bgr"
resize = 256
crop = 224
scale = 1.0
mean = [103.939, 116.779, 123.68]
activation = "none"
"#;

/// One tile of a mosaic in pixels: what most of the photos have.
const TILE: Size = Size { height: 333, width: 500 };

fn photos() -> Option<Vec<Pixels>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(shared("photos")?).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let limits = Limits::default();
    let budget = PixelBudget::new(limits.max_memory);
    let read = |path: &PathBuf| {
        let whole = |_: &Grid, _: u8| 0;
        decode(&fs::read(path).unwrap(), &limits, &budget, false, &whole).ok().map(|decoded| decoded.pixels)
    };
    let mut photos: Vec<Pixels> = paths.iter().filter_map(read).collect();
    photos.retain(|photo| photo.channels == 3);
    Some(photos)
}

fn resized(photo: &Pixels, to: Size, crop: Option<Size>) -> Pixels {
    let grid = Grid::whole(Size { height: photo.height, width: photo.width });
    let resize = Resize { to: ResizeTo::Exact(to), filter: Filter::Bicubic };
    let window = Window::new(&grid, &Frame { resize: Some(resize), crop, ..Frame::default() });
    let Size { height, width } = window.output();
    let mut data = vec![0; height as usize * width as usize * 3];
    Cropper::default().crop(&photo.data, 3, &window, &mut data).unwrap();
    Pixels { width, height, channels: 3, data }
}

/// The photo, this many times as wide and as high.
fn enlarged(photo: &Pixels, times: u32) -> Pixels {
    resized(photo, Size { height: photo.height * times, width: photo.width * times }, None)
}

/// The middles of `side` times `side` different photos.
fn mosaic(photos: &[&Pixels], first: usize, side: u32) -> Pixels {
    let same = |photo: &Pixels| Size { height: photo.height, width: photo.width };
    let tile = |number: u32| {
        let photo = photos[(first + number as usize * 37) % photos.len()];
        resized(photo, same(photo), Some(TILE))
    };
    let tiles: Vec<Pixels> = (0..side * side).map(tile).collect();
    let mut data = Vec::new();
    for row in tiles.chunks_exact(side as usize) {
        for y in 0..TILE.height as usize {
            for tile in row {
                data.extend_from_slice(&tile.data[y * TILE.width as usize * 3..][..TILE.width as usize * 3]);
            }
        }
    }
    Pixels { width: TILE.width * side, height: TILE.height * side, channels: 3, data }
}

fn jpeg(pixels: &Pixels) -> Vec<u8> {
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let image =
        Image { pixels: pixels.data.as_slice(), width, pitch: width * 3, height, format: PixelFormat::RGB };
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(85).unwrap();
    compressor.set_subsamp(Subsamp::Sub2x2).unwrap();
    compressor.compress_to_vec(image).unwrap()
}

fn squeezenet() -> Option<(tempfile::TempDir, PathBuf)> {
    let model = shared("models/squeezenet_fp16_bgr")?;
    let folder = tempfile::tempdir().unwrap();
    fs::copy(model.join("model.onnx"), folder.path().join("model.onnx")).unwrap();
    fs::write(folder.path().join("tagfleet.toml"), SQUEEZENET).unwrap();
    let path = folder.path().to_owned();
    Some((folder, path))
}

/// A tagger that decodes exactly, and one that decodes as small as was found harmless for the model.
struct Pair {
    resize: Option<Resize>,
    decoding: Decoding,
    exact: ImageTagger,
    scaled: ImageTagger,
}

fn pair(path: &Path) -> Pair {
    let open = |exact| Model::open(path, &ModelOptions { exact, ..ModelOptions::default() }).unwrap();
    let model = open(false);
    let engine = resolve(&EngineOptions::of(EngineChoice::OnnxRuntime), &model).unwrap().record;
    let options = TagOptions::new(2, f32::MIN);
    let tagger = |model: &Model| {
        TaggerFactory::new(model.clone(), &engine, &options, Limits::default()).unwrap().tagger().unwrap()
    };
    let (exact, scaled) = (tagger(&open(true)), tagger(&model));
    let preprocessing = &model.spec.preprocessing;
    Pair { resize: preprocessing.resize, decoding: preprocessing.decoding, exact, scaled }
}

fn best_two(tagger: &mut ImageTagger, file: &[u8]) -> Vec<Tag> {
    let tags = match tagger.tag(&[file]).unwrap().remove(0) {
        Outcome::Tagged(tagged) => Ok(tagged.tags),
        Outcome::Failed(failure) => Err(failure),
    };
    tags.unwrap()
}

/// Prints the agreement; asserts less than the measured 99 %, because another processor moves scores a
/// little.
fn assert_agrees(what: &str, files: impl Iterator<Item = (Size, Vec<u8>)>) {
    let Some((_folder, squeezenet)) = squeezenet() else { return };
    let mut pair = pair(&squeezenet);
    let (mut scaled, mut agree, mut largest_flip) = (0, 0, 0.0_f32);
    for (size, file) in files {
        if resize::reduction(size, &Frame { resize: pair.resize, ..Frame::default() }, pair.decoding)
            == Reduction::None
        {
            continue;
        }
        let (exact, found) = (best_two(&mut pair.exact, &file), best_two(&mut pair.scaled, &file));
        scaled += 1;
        if exact[0].index == found[0].index {
            agree += 1;
        } else {
            largest_flip = largest_flip.max(exact[0].score - exact[1].score);
        }
    }
    eprintln!("{what}: top-1 agreement {agree}/{scaled}, largest margin flipped {largest_flip:.4}");
    assert!(scaled > 0, "{what}: no picture is large enough to be scaled");
    assert!(agree * 100 >= scaled * 98, "{what}: {agree} of {scaled} agree");
}

fn size_and_file(picture: &Pixels) -> (Size, Vec<u8>) {
    (Size { height: picture.height, width: picture.width }, jpeg(picture))
}

#[test]
fn photos_enlarged_to_twelve_megapixels() {
    let Some(photos) = photos() else { return };
    assert_agrees("enlarged photos", photos.iter().map(|photo| size_and_file(&enlarged(photo, 8))));
}

#[test]
fn mosaics_of_twelve_megapixels() {
    let Some(photos) = photos() else { return };
    let sharp: Vec<&Pixels> =
        photos.iter().filter(|photo| photo.width >= TILE.width && photo.height >= TILE.height).collect();
    assert_agrees("mosaics", (0..200).map(|first| size_and_file(&mosaic(&sharp, first, 8))));
}
