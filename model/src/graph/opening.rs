//! What a graph does to its input before its first layer with weights, as `x * scale + offset` for each
//! channel.
//!
//! A graph that starts by scaling or by subtracting a mean wants samples of 0 to 255; normalising them a
//! second time gives wrong scores. Only constants are followed: an operation on anything else ends the
//! opening.

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

use super::constants::Constants;
use super::range::SampleRange;

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
/// Operators that are followed at most.
const MOST_STEPS: usize = 16;

/// Ranges and their ends.
const RANGES: [(SampleRange, f64, f64); 3] =
    [(SampleRange::Bytes, 0.0, 255.0), (SampleRange::Unit, 0.0, 1.0), (SampleRange::Signed, -1.0, 1.0)];

/// The affine start of a graph, averaged over the channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opening {
    /// Multiplied with each sample.
    pub scale: f64,
    /// Then added.
    pub offset: f64,
}

impl Opening {
    const IDENTITY: Self = Self { scale: 1.0, offset: 0.0 };

    /// The opening of `graph` from its input `name`, and the tensor in which it ends.
    pub(super) fn of<'a>(graph: &'a GraphProto, constants: &Constants<'_>, name: &'a str) -> (Self, &'a str) {
        let mut opening = Self::IDENTITY;
        let mut name = name;
        for _ in 0..MOST_STEPS {
            let Some(node) = only_taker(graph, name) else { break };
            let Some(next) = opening.then(node, name, constants) else { break };
            let Some(output) = node.output.first() else { break };
            opening = next;
            name = output;
        }
        (opening, name)
    }

    fn then(self, node: &NodeProto, name: &str, constants: &Constants<'_>) -> Option<Self> {
        let operator = node.op_type.as_str();
        if PASSED.contains(&operator) {
            return node.input.first().is_some_and(|input| input == name).then_some(self);
        }
        if operator == "BatchNormalization" {
            return self.batch_normalised(node, constants);
        }
        let is_first = node.input.first().is_some_and(|input| input == name);
        let other = node.input.get(usize::from(is_first))?;
        let value = constants.average(other)?;
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
    fn batch_normalised(self, node: &NodeProto, constants: &Constants<'_>) -> Option<Self> {
        let constant = |index: usize| constants.average(node.input.get(index)?);
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

    /// The range of samples that it turns into what a first layer expects: centred near zero, spread over 0.5
    /// to 600. `None` if it changes next to nothing, or no range fits.
    #[must_use]
    pub fn expected_range(&self) -> Option<SampleRange> {
        if (self.scale - 1.0).abs() < 0.25 && self.offset.abs() < 0.25 {
            return None;
        }
        let mut best: Option<(f64, SampleRange)> = None;
        for (range, low, high) in RANGES {
            let spread = ((high - low) * self.scale).abs();
            let centre = ((low + high) / 2.0 * self.scale + self.offset).abs() / spread;
            // A mean is not subtracted from samples that are centred already.
            let is_shifted = range != SampleRange::Signed || self.offset > 0.0;
            let fits = (0.5..=600.0).contains(&spread) && centre <= 1.0 && is_shifted;
            if fits && best.is_none_or(|(least, _)| centre < least - 1e-9) {
                best = Some((centre, range));
            }
        }
        best.map(|(_, range)| range)
    }
}

/// The one node that takes the values of the tensor `name`; none if there are several.
pub(super) fn only_taker<'a>(graph: &'a GraphProto, name: &str) -> Option<&'a NodeProto> {
    let takes = |node: &&NodeProto| node.op_type != "Shape" && node.input.iter().any(|input| input == name);
    let mut takers = graph.node.iter().filter(takes);
    takers.next().filter(|_| takers.next().is_none())
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::TensorProto;
    use tract_onnx::pb::tensor_proto::DataType;

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
        Opening::of(&graph, &Constants::of(&graph), "x").0.expected_range()
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
    fn a_mean_picture_tells_the_range_it_was_made_of() {
        let centred = |mean: f32| {
            range(
                vec![node("Sub", &["x", "c"], "y"), node("Conv", &["y"], "z")],
                vec![constant("c", &[mean])],
            )
        };
        assert_eq!(centred(56.0), Some(SampleRange::Bytes), "dark pictures");
        assert_eq!(centred(0.287), Some(SampleRange::Unit), "dark pictures of 0..1");
        let spread = vec![node("Add", &["x", "c"], "y"), node("Mul", &["y", "d"], "z")];
        let constants = vec![constant("c", &[1.0]), constant("d", &[127.5])];
        assert_eq!(range(spread, constants), Some(SampleRange::Signed));
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
