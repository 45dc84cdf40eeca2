//! The files of a model's folder: configuration, labels, `tagfleet.toml`, and the ONNX graph as far as it is inspected.
//!
//! An input holds the files behind lines `=== NAME`; a graph that fits stands in where it holds none. Laws: a folder is
//! refused in words or gives a description that survives being stored, whose every number holds for a picture of ours,
//! and no file outside the folder is ever part of a model.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tagfleet_fuzz::{files, within};
use tagfleet_model::decode::{Limits, PixelBudget, decode};
use tagfleet_model::folder::{Model, ModelOptions, ModelSpec};
use tagfleet_model::preprocessing::Preprocessing;
use tagfleet_model::tensor::Preprocessor;
use tempfile::TempDir;

/// A classifier of four classes that a unit test of the model crate could have made.
const GRAPH: &[u8] = include_bytes!("../seeds/toy.onnx");
/// A picture that is not to blame for anything.
const PICTURE: &[u8] = include_bytes!("../seeds/decode/checks.png");
const NAMES: [&str; 7] = [
    "config.json",
    "preprocessor_config.json",
    "tagfleet.toml",
    "labels.txt",
    "names.txt",
    "model.onnx",
    "weights.bin",
];
const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 20, max_memory: 64 << 20 };
/// Labels that are made up, a million at most, and their record.
const MEMORY: usize = 512 << 20;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder can be made"));

fn write(folder: &Path, input: &[u8]) {
    for name in NAMES {
        let path = folder.join(name);
        if path.exists() {
            fs::remove_file(path).expect("the file is ours");
        }
    }
    fs::write(folder.join("model.onnx"), GRAPH).expect("there is room");
    for (name, bytes) in files(input) {
        if NAMES.contains(&name) {
            fs::write(folder.join(name), bytes).expect("there is room");
        }
    }
}

fn open(folder: &Path) {
    for vector in [None, Some("embedding")] {
        let options = ModelOptions { vector, ..ModelOptions::default() };
        match Model::open(folder, &options) {
            Ok(model) => check(folder, &model.spec),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn check(folder: &Path, spec: &ModelSpec) {
    let stored = serde_json::to_vec(spec).expect("a description can be stored");
    let read: ModelSpec = serde_json::from_slice(&stored).expect("a stored description can be read");
    assert_eq!(read, *spec);
    for file in &spec.files {
        assert!(NAMES.contains(&file.name.as_str()), "{}", file.name);
    }
    Model::from_copy(folder, read).expect("the files are those that were read");
    if let Some(classes) = spec.scores.as_ref().and_then(|scores| scores.len) {
        assert_eq!(spec.labels.len(), classes);
    }
    prepare(&spec.preprocessing);
}

fn prepare(steps: &Preprocessing) {
    let mut preprocessor = Preprocessor::new(steps).expect("a description is whole");
    let mut tensor = vec![0.0; preprocessor.tensor_len()];
    let budget = PixelBudget::new(LIMITS.max_memory);
    if let Ok(decoded) = decode(PICTURE, &LIMITS, &budget, steps.exif, &preprocessor) {
        let written = preprocessor.write(&decoded.pixels, &decoded.grid, &mut tensor);
        written.expect("what was checked against the graph fits it");
    }
}

fuzz_target!(|input: &[u8]| {
    let folder = FOLDER.path();
    write(folder, input);
    within(MEMORY, || open(folder));
});
