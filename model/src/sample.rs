//! A model and a picture that are built in: enough to see whether an engine works on this machine.
//!
//! The model gives the mean of each colour, so a red picture is `red`. It shows nothing about speed, and no
//! run uses it.

use std::fs;
use std::io;
use std::path::Path;

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    type_proto,
};

/// The best tag of [`picture`].
pub const BEST_TAG: &str = "red";

const LABELS: &str = "red\ngreen\nblue\n";
/// Everything that a description can state, so that nothing is guessed.
const DESCRIPTION: &str = "color = \"rgb\"\nresize = [8, 8]\nfilter = \"bilinear\"\ncrop = \"none\"\n\
    scale = 0.00392156862745098\nmean = 0.0\nstd = 1.0\nlayout = \"nchw\"\nactivation = \"softmax\"\n";
/// Pixels per side of the picture.
const SIDE: usize = 8;

/// Writes the model's files into `folder`.
///
/// # Errors
/// If they cannot be written.
pub fn write_model(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("model.onnx"), model().encode_to_vec())?;
    fs::write(folder.join("labels.txt"), LABELS)?;
    fs::write(folder.join("tagfleet.toml"), DESCRIPTION)
}

/// A red bitmap, as the bytes of a file.
#[must_use]
pub fn picture() -> Vec<u8> {
    let pixels = [0_u8, 0, 255].repeat(SIDE * SIDE);
    let (size, side) = (54 + pixels.len() as u32, SIDE as u32);
    let mut file = b"BM".to_vec();
    // The file's header and the picture's: 24 bits per pixel, not compressed.
    for value in [size, 0, 54, 40, side, side, 1 | 24 << 16, 0, 0, 0, 0, 0, 0] {
        file.extend(value.to_le_bytes());
    }
    file.extend(pixels);
    file
}

fn model() -> ModelProto {
    let graph = GraphProto {
        name: "sample".to_owned(),
        node: vec![op("GlobalAveragePool", "pixels", "means"), op("Flatten", "means", "logits")],
        input: vec![value("pixels", &[0, 3, 8, 8])],
        output: vec![value("logits", &[0, 3])],
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 13 };
    ModelProto { ir_version: 8, opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() }
}

fn op(op_type: &str, input: &str, output: &str) -> NodeProto {
    NodeProto {
        op_type: op_type.to_owned(),
        name: output.to_owned(),
        input: vec![input.to_owned()],
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// A tensor of floats; a dimension of 0 is that of the batch.
fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| {
        let value = match size {
            0 => dimension::Value::DimParam("n".to_owned()),
            size => dimension::Value::DimValue(size),
        };
        Dimension { value: Some(value), ..Dimension::default() }
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::{Model, ModelOptions};

    #[test]
    fn nothing_about_the_model_is_guessed() {
        let folder = tempfile::tempdir().unwrap();
        write_model(folder.path()).unwrap();
        let spec = Model::open(folder.path(), &ModelOptions::default()).unwrap().spec;
        assert_eq!((spec.labels.len(), spec.warning), (3, None));
        assert!(spec.scores.is_some() && spec.vector.is_none());
    }
}
