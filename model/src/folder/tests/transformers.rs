//! Every processor of the table, compared with transformers itself (its PIL backend, which needs no torch).

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::super::processor::Context;
use super::super::processor_types::Processor;
use super::*;
use crate::graph::ImageInput;
use crate::grid::Grid;
use crate::pixels::Pixels;
use crate::preprocessing::{Layout, Size};
use crate::tensor::Preprocessor;

#[derive(Deserialize)]
struct Manifest {
    shapes: Vec<[u32; 2]>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    class: String,
    file: serde_json::Value,
    picture: usize,
    shape: [usize; 3],
    tensor: String,
}

/// Where transformers wrote its tensors; `None`, with a message, if it is not installed.
fn written_by_transformers() -> Option<tempfile::TempDir> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../.venv/bin/python");
    let installed = Command::new(&python).args(["-c", "import transformers"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: transformers is not installed: scripts/setup.sh test installs it");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = root.join("testdata/processors.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(folder)
}

/// The largest and the average difference from transformers' tensor.
fn difference(case: &Case, shape: [u32; 2], folder: &Path) -> (f32, f32) {
    let [height, width] = shape;
    let name = "pixels".to_owned();
    let [channels, rows, columns] = case.shape;
    let (layout, sides) = (Layout::Nchw, (Some(rows), Some(columns)));
    let input = ImageInput {
        name,
        element: Element::F32,
        batch: None,
        layout,
        channels: channels as u8,
        height: sides.0,
        width: sides.1,
    };
    let file: Processor = serde_json::from_value(case.file.clone()).unwrap();
    let context = Context { model_type: None, input: &input };
    let steps = file.described("preprocessor_config.json", context, &mut Vec::new()).unwrap();
    let preprocessing = steps.finish(&input, true).unwrap();
    let data = std::fs::read(folder.join(format!("{}.rgb", case.picture))).unwrap();
    let mut preprocessor = Preprocessor::new(&preprocessing).unwrap();
    let mut tensor = vec![0.0; preprocessor.tensor_len()];
    let pixels = Pixels { width, height, channels: 3, data };
    preprocessor.write(&pixels, &Grid::whole(Size { height, width }), &mut tensor).unwrap();
    let bytes = std::fs::read(folder.join(&case.tensor)).unwrap();
    let expected = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let differences: Vec<f32> = tensor.iter().zip(expected).map(|(a, b)| (a - b).abs()).collect();
    assert_eq!(differences.len(), channels * rows * columns, "{}", case.class);
    let largest = differences.iter().copied().fold(0.0, f32::max);
    (largest, differences.iter().sum::<f32>() / differences.len() as f32)
}

#[test]
fn every_processor_gives_the_tensors_of_transformers() {
    let Some(folder) = written_by_transformers() else { return };
    let text = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_str(&text).unwrap();
    let mut wrong = Vec::new();
    for case in &manifest.cases {
        let (largest, average) = difference(case, manifest.shapes[case.picture], folder.path());
        // Perceiver crops before it resizes, which differs from ours by a crop of up to a pixel.
        let is_right = if case.class.starts_with("Perceiver") { average < 0.35 } else { largest == 0.0 };
        if !is_right {
            wrong.push(format!("{} of picture {}: {largest} {average}", case.class, case.picture));
        }
    }
    assert!(manifest.cases.len() > 60, "{}", manifest.cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
