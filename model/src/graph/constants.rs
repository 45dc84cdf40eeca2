//! The constants of a graph by name, and the floats in them.
//!
//! Values in other files are never read, and no more values are copied than a mean picture has.

use std::collections::HashMap;

use half::f16;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, TensorProto};

/// Constants with more values than this are not read: a mean picture of 1024x1024 has 3 million.
const MOST_VALUES: usize = 4 << 20;

/// Initialisers and `Constant` nodes by name.
pub(super) struct Constants<'a> {
    by_name: HashMap<&'a str, &'a TensorProto>,
}

impl<'a> Constants<'a> {
    pub(super) fn of(graph: &'a GraphProto) -> Self {
        let mut by_name: HashMap<&str, &TensorProto> = HashMap::new();
        for tensor in &graph.initializer {
            by_name.insert(&tensor.name, tensor);
        }
        for node in graph.node.iter().filter(|node| node.op_type == "Constant") {
            let tensor = node.attribute.iter().find_map(|attribute| attribute.t.as_ref());
            if let (Some(output), Some(tensor)) = (node.output.first(), tensor) {
                by_name.insert(output, tensor);
            }
        }
        Self { by_name }
    }

    pub(super) fn dims(&self, name: &str) -> Option<&[i64]> {
        self.by_name.get(name).map(|tensor| tensor.dims.as_slice())
    }

    /// The values of the constant `name`, if it holds floats in the file itself.
    pub(super) fn values(&self, name: &str) -> Option<Vec<f64>> {
        let tensor = self.by_name.get(name)?;
        if stored(tensor) > MOST_VALUES { None } else { values(tensor) }
    }

    /// Their average, if there is one.
    pub(super) fn average(&self, name: &str) -> Option<f64> {
        let values = self.values(name)?;
        if values.is_empty() {
            return None;
        }
        let average = values.iter().sum::<f64>() / values.len() as f64;
        average.is_finite().then_some(average)
    }
}

/// How many values a constant holds, before any is copied: in whichever list is used, or as bytes of its
/// type.
fn stored(tensor: &TensorProto) -> usize {
    let size = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Double) => 8,
        Ok(DataType::Float16) => 2,
        _ => 4,
    };
    let lists = [tensor.float_data.len(), tensor.double_data.len(), tensor.int32_data.len()];
    lists.into_iter().fold(tensor.raw_data.len() / size, usize::max)
}

fn values(tensor: &TensorProto) -> Option<Vec<f64>> {
    if !tensor.external_data.is_empty() {
        return None;
    }
    let raw = &tensor.raw_data;
    match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float if !raw.is_empty() => {
            Some(raw.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect())
        }
        DataType::Float => Some(tensor.float_data.iter().map(|&value| f64::from(value)).collect()),
        DataType::Double if !raw.is_empty() => {
            Some(raw.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
        }
        DataType::Double => Some(tensor.double_data.clone()),
        DataType::Float16 if !raw.is_empty() => {
            Some(raw.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f64()).collect())
        }
        DataType::Float16 => {
            Some(tensor.int32_data.iter().map(|&bits| f16::from_bits(bits as u16).to_f64()).collect())
        }
        _ => None,
    }
}
