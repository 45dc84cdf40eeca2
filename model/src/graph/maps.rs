//! Outputs that are maps from label to score (`ZipMap` of ONNX's ML operators), as Custom Vision and skl2onnx
//! write them.
//!
//! No engine hands a map over; the tensor that goes into it holds the same scores, so that is what is read,
//! and the map's keys are the labels.

use std::collections::{BTreeSet, HashMap};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto, type_proto};

/// What a map is made of.
pub(super) struct ScoreMap<'a> {
    /// The tensor of its values, `[n, labels]`.
    pub(super) tensor: &'a str,
    /// Its keys, in the order of the tensor's columns.
    pub(super) labels: Vec<String>,
}

/// The map that the output `name` is, if it is one.
pub(super) fn score_map<'a>(name: &str, producers: &HashMap<&str, &'a NodeProto>) -> Option<ScoreMap<'a>> {
    let node = producers.get(name).filter(|node| node.op_type == "ZipMap")?;
    let mut labels = Vec::new();
    for attribute in &node.attribute {
        labels.extend(attribute.strings.iter().map(|label| String::from_utf8_lossy(label).into_owned()));
        labels.extend(attribute.ints.iter().map(i64::to_string));
    }
    Some(ScoreMap { tensor: node.input.first()?, labels })
}

/// Makes the tensors `names` the outputs of `proto`, in place of its own, and drops the nodes that only
/// others need.
pub(crate) fn expose(proto: &mut ModelProto, names: &[String]) {
    let Some(graph) = proto.graph.as_mut() else { return };
    let known: Vec<ValueInfoProto> = graph.output.drain(..).collect();
    for name in names {
        let info = known.iter().chain(&graph.value_info).find(|info| info.name == *name).cloned();
        graph.output.push(info.unwrap_or_else(|| float_tensor(name)));
    }
    let needed = needed(graph, names);
    graph.node.retain(|node| node.output.iter().any(|output| needed.contains(output)));
}

fn float_tensor(name: &str) -> ValueInfoProto {
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: None };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

/// Every value that `names` depend on. Nodes are in topological order, as ONNX requires.
fn needed(graph: &GraphProto, names: &[String]) -> BTreeSet<String> {
    let mut needed: BTreeSet<String> = names.iter().cloned().collect();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|output| needed.contains(output)) {
            needed.extend(node.input.iter().cloned());
            nested_inputs(node, &mut needed);
        }
    }
    needed
}

/// Graphs inside a node take values of the graph around them by name.
fn nested_inputs(node: &NodeProto, needed: &mut BTreeSet<String>) {
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            for inner in &graph.node {
                needed.extend(inner.input.iter().cloned());
                nested_inputs(inner, needed);
            }
            needed.extend(graph.output.iter().map(|output| output.name.clone()));
        }
    }
}
