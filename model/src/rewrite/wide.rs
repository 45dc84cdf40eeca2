//! A graph of 16-bit floats, widened to 32: weights, constants, and the types of inputs, outputs and casts.
//!
//! Processors compute in 32 bits anyway, and ONNX Runtime's rewriting of 16-bit graphs for them fails on
//! some, so that the process dies. Every value stays what it is: 32 bits hold all of 16.

use half::f16;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};

use crate::error::ModelError;
use crate::graph::{Contents, external};

/// Attributes that name the type of what comes out.
const TYPES: &[&str] = &["to", "dtype", "output_dtype"];

/// Widens the graph of `proto`, whose tensors are all in it.
pub(super) fn widen(proto: &mut ModelProto) -> Result<(), ModelError> {
    external::change_tensors(proto, &mut |tensor| widen_tensor(tensor))?;
    for function in &mut proto.functions {
        function.node.iter_mut().for_each(widen_node);
    }
    proto.graph.iter_mut().for_each(widen_graph);
    Ok(())
}

/// About how many bytes that adds.
pub(super) fn growth(proto: &ModelProto) -> usize {
    let Some(graph) = &proto.graph else { return 0 };
    let tensors = Contents::of(proto, graph).tensors;
    let halves = tensors.iter().filter(|tensor| tensor.data_type == DataType::Float16 as i32);
    halves.map(|tensor| tensor.raw_data.len()).sum()
}

fn widen_graph(graph: &mut GraphProto) {
    graph.input.iter_mut().chain(&mut graph.output).for_each(widen_port);
    // Types between the nodes follow from these.
    graph.value_info.clear();
    graph.node.iter_mut().for_each(widen_node);
}

fn widen_node(node: &mut NodeProto) {
    for attribute in &mut node.attribute {
        if TYPES.contains(&attribute.name.as_str()) && attribute.i == DataType::Float16 as i64 {
            attribute.i = DataType::Float as i64;
        }
        attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(widen_graph);
    }
}

fn widen_port(port: &mut ValueInfoProto) {
    let value = port.r#type.as_mut().and_then(|kind| kind.value.as_mut());
    if let Some(type_proto::Value::TensorType(tensor)) = value
        && tensor.elem_type == DataType::Float16 as i32
    {
        tensor.elem_type = DataType::Float as i32;
    }
}

fn widen_tensor(tensor: &mut TensorProto) -> Result<(), ModelError> {
    if tensor.data_type != DataType::Float16 as i32 {
        return Ok(());
    }
    // Stored as bytes, or each as the lower half of an integer.
    let integers = std::mem::take(&mut tensor.int32_data);
    let raw = std::mem::take(&mut tensor.raw_data);
    let (pairs, rest) = raw.as_chunks::<2>();
    if !rest.is_empty() {
        let name = &tensor.name;
        return Err(ModelError::new(format!("its weights {name:?} are not a whole number of 16-bit floats")));
    }
    let integers = integers.iter().map(|bits| f16::from_bits(*bits as u16));
    let values = pairs.iter().map(|bytes| f16::from_le_bytes(*bytes)).chain(integers);
    tensor.raw_data = values.flat_map(|value| value.to_f32().to_le_bytes()).collect();
    tensor.data_type = DataType::Float as i32;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::pb::AttributeProto;

    use super::*;

    fn floats(tensor: &TensorProto) -> Vec<u32> {
        tensor.raw_data.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
    }

    fn halves(raw_data: Vec<u8>, int32_data: Vec<i32>) -> TensorProto {
        TensorProto { data_type: DataType::Float16 as i32, raw_data, int32_data, ..TensorProto::default() }
    }

    proptest! {
        #[test]
        fn every_value_stays_what_it_is_however_it_is_stored(bits in prop::collection::vec(any::<u16>(), 0..20)) {
            let raw = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
            let mut stored = [halves(raw, vec![]), halves(vec![], bits.iter().map(|bits| i32::from(*bits)).collect())];
            for tensor in &mut stored {
                widen_tensor(tensor).unwrap();
                let expected: Vec<u32> = bits.iter().map(|bits| f16::from_bits(*bits).to_f32().to_bits()).collect();
                prop_assert_eq!(floats(tensor), expected);
                prop_assert_eq!(tensor.data_type, DataType::Float as i32);
            }
        }
    }

    #[test]
    fn half_a_value_is_refused_and_others_are_left_alone() {
        let error = widen_tensor(&mut halves(vec![0; 3], vec![])).unwrap_err().to_string();
        assert!(error.contains("not a whole number of 16-bit floats"), "{error}");
        let bytes =
            TensorProto { data_type: DataType::Uint8 as i32, raw_data: vec![1], ..TensorProto::default() };
        let mut same = bytes.clone();
        widen_tensor(&mut same).unwrap();
        assert_eq!(same, bytes);
    }

    #[test]
    fn casts_and_constants_of_nested_graphs_are_widened_too() {
        let cast = AttributeProto {
            name: "to".to_owned(),
            i: DataType::Float16 as i64,
            ..AttributeProto::default()
        };
        let value = AttributeProto { t: Some(halves(vec![0, 0x3c], vec![])), ..AttributeProto::default() };
        let nodes = |attribute| vec![NodeProto { attribute, ..NodeProto::default() }];
        let inner = GraphProto { node: nodes(vec![cast, value]), ..GraphProto::default() };
        let branch = AttributeProto { g: Some(inner), ..AttributeProto::default() };
        let graph = GraphProto { node: nodes(vec![branch]), ..GraphProto::default() };
        let mut proto = ModelProto { graph: Some(graph), ..ModelProto::default() };
        widen(&mut proto).unwrap();
        let inner = proto.graph.unwrap().node.remove(0).attribute.remove(0).g.unwrap();
        let [cast, value] = inner.node[0].attribute.as_slice() else { panic!("two attributes") };
        assert_eq!(cast.i, DataType::Float as i64);
        assert_eq!(floats(value.t.as_ref().unwrap()), [1.0_f32.to_bits()]);
    }
}
