//! A network on a GPU's path, and in 16-bit floats, against itself on the processor in 32, with trained
//! weights and real photographs.
//!
//! Neither is part of the project: if they are absent, the test prints that and passes. So it does without a
//! GPU, except for the parts that the processor can do in its place.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests, outside of the test functions"
)]

mod shared;

use std::fs;
use std::path::Path;

use half::f16;
use prost::Message;
use tagfleet_model::decode::Limits;
use tagfleet_model::engine::{DeviceChoice, EngineChoice, EngineError, EngineOptions, Precision, resolve};
use tagfleet_model::folder::{Model, ModelOptions};
use tagfleet_model::tagger::TaggerFactory;
use tagfleet_pipeline::run::TagOptions;
use tagfleet_pipeline::tagger::Tagger;
use tagfleet_pipeline::tags::Outcome;
use tempfile::TempDir;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, ValueInfoProto, type_proto};

use self::shared::shared;

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

/// A trained model, and photos.
struct Job {
    model: Model,
    photos: Vec<Vec<u8>>,
    _folder: TempDir,
}

impl Job {
    fn new() -> Option<Self> {
        let (model, photos) = (shared("models/squeezenet_fp16_bgr")?.join("model.onnx"), shared("photos")?);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.onnx"), widened(&fs::read(model).unwrap())).unwrap();
        fs::write(folder.path().join("tagfleet.toml"), SQUEEZENET).unwrap();
        let model = Model::open(folder.path(), &ModelOptions::default()).unwrap();
        let photos = fs::read_dir(photos).unwrap();
        let photos = photos.map(|photo| fs::read(photo.unwrap().path()).unwrap()).collect();
        Some(Self { model, photos, _folder: folder })
    }

    /// All scores of each photo, by class.
    fn scores(&self, options: &EngineOptions<'_>) -> Result<Vec<Vec<f32>>, EngineError> {
        let engine = resolve(options, &self.model)?.record;
        let tags = TagOptions::new(1000, 0.0);
        let factory = TaggerFactory::new(self.model.clone(), &engine, &tags, Limits::default()).unwrap();
        let mut tagger = factory.tagger().unwrap();
        let mut found = Vec::new();
        for some in self.photos.chunks(AT_ONCE) {
            let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
            found.extend(tagger.tag(&some).unwrap().into_iter().map(by_class));
        }
        Ok(found)
    }
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

/// Photos with the same best class, and the largest difference of a score.
fn compared(one: &[Vec<f32>], other: &[Vec<f32>]) -> (usize, f32) {
    let same = one.iter().zip(other).filter(|(one, other)| best(one) == best(other)).count();
    let differences =
        one.iter().flatten().zip(other.iter().flatten()).map(|(one, other)| (one - other).abs());
    let largest = differences.fold(0.0, f32::max);
    eprintln!("top-1 agreement {same} of {}, largest difference of a score {largest:.6}", one.len());
    (same, largest)
}

fn assert_agrees(wide: &[Vec<f32>], narrow: &[Vec<f32>]) {
    let (same, largest) = compared(wide, narrow);
    assert!(same * 1000 >= wide.len() * 995, "{same} of {} agree", wide.len());
    assert!(largest > 0.0 && largest < 0.02, "{largest}");
}

#[test]
fn photos_get_the_same_label_in_sixteen_bits_as_in_thirty_two() {
    let Some(job) = Job::new() else { return };
    let usual = EngineOptions::of(EngineChoice::OnnxRuntime);
    let fed = EngineOptions { device: DeviceChoice::Rehearsal, ..usual };
    let wide = job.scores(&usual).unwrap();
    assert_eq!(job.scores(&fed).unwrap(), wide, "32-bit floats have the same bits however they are fed");
    assert_agrees(&wide, &job.scores(&EngineOptions { precision: Precision::Fp16, ..fed }).unwrap());
}

#[test]
fn photos_get_the_same_label_on_a_gpu_as_on_the_processor() {
    let Some(job) = Job::new() else { return };
    let for_gpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv-gpu");
    if !for_gpus.is_dir() || !Path::new("/dev/nvidiactl").exists() {
        return eprintln!(
            "SKIPPED: there is no GPU, or no ONNX Runtime for GPUs: `scripts/setup.sh gpu` installs it"
        );
    }
    let usual =
        EngineOptions { onnxruntime: Some(&for_gpus), ..EngineOptions::of(EngineChoice::OnnxRuntime) };
    let on_gpu = EngineOptions { device: DeviceChoice::Cuda, ..usual };
    let fed = job.scores(&on_gpu).unwrap();
    let wide = job.scores(&usual).unwrap();
    let (_, largest) = compared(&wide, &fed);
    assert!(largest <= 1e-3, "{largest}");
    assert_agrees(&wide, &job.scores(&EngineOptions { precision: Precision::Fp16, ..on_gpu }).unwrap());
}
