//! The engines on small models made here, and what is refused.

mod openvino;

use std::path::Path;

use tagfleet_pipeline::run::EngineRecord as StoredRecord;
use tract_onnx::pb::tensor_proto::DataType;

use super::*;
use crate::folder::ModelOptions;
use crate::testing::{Toy, shared_models};

/// A model written into a folder of its own, and that folder.
fn model(toy: &Toy) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().unwrap();
    toy.write(folder.path(), "model.onnx");
    let vector = toy.embedding.then_some("embedding");
    let model = Model::open(folder.path(), &ModelOptions { vector, ..ModelOptions::default() }).unwrap();
    (folder, model)
}

fn tract(model: &Model) -> Loaded {
    Loaded::load(&EngineRecord::tract(model), model).unwrap()
}

/// ONNX Runtime, or `None` and a message if its library is absent.
fn onnxruntime(model: &Model) -> Option<Loaded> {
    match resolve(&EngineOptions::of(EngineChoice::OnnxRuntime), model) {
        Ok(resolved) => Some(Loaded::load(&resolved.record, model).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

/// `n` different images in the range of normalised pixels.
fn images(loaded: &Loaded, n: usize) -> Vec<f32> {
    let values = loaded.model_io.len() * n;
    (0..values).map(|index| ((index * 31 + index / 97) % 255) as f32 / 64.0 - 2.0).collect()
}

fn run(loaded: &Loaded, n: usize) -> Outputs {
    loaded.session().unwrap().run(&images(loaded, n), n).unwrap()
}

fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Runs each of three images together and alone, and expects the same bits.
fn assert_independent(loaded: &Loaded) {
    assert!(rows_are_independent(&mut *loaded.session().unwrap(), loaded.model_io.len(), 3).unwrap());
}

#[test]
fn both_engines_agree_on_scores_and_vectors() {
    let (_folder, model) = model(&Toy { embedding: true, ..Toy::default() });
    let tract = tract(&model);
    let by_tract = run(&tract, 3);
    assert_eq!((by_tract.classes, by_tract.scores.len(), by_tract.vector_len), (4, 12, 3));
    assert_independent(&tract);
    let Some(onnxruntime) = onnxruntime(&model) else { return };
    let by_onnxruntime = run(&onnxruntime, 3);
    assert!(largest_difference(&by_tract.scores, &by_onnxruntime.scores) < 1e-5);
    assert!(largest_difference(&by_tract.vector.unwrap(), &by_onnxruntime.vector.unwrap()) < 1e-5);
    assert_independent(&onnxruntime);
}

#[test]
fn a_fixed_batch_is_padded() {
    let (_folder, model) = model(&Toy { input: vec![4, 3, 8, 8], ..Toy::default() });
    for loaded in [Some(tract(&model)), onnxruntime(&model)].into_iter().flatten() {
        assert_eq!(loaded.session().unwrap().batch_size(), 4);
        assert_eq!(run(&loaded, 6).scores.len(), 24);
        assert_eq!(run(&loaded, 6).scores[..4], run(&loaded, 1).scores);
        assert_independent(&loaded);
    }
}

#[test]
fn channels_may_come_last() {
    let (_folder, model) = model(&Toy { input: vec![1, 8, 8, 3], ..Toy::default() });
    assert_eq!(ModelIo::of(&model).shape(2), [2, 8, 8, 3]);
}

#[test]
fn the_probe_finds_rows_that_change_each_other() {
    let (_folder, model) = model(&Toy { dynamic: true, ..Toy::default() });
    let Some(loaded) = onnxruntime(&model) else { return };
    assert_eq!(loaded.session().unwrap().batch_size(), 1);
    assert_independent(&loaded);
    let together = Loaded { rows: 3, ..loaded };
    assert!(!rows_are_independent(&mut *together.session().unwrap(), together.model_io.len(), 3).unwrap());
}

#[test]
fn a_batch_in_which_rows_change_each_other_is_refused() {
    let (_folder, mut model) = model(&Toy { input: vec![3, 3, 8, 8], dynamic: true, ..Toy::default() });
    model.spec.quantization = Quantization::None;
    let Some(loaded) = onnxruntime(&model) else { return };
    assert_eq!(loaded.session().unwrap().batch_size(), 1, "only the probe can have found it");
    assert_independent(&loaded);
}

#[test]
fn a_fixed_batch_that_quantises_dynamically_runs_one_by_one() {
    let (_folder, model) = model(&Toy { input: vec![3, 3, 8, 8], dynamic: true, ..Toy::default() });
    let Some(loaded) = onnxruntime(&model) else { return };
    assert_eq!(loaded.session().unwrap().batch_size(), 1);
    assert_independent(&loaded);
}

#[test]
fn half_precision_is_fed_and_read() {
    let (_folder, model) = model(&Toy { element: DataType::Float16, embedding: true, ..Toy::default() });
    let tract = tract(&model);
    insta::assert_snapshot!(EngineRecord::tract(&model).precision, @"fp32, widened from fp16");
    let Some(onnxruntime) = onnxruntime(&model) else { return };
    assert!(largest_difference(&run(&tract, 2).scores, &run(&onnxruntime, 2).scores) < 1e-2);
}

#[test]
fn wrong_lengths_are_errors() {
    let (_folder, mut model) = model(&Toy::default());
    let mut session = tract(&model).session().unwrap();
    insta::assert_snapshot!(session.run(&[0.0; 5], 1).unwrap_err(), @"expected 1 images of 192 values, got 5 values");
    model.spec.labels.pop();
    insta::assert_snapshot!(tract(&model).session().unwrap().run(&[0.0; 192], 1).unwrap_err(), @r#"the output "logits" has 4 values for 1 image(s), but 3 per image were expected: check labels and output in tagfleet.toml"#);
}

/// A model whose file and weights are links, as in Hugging Face's cache, and that cache.
#[cfg(unix)]
fn behind_links() -> (tempfile::TempDir, Model) {
    let cache = tempfile::tempdir().unwrap();
    let path = |name: &str| cache.path().join(name);
    Toy { external: Some("model.onnx_data"), ..Toy::default() }.write(&path("blobs"), "aaaa");
    std::fs::write(path("blobs/bbbb"), ones_to_twelve()).unwrap();
    std::fs::create_dir_all(path("snapshots/abc/onnx")).unwrap();
    for (blob, name) in [("aaaa", "model.onnx"), ("bbbb", "model.onnx_data")] {
        let link = path("snapshots/abc/onnx").join(name);
        std::os::unix::fs::symlink(Path::new("../../../blobs").join(blob), link).unwrap();
    }
    let model = Model::open(&path("snapshots/abc"), &ModelOptions::default()).unwrap();
    (cache, model)
}

#[cfg(unix)]
#[test]
fn weights_behind_links_are_found_as_in_hugging_faces_cache() {
    let (_cache, model) = behind_links();
    let by_tract = run(&tract(&model), 2).scores;
    let Some(onnxruntime) = onnxruntime(&model) else { return };
    assert!(largest_difference(&by_tract, &run(&onnxruntime, 2).scores) < 1e-4);
}

/// A model whose weights are in `weights.bin`.
fn with_weights_beside() -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().unwrap();
    Toy { external: Some("weights.bin"), ..Toy::default() }.write(folder.path(), "model.onnx");
    std::fs::write(folder.path().join("weights.bin"), ones_to_twelve()).unwrap();
    let model = Model::open(folder.path(), &ModelOptions::default()).unwrap();
    (folder, model)
}

fn ones_to_twelve() -> Vec<u8> {
    (1..=12).flat_map(|value| (value as f32).to_le_bytes()).collect()
}

/// What was recorded of `model` for each engine that is here.
fn every_engine(model: &Model) -> Vec<EngineRecord> {
    let mut records = vec![EngineRecord::tract(model)];
    for choice in [EngineChoice::OnnxRuntime, EngineChoice::OpenVino] {
        match resolve(&EngineOptions::of(choice), model) {
            Ok(resolved) => records.push(resolved.record),
            Err(error) => eprintln!("SKIPPED: {error}"),
        }
    }
    records
}

#[test]
fn files_that_changed_since_they_were_hashed_reach_no_engine() {
    let (folder, model) = with_weights_beside();
    let graph = std::fs::read(model.path()).unwrap();
    for record in every_engine(&model) {
        let loaded = Loaded::load(&record, &model).unwrap();
        let scores = run(&loaded, 1).scores;
        for (name, was) in [("weights.bin", ones_to_twelve()), ("model.onnx", graph.clone())] {
            let path = folder.path().join(name);
            let mut other = was.clone();
            *other.last_mut().unwrap() ^= 1;
            std::fs::write(&path, other).unwrap();
            let error = Loaded::load(&record, &model).err().unwrap().to_string();
            assert!(error.contains(&format!("{name} is not the file that this run started with")), "{error}");
            // What is loaded already never looks at a file again.
            assert_eq!(run(&loaded, 1).scores, scores, "{}", record.describe());
            std::fs::write(&path, was).unwrap();
        }
    }
}

#[test]
fn weights_of_a_graph_that_is_too_large_with_them_are_given_in_memory() {
    let (folder, model) = with_weights_beside();
    if onnxruntime(&model).is_none() {
        return;
    }
    let model_io = ModelIo::of(&model);
    let program = onnxruntime::Program::with_at_most(0, &model, &model_io).unwrap();
    std::fs::remove_file(folder.path().join("weights.bin")).unwrap();
    let beside = Loaded { program: Program::OnnxRuntime(program), model_io, rows: 1 };
    let scores = run(&beside, 2).scores;
    std::fs::write(folder.path().join("weights.bin"), ones_to_twelve()).unwrap();
    assert_eq!(scores, run(&onnxruntime(&model).unwrap(), 2).scores);
}

#[test]
fn a_model_without_scores_gives_its_vector_alone() {
    let folder = tempfile::tempdir().unwrap();
    Toy { hidden: true, ..Toy::default() }.write(folder.path(), "model.onnx");
    let options = ModelOptions { vector: Some("pixels_out"), ..ModelOptions::default() };
    let model = Model::open(folder.path(), &options).unwrap();
    for loaded in [Some(tract(&model)), onnxruntime(&model)].into_iter().flatten() {
        let outputs = run(&loaded, 2);
        assert_eq!((outputs.classes, outputs.scores.len(), outputs.vector_len), (0, 0, 192));
        assert_eq!(outputs.vector.unwrap(), images(&loaded, 2));
    }
}

#[test]
fn an_operator_that_tract_lacks_is_a_refusal() {
    let (folder, model) = model(&Toy { last: Some("NoSuchOperator"), ..Toy::default() });
    let error = Loaded::load(&EngineRecord::tract(&model), &model).err().unwrap().to_string();
    assert!(error.starts_with(&format!("tract can't run {}", folder.path().display())), "{error}");
    assert!(error.contains("NoSuchOperator") && error.contains("--onnxruntime"), "{error}");
}

#[test]
fn what_is_asked_for_is_never_replaced() {
    let (_folder, model) = model(&Toy::default());
    let missing = Path::new("/no/such/libonnxruntime.so");
    for choice in [EngineChoice::Auto, EngineChoice::OnnxRuntime] {
        let error =
            resolve(&EngineOptions { onnxruntime: Some(missing), ..EngineOptions::of(choice) }, &model)
                .unwrap_err()
                .to_string();
        // Under `cargo test` another test of this process may have loaded the library: another sentence, the
        // same refusal.
        assert!(error.contains("/no/such/libonnxruntime.so"), "{error}");
    }
    let why = resolve(&EngineOptions::of(EngineChoice::Tract), &model).unwrap().why;
    insta::assert_snapshot!(why, @"tract, as asked for with --engine");
}

#[test]
fn auto_says_what_it_took_and_why() {
    let (_folder, model) = model(&Toy::default());
    let resolved = resolve(&EngineOptions::of(EngineChoice::Auto), &model).unwrap();
    let expected = if resolved.record.name == EngineName::Tract {
        "ONNX Runtime could not be loaded"
    } else {
        "ONNX Runtime"
    };
    assert!(resolved.why.contains(expected), "{}", resolved.why);
}

#[test]
fn another_version_than_recorded_is_refused() {
    let (_folder, model) = model(&Toy::default());
    let record = EngineRecord { version: "0.1.0".to_owned(), ..EngineRecord::tract(&model) };
    insta::assert_snapshot!(Loaded::load(&record, &model).err().unwrap(), @"the run started with tract 0.1.0 (fp32), but this machine has tract 0.23.9 (fp32): install that one, or start a new run");
}

#[test]
fn a_record_is_equal_wherever_the_library_is() {
    let (_folder, model) = model(&Toy::default());
    let record = EngineRecord::onnxruntime("1.32.0", Path::new("/a/libonnxruntime.so"), &model);
    let json = serde_json::to_string(&record).unwrap();
    insta::assert_snapshot!(json, @r#"{"name":"onnxruntime","version":"1.32.0","precision":"fp32","instructions":null,"device":"cpu","library":"/a/libonnxruntime.so"}"#);
    let read: EngineRecord = serde_json::from_str(&json.replace("/a/", "/b/")).unwrap();
    assert_eq!(read, record);
    assert_ne!(read, EngineRecord { version: "1.31.0".to_owned(), ..record });
}

#[test]
fn a_runs_record_names_the_same_engine_again() {
    let (_folder, model) = model(&Toy::default());
    let record = EngineRecord::tract(&model);
    let stored = StoredRecord::from(&record);
    assert_eq!(EngineRecord::try_from(&stored).unwrap(), record);
    let error = EngineRecord::try_from(&StoredRecord { name: "torch".to_owned(), ..stored }).unwrap_err();
    assert!(error.to_string().contains("\"torch\""), "{error}");
}

#[test]
fn tracts_version_is_the_one_linked() {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")).unwrap();
    assert!(lock.contains(&format!("name = \"tract-onnx\"\nversion = \"{}\"", tract::VERSION)));
}

fn real(name: &str) -> Option<Model> {
    Some(Model::open(&shared_models()?.join(name), &ModelOptions::default()).unwrap())
}

#[test]
fn tract_agrees_with_onnx_runtime_on_real_fp32_models() {
    for name in ["tinycnn_external_data", "pcb_64x64", "mnist_1channel"] {
        let Some(model) = real(name) else { return };
        let Some(onnxruntime) = onnxruntime(&model) else { return };
        let difference = largest_difference(&run(&tract(&model), 2).scores, &run(&onnxruntime, 2).scores);
        assert!(difference < 1e-4, "{name}: {difference}");
    }
}

#[test]
fn real_quantised_and_half_models_run() {
    for name in ["mobilenetv2_int8", "mobilenetv2_int8_qdq_batch1", "squeezenet_fp16_bgr"] {
        let Some(model) = real(name) else { return };
        let Some(loaded) = onnxruntime(&model) else { return };
        assert_independent(&loaded);
        assert_eq!(run(&loaded, 1).classes, 1000, "{name}");
    }
}

#[test]
fn tract_widens_a_real_half_model() {
    let Some(model) = real("squeezenet_fp16_bgr") else { return };
    let Some(onnxruntime) = onnxruntime(&model) else { return };
    let difference = largest_difference(&run(&tract(&model), 1).scores, &run(&onnxruntime, 1).scores);
    assert!(difference < 1e-2, "{difference}");
}
