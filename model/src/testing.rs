//! Small ONNX models built in memory, and the way to the shared test data. For tests only.

use std::path::{Path, PathBuf};

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

/// Bytes that follow no pattern (a linear congruential generator): `testdata/*.py` make the same ones.
pub(crate) fn noise(seed: u32) -> impl Iterator<Item = u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(next(&seed), next).map(|state| (state >> 24) as u8)
}

/// A classifier that averages each channel and multiplies with a matrix of `classes` rows.
pub(crate) struct Toy {
    /// The input's dimensions; 0 means a dynamic one.
    pub(crate) input: Vec<i64>,
    pub(crate) classes: usize,
    pub(crate) output: &'static str,
    pub(crate) element: DataType,
    /// An operator after the matrix, e.g. `Softmax`.
    pub(crate) last: Option<&'static str>,
    /// Whether the matrix is multiplied as integers, with scales from the batch.
    pub(crate) dynamic: bool,
    /// Whether a second output `embedding`, `[n, 3, 1, 1]`, is given.
    pub(crate) embedding: bool,
    /// Whether its only output is `pixels_out`, the input as it is: not a row of scores.
    pub(crate) hidden: bool,
    /// Whether its input is of this type, and is cast to floats first.
    pub(crate) input_element: Option<DataType>,
    /// Weights in this file next to the model.
    pub(crate) external: Option<&'static str>,
}

impl Default for Toy {
    fn default() -> Self {
        Self {
            input: vec![0, 3, 8, 8],
            classes: 4,
            output: "logits",
            element: DataType::Float,
            last: None,
            dynamic: false,
            embedding: false,
            hidden: false,
            input_element: None,
            external: None,
        }
    }
}

impl Toy {
    /// Writes the model as `name` into `folder`.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, self.proto().encode_to_vec()).unwrap();
    }

    pub(crate) fn proto(&self) -> ModelProto {
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
            graph: Some(self.graph()),
            ..ModelProto::default()
        }
    }

    fn graph(&self) -> GraphProto {
        let batch = self.input.first().copied().unwrap_or(0);
        let pixels = if self.input_element.is_some() { "cast_pixels" } else { "pixels" };
        let mut node = vec![
            op("GlobalAveragePool", &[pixels], &["embedding"]),
            op("Flatten", &["embedding"], &["flat"]),
        ];
        let scored = if self.last.is_some() { "scored" } else { self.output };
        if self.dynamic {
            node.push(op("DynamicQuantizeLinear", &["flat"], &["flat_q", "flat_scale", "flat_zero"]));
            node.push(op("MatMulInteger", &["flat_q", "weights_q", "flat_zero"], &["sums"]));
            node.push(cast("sums", "sums_f"));
            node.push(op("Mul", &["sums_f", "flat_scale"], &[scored]));
        } else {
            node.push(op("MatMul", &["flat", "weights"], &["product"]));
            node.push(op("Add", &["product", "bias"], &[scored]));
        }
        node.extend(self.last.map(|last| op(last, &[scored], &[self.output])));
        let mut output = vec![value(self.output, self.element, &[batch, self.classes as i64])];
        if self.embedding {
            output.push(value("embedding", self.element, &[batch, 3, 1, 1]));
        }
        if self.hidden {
            node = vec![op("Identity", &[pixels], &["pixels_out"])];
            output = vec![value("pixels_out", self.element, &self.input)];
        }
        if self.input_element.is_some() {
            node.insert(0, cast("pixels", pixels));
        }
        GraphProto {
            name: "toy".to_owned(),
            node,
            initializer: vec![self.weights(), self.integers(), self.floats("bias", &[self.classes])],
            input: vec![value("pixels", self.input_element.unwrap_or(self.element), &self.input)],
            output,
            ..GraphProto::default()
        }
    }

    fn weights(&self) -> TensorProto {
        let mut tensor = self.floats("weights", &[3, self.classes]);
        if let Some(location) = self.external {
            let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
            let length = tensor.raw_data.len();
            tensor.external_data =
                vec![entry("location", location.to_owned()), entry("length", length.to_string())];
            tensor.data_location = Some(1);
            tensor.raw_data.clear();
        }
        tensor
    }

    fn floats(&self, name: &str, dims: &[usize]) -> TensorProto {
        let values = (0..dims.iter().product()).map(|index: usize| ((index * 7 + 3) % 11) as f32 / 8.0 - 0.5);
        let raw_data = match self.element {
            DataType::Float16 => values.flat_map(|value| half::f16::from_f32(value).to_le_bytes()).collect(),
            _ => values.flat_map(f32::to_le_bytes).collect(),
        };
        tensor(name, self.element, dims, raw_data)
    }

    fn integers(&self) -> TensorProto {
        let raw_data = (0..3 * self.classes).map(|index| (index * 37 % 251) as u8).collect();
        tensor("weights_q", DataType::Int8, &[3, self.classes], raw_data)
    }
}

fn tensor(name: &str, element: DataType, dims: &[usize], raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        data_type: element as i32,
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        raw_data,
        ..TensorProto::default()
    }
}

fn op(op_type: &str, input: &[&str], output: &[&str]) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    NodeProto {
        op_type: op_type.to_owned(),
        name: output[0].to_owned(),
        input: owned(input),
        output: owned(output),
        ..NodeProto::default()
    }
}

fn cast(from: &str, to: &str) -> NodeProto {
    let attribute = AttributeProto {
        name: "to".to_owned(),
        r#type: 2,
        i: DataType::Float as i64,
        ..AttributeProto::default()
    };
    NodeProto { attribute: vec![attribute], ..op("Cast", &[from], &[to]) }
}

fn value(name: &str, element: DataType, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| {
        let value = match size {
            0 => dimension::Value::DimParam("n".to_owned()),
            size => dimension::Value::DimValue(size),
        };
        Dimension { value: Some(value), ..Dimension::default() }
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: element as i32, shape: Some(shape) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

/// The shared models next to the checkout, or `None` and a message if they are absent.
pub(crate) fn shared_models() -> Option<PathBuf> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/models");
    if models.is_dir() {
        return Some(models);
    }
    eprintln!("SKIPPED: no shared test data at {}", models.display());
    None
}
