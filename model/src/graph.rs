//! The facts in an ONNX file: inputs, outputs, weights kept elsewhere, quantisation.
//!
//! It exists so that a wrong file is refused with a sentence a person can act on, before any engine sees it.
//! It never runs the graph and keeps no weights.

mod architecture;
mod constants;
pub(crate) mod external;
mod functions;
pub(crate) mod maps;
mod opening;
mod ports;
mod range;
mod statistics;
pub(crate) mod stored;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, ValueInfoProto, type_proto,
};

pub use self::architecture::Family;
use self::constants::Constants;
pub use self::external::ExternalFile;
pub use self::opening::Opening;
pub(crate) use self::ports::LARGEST_BATCH;
pub use self::ports::{ImageInput, OutputPort};
pub use self::range::SampleRange;
pub use self::statistics::{Pictures, Statistics};
use crate::decode::foreign_to_models;
use crate::error::ModelError;
use crate::preprocessing::Activation;

/// What is kept of an ONNX file.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The inputs that are fed at run time (initialisers excluded), in the file's order.
    pub inputs: Vec<Port>,
    /// The outputs, in the file's order.
    pub outputs: Vec<Port>,
    /// Files next to the model that hold some of its weights, by name.
    pub external: Vec<ExternalFile>,
    /// How the graph computes with integers, if it does.
    pub quantization: Quantization,
    /// Whether any weight is a 16-bit float.
    pub half: bool,
    /// The program that wrote the file, as it calls itself; empty if it does not.
    pub producer: String,
    /// The name of the graph, which exporters choose and optimisers keep.
    pub name: String,
    /// Its maker's notes in the file (`metadata_props`).
    pub metadata: BTreeMap<String, String>,
    /// What it does to its first input before anything else.
    pub opening: Opening,
    /// The statistics of the samples behind the opening, if its first layer has kept them.
    pub trained_on: Option<Statistics>,
    /// The published family that its layers are named like.
    pub family: Option<Family>,
}

/// One input or output of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// What its elements are.
    pub element: Element,
    /// Its dimensions, `None` for a dynamic one; `None` altogether if the file gives no shape.
    pub shape: Option<Vec<Option<usize>>>,
    /// For an output that comes out of a softmax or a sigmoid: which. Its values are probabilities already.
    pub probabilities: Option<Activation>,
    /// Whether an output comes out of a layer with weights and a bias, or a LogSoftmax, as the scores of
    /// classifiers do.
    pub dense: bool,
    /// For a tensor inside the graph that goes into a map from label to score: the map.
    pub map: Option<MapOutput>,
}

/// An output that is a map, read by the tensor that goes into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapOutput {
    /// Its name in the graph.
    pub name: String,
    /// Its keys, in the order of the tensor's columns.
    pub labels: Vec<String>,
}

/// The type of a tensor's elements, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// Unsigned byte.
    U8,
    /// Signed byte.
    I8,
    /// Anything else; no model with such an input or scores is run.
    Other,
}

impl Element {
    /// Whether its values are floats, as scores and vectors are.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }

    /// The smallest and the largest value, if it is an integer.
    #[must_use]
    pub fn integer_range(self) -> Option<(f32, f32)> {
        match self {
            Self::U8 => Some((0.0, 255.0)),
            Self::I8 => Some((-128.0, 127.0)),
            Self::F32 | Self::F16 | Self::Other => None,
        }
    }
}

/// How a graph computes with integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantization {
    /// It does not.
    None,
    /// With scales fixed when the model was made, in operators that take integers.
    Static,
    /// With such scales between operators on floats, which an engine fuses into integer ones ("QDQ").
    Qdq,
    /// With scales taken from each batch: an image's scores depend on its neighbours, so it runs alone.
    Dynamic,
}

/// Reads the graph of an ONNX file.
///
/// # Errors
/// If the file can't be read, is empty, a text file, a Git LFS pointer, or not an ONNX model. If two parsers
/// could read different models in it, or it has more nodes than any machine should hold.
pub fn read(path: &Path) -> Result<Graph, ModelError> {
    let proto = stored::decoded(&stored::encoded(path)?, path)?;
    let Some(graph) = proto.graph.as_ref().filter(|graph| !graph.node.is_empty()) else {
        return Err(ModelError::new(format!("{} is not an ONNX model: it holds no graph", path.display())));
    };
    let contents = Contents::of(&proto, graph);
    let inputs = inputs(graph);
    let constants = Constants::of(graph);
    let image = inputs.first().map_or("", |input| input.name.as_str());
    let (opening, end) = Opening::of(graph, &constants, image);
    let trained_on = Statistics::of(graph, &constants, end);
    Ok(Graph {
        inputs,
        outputs: outputs(graph),
        external: external::files(&contents.tensors, path)?,
        quantization: quantization(&contents.ops),
        half: contents.tensors.iter().any(|tensor| tensor.data_type == DataType::Float16 as i32),
        producer: proto.producer_name.clone(),
        name: graph.name.clone(),
        metadata: metadata(&proto),
        opening,
        trained_on,
        family: architecture::family(graph),
    })
}

/// The graph in `file`, encoded as engines get it, its weights in their place: every parser reads the same in
/// it. Encoding it again changes nothing.
///
/// # Errors
/// Those of [`read`], as far as they are not about other files.
pub fn reencoded(file: &[u8]) -> Result<Vec<u8>, ModelError> {
    Ok(stored::reencoded(file, Path::new("the graph"))?.graph)
}

fn metadata(proto: &ModelProto) -> BTreeMap<String, String> {
    proto.metadata_props.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
}

/// Refuses what is plainly no model by its first bytes: an ONNX file starts with a control character.
pub(crate) fn refuse_text(path: &Path) -> Result<(), ModelError> {
    let shown = path.display();
    let unreadable = |error| ModelError::new(format!("{shown} can't be read: {error}"));
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(512).read_to_end(&mut head)).map_err(unreadable)?;
    if head.is_empty() {
        return Err(ModelError::new(format!("{shown} is empty: copy or export the model again")));
    }
    if head.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Err(ModelError::new(format!(
            "{shown} is a Git LFS pointer, not a model: run `git lfs pull` where it came from"
        )));
    }
    let control = |&byte: &u8| byte < b' ' && !byte.is_ascii_whitespace();
    let text = std::str::from_utf8(&head).map_or_else(|error| error.error_len().is_none(), |_| true);
    if text && !head.iter().any(control) {
        return Err(ModelError::new(format!("{shown} is a text file, not an ONNX model")));
    }
    Ok(())
}

/// Refuses a graph that starts as a picture, an archive or a page does. Weights may start with anything.
pub(crate) fn refuse_foreign(path: &Path, head: &[u8]) -> Result<(), ModelError> {
    match foreign_to_models(head) {
        Some(name) => {
            Err(ModelError::new(format!("{} looks like {name}, not like an ONNX model", path.display())))
        }
        None => Ok(()),
    }
}

/// Every tensor and operator of a model, those of nested graphs included.
#[derive(Default)]
pub(crate) struct Contents<'a> {
    pub(crate) tensors: Vec<&'a TensorProto>,
    ops: BTreeSet<&'a str>,
}

impl<'a> Contents<'a> {
    pub(crate) fn of(model: &'a ModelProto, graph: &'a GraphProto) -> Self {
        let mut contents = Self::default();
        contents.add_graph(graph);
        for function in &model.functions {
            contents.add_nodes(&function.node);
        }
        contents
    }

    // The depth of nesting is bounded by the protobuf decoder.
    fn add_graph(&mut self, graph: &'a GraphProto) {
        self.tensors.extend(&graph.initializer);
        self.add_sparse(graph.sparse_initializer.iter());
        self.add_nodes(&graph.node);
    }

    fn add_sparse(&mut self, tensors: impl Iterator<Item = &'a SparseTensorProto>) {
        for tensor in tensors {
            self.tensors.extend(tensor.values.iter().chain(&tensor.indices));
        }
    }

    fn add_nodes(&mut self, nodes: &'a [NodeProto]) {
        for node in nodes {
            self.ops.insert(&node.op_type);
            for attribute in &node.attribute {
                self.tensors.extend(attribute.t.iter().chain(&attribute.tensors));
                self.add_sparse(attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors));
                for graph in attribute.g.iter().chain(&attribute.graphs) {
                    self.add_graph(graph);
                }
            }
        }
    }
}

fn quantization(ops: &BTreeSet<&str>) -> Quantization {
    if ops.iter().any(|op| op.starts_with("DynamicQuantize")) {
        return Quantization::Dynamic;
    }
    let integers = |op: &&str| op.starts_with("QLinear") || matches!(*op, "ConvInteger" | "MatMulInteger");
    if ops.iter().any(integers) {
        return Quantization::Static;
    }
    if ops.contains("QuantizeLinear") { Quantization::Qdq } else { Quantization::None }
}

fn inputs(graph: &GraphProto) -> Vec<Port> {
    let initialised: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let fed = graph.input.iter().filter(|input| !initialised.contains(input.name.as_str()));
    fed.map(port).collect()
}

fn outputs(graph: &GraphProto) -> Vec<Port> {
    let mut producers = HashMap::new();
    for node in &graph.node {
        for output in &node.output {
            producers.insert(output.as_str(), node);
        }
    }
    graph.output.iter().map(|info| output(info, graph, &producers)).collect()
}

fn output(info: &ValueInfoProto, graph: &GraphProto, producers: &HashMap<&str, &NodeProto>) -> Port {
    let (mut port, map) = match maps::score_map(&info.name, producers) {
        None => (port(info), None),
        Some(map) => {
            let inner = graph.value_info.iter().chain(&graph.output).find(|value| value.name == map.tensor);
            let classes = Some(map.labels.len()).filter(|&labels| labels > 0);
            let port = inner.map_or_else(|| floats(map.tensor, vec![None, classes]), port);
            (port, Some(MapOutput { name: info.name.clone(), labels: map.labels }))
        }
    };
    port.probabilities = probabilities(&port.name, producers);
    port.dense = is_dense(&port.name, producers);
    port.map = map;
    port
}

fn floats(name: &str, shape: Vec<Option<usize>>) -> Port {
    let (name, shape) = (name.to_owned(), Some(shape));
    Port { name, element: Element::F32, shape, probabilities: None, dense: false, map: None }
}

/// The softmax or sigmoid that `name` comes out of, possibly reshaped or cast on the way.
fn probabilities(name: &str, producers: &HashMap<&str, &NodeProto>) -> Option<Activation> {
    match last_layer(name, producers)?.op_type.as_str() {
        "Softmax" => Some(Activation::Softmax),
        "Sigmoid" => Some(Activation::Sigmoid),
        _ => None,
    }
}

/// Whether `name` comes out of a layer with a bias, or a LogSoftmax. A projection into a space of vectors has
/// no bias.
fn is_dense(name: &str, producers: &HashMap<&str, &NodeProto>) -> bool {
    let Some(layer) = last_layer(name, producers) else { return false };
    match layer.op_type.as_str() {
        "LogSoftmax" => true,
        "Gemm" | "QLinearConv" | "Conv" => layer.input.len() > 2,
        "Add" => layer.input.iter().any(|input| {
            last_layer(input, producers).is_some_and(|inner| {
                matches!(
                    inner.op_type.as_str(),
                    "MatMul" | "Gemm" | "MatMulInteger" | "Mul" | "QLinearMatMul"
                )
            })
        }),
        _ => false,
    }
}

/// The node that computes `name`, behind those that only reshape or cast it.
fn last_layer<'a>(name: &str, producers: &HashMap<&str, &'a NodeProto>) -> Option<&'a NodeProto> {
    let mut node = producers.get(name)?;
    for _ in 0..producers.len() {
        match node.op_type.as_str() {
            "Reshape" | "Flatten" | "Squeeze" | "Cast" | "Identity" | "QuantizeLinear"
            | "DequantizeLinear" => node = producers.get(node.input.first()?.as_str())?,
            _ => return Some(node),
        }
    }
    None
}

fn port(info: &ValueInfoProto) -> Port {
    let tensor = info.r#type.as_ref().and_then(|kind| kind.value.as_ref());
    let tensor = tensor.map(|type_proto::Value::TensorType(tensor)| tensor);
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    Port {
        name: info.name.clone(),
        element: element(tensor.map_or(0, |tensor| tensor.elem_type)),
        shape: shape.map(|shape| shape.dim.iter().map(|dim| fixed(dim.value.as_ref())).collect()),
        probabilities: None,
        dense: false,
        map: None,
    }
}

fn element(data_type: i32) -> Element {
    match DataType::try_from(data_type) {
        Ok(DataType::Float) => Element::F32,
        Ok(DataType::Float16) => Element::F16,
        Ok(DataType::Uint8) => Element::U8,
        Ok(DataType::Int8) => Element::I8,
        _ => Element::Other,
    }
}

/// A dimension's size; zero and negative sizes mean "dynamic" in some exporters' files.
fn fixed(dimension: Option<&dimension::Value>) -> Option<usize> {
    match dimension {
        Some(dimension::Value::DimValue(size)) => usize::try_from(*size).ok().filter(|&size| size > 0),
        _ => None,
    }
}
