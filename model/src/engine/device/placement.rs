//! Which operators of a model run on the processor although a device runs the model.
//!
//! ONNX Runtime places an operator without a kernel for the device on the processor, silently. Its tensors
//! are copied to and fro in every batch, while the device waits. Operators that compute shapes are there on
//! purpose and cheap, so sessions keep the processor as a fallback. Instead one batch is run with ONNX
//! Runtime's profile, in a session of its own, so that no session that is measured or kept has a profiler in
//! it. It only reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::lane::{Batches, Lane};
use super::{Device, Program};
use crate::engine::EngineError;

/// The most bytes of a profile: 64 MiB, of a hundred thousand operators. The demo's eleven take 11 kB.
const MAX_PROFILE: u64 = 64 << 20;
/// A node that reads and writes at most this many bytes computes shapes: 64 numbers of 64 bits.
const SHAPES: u64 = 512;
/// The number of operators that are reported by name.
const NAMED: usize = 8;

/// An entry of a profile. Only nodes have what is read here; other entries have less.
#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    args: Arguments,
}

#[derive(Default, Deserialize)]
struct Arguments {
    op_name: Option<String>,
    provider: Option<String>,
    /// Bytes that it reads, weights left out.
    activation_size: Option<String>,
    output_size: Option<String>,
    /// For each output a map from its type to its dimensions.
    output_type_shape: Option<Value>,
}

/// What ran where, in one batch.
#[derive(Debug, PartialEq, Eq)]
struct Placement {
    operators: usize,
    /// How many operators of each kind ran elsewhere and worked on more than shapes.
    elsewhere: BTreeMap<String, usize>,
}

/// A note on where the model's operators run, if people should know; one batch of `rows` black pictures finds
/// it.
pub(super) fn note(program: &Program, rows: usize) -> Option<String> {
    match profile(program, rows).and_then(|profile| Placement::read(&profile, program.device, rows)) {
        Ok(placement) => placement.told(),
        Err(reason) => Some(format!("which operators run on the device could not be found out: {reason}")),
    }
}

/// The profile of one batch, as ONNX Runtime writes it: in a temporary folder, which is removed.
fn profile(program: &Program, rows: usize) -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("it takes a temporary folder: {error}"))?;
    let failed = |error: ort::Error| error.to_string();
    let builder = program.builder().map_err(failed)?;
    let mut builder =
        builder.with_profiling(folder.path().join("batch")).map_err(|error| error.to_string())?;
    let session = builder.commit_from_memory(&program.graph).map_err(failed)?;
    let told = |failure| EngineError::from(failure).to_string();
    let mut lane = Lane::of(program, session, rows, Arc::default()).map_err(told)?;
    lane.run(&[]).map_err(told)?;
    let path = lane.end_profiling().map_err(failed)?;
    read_bounded(Path::new(&path)).map_err(|error| format!("{path}: {error}"))
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_PROFILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_PROFILE {
        Err(format!("the profile of one batch has more than {MAX_PROFILE} bytes"))
    } else {
        Ok(bytes)
    }
}

impl Placement {
    /// Reads the profile of a batch of `rows` images that was meant for `provider`.
    fn read(profile: &[u8], device: Device, rows: usize) -> Result<Self, String> {
        let entries: Vec<Entry> = serde_json::from_slice(profile)
            .map_err(|error| format!("ONNX Runtime's profile cannot be read: {error}"))?;
        let (mut seen, mut elsewhere) = (BTreeSet::new(), BTreeMap::new());
        for Entry { name, args } in &entries {
            let (Some(operator), Some(place)) = (&args.op_name, &args.provider) else { continue };
            // Copies are named by the operator that needs them, and repeated runs in a loop are one operator.
            if operator.starts_with("Memcpy") || !seen.insert((name, operator)) {
                continue;
            }
            if place != name_of(device) && args.are_of_images(rows) {
                *elsewhere.entry(operator.clone()).or_default() += 1;
            }
        }
        if seen.is_empty() {
            Err("ONNX Runtime's profile names no operator".to_owned())
        } else {
            Ok(Self { operators: seen.len(), elsewhere })
        }
    }

    /// A sentence; `None` if everything that works on images runs on the device.
    fn told(&self) -> Option<String> {
        let count: usize = self.elsewhere.values().sum();
        if count == 0 {
            return None;
        }
        let mut kinds: Vec<(&String, &usize)> = self.elsewhere.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let named: Vec<String> =
            kinds.iter().take(NAMED).map(|(name, count)| format!("{name} ({count})")).collect();
        let others: usize = kinds.iter().skip(NAMED).map(|(_, count)| **count).sum();
        let others = if others == 0 { String::new() } else { format!(" and {others} of other kinds") };
        Some(format!(
            "{count} of {} operators {} on the processor, not on the GPU, and what they work on is copied to and fro in every \
             batch: {}{others}",
            self.operators,
            if count == 1 { "runs" } else { "run" },
            named.join(", ")
        ))
    }
}

impl Arguments {
    /// Whether the node works on more than shapes. What is not a number or not a shape counts as images.
    fn are_of_images(&self, rows: usize) -> bool {
        let is_large = |size: &Option<String>| {
            size.as_ref().is_some_and(|size| size.parse().map_or(true, |bytes: u64| bytes > SHAPES))
        };
        is_large(&self.activation_size) || is_large(&self.output_size) || self.has_rows(rows)
    }

    /// Whether an output has a row for each of `rows` images. A shape has one dimension, and one row proves
    /// nothing.
    fn has_rows(&self, rows: usize) -> bool {
        let outputs = self.output_type_shape.as_ref().and_then(Value::as_array).into_iter().flatten();
        let shapes = outputs.filter_map(Value::as_object).flat_map(|output| output.values());
        let mut shapes = shapes.filter_map(Value::as_array);
        rows > 1 && shapes.any(|dims| dims.len() > 1 && dims[0].as_u64() == Some(rows as u64))
    }
}

/// What ONNX Runtime calls a provider.
fn name_of(device: Device) -> &'static str {
    match device {
        Device::Cuda => "CUDAExecutionProvider",
        Device::Cpu | Device::Rehearsal => "CPUExecutionProvider",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Loaded, ModelIo, Precision, onnxruntime};
    use crate::folder::{Model, ModelOptions};
    use crate::testing::Toy;

    /// An entry as ONNX Runtime writes it.
    fn node(name: &str, operator: &str, provider: &str, sizes: (u32, u32), shape: &str) -> String {
        let (read, written) = sizes;
        format!(
            r#"{{"cat" : "Node","pid" :1,"tid" :1,"dur" :7,"ts" :3,"ph" : "X","name" :"{name}_kernel_time",
            "args" : {{"op_name" : "{operator}","provider" : "{provider}ExecutionProvider","parameter_size" : "9000",
            "activation_size" : "{read}","output_size" : "{written}","output_type_shape" : [{shape}]}}}}"#
        )
    }

    fn told(nodes: &[String]) -> Option<String> {
        let session = r#"{"cat" : "Session","pid" :1,"tid" :1,"dur" :7,"ts" :3,"ph" : "X","name" :"model_run","args" : {}}"#;
        let fence =
            r#"{"cat" : "Node","dur" :1,"name" :"Conv_1_fence_before","args" : {"op_name" : "Conv"}}"#;
        let profile = format!("[\n{session},\n{fence},\n{}\n]\n", nodes.join(",\n"));
        Placement::read(profile.as_bytes(), Device::Cuda, 8).unwrap().told()
    }

    /// Operators on the device, and shapes, which the processor computes on purpose.
    fn quiet() -> Vec<String> {
        vec![
            node("conv", "Conv", "CUDA", (884_736, 2_359_296), r#"{"float":[8,32,48,48]}"#),
            node("shape", "Shape", "CPU", (0, 32), r#"{"int64":[4]}"#),
            node("gather", "Gather", "CPU", (32, 8), r#"{"int64":[]}"#),
            node("concat", "Concat", "CPU", (16, 16), r#"{"int64":[2]}"#),
        ]
    }

    #[test]
    fn operators_on_the_processor_are_named_and_those_that_compute_shapes_are_not() {
        assert_eq!(told(&quiet()), None);
        let mut nodes = quiet();
        nodes.push(node("copy", "MemcpyToHost", "CUDA", (928, 928), r#"{"float":[8,29]}"#));
        nodes.push(node("top", "TopK", "CPU", (928, 160), r#"{"float":[8,5]},{"int64":[8,5]}"#));
        insta::assert_snapshot!(told(&nodes).unwrap(), @"1 of 5 operators runs on the processor, not on the GPU, and what they work on is copied to and fro in every batch: TopK (1)");
        nodes.push(node("small", "Celu", "CPU", (128, 128), r#"{"float":[8,4]}"#));
        nodes.push(node("small 2", "Celu", "CPU", (128, 128), r#"{"float":[8,4]}"#));
        // A loop runs it again.
        nodes.push(node("small 2", "Celu", "CPU", (128, 128), r#"{"float":[8,4]}"#));
        insta::assert_snapshot!(told(&nodes).unwrap(), @"3 of 7 operators run on the processor, not on the GPU, and what they work on is copied to and fro in every batch: Celu (2), TopK (1)");
        for kind in 0..12 {
            nodes.push(node(&format!("a{kind}"), &format!("Op{kind}"), "CPU", (600, 0), ""));
        }
        let many = told(&nodes).unwrap();
        assert!(many.ends_with("Op3 (1), Op4 (1) and 6 of other kinds"), "{many}");
    }

    #[test]
    fn what_is_no_profile_is_said() {
        let read = |profile: &[u8]| Placement::read(profile, Device::Cuda, 8).unwrap_err();
        insta::assert_snapshot!(read(b"[{\"name\" :\"a \"b\"}]"), @"ONNX Runtime's profile cannot be read: expected `,` or `}` at line 1 column 15");
        insta::assert_snapshot!(read(b"[]"), @"ONNX Runtime's profile names no operator");
    }

    #[test]
    fn a_profile_is_read_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile");
        File::create(&path).unwrap().set_len(MAX_PROFILE + 1).unwrap();
        insta::assert_snapshot!(read_bounded(&path).unwrap_err(), @"the profile of one batch has more than 67108864 bytes");
    }

    #[test]
    fn a_real_profile_names_every_operator_and_where_it_ran() {
        if let Err(error) = onnxruntime::load(None) {
            eprintln!("SKIPPED: {error}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        Toy { input: vec![0, 3, 8, 8], last: Some("Celu"), ..Toy::default() }
            .write(folder.path(), "model.onnx");
        let model = Model::open(folder.path(), &ModelOptions::default()).unwrap();
        let model_io = ModelIo::of(&model);
        let program = Program::load(&model, &model_io, Precision::Fp32, Device::Rehearsal).unwrap();
        let loaded = Loaded::on_device(&model, Precision::Fp32, Device::Rehearsal).unwrap();
        assert!(loaded.feeder().unwrap().notes().is_empty(), "all of it runs where it should");
        let profile = profile(&program, 8).unwrap();
        // The same batch, had it been meant for a GPU.
        let placement = Placement::read(&profile, Device::Cuda, 8).unwrap();
        assert_eq!(placement.elsewhere.values().sum::<usize>(), placement.operators);
        assert_eq!(placement.elsewhere.get("Celu"), Some(&1), "{placement:?}");
        insta::assert_snapshot!(placement.told().unwrap(), @"8 of 8 operators run on the processor, not on the GPU, and what they work on is copied to and fro in every batch: Add (1), Cast (1), Celu (1), Flatten (1), Gather (1), Gemm (1), GlobalAveragePool (1), Transpose (1)");
    }
}
