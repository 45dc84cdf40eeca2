//! Nodes before a model that turn the bytes of a crop into its input: a look-up in a table for each channel.
//!
//! A table, and not a multiplication, so that each value has the bits that the processor's own table gives
//! it.

use half::f16;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

use crate::error::ModelError;
use crate::folder::ModelSpec;
use crate::graph::Element;
use crate::preprocessing::{Color, Layout, Preprocessing};
use crate::tensor::{self, Table};

/// The input's name, and the prefix of all names that are added.
pub(crate) const INPUT: &str = "tagfleet_bytes";

/// The first set of ONNX's operators in which `Add` spreads its second input and `Cast` numbers its types.
const OPERATORS: i64 = 7;
/// Kinds of attributes, as ONNX numbers them.
const INT: i32 = 2;
const INTS: i32 = 7;

/// Puts the nodes before the graph of `proto`, whose own input takes elements of `element`.
pub(super) fn feed(
    proto: &mut ModelProto,
    spec: &ModelSpec,
    tables: &[Table],
    element: Element,
) -> Result<(), ModelError> {
    check_operators(proto)?;
    let Some(graph) = proto.graph.as_mut() else { return Err(ModelError::new("it holds no graph")) };
    if is_fed(graph) {
        return Err(ModelError::new(format!("it has been changed for a device already: {INPUT} is in it")));
    }
    let chain = chain(spec, tables);
    graph.node.splice(0..0, chain);
    graph.initializer.extend(initializers(&spec.preprocessing, tables, element));
    let place = graph.input.iter().position(|input| input.name == spec.input.name);
    let input = input(spec, tensor::crop_channels(&spec.preprocessing));
    match place {
        Some(place) => graph.input[place] = input,
        None => return Err(ModelError::new(format!("it has no input {:?}", spec.input.name))),
    }
    unused(graph);
    Ok(())
}

/// Refuses sets of operators in which those that are added here mean something else.
fn check_operators(proto: &ModelProto) -> Result<(), ModelError> {
    let own = proto.opset_import.iter().filter(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    match own.map(|set| set.version).min() {
        Some(version) if version >= OPERATORS => Ok(()),
        Some(version) => Err(ModelError::new(format!(
            "its operators are those of ONNX's set {version}, and a device takes {OPERATORS} or later: export the model \
             again, or give --device cpu"
        ))),
        None => Err(ModelError::new(
            "it does not state which set of ONNX's operators it uses: export the model again, or give --device cpu",
        )),
    }
}

/// Whether any name in `graph`, or in one nested in it, is one of ours.
fn is_fed(graph: &GraphProto) -> bool {
    let is_ours = |name: &String| name.starts_with(INPUT);
    let mut ports = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
    let sparse = graph.sparse_initializer.iter().filter_map(|tensor| tensor.values.as_ref());
    let of_node = |node: &NodeProto| {
        let mut nested =
            node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
        node.input.iter().chain(&node.output).any(is_ours) || nested.any(is_fed)
    };
    ports.any(|port| is_ours(&port.name))
        || graph.initializer.iter().chain(sparse).any(|tensor| is_ours(&tensor.name))
        || graph.node.iter().any(of_node)
}

/// The samples of each channel in its place, each with its channel's part of the table added, looked up
/// there. Padding that is zero has the first place of the table.
fn chain(spec: &ModelSpec, tables: &[Table]) -> Vec<NodeProto> {
    let steps = &spec.preprocessing;
    let mut nodes = Nodes { nodes: Vec::new(), layout: steps.layout };
    let levels = if steps.color == Color::GrayMean {
        let [red, green, blue] = ["red", "green", "blue"].map(|color| nodes.levels(Some(color)));
        let two = nodes.then("Add", &[red, green], vec![], "red_green");
        let sums = nodes.then("Add", &[two, blue], vec![], "sums");
        let axis = if steps.layout == Layout::Nchw { 1 } else { 3 };
        nodes.then("Gather", &[sums, named("samples")], vec![int("axis", axis)], "each")
    } else {
        let chosen = !is_in_order(steps, tables);
        nodes.levels(chosen.then_some("samples"))
    };
    let mut places = nodes.then("Add", &[levels, named("offsets")], vec![], "places");
    if tensor::marks_padding(steps) {
        // Any byte but 0 is a pixel, so that no place is outside of the table.
        let shown = nodes.levels(Some("shown"));
        let shown = nodes.then("Cast", &[shown], vec![int("to", DataType::Bool as i64)], "is_shown");
        let shown = nodes.then("Cast", &[shown], vec![int("to", DataType::Int32 as i64)], "one_if_shown");
        places = nodes.then("Mul", &[places, shown], vec![], "shown_places");
    }
    nodes.nodes.push(look_up(&places, &spec.input.name));
    nodes.nodes
}

/// Nodes before the graph, which share a layout.
struct Nodes {
    nodes: Vec<NodeProto>,
    layout: Layout,
}

impl Nodes {
    /// One node more; the name of what it gives.
    fn then(&mut self, op: &str, input: &[String], attribute: Vec<AttributeProto>, name: &str) -> String {
        self.nodes.push(node(op, input.to_vec(), &named(name), attribute));
        named(name)
    }

    /// The samples of the channels that the initialiser `chosen` lists, or of all, as integers in the model's
    /// layout.
    fn levels(&mut self, chosen: Option<&str>) -> String {
        let mut last = INPUT.to_owned();
        let name = |what: &str| chosen.map_or(what.to_owned(), |chosen| format!("{what}_{chosen}"));
        if let Some(chosen) = chosen {
            let gathered = format!("gathered_{chosen}");
            last = self.then("Gather", &[last, named(chosen)], vec![int("axis", 3)], &gathered);
        }
        if self.layout == Layout::Nchw {
            let order = ints("perm", &[0, 3, 1, 2]);
            last = self.then("Transpose", &[last], vec![order], &name("planes"));
        }
        self.then("Cast", &[last], vec![int("to", DataType::Int32 as i64)], &name("levels"))
    }
}

/// Gather takes the table first.
fn look_up(places: &str, output: &str) -> NodeProto {
    let mut gather = node("Gather", vec![named("table"), places.to_owned()], output, vec![int("axis", 0)]);
    gather.name = named("normalised");
    gather
}

/// Whether a crop's samples are the model's channels as they lie.
fn is_in_order(steps: &Preprocessing, tables: &[Table]) -> bool {
    tables.len() == tensor::crop_channels(steps)
        && tables.iter().enumerate().all(|(index, table)| table.sample == index)
}

/// An initialiser that no node takes is left out: engines warn of it.
fn unused(graph: &mut GraphProto) {
    let nodes = &graph.node;
    let is_used = |name: &str| nodes.iter().any(|node| node.input.iter().any(|input| input == name));
    graph.initializer.retain(|tensor| !tensor.name.starts_with(INPUT) || is_used(&tensor.name));
}

fn initializers(steps: &Preprocessing, tables: &[Table], element: Element) -> Vec<TensorProto> {
    let marked = tensor::marks_padding(steps);
    let samples: Vec<usize> = tables.iter().map(|table| table.sample).collect();
    vec![
        indices("samples", &samples),
        indices("red", &[0]),
        indices("green", &[1]),
        indices("blue", &[2]),
        indices("shown", &[tensor::crop_channels(steps) - 1]),
        offsets(steps.layout, tables, marked),
        values(tables, element, marked),
    ]
}

fn indices(name: &str, indices: &[usize]) -> TensorProto {
    let bytes = indices.iter().flat_map(|index| (*index as i64).to_le_bytes()).collect();
    tensor(name, DataType::Int64, vec![indices.len() as i64], bytes)
}

/// The start of each channel's part of the table.
fn offsets(layout: Layout, tables: &[Table], marked: bool) -> TensorProto {
    let channels = tables.len() as i64;
    let dims = match layout {
        Layout::Nchw => vec![1, channels, 1, 1],
        Layout::Nhwc => vec![1, 1, 1, channels],
    };
    let mut next = usize::from(marked);
    let mut begins = Vec::new();
    for table in tables {
        begins.extend((next as i32).to_le_bytes());
        next += table.values.len();
    }
    tensor("offsets", DataType::Int32, dims, begins)
}

fn values(tables: &[Table], element: Element, marked: bool) -> TensorProto {
    let zero: &[f32] = if marked { &[0.0] } else { &[] };
    let values = zero.iter().chain(tables.iter().flat_map(|table| &table.values)).copied();
    let values: Vec<f32> = values.collect();
    let dims = vec![values.len() as i64];
    let values = values.into_iter();
    let (kind, bytes) = match element {
        Element::F16 => {
            (DataType::Float16, values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect())
        }
        Element::U8 => (DataType::Uint8, values.map(|value| value.round() as u8).collect()),
        Element::I8 => (DataType::Int8, values.map(|value| (value.round() as i8).to_le_bytes()[0]).collect()),
        Element::F32 | Element::Other => (DataType::Float, values.flat_map(f32::to_le_bytes).collect()),
    };
    tensor("table", kind, dims, bytes)
}

fn input(spec: &ModelSpec, channels: usize) -> ValueInfoProto {
    let size = spec.preprocessing.input;
    let fixed = |size: i64| Some(dimension::Value::DimValue(size));
    let batch = match spec.input.batch {
        Some(rows) => fixed(rows as i64),
        None => Some(dimension::Value::DimParam(named("images"))),
    };
    let dims = [batch, fixed(size.height.into()), fixed(size.width.into()), fixed(channels as i64)];
    let dim = dims.map(|value| Dimension { value, ..Dimension::default() }).to_vec();
    let shape = Some(TensorShapeProto { dim });
    let value =
        type_proto::Value::TensorType(type_proto::Tensor { elem_type: DataType::Uint8 as i32, shape });
    let r#type = Some(TypeProto { value: Some(value), ..TypeProto::default() });
    ValueInfoProto { name: INPUT.to_owned(), r#type, ..ValueInfoProto::default() }
}

fn named(name: &str) -> String {
    format!("{INPUT}_{name}")
}

fn tensor(name: &str, data_type: DataType, dims: Vec<i64>, raw_data: Vec<u8>) -> TensorProto {
    TensorProto { name: named(name), data_type: data_type as i32, dims, raw_data, ..TensorProto::default() }
}

fn node(op: &str, input: Vec<String>, output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    let (op_type, name, output) = (op.to_owned(), output.to_owned(), vec![output.to_owned()]);
    NodeProto { op_type, name, input, output, attribute, ..NodeProto::default() }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: INT, i, ..AttributeProto::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    let ints = ints.to_vec();
    AttributeProto { name: name.to_owned(), r#type: INTS, ints, ..AttributeProto::default() }
}
