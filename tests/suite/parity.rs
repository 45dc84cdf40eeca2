//! Real models on real photos, compared with predictions of other software: Pillow and ONNX Runtime.
//!
//! Models and photos are not part of the project, so these tests are skipped without them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::rows::{Row, rows};
use tagfleet_tests::shared;

const SQUEEZENET: &str = r#"
color = "bgr"
resize = 256
crop = 224
filter = "bilinear"
scale = 1.0
mean = [103.939, 116.779, 123.68]
activation = "none"
"#;

struct Reference {
    truth: u64,
    ids: Vec<i32>,
    scores: Vec<f64>,
}

fn reference(name: &str) -> Option<BTreeMap<String, Reference>> {
    let text = fs::read_to_string(shared(&format!("reference_{name}.json"))?).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = |value: &serde_json::Value| {
        value.as_array().unwrap().iter().filter_map(serde_json::Value::as_f64).collect::<Vec<_>>()
    };
    let mut references = BTreeMap::new();
    for (photo, found) in json["results"].as_object().unwrap() {
        let ids = numbers(&found["ids"]).into_iter().map(|id| id as i32).collect();
        let reference =
            Reference { truth: found["truth"].as_u64().unwrap(), ids, scores: numbers(&found["scores"]) };
        references.insert(photo.clone(), reference);
    }
    Some(references)
}

fn tagged(model: &Path, engine: &str) -> Vec<Row> {
    let out = tempfile::tempdir().unwrap();
    let ran = run_on_photos(model, &["--engine", engine], out.path());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    rows(out.path())
}

fn run_on_photos(model: &Path, engine: &[&str], out: &Path) -> Ran {
    let photos = shared("photos").unwrap();
    let mut command = tagfleet(["run", "--exact", "--no-exif", "--top-k", "5", "--threshold", "0"]);
    run(command.args(engine).arg(photos).arg("--model").arg(model).arg("--out").arg(out))
}

/// The rows in bf16. `None`, with a message, if the CPU does not support it.
fn tagged_in_bf16(model: &Path) -> Option<Vec<Row>> {
    let out = tempfile::tempdir().unwrap();
    let ran = run_on_photos(model, &["--precision", "bf16"], out.path());
    if ran.stderr.contains("--precision bf16 needs a processor with") {
        eprintln!("SKIPPED: {}", ran.stderr.trim());
        return None;
    }
    assert_eq!(ran.code, Some(0), "{ran:?}");
    Some(rows(out.path()))
}

/// Checks three things: at least 194 of 200 best tags agree, no clear answer differs, and the accuracy is
/// within two points of the reference's.
fn assert_agrees(name: &str, rows: &[Row], references: &BTreeMap<String, Reference>) {
    assert_eq!((rows.len(), references.len()), (200, 200));
    let (mut agree, mut right, mut reference_right, mut largest_flip) = (0, 0, 0, 0.0_f64);
    for row in rows {
        let reference = &references[&row.key];
        let best = row.tags[0].1;
        right += usize::from(best as u64 == reference.truth);
        reference_right += usize::from(reference.ids[0] as u64 == reference.truth);
        if best == reference.ids[0] {
            agree += 1;
        } else {
            largest_flip = largest_flip.max(reference.scores[0] - reference.scores[1]);
        }
    }
    eprintln!(
        "{name}: top-1 agreement {agree}/200, largest margin flipped {largest_flip:.4}, right {right} against {reference_right}"
    );
    assert!(agree >= 194, "{name}: {agree} of 200 agree");
    assert!(largest_flip <= 0.05, "{name}: a flip where the reference's first two differ by {largest_flip}");
    assert!(right.abs_diff(reference_right) <= 4, "{name}: {right} right, the reference {reference_right}");
}

/// The shared SqueezeNet, with the preprocessing of its training.
fn squeezenet() -> Option<tempfile::TempDir> {
    let model = shared("models/squeezenet_fp16_bgr")?;
    let folder = tempfile::tempdir().unwrap();
    fs::copy(model.join("model.onnx"), folder.path().join("model.onnx")).unwrap();
    fs::write(folder.path().join("tagfleet.toml"), SQUEEZENET).unwrap();
    Some(folder)
}

#[test]
fn squeezenet_in_fp16_with_bgr_agrees_with_the_reference() {
    let (Some(references), Some(folder)) = (reference("squeezenet_fp16"), squeezenet()) else { return };
    for engine in ["onnxruntime", "openvino"] {
        let name = format!("squeezenet_fp16_bgr, {engine}");
        assert_agrees(&name, &tagged(folder.path(), engine), &references);
    }
}

#[test]
fn squeezenet_in_bf16_agrees_with_the_reference() {
    let (Some(references), Some(folder)) = (reference("squeezenet_fp16"), squeezenet()) else { return };
    let Some(rows) = tagged_in_bf16(folder.path()) else { return };
    assert_agrees("squeezenet_fp16_bgr, OpenVINO in bf16", &rows, &references);
}

#[test]
fn mobilenetv2_quantised_dynamically_agrees_with_the_reference() {
    let (Some(references), Some(model)) =
        (reference("mobilenetv2_int8_dyn_op12"), shared("models/mobilenetv2_int8"))
    else {
        return;
    };
    assert_agrees("mobilenetv2_int8", &tagged(&model, "onnxruntime"), &references);
}

#[test]
fn mobilenetv2_with_a_fixed_batch_agrees_with_the_reference() {
    let Some(references) = reference("mobilenetv2_int8_qdq") else { return };
    let Some(model) = shared("models/mobilenetv2_int8_qdq_batch1") else { return };
    // The reference is ONNX Runtime. OpenVINO rounds its sums differently, and many of these scores differ by
    // one step.
    for (engine, least) in [("onnxruntime", 194), ("openvino", 188)] {
        let rows = tagged(&model, engine);
        let agree = rows.iter().filter(|row| row.tags[0].1 == references[&row.key].ids[0]).count();
        let right = rows.iter().filter(|row| row.tags[0].1 as u64 == references[&row.key].truth).count();
        eprintln!("mobilenetv2_int8_qdq_batch1, {engine}: top-1 agreement {agree}/200, right {right}");
        assert!(agree >= least, "{agree} of 200 agree");
        assert!(right.abs_diff(90) <= 4, "the reference is right in 90 of 200, this in {right}");
    }
}

#[test]
fn the_engines_agree_on_an_fp32_model() {
    let Some(model) = shared("models/tinycnn_external_data") else { return };
    let onnxruntime = tagged(&model, "onnxruntime");
    for engine in ["tract", "openvino"] {
        assert_scores_agree(&tagged(&model, engine), &onnxruntime);
    }
}

/// Checks that every score agrees to 1e-4.
fn assert_scores_agree(these: &[Row], those: &[Row]) {
    assert_eq!((these.len(), those.len()), (200, 200));
    for (a, b) in these.iter().zip(those) {
        let scores = |row: &Row| row.tags.iter().map(|tag| (tag.1, tag.2)).collect::<BTreeMap<_, _>>();
        let (a, b) = (scores(a), scores(b));
        assert_eq!(a.len(), b.len());
        // Two tags with nearly equal scores may change places at the end of the list, so that one of them is
        // cut off.
        let shared: Vec<_> = a.iter().filter_map(|(index, score)| Some((score, b.get(index)?))).collect();
        assert!(shared.len() + 1 >= a.len(), "{a:?} {b:?}");
        assert!(shared.iter().all(|(a, b)| (*a - *b).abs() < 1e-4), "{a:?} {b:?}");
    }
}
