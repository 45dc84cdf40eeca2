//! Real photos through the way to a device, on the processor, against the way of every thread for itself.

use std::fs;
use std::thread;

use super::*;
use crate::engine::{Device, EngineChoice, EngineOptions, Precision, resolve};
use crate::folder::ModelOptions;
use crate::graph::Quantization;
use crate::scores::default_options;
use crate::testing::shared_models;

/// Scores that the processor computes differ by up to 1e-3 from batch to batch; on a device the same is
/// allowed, and more for SqueezeNet: its samples of up to 151 are rounded to 16 bits, by up to 0.03, and not
/// alike on both ways.
const TOLERANCE: f32 = 5e-3;

#[test]
fn photos_get_the_same_tags_on_a_device_as_without_one() {
    let Some(models) = shared_models() else { return };
    let photos: Vec<Vec<u8>> = fs::read_dir(models.join("../photos"))
        .unwrap()
        .map(|photo| fs::read(photo.unwrap().path()).unwrap())
        .collect();
    let mut compared = 0;
    for name in ["squeezenet_fp16_bgr", "tinycnn_external_data", "mnist_1channel", "pcb_64x64"] {
        let model = Model::open(&models.join(name), &ModelOptions::default()).unwrap();
        if model.spec.quantization != Quantization::None {
            continue;
        }
        let Ok(resolved) = resolve(&EngineOptions::of(EngineChoice::OnnxRuntime), &model) else {
            eprintln!("SKIPPED: no ONNX Runtime");
            return;
        };
        let options = default_options(model.spec.activation, model.spec.multi_label);
        let usual = TaggerFactory::new(model.clone(), &resolved.record, &options, Limits::default()).unwrap();
        let loaded = Loaded::on_device(&model, Precision::Fp32, Device::Rehearsal).unwrap();
        let device = TaggerFactory::with(loaded, model, &options, Limits::default()).unwrap();
        let expected = tag(&usual, &photos, 1);
        let found = tag(&device, &photos, 4);
        for (found, expected) in found.iter().zip(&expected) {
            assert_alike(found, expected);
            compared += 1;
        }
    }
    assert!(compared >= 400, "{compared}");
}

/// The outcomes of `photos`, tagged by this many threads, in their order.
fn tag(factory: &TaggerFactory, photos: &[Vec<u8>], threads: usize) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(photos.len());
    thread::scope(|scope| {
        let mut parts = Vec::new();
        for part in photos.chunks(photos.len().div_ceil(threads)) {
            let mut tagger = factory.tagger().unwrap();
            let images: Vec<&[u8]> = part.iter().map(Vec::as_slice).collect();
            parts.push(scope.spawn(move || {
                let outcomes = tagger.tag(&images).unwrap();
                let time = tagger.device_time();
                assert!(
                    time.is_none_or(|time| time.compute_milliseconds <= time.wall_milliseconds + 1),
                    "{time:?}"
                );
                outcomes
            }));
        }
        outcomes.extend(parts.into_iter().flat_map(|part| part.join().unwrap()));
    });
    outcomes
}

fn assert_alike(found: &Outcome, expected: &Outcome) {
    let (Outcome::Tagged(found), Outcome::Tagged(expected)) = (found, expected) else {
        assert_eq!(found, expected);
        return;
    };
    assert_eq!((found.width, found.height), (expected.width, expected.height));
    assert_eq!(found.tags.len(), expected.tags.len());
    for (found, expected) in found.tags.iter().zip(&expected.tags) {
        assert!((found.score - expected.score).abs() <= TOLERANCE, "{found:?} {expected:?}");
    }
    let (first, second) = (&expected.tags[0], &expected.tags[1]);
    assert!(found.tags[0].label == first.label || first.score - second.score <= 2.0 * TOLERANCE);
}

/// The demo's model and one of its photos, with tract: nothing has to be installed.
#[test]
fn a_thumbnail_is_made_if_it_is_wanted_with_the_scores_known() {
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo");
    let model = Model::open(&demo.join("model"), &ModelOptions::default()).unwrap();
    let photo = fs::read(demo.join("photos/autumn/sku-0000.jpg")).unwrap();
    let resolved = resolve(&EngineOptions::of(EngineChoice::Tract), &model).unwrap();
    let options = default_options(model.spec.activation, model.spec.multi_label);
    let factory = TaggerFactory::new(model, &resolved.record, &options, Limits::default()).unwrap();
    let images = [photo.as_slice(), b"not an image", &photo, &photo, &photo, &photo];
    // The best tag's score lies between 0.5, which the model's tags have at least, and 1.
    let bound = Wanted::IfBelow;
    let wanted = [Wanted::Always, Wanted::Always, Wanted::Never, bound(0.5), bound(1.5)];
    let seen = factory.tagger().unwrap().tag_with_thumbnails(&images, &wanted).unwrap();
    let has_one: Vec<bool> = seen.iter().map(|seen| seen.thumbnail.is_some()).collect();
    assert_eq!(has_one, [true, false, false, false, true, false]);
    assert!(seen.iter().all(|seen| seen.milliseconds.is_some()), "each was measured");
    let untimed = |seen: &Seen| Seen { milliseconds: None, ..seen.clone() };
    let same = "the same, made from the pixels or from a draft of them";
    assert_eq!(untimed(&seen[0]), untimed(&seen[4]), "{same}");
}

#[test]
fn an_image_that_was_decoded_and_failed_has_a_thumbnail() {
    let pixels = crate::pixels::Pixels { width: 2, height: 1, channels: 3, data: vec![9; 6] };
    let prepared = |wanted| Prepared {
        width: 2,
        height: 1,
        second_decoder: false,
        draft: Some(Draft::new(&pixels)),
        wanted,
    };
    let failed = Outcome::Failed(Failure::new(Cause::NotFinite, ""));
    assert!(prepared(Wanted::IfBelow(0.0)).thumbnail(&failed).is_some());
    assert!(prepared(Wanted::Never).thumbnail(&failed).is_none());
}
