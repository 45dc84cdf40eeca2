//! A graph of 32-bit floats, narrowed to 16: weights, constants and the types of inputs and outputs.
//!
//! ONNX Runtime computes a graph in the types of its file and narrows nothing by itself. A graph is narrowed
//! only if every operator takes 16-bit floats wherever it takes floats; any other is refused by name, never
//! changed in part.

use std::collections::BTreeSet;

use half::f16;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto,
};

use super::shapes;
use crate::error::ModelError;
use crate::graph::Contents;

/// The operators of ONNX's own domain whose floats may be 16-bit ones, by their type constraints in
/// onnx/docs/Operators.md. Those that draw random numbers, quantise, or name a type in an attribute are not
/// among them.
const NARROWABLE: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "ArgMax",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Cos",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Einsum",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "IsNaN",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "OneHot",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Round",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Shape",
    "Sigmoid",
    "Sign",
    "Sin",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Upsample",
    "Where",
];

/// Inputs that stay 32-bit floats by their type constraint, or because they are read so: operator, the first
/// and the last of them. Sizes, a resize's fourth input, are integers.
const WIDE_INPUTS: &[(&str, usize, usize)] = &[("Resize", 1, 2), ("Upsample", 1, 1)];

/// Kinds of attributes, as ONNX numbers them.
const TENSOR: i32 = 4;

/// Narrows the graph of `proto`.
///
/// # Errors
/// If it has an operator that can't be narrowed; `proto` is of no use then.
pub(super) fn narrow(proto: &mut ModelProto) -> Result<(), ModelError> {
    let Some(graph) = proto.graph.as_mut() else { return Err(ModelError::new("it holds no graph")) };
    check(graph)?;
    let wide = wide(graph)?;
    for tensor in graph.initializer.iter_mut().filter(|tensor| !wide.contains(&tensor.name)) {
        narrow_tensor(tensor)?;
    }
    for node in &mut graph.node {
        if !node.output.iter().any(|output| wide.contains(output)) {
            narrow_node(node)?;
        }
    }
    for port in graph.input.iter_mut().chain(&mut graph.output).filter(|port| !wide.contains(&port.name)) {
        narrow_port(port);
    }
    // Types between the nodes follow from these.
    graph.value_info.clear();
    Ok(())
}

fn check(graph: &GraphProto) -> Result<(), ModelError> {
    if !graph.sparse_initializer.is_empty() {
        return Err(refused("sparse weights"));
    }
    for node in &graph.node {
        let is_own = matches!(node.domain.as_str(), "" | "ai.onnx");
        if !is_own || !NARROWABLE.contains(&node.op_type.as_str()) {
            return Err(refused(&format!("the operator {:?}", node.op_type)));
        }
        let mut attributes = node.attribute.iter();
        if attributes
            .any(|attribute| attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty())
        {
            return Err(refused("sparse weights"));
        }
    }
    if has_range_of_floats(graph) {
        return Err(refused("a range of floats"));
    }
    if shapes::are_counted_in_floats(graph) {
        return Err(refused("shapes that it computes with as floats"));
    }
    Ok(())
}

/// ONNX has none in 16 bits; ranges of integers are frequent. A range of computed floats is found by the
/// engine.
fn has_range_of_floats(graph: &GraphProto) -> bool {
    let is_float = |tensor: &TensorProto| tensor.data_type == DataType::Float as i32;
    let weights = graph.initializer.iter().filter(|tensor| is_float(tensor)).map(|tensor| &tensor.name);
    let constants = graph.node.iter().filter(|node| {
        let mut attributes = node.attribute.iter();
        node.op_type == "Constant"
            && attributes.any(|attribute| {
                attribute.name == "value_float" || attribute.t.as_ref().is_some_and(is_float)
            })
    });
    let floats: BTreeSet<&String> = weights.chain(constants.flat_map(|node| &node.output)).collect();
    let mut ranges = graph.node.iter().filter(|node| node.op_type == "Range");
    ranges.any(|node| node.input.iter().any(|name| floats.contains(name)))
}

fn refused(what: &str) -> ModelError {
    ModelError::new(format!(
        "it can't be narrowed to 16-bit floats here, for it has {what}: leave out --precision fp16, or export the model in \
         16 bits"
    ))
}

/// The source of inputs that stay wide. It must be a constant of theirs alone, because its producer would be
/// narrowed.
fn wide(graph: &GraphProto) -> Result<BTreeSet<String>, ModelError> {
    let mut names = BTreeSet::new();
    for (op, first, last) in WIDE_INPUTS {
        for node in graph.node.iter().filter(|node| node.op_type == *op) {
            let wide = node.input.iter().take(last + 1).skip(*first);
            names.extend(wide.filter(|name| !name.is_empty()).cloned());
        }
    }
    for node in &graph.node {
        let own = WIDE_INPUTS.iter().find(|(op, ..)| *op == node.op_type);
        let is_own = |place: usize| own.is_some_and(|(_, first, last)| (*first..=*last).contains(&place));
        let mut inputs = node.input.iter().enumerate();
        let is_shared = inputs.any(|(place, name)| !is_own(place) && names.contains(name));
        let is_computed = node.op_type != "Constant" && node.output.iter().any(|name| names.contains(name));
        if is_shared || is_computed {
            return Err(refused(&format!("the scales of a resize in the operator {:?}", node.op_type)));
        }
    }
    Ok(names)
}

/// Whether any of its weights or constants are 32-bit floats, those of nested graphs included.
pub(super) fn is_wide(proto: &ModelProto) -> bool {
    let Some(graph) = &proto.graph else { return false };
    let is_float = |tensor: &&TensorProto| tensor.data_type == DataType::Float as i32;
    Contents::of(proto, graph).tensors.iter().any(is_float)
}

fn narrow_node(node: &mut NodeProto) -> Result<(), ModelError> {
    for attribute in &mut node.attribute {
        if let Some(tensor) = &mut attribute.t {
            narrow_tensor(tensor)?;
        }
        match (node.op_type.as_str(), attribute.name.as_str()) {
            ("Cast", "to") if attribute.i == DataType::Float as i64 => attribute.i = DataType::Float16 as i64,
            ("Constant", "value_float") => *attribute = constant(&[attribute.f], vec![]),
            ("Constant", "value_floats") => {
                let dims = vec![attribute.floats.len() as i64];
                *attribute = constant(&attribute.floats, dims);
            }
            _ => {}
        }
    }
    // Without a value it fills with 32-bit zeros.
    if node.op_type == "ConstantOfShape" && !node.attribute.iter().any(|attribute| attribute.name == "value")
    {
        node.attribute.push(constant(&[0.0], vec![1]));
    }
    Ok(())
}

fn constant(values: &[f32], dims: Vec<i64>) -> AttributeProto {
    let t = TensorProto {
        data_type: DataType::Float16 as i32,
        dims,
        raw_data: bytes(values.iter().copied()),
        ..TensorProto::default()
    };
    AttributeProto { name: "value".to_owned(), r#type: TENSOR, t: Some(t), ..AttributeProto::default() }
}

fn narrow_tensor(tensor: &mut TensorProto) -> Result<(), ModelError> {
    if tensor.data_type != DataType::Float as i32 {
        return Ok(());
    }
    if !tensor.raw_data.is_empty() && !tensor.float_data.is_empty() {
        return Err(refused(&format!("the weights {:?} twice", tensor.name)));
    }
    let raw = std::mem::take(&mut tensor.raw_data);
    tensor.raw_data = if tensor.float_data.is_empty() {
        let (values, rest) = raw.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(ModelError::new(format!(
                "its weights {:?} are not a whole number of floats",
                tensor.name
            )));
        }
        bytes(values.iter().map(|bytes| f32::from_le_bytes(*bytes)))
    } else {
        bytes(std::mem::take(&mut tensor.float_data).into_iter())
    };
    tensor.data_type = DataType::Float16 as i32;
    Ok(())
}

fn narrow_port(port: &mut ValueInfoProto) {
    let value = port.r#type.as_mut().and_then(|kind| kind.value.as_mut());
    if let Some(type_proto::Value::TensorType(tensor)) = value
        && tensor.elem_type == DataType::Float as i32
    {
        tensor.elem_type = DataType::Float16 as i32;
    }
}

fn bytes(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(|value| narrowed(value).to_le_bytes()).collect()
}

/// `value` in 16 bits. A finite one stays finite, and one that is not zero stays so: a weight that became
/// infinite would spoil a score, and a small number under a fraction a whole row.
pub(super) fn narrowed(value: f32) -> f16 {
    let nearest = f16::from_f32(value);
    if nearest.is_infinite() && value.is_finite() {
        return f16::MAX.copysign(nearest);
    }
    if nearest == f16::ZERO && value != 0.0 {
        return f16::MIN_POSITIVE_SUBNORMAL.copysign(f16::from_f32(value.signum()));
    }
    nearest
}
