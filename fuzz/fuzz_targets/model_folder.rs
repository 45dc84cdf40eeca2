//! The files of a model's folder: configuration, labels, `tagfleet.toml`, and the ONNX graph as far as it is inspected and
//! as it is rewritten for a device.
//!
//! An input holds the files behind lines `=== NAME`; a graph that fits stands in where it holds none. Laws: a folder is
//! refused in words or gives a description that survives being stored, whose every number holds for a picture of ours,
//! and no file outside the folder is ever part of a model. The graph as engines get it names the same files, is described
//! alike and stays as it is when it is written once more. For a device it is refused in words or gives a graph that is
//! complete, fed with bytes, has the outputs of before and is not much larger than its files, which stay as they were.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use prost::Message;
use tagfleet_fuzz::{files, message, within};
use tagfleet_model::decode::{Limits, PixelBudget, decode};
use tagfleet_model::engine::{Precision, graph_for_device, graph_for_processor};
use tagfleet_model::folder::{Model, ModelOptions, ModelSpec};
use tagfleet_model::graph;
use tagfleet_model::preprocessing::Preprocessing;
use tagfleet_model::tensor::Preprocessor;
use tempfile::TempDir;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, TensorProto};

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
/// What the graph for a device may have beside its files' bytes: nodes and tables.
const ADDED: usize = 16 << 10;
/// A secret that lies beside the folder, in `outside.bin`, again and again.
const SECRET: &[u8] = b"no model may read what is here.\n";

/// The folder lies in one of its own, beside `outside.bin`.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let outer = tempfile::tempdir().expect("a folder can be made");
    fs::create_dir(outer.path().join("model")).expect("a folder can be made");
    fs::write(outer.path().join("outside.bin"), SECRET.repeat(16)).expect("there is room");
    outer
});

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
            Ok(model) => {
                check(folder, &model.spec);
                write_anew(folder, &model);
                rewrite(folder, &model);
            }
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

fn write_anew(folder: &Path, model: &Model) {
    let path = model.path();
    let file = fs::read(&path).expect("the file is ours");
    let before = graph::read(&path).expect("it was read before");
    let anew = graph::reencoded(&file).expect("what was read can be written");
    assert_eq!(graph::reencoded(&anew).expect("it is a graph"), anew);
    fs::write(&path, &anew).expect("there is room");
    assert_eq!(graph::read(&path).expect("it is a graph"), before);
    fs::write(&path, &file).expect("there is room");
    Model::from_copy(folder, model.spec.clone()).expect("the model's own files are as they were");
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

fn rewrite(folder: &Path, model: &Model) {
    let files: usize =
        NAMES.iter().map(|name| fs::read(folder.join(name)).map_or(0, |file| file.len())).sum();
    // What engines get: the file itself may hold what the parser drops, and another parser refuses.
    let before = fs::read(model.path()).expect("the file is ours");
    let before = graph::reencoded(&before).expect("it was read before");
    for precision in [Precision::Fp32, Precision::Fp16] {
        match graph_for_device(model, precision) {
            Ok(graph) => {
                // Lists of one number take a byte more where they are packed, and their lengths with them.
                assert!(graph.len() <= 2 * files + ADDED, "{} of {files}", graph.len());
                assert!(!contains(&graph, SECRET) || contains(&before, SECRET));
                check_graph(&decoded(&before), &decoded(&graph));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    match graph_for_processor(model) {
        Ok(Some(graph)) => {
            assert!(graph.len() <= 3 * files + ADDED, "{} of {files}", graph.len());
            assert!(!contains(&graph, SECRET) || contains(&before, SECRET));
            check_wide(&decoded(&before), &decoded(&graph));
        }
        Ok(None) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Model::from_copy(folder, model.spec.clone()).expect("the model's own files are as they were");
}

fn decoded(encoded: &[u8]) -> ModelProto {
    ModelProto::decode(encoded).expect("a graph can be read again")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn check_wide(before: &ModelProto, after: &ModelProto) {
    let (Some(before), Some(after)) = (&before.graph, &after.graph) else { panic!("it had a graph") };
    let names = |graph: &GraphProto| -> Vec<String> {
        graph
            .node
            .iter()
            .map(|node| node.op_type.clone())
            .chain(graph.output.iter().map(|port| port.name.clone()))
            .collect()
    };
    assert_eq!(names(before), names(after));
    for tensor in &after.initializer {
        assert_ne!(tensor.data_type, DataType::Float16 as i32);
        assert_ne!(tensor.data_location, Some(DataLocation::External as i32));
    }
}

fn check_graph(before: &ModelProto, after: &ModelProto) {
    assert!(after.training_info.is_empty());
    let (before, after) =
        (before.graph.as_ref().expect("it had one"), after.graph.as_ref().expect("it has one"));
    let outputs = |graph: &GraphProto| graph.output.iter().map(|port| port.name.clone()).collect::<Vec<_>>();
    assert_eq!(outputs(after), outputs(before));
    assert_eq!(after.input.iter().filter(|port| port.name == "tagfleet_bytes").count(), 1);
    complete(after);
}

/// No tensor lies elsewhere.
fn complete(graph: &GraphProto) {
    graph.initializer.iter().for_each(inside);
    for sparse in &graph.sparse_initializer {
        sparse.values.iter().chain(&sparse.indices).for_each(inside);
    }
    graph.node.iter().flat_map(|node| &node.attribute).for_each(complete_attribute);
}

fn complete_attribute(attribute: &AttributeProto) {
    attribute.t.iter().chain(&attribute.tensors).for_each(inside);
    for sparse in attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors) {
        sparse.values.iter().chain(&sparse.indices).for_each(inside);
    }
    attribute.g.iter().chain(&attribute.graphs).for_each(complete);
}

fn inside(tensor: &TensorProto) {
    assert_ne!(tensor.data_location, Some(DataLocation::External as i32), "{}", tensor.name);
}

fuzz_target!(|input: &[u8]| {
    let folder = &FOLDER.path().join("model");
    write(folder, input);
    within(MEMORY, || open(folder));
});

/// Where a graph begins in an input; it is the last of its files.
const GRAPH_MARK: &[u8] = b"=== model.onnx\n";

/// `input` with its graph changed, half of the times, if it has one.
fn with_other_graph(input: &[u8], seed: u32) -> Option<Vec<u8>> {
    let at = input.windows(GRAPH_MARK.len()).rposition(|window| window == GRAPH_MARK)? + GRAPH_MARK.len();
    let (files, graph) = input.split_at(at);
    let mut random = seed | 1;
    if seed.count_ones() % 2 == 0 {
        return None;
    }
    Some([files, &message::changed(graph, &mut random, &other_bytes)?].concat())
}

fn other_bytes(bytes: &[u8]) -> Vec<u8> {
    let room = bytes.len() + 8;
    let mut other = bytes.to_vec();
    other.resize(room, 0);
    let length = fuzzer_mutate(&mut other, bytes.len(), room);
    other.truncate(length);
    other
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    match with_other_graph(&data[..size], seed) {
        Some(other) if other.len() <= max_size => {
            data[..other.len()].copy_from_slice(&other);
            other.len()
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});
