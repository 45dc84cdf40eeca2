//! Random graphs around the toy: whatever they hold, they are refused in words or rewritten whole.

use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tract_onnx::pb::{SparseTensorProto, StringStringEntryProto};

use super::hostile::of;
use super::*;
use crate::graph::external;

fn name() -> impl Strategy<Value = String> {
    let usual = ["", "pixels", "weights", "bias", "logits", "x", "y", "scales"];
    let names = prop_oneof![
        30 => proptest::sample::select(usual.to_vec()),
        1 => proptest::sample::select(vec!["tagfleet_bytes", "tagfleet_bytes_table"]),
    ];
    names.prop_map(str::to_owned)
}

fn tensor() -> impl Strategy<Value = TensorProto> {
    let values =
        (proptest::collection::vec(any::<u8>(), 0..12), proptest::collection::vec(any::<f32>(), 0..3));
    let place =
        proptest::sample::select(vec!["weights.bin", "./weights.bin", "weights.bin", "../weights.bin", ""]);
    let key = proptest::sample::select(vec!["offset", "length", "location", "other"]);
    let number = proptest::sample::select(vec!["0", "7", "12", "64", "65", "-1", "18446744073709551615", ""]);
    let entries = (place, proptest::collection::vec((key, number), 0..2));
    let types = prop_oneof![2 => Just(DataType::Float as i32), 1 => -1..26_i32];
    let dims = proptest::collection::vec(prop_oneof![0..4_i64, any::<i64>()], 0..3);
    let kept = prop_oneof![8 => Just(None), 3 => Just(Some(1)), 1 => any::<i32>().prop_map(Some)];
    (name(), types, dims, values, entries, kept).prop_map(
        |(name, data_type, dims, (raw_data, float_data), (place, numbers), data_location)| {
            let entry =
                |(key, value): (&str, &str)| StringStringEntryProto { key: key.into(), value: value.into() };
            // A tensor that names a file is taken to be in it.
            let named = data_location.is_some().then_some(("location", place));
            let external_data =
                named.into_iter().chain(numbers.into_iter().filter(|_| named.is_some())).map(entry).collect();
            TensorProto {
                name,
                data_type,
                dims,
                raw_data,
                float_data,
                external_data,
                data_location,
                ..TensorProto::default()
            }
        },
    )
}

fn attribute(nested: Option<BoxedStrategy<GraphProto>>) -> BoxedStrategy<AttributeProto> {
    let name =
        proptest::sample::select(vec!["to", "value", "value_float", "value_floats", "then_branch", "axis"]);
    let numbers =
        (any::<f32>(), prop_oneof![0..12_i64, any::<i64>()], proptest::collection::vec(any::<f32>(), 0..3));
    let graph = nested.map_or(Just(None).boxed(), |nested| proptest::option::of(nested).boxed());
    let sparse = proptest::option::weighted(0.1, tensor());
    (name, numbers, proptest::option::of(tensor()), graph, sparse)
        .prop_map(|(name, (f, i, floats), t, g, values)| {
            let sparse_tensor =
                values.map(|values| SparseTensorProto { values: Some(values), ..Default::default() });
            AttributeProto {
                name: name.to_owned(),
                f,
                i,
                floats,
                t,
                g,
                sparse_tensor,
                ..AttributeProto::default()
            }
        })
        .boxed()
}

fn node(nested: Option<BoxedStrategy<GraphProto>>) -> impl Strategy<Value = NodeProto> {
    let ops = [
        "Relu",
        "Add",
        "Mul",
        "Constant",
        "ConstantOfShape",
        "Cast",
        "Shape",
        "Gather",
        "Resize",
        "Upsample",
        "If",
        "Celu",
    ];
    let names = || proptest::collection::vec(name(), 0..4);
    let attributes = proptest::collection::vec(attribute(nested), 0..3);
    (proptest::sample::select(ops.to_vec()), names(), names(), attributes).prop_map(
        |(op, input, output, attribute)| NodeProto {
            op_type: op.to_owned(),
            input,
            output,
            attribute,
            ..NodeProto::default()
        },
    )
}

fn graph(depth: usize) -> BoxedStrategy<GraphProto> {
    let nested = (depth > 0).then(|| graph(depth - 1));
    let tensors = proptest::collection::vec(tensor(), 0..3);
    (proptest::collection::vec(node(nested), 0..4), tensors)
        .prop_map(|(node, initializer)| GraphProto { node, initializer, ..GraphProto::default() })
        .boxed()
}

/// The toy with what was drawn before its own nodes.
fn toy(drawn: GraphProto, opset: i64) -> ModelProto {
    let mut proto = Toy::default().proto();
    proto.opset_import[0].version = opset;
    let graph = proto.graph.as_mut().unwrap();
    graph.node.splice(0..0, drawn.node);
    graph.initializer.extend(drawn.initializer);
    proto
}

/// What is read of a resize as 32-bit floats.
fn scales(graph: &GraphProto) -> Vec<&String> {
    let resizes = graph.node.iter().filter(|node| ["Resize", "Upsample"].contains(&node.op_type.as_str()));
    resizes.flat_map(|node| node.input.iter().skip(1)).collect()
}

proptest! {
    #[test]
    fn any_graph_is_refused_in_words_or_whole(drawn in graph(2), opset in 5..14_i64, half in any::<bool>()) {
        let proto = toy(drawn, opset);
        match of(&proto, &[7; 64], half) {
            Err(error) => prop_assert!(error.contains(": "), "{}", error),
            Ok(rewritten) => {
                prop_assert!(opset >= 7);
                prop_assert!(!super::hostile::is_anything_external(&rewritten));
                prop_assert!(rewritten.encoded_len() < 2 * (proto.encoded_len() + 64) + 8192);
                let (before, after) = (proto.graph.unwrap(), rewritten.graph.unwrap());
                prop_assert_eq!(&after.input[0].name, INPUT);
                if !half {
                    prop_assert_eq!(&after.output, &before.output);
                    is_kept(&before, &after)?;
                } else {
                    let wide = scales(&after);
                    for tensor in &after.initializer {
                        let is_wide = tensor.data_type == DataType::Float as i32;
                        prop_assert!(!is_wide || wide.contains(&&tensor.name), "{:?}", tensor);
                    }
                }
            }
        }
    }
}

#[test]
fn many_graphs_are_whole() {
    let mut runner = TestRunner::deterministic();
    let mut whole = 0;
    for _ in 0..100 {
        let drawn = graph(2).new_tree(&mut runner).unwrap().current();
        whole += u32::from(of(&toy(drawn, 13), &[7; 64], false).is_ok());
    }
    assert!(whole >= 20, "{whole} of 100: the law above would hold for a rewriting that refuses all");
}

/// Nothing of the model's own is lost or changed, except the place of its weights.
fn is_kept(before: &GraphProto, after: &GraphProto) -> Result<(), TestCaseError> {
    let added = after.node.len() - before.node.len();
    let ops = |nodes: &[NodeProto]| -> Vec<(String, Vec<String>, Vec<String>)> {
        nodes.iter().map(|node| (node.op_type.clone(), node.input.clone(), node.output.clone())).collect()
    };
    prop_assert_eq!(ops(&after.node[added..]), ops(&before.node));
    for (before, after) in before.initializer.iter().zip(&after.initializer) {
        prop_assert_eq!(
            (&before.name, &before.dims, before.data_type),
            (&after.name, &after.dims, after.data_type)
        );
        prop_assert!(external::is_external(before) || before == after);
    }
    Ok(())
}
