//! Nodes before a model that turn the bytes of a crop into its input: a look-up in a table for each channel.
//!
//! A table, and not a multiplication, so that each value has the bits that the processor's own table gives it.

use half::f16;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

use crate::folder::{ModelError, ModelSpec};
use crate::graph::Element;
use crate::preprocessing::Layout;
use crate::tensor::Table;

/// The input's name, and what the names of all that is added begin with.
pub(crate) const INPUT: &str = "tagfleet_bytes";

/// The first set of ONNX's operators in which `Add` spreads its second input and `Cast` numbers its types.
const OPERATORS: i64 = 7;
/// Values of a byte.
const LEVELS: usize = 256;
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
    graph.initializer.extend([
        samples(tables),
        offsets(spec.preprocessing.layout, tables),
        values(tables, element),
    ]);
    let place = graph.input.iter().position(|input| input.name == spec.input.name);
    let input = input(spec, tables.len());
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
            "it does not say which set of ONNX's operators it uses: export the model again, or give --device cpu",
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

/// The samples of each channel in its place, each with its channel's part of the table added, looked up there.
fn chain(spec: &ModelSpec, tables: &[Table]) -> Vec<NodeProto> {
    let mut nodes = Vec::new();
    let mut last = INPUT.to_owned();
    let mut then = |op: &str, more: &[String], attribute: Vec<AttributeProto>, name: &str| {
        let input = [std::slice::from_ref(&last), more].concat();
        nodes.push(node(op, input, name, attribute));
        last = name.to_owned();
    };
    if !in_order(tables) {
        then("Gather", &[named("samples")], vec![int("axis", 3)], &named("ordered"));
    }
    if spec.preprocessing.layout == Layout::Nchw {
        then("Transpose", &[], vec![ints("perm", &[0, 3, 1, 2])], &named("planes"));
    }
    then("Cast", &[], vec![int("to", DataType::Int32 as i64)], &named("levels"));
    then("Add", &[named("offsets")], vec![], &named("places"));
    nodes.push(look_up(&last, &spec.input.name));
    nodes
}

/// Gather takes the table first.
fn look_up(places: &str, output: &str) -> NodeProto {
    let mut gather = node("Gather", vec![named("table"), places.to_owned()], output, vec![int("axis", 0)]);
    gather.name = named("normalised");
    gather
}

fn in_order(tables: &[Table]) -> bool {
    tables.iter().enumerate().all(|(index, table)| table.sample == index)
}

/// An initialiser that no node takes is left out: engines warn of it.
fn unused(graph: &mut GraphProto) {
    let is_used = |name: &str| graph.node.iter().any(|node| node.input.iter().any(|input| input == name));
    let samples = named("samples");
    if !is_used(&samples) {
        graph.initializer.retain(|tensor| tensor.name != samples);
    }
}

fn samples(tables: &[Table]) -> TensorProto {
    let order = tables.iter().flat_map(|table| (table.sample as i64).to_le_bytes()).collect();
    tensor("samples", DataType::Int64, vec![tables.len() as i64], order)
}

/// Where each channel's part of the table begins.
fn offsets(layout: Layout, tables: &[Table]) -> TensorProto {
    let channels = tables.len() as i64;
    let dims = match layout {
        Layout::Nchw => vec![1, channels, 1, 1],
        Layout::Nhwc => vec![1, 1, 1, channels],
    };
    let begin = |channel: usize| ((channel * LEVELS) as i32).to_le_bytes();
    tensor("offsets", DataType::Int32, dims, (0..tables.len()).flat_map(begin).collect())
}

fn values(tables: &[Table], element: Element) -> TensorProto {
    let values = tables.iter().flat_map(|table| table.values);
    let dims = vec![(tables.len() * LEVELS) as i64];
    match element {
        Element::F16 => {
            let bytes = values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect();
            tensor("table", DataType::Float16, dims, bytes)
        }
        _ => tensor("table", DataType::Float, dims, values.flat_map(f32::to_le_bytes).collect()),
    }
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
