//! What a graph does to its input before its first layer with weights, as `x * scale + offset` for each channel.
//!
//! A graph that begins by scaling or by subtracting a mean wants samples of 0 to 255; whoever normalises them a second
//! time gets wrong scores. Only constants are followed: an operation on anything else ends the opening.

use std::collections::HashMap;

use half::f16;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// Operators that move or retype samples and leave their values alone.
const PASSED: [&str; 12] = [
    "Transpose",
    "Identity",
    "Cast",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "Gather",
    "Pad",
    "Resize",
    "QuantizeLinear",
    "DequantizeLinear",
];
/// Constants with more values than this are not averaged: a mean picture of 1024x1024 has 3 million.
const MOST_VALUES: usize = 4 << 20;
/// Operators that are followed at most.
const MOST_STEPS: usize = 16;

/// The affine start of a graph, averaged over the channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opening {
    /// Multiplied with each sample.
    pub scale: f64,
    /// Then added.
    pub offset: f64,
}

/// A range of samples that a graph may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleRange {
    /// 0 to 255.
    Bytes,
    /// 0 to 1.
    Unit,
    /// -1 to 1.
    Signed,
}

impl SampleRange {
    fn ends(self) -> (f64, f64) {
        match self {
            Self::Bytes => (0.0, 255.0),
            Self::Unit => (0.0, 1.0),
            Self::Signed => (-1.0, 1.0),
        }
    }
}

impl Opening {
    const IDENTITY: Self = Self { scale: 1.0, offset: 0.0 };

    /// The opening of `graph` from its input `name`.
    pub(super) fn of(graph: &GraphProto, name: &str) -> Self {
        let constants = constants(graph);
        let mut opening = Self::IDENTITY;
        let mut name = name;
        for _ in 0..MOST_STEPS {
            let mut takers = graph.node.iter().filter(|node| node.input.iter().any(|input| input == name));
            let (Some(node), None) = (takers.next(), takers.next()) else { return opening };
            match opening.then(node, name, &constants) {
                Some(next) => opening = next,
                None => return opening,
            }
            let Some(output) = node.output.first() else { return opening };
            name = output;
        }
        opening
    }

    fn then(self, node: &NodeProto, name: &str, constants: &HashMap<&str, &TensorProto>) -> Option<Self> {
        let operator = node.op_type.as_str();
        if PASSED.contains(&operator) {
            return node.input.first().is_some_and(|input| input == name).then_some(self);
        }
        if operator == "BatchNormalization" {
            return self.batch_normalised(node, constants);
        }
        let is_first = node.input.first().is_some_and(|input| input == name);
        let other = node.input.get(usize::from(is_first))?;
        let value = average(constants.get(other.as_str())?)?;
        let Self { scale, offset } = self;
        match (operator, is_first) {
            ("Mul", _) => Some(Self { scale: scale * value, offset: offset * value }),
            ("Div", true) if value != 0.0 => Some(Self { scale: scale / value, offset: offset / value }),
            ("Add", _) => Some(Self { scale, offset: offset + value }),
            ("Sub", true) => Some(Self { scale, offset: offset - value }),
            _ => None,
        }
    }

    /// Inputs are x, scale, bias, mean and variance, each per channel; epsilon's default is ONNX's.
    fn batch_normalised(self, node: &NodeProto, constants: &HashMap<&str, &TensorProto>) -> Option<Self> {
        let constant = |index: usize| average(constants.get(node.input.get(index)?.as_str())?);
        let (gamma, beta, mean, variance) = (constant(1)?, constant(2)?, constant(3)?, constant(4)?);
        let epsilon =
            |attribute: &AttributeProto| (attribute.name == "epsilon").then_some(f64::from(attribute.f));
        let epsilon = node.attribute.iter().find_map(epsilon).unwrap_or(1e-5);
        let factor = gamma / (variance + epsilon).sqrt();
        if !factor.is_finite() {
            return None;
        }
        Some(Self { scale: self.scale * factor, offset: (self.offset - mean) * factor + beta })
    }

    /// The range of samples that it turns into what a first layer expects: centred near zero, spread over 0.5 to 600.
    /// `None` if it changes next to nothing, or no range fits.
    #[must_use]
    pub fn expected_range(&self) -> Option<SampleRange> {
        if (self.scale - 1.0).abs() < 0.25 && self.offset.abs() < 0.25 {
            return None;
        }
        let mut best: Option<(f64, SampleRange)> = None;
        for range in [SampleRange::Bytes, SampleRange::Unit, SampleRange::Signed] {
            let (low, high) = range.ends();
            let spread = ((high - low) * self.scale).abs();
            let centre = ((low + high) / 2.0 * self.scale + self.offset).abs() / spread;
            let fits = (0.5..=600.0).contains(&spread) && centre <= 1.0;
            if fits && best.is_none_or(|(least, _)| centre < least - 1e-9) {
                best = Some((centre, range));
            }
        }
        best.map(|(_, range)| range)
    }
}

/// Initialisers and `Constant` nodes by name.
fn constants(graph: &GraphProto) -> HashMap<&str, &TensorProto> {
    let mut constants: HashMap<&str, &TensorProto> = HashMap::new();
    for tensor in &graph.initializer {
        constants.insert(&tensor.name, tensor);
    }
    for node in graph.node.iter().filter(|node| node.op_type == "Constant") {
        let tensor = node.attribute.iter().find_map(|attribute| attribute.t.as_ref());
        if let (Some(output), Some(tensor)) = (node.output.first(), tensor) {
            constants.insert(output, tensor);
        }
    }
    constants
}

/// The average of a constant's values, if it holds floats in the file itself.
fn average(tensor: &TensorProto) -> Option<f64> {
    if stored(tensor) > MOST_VALUES {
        return None;
    }
    let values = values(tensor)?;
    if values.is_empty() {
        return None;
    }
    let average = values.iter().sum::<f64>() / values.len() as f64;
    average.is_finite().then_some(average)
}

/// How many values a constant holds, before any is copied: in whichever list is used, or as bytes of its type.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(name: &str, float_data: &[f32]) -> TensorProto {
        let (name, float_data) = (name.to_owned(), float_data.to_vec());
        TensorProto { name, data_type: DataType::Float as i32, float_data, ..TensorProto::default() }
    }

    fn node(op_type: &str, input: &[&str], output: &str) -> NodeProto {
        let input = input.iter().map(|&name| name.to_owned()).collect();
        NodeProto {
            op_type: op_type.to_owned(),
            input,
            output: vec![output.to_owned()],
            ..NodeProto::default()
        }
    }

    fn range(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Option<SampleRange> {
        let graph = GraphProto { node: nodes, initializer, ..GraphProto::default() };
        Opening::of(&graph, "x").expected_range()
    }

    #[test]
    fn a_graph_that_scales_or_centres_by_itself_takes_bytes() {
        let scaled = vec![node("Mul", &["x", "c"], "y"), node("Conv", &["y", "w"], "z")];
        assert_eq!(range(scaled.clone(), vec![constant("c", &[1.0 / 255.0])]), Some(SampleRange::Bytes));
        assert_eq!(range(scaled, vec![constant("c", &[1.0 / 127.5])]), Some(SampleRange::Bytes));
        let centred = vec![node("Transpose", &["x"], "t"), node("Sub", &["t", "c"], "y")];
        assert_eq!(range(centred, vec![constant("c", &[103.9, 116.8, 123.7])]), Some(SampleRange::Bytes));
        let normalised = vec![
            node("BatchNormalization", &["x", "one", "zero", "mean", "var"], "y"),
            node("Conv", &["y"], "z"),
        ];
        let constants = vec![
            constant("one", &[1.0]),
            constant("zero", &[0.0]),
            constant("mean", &[120.0]),
            constant("var", &[3600.0]),
        ];
        assert_eq!(range(normalised, constants), Some(SampleRange::Bytes));
    }

    #[test]
    fn a_graph_that_normalises_for_itself_takes_zero_to_one() {
        let nodes = vec![node("Sub", &["x", "mean"], "a"), node("Div", &["a", "std"], "b")];
        let constants =
            vec![constant("mean", &[0.485, 0.456, 0.406]), constant("std", &[0.229, 0.224, 0.225])];
        assert_eq!(range(nodes, constants), Some(SampleRange::Unit));
    }

    #[test]
    fn no_opening_is_no_evidence() {
        assert_eq!(range(vec![node("Conv", &["x", "w"], "y")], vec![]), None);
        let branches = vec![node("Mul", &["x", "c"], "y"), node("Mul", &["x", "c"], "z")];
        assert_eq!(range(branches, vec![constant("c", &[1.0 / 255.0])]), None, "two takers");
        let learned = vec![node("Mul", &["x", "c"], "y")];
        assert_eq!(range(learned, vec![]), None, "not a constant");
        let tiny = vec![node("Div", &["x", "c"], "y")];
        assert_eq!(range(tiny, vec![constant("c", &[0.0])]), None, "a division by zero");
    }
}
