//! A network in 16-bit floats against itself in 32, with weights that were trained and photographs that were taken.
//!
//! Neither is part of the project: where they are absent this says so and passes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests, outside of the test functions"
)]

use std::fs;
use std::path::{Path, PathBuf};

use half::f16;
use prost::Message;
use tagfleet_model::decode::Limits;
use tagfleet_model::engine::{DeviceChoice, EngineChoice, EngineOptions, Precision, resolve};
use tagfleet_model::folder::{Model, ModelOptions};
use tagfleet_model::tagger::TaggerFactory;
use tagfleet_pipeline::run::TagOptions;
use tagfleet_pipeline::tagger::Tagger;
use tagfleet_pipeline::tags::Outcome;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, ValueInfoProto, type_proto};

const SQUEEZENET: &str = r#"
color = "bgr"
resize = 256
crop = 224
filter = "bilinear"
scale = 1.0
mean = [103.939, 116.779, 123.68]
activation = "none"
"#;
/// Images that the device is given at once.
const AT_ONCE: usize = 20;

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(path);
    if !path.exists() {
        eprintln!("SKIPPED: {} is not here", path.display());
        return None;
    }
    Some(path)
}

/// A graph whose weights are 16-bit floats, with the same values in 32.
fn widened(graph: &[u8]) -> Vec<u8> {
    let mut proto = ModelProto::decode(graph).unwrap();
    let graph = proto.graph.as_mut().unwrap();
    for tensor in &mut graph.initializer {
        assert_eq!(tensor.data_type, DataType::Float16 as i32);
        let wide = |bytes: &[u8; 2]| f16::from_le_bytes(*bytes).to_f32().to_le_bytes();
        tensor.raw_data = tensor.raw_data.as_chunks::<2>().0.iter().flat_map(wide).collect();
        tensor.data_type = DataType::Float as i32;
    }
    graph.input.iter_mut().chain(&mut graph.output).for_each(widen);
    graph.value_info.clear();
    proto.encode_to_vec()
}

fn widen(port: &mut ValueInfoProto) {
    if let Some(type_proto::Value::TensorType(tensor)) = port.r#type.as_mut().unwrap().value.as_mut() {
        tensor.elem_type = DataType::Float as i32;
    }
}

/// All scores of each photo, by class.
fn scores(model: &Model, device: DeviceChoice, precision: Precision, photos: &[Vec<u8>]) -> Vec<Vec<f32>> {
    let options = EngineOptions { device, precision, ..EngineOptions::of(EngineChoice::OnnxRuntime) };
    let engine = resolve(&options, model).unwrap().record;
    let tags = TagOptions { top_k: 1000, threshold: 0.0, labels: None };
    let factory = TaggerFactory::new(model.clone(), &engine, &tags, Limits::default()).unwrap();
    let mut tagger = factory.tagger().unwrap();
    let mut found = Vec::new();
    for some in photos.chunks(AT_ONCE) {
        let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
        for outcome in tagger.tag(&some).unwrap() {
            found.push(by_class(outcome));
        }
    }
    found
}

fn by_class(outcome: Outcome) -> Vec<f32> {
    let Outcome::Tagged(tagged) = outcome else { panic!("{outcome:?}") };
    let mut scores = vec![0.0; 1000];
    for tag in tagged.tags {
        scores[usize::try_from(tag.index).unwrap()] = tag.score;
    }
    scores
}

fn best(scores: &[f32]) -> usize {
    (0..scores.len()).max_by(|&one, &other| scores[one].total_cmp(&scores[other])).unwrap()
}

#[test]
fn photos_get_the_same_label_in_sixteen_bits_as_in_thirty_two() {
    let (Some(model), Some(photos)) = (shared("models/squeezenet_fp16_bgr/model.onnx"), shared("photos"))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.onnx"), widened(&fs::read(model).unwrap())).unwrap();
    fs::write(folder.path().join("tagfleet.toml"), SQUEEZENET).unwrap();
    let model = Model::open(folder.path(), &ModelOptions::default()).unwrap();
    let photos: Vec<Vec<u8>> =
        fs::read_dir(photos).unwrap().map(|photo| fs::read(photo.unwrap().path()).unwrap()).collect();

    let wide = scores(&model, DeviceChoice::Cpu, Precision::Fp32, &photos);
    let fed = scores(&model, DeviceChoice::Rehearsal, Precision::Fp32, &photos);
    assert_eq!(fed, wide, "32-bit floats have the same bits however they are fed");

    let narrow = scores(&model, DeviceChoice::Rehearsal, Precision::Fp16, &photos);
    let agree = wide.iter().zip(&narrow).filter(|(wide, narrow)| best(wide) == best(narrow)).count();
    let differences =
        wide.iter().flatten().zip(narrow.iter().flatten()).map(|(wide, narrow)| (wide - narrow).abs());
    let largest = differences.fold(0.0, f32::max);
    eprintln!("top-1 agreement {agree} of {}, largest difference of a score {largest:.4}", photos.len());
    assert!(agree * 1000 >= photos.len() * 995, "{agree} of {} agree", photos.len());
    assert!(largest > 0.0 && largest < 0.02, "{largest}");
}
