//! What a graph computes with the shapes of its tensors, and whether 16-bit floats can do it.
//!
//! 16 bits count to 2,048 only. One side of a shape may scale a value, as the length of a head scales
//! attention; it must not come back as a number of elements. Nothing is changed here, and no shape is
//! computed.

use std::collections::BTreeSet;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto};

/// Operators that make of shapes what is shapes again.
const OF_SHAPES: &[&str] =
    &["Abs", "Add", "Concat", "Div", "Max", "Min", "Mod", "Mul", "Neg", "Range", "Sub", "Where"];

/// Operators that keep the shape of their first input alone: the others define which part of it, or how.
const OF_THEIR_FIRST: &[&str] = &[
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "Identity",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// Those of both whose results may be larger than any side: counts of elements.
const OF_COUNTS: &[&str] = &["Mul", "Pow", "Range", "ReduceProd", "ReduceSum"];

/// What is known of the values of a graph, by their names.
#[derive(Default)]
struct Known<'a> {
    /// Never computed from an image.
    constants: BTreeSet<&'a str>,
    /// Integers that a shape is made of.
    sides: BTreeSet<&'a str>,
    /// Those that may be larger than any side.
    counts: BTreeSet<&'a str>,
    /// Floats that are made of sides and constants alone.
    floats: BTreeSet<&'a str>,
}

/// True if floats of 16 bits would count something: a count of elements, or what becomes an integer again.
pub(super) fn are_counted_in_floats(graph: &GraphProto) -> bool {
    let constants = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut known = Known { constants, ..Known::default() };
    // ONNX has its nodes in the order in which they are computed.
    graph.node.iter().any(|node| known.counts_in_floats(node))
}

impl<'a> Known<'a> {
    /// Learns what `node` makes; true if it computes in floats.
    fn counts_in_floats(&mut self, node: &'a NodeProto) -> bool {
        let outputs = node.output.iter().map(String::as_str);
        let (to_integers, op) = (to_integers(node), node.op_type.as_str());
        if op == "Constant" {
            self.constants.extend(outputs);
        } else if op == "Shape" {
            self.sides.extend(outputs);
        } else if any(node, &self.sides) && op == "Cast" && !to_integers {
            if any(node, &self.counts) {
                return true;
            }
            self.floats.extend(outputs);
        } else if self.is_of_sides(node) {
            if OF_COUNTS.contains(&op) || any(node, &self.counts) {
                self.counts.extend(outputs.clone());
            }
            self.sides.extend(outputs);
        } else if any(node, &self.floats) && self.is_of_floats_alone(node) {
            self.floats.extend(outputs);
            return to_integers || self.multiplies_sides(node);
        }
        false
    }

    fn is_of_sides(&self, node: &NodeProto) -> bool {
        match node.op_type.as_str() {
            op if op == "Cast" || OF_SHAPES.contains(&op) => any(node, &self.sides),
            op if OF_THEIR_FIRST.contains(&op) => {
                node.input.first().is_some_and(|name| self.sides.contains(name.as_str()))
            }
            _ => false,
        }
    }

    /// A side times a constant is a scale; a side times another, or itself, is a count.
    fn multiplies_sides(&self, node: &NodeProto) -> bool {
        let sides = node.input.iter().filter(|name| self.floats.contains(name.as_str())).count();
        OF_COUNTS.contains(&node.op_type.as_str()) && (node.op_type != "Mul" || sides > 1)
    }

    /// With anything else they scale an image's values, which have 16 bits anyway.
    fn is_of_floats_alone(&self, node: &NodeProto) -> bool {
        let is_known = |name: &&str| self.floats.contains(name) || self.constants.contains(name);
        node.input.iter().map(String::as_str).filter(|name| !name.is_empty()).all(|name| is_known(&name))
    }
}

fn any(node: &NodeProto, names: &BTreeSet<&str>) -> bool {
    node.input.iter().any(|name| names.contains(name.as_str()))
}

fn to_integers(node: &NodeProto) -> bool {
    let floats = [DataType::Float as i64, DataType::Float16 as i64, DataType::Double as i64];
    let to = node.attribute.iter().find(|attribute| attribute.name == "to");
    node.op_type == "Cast" && to.is_none_or(|to| !floats.contains(&to.i))
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{AttributeProto, TensorProto};

    use super::*;

    /// Lines of `outputs = operator inputs`; `Cast:float` and `Cast:int` name the target type. `c` is a
    /// constant.
    fn counts(lines: &str) -> bool {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let node = |line: &str| {
            let (output, call) = line.split_once('=').unwrap();
            let (op, input) = call.trim().split_once(' ').unwrap();
            let (op_type, to) = op.split_once(':').unwrap_or((op, ""));
            let kind = if to == "int" { DataType::Int64 } else { DataType::Float };
            let to = AttributeProto { name: "to".to_owned(), i: kind as i64, ..AttributeProto::default() };
            let attribute = if op_type == "Cast" { vec![to] } else { vec![] };
            let (op_type, input, output) = (op_type.to_owned(), names(input), names(output));
            NodeProto { op_type, input, output, attribute, ..NodeProto::default() }
        };
        let node = lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(node).collect();
        let initializer = vec![TensorProto { name: "c".to_owned(), ..TensorProto::default() }];
        are_counted_in_floats(&GraphProto { node, initializer, ..GraphProto::default() })
    }

    #[test]
    fn a_head_may_scale_its_attention() {
        assert!(!counts(
            "shape = Shape x
             length = Slice shape c c
             float = Cast:float length
             root = Sqrt float
             inverse = Div c root
             again = Cast:float inverse
             scale = Sqrt again
             scaled = Mul x scale
             levels = Cast:int scaled"
        ));
    }

    #[test]
    fn what_becomes_a_length_again_is_counted() {
        let floats = "shape = Shape x
                      side = Gather shape c
                      float = Cast:float side
                      half = Div float c";
        assert!(!counts(floats));
        assert!(counts(&format!("{floats}\n low = Floor half\n back = Cast:int low")));
        assert!(counts(&format!("{floats}\n places = Range c half c")));
    }

    #[test]
    fn elements_are_not_counted_in_sixteen_bits() {
        let sides = "shape = Shape x
                     side = Gather shape c
                     other = Cast:int side";
        assert!(counts(&format!(
            "{sides}\n area = Mul side other\n whole = Identity area\n float = Cast:float whole"
        )));
        assert!(counts(&format!("{sides}\n area = ReduceProd shape\n float = Cast:float area")));
        assert!(!counts(&format!("{sides}\n area = Mul side other\n y = Reshape x area\n z = Cast:float y")));
        let floats = format!("{sides}\n height = Cast:float side\n width = Cast:float other");
        assert!(counts(&format!("{floats}\n area = Mul height width\n mean = Div x area")));
        assert!(counts(&format!("{floats}\n area = Pow height c\n mean = Div x area")));
        assert!(counts(
            "shape = Shape x\n sides = Slice shape c\n floats = Cast:float sides\n area = ReduceProd floats"
        ));
        assert!(!counts(&format!("{floats}\n scale = Mul height c\n y = Div x scale")));
    }

    #[test]
    fn a_cast_without_a_type_is_taken_for_integers() {
        assert!(to_integers(&NodeProto { op_type: "Cast".to_owned(), ..NodeProto::default() }));
    }
}
