//! Graphs and weights that no exporter writes: refused in words, or a graph that is whole.

use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{FunctionProto, SparseTensorProto, StringStringEntryProto, TrainingInfoProto};

use super::*;

/// The toy after `change`, rewritten next to `weights.bin`.
fn changed(change: impl FnOnce(&mut ModelProto), weights: &[u8], half: bool) -> Result<ModelProto, String> {
    let mut proto = Toy::default().proto();
    change(&mut proto);
    of(&proto, weights, half)
}

pub(super) fn of(proto: &ModelProto, weights: &[u8], half: bool) -> Result<ModelProto, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.onnx"), proto.encode_to_vec()).unwrap();
    std::fs::write(folder.path().join("weights.bin"), weights).unwrap();
    let shown = |error: ModelError| error.to_string().replace(&format!("{}/", folder.path().display()), "");
    let model = Model::open(folder.path(), &ModelOptions::default()).map_err(shown)?;
    let graph = for_device(&model, steps(&model.spec.preprocessing).tables(), half).map_err(shown)?;
    Ok(ModelProto::decode(graph.as_slice()).unwrap())
}

pub(super) fn is_anything_external(proto: &ModelProto) -> bool {
    format!("{proto:?}").contains("data_location: Some(External)")
}

fn graph(proto: &mut ModelProto) -> &mut GraphProto {
    proto.graph.as_mut().unwrap()
}

/// A tensor of no size of its own, so that without a length it is the rest of the file.
fn external(name: &str, entries: &[(&str, &str)]) -> TensorProto {
    let entry =
        |&(key, value): &(&str, &str)| StringStringEntryProto { key: key.into(), value: value.into() };
    TensorProto {
        name: name.to_owned(),
        data_type: DataType::String as i32,
        data_location: Some(DataLocation::External as i32),
        external_data: entries.iter().map(entry).collect(),
        ..TensorProto::default()
    }
}

fn floats(name: &str) -> TensorProto {
    let data_type = DataType::Float as i32;
    TensorProto { name: name.to_owned(), data_type, float_data: vec![2.0], ..TensorProto::default() }
}

fn node(op: &str, output: &str, attribute: AttributeProto) -> NodeProto {
    NodeProto {
        op_type: op.to_owned(),
        output: vec![output.to_owned()],
        attribute: vec![attribute],
        ..NodeProto::default()
    }
}

/// A node with `nested` as its branch.
fn branch(nested: GraphProto) -> NodeProto {
    let then =
        AttributeProto { name: "then_branch".to_owned(), g: Some(nested), ..AttributeProto::default() };
    node("If", "chosen", then)
}

fn sparse(values: TensorProto) -> AttributeProto {
    let sparse_tensor = Some(SparseTensorProto { values: Some(values), ..SparseTensorProto::default() });
    AttributeProto { name: "sparse_value".to_owned(), sparse_tensor, ..AttributeProto::default() }
}

#[test]
fn many_weights_in_one_place_take_no_more_memory_than_the_file() {
    let copies = |count: usize| {
        changed(
            |proto| {
                let copy = |index| external(&format!("copy{index}"), &[("location", "weights.bin")]);
                graph(proto).initializer.extend((0..count).map(copy));
            },
            &[7; 100],
            false,
        )
    };
    assert!(copies(1).is_ok());
    insta::assert_snapshot!(copies(2).unwrap_err(), @r#"the weights of model.onnx in "weights.bin" can't be read: all of its tensors together want more than the 100 bytes that it has: export the model again"#);
}

#[test]
fn where_weights_are_is_said_once_and_in_numbers() {
    let twice = |entries: &[(&str, &str)]| {
        let tensor = external("w", entries);
        changed(|proto| graph(proto).initializer.push(tensor), &[7; 100], false).unwrap_err()
    };
    insta::assert_snapshot!(twice(&[("location", "weights.bin"), ("location", "/etc/passwd")]), @r#"model.onnx states the location of its weights "w" twice: refused; export the model again"#);
    insta::assert_snapshot!(twice(&[("location", "weights.bin"), ("offset", "-1")]), @r#"model.onnx has "-1" for the offset of its weights "w", no number of bytes: refused; export the model again"#);
    insta::assert_snapshot!(twice(&[("location", "weights.bin"), ("length", "1"), ("length", "9")]), @r#"model.onnx states the length of its weights "w" twice: refused; export the model again"#);
    insta::assert_snapshot!(twice(&[("location", "weights.bin"), ("offset", "101")]), @"weights.bin has 100 bytes, but model.onnx wants 101 from it: copy it again");
}

#[test]
fn weights_anywhere_in_a_graph_are_found_outside_the_folder_and_brought_in_from_it() {
    let places: [fn(&mut ModelProto, TensorProto); 5] = [
        |proto, tensor| graph(proto).initializer.push(tensor),
        |proto, tensor| graph(proto).node.push(node("Constant", "c", sparse(tensor))),
        |proto, tensor| {
            let attribute = AttributeProto { t: Some(tensor), ..AttributeProto::default() };
            graph(proto).node.push(node("Constant", "c", attribute));
        },
        |proto, tensor| {
            let sparse = SparseTensorProto { values: Some(tensor), ..SparseTensorProto::default() };
            graph(proto).sparse_initializer.push(sparse);
        },
        |proto, tensor| {
            let nested = GraphProto { initializer: vec![tensor], ..GraphProto::default() };
            graph(proto).node.push(branch(nested));
        },
    ];
    for (index, place) in places.iter().enumerate() {
        let outside = external("w", &[("location", "../weights.bin")]);
        let error = changed(|proto| place(proto, outside), b"the weights", false).unwrap_err();
        assert!(error.contains("outside its own folder"), "{index}: {error}");
        let within = external("w", &[("location", "weights.bin")]);
        let debug = ModelProto {
            graph: Some(GraphProto { initializer: vec![within.clone()], ..GraphProto::default() }),
            ..ModelProto::default()
        };
        assert!(is_anything_external(&debug));
        let proto = changed(|proto| place(proto, within), b"the weights", false).unwrap();
        let held = proto.encode_to_vec();
        assert!(!is_anything_external(&proto), "{index}");
        assert!(held.windows(11).any(|window| window == b"the weights"), "{index}");
    }
}

#[test]
fn a_training_graph_is_left_out() {
    let training = |proto: &mut ModelProto| {
        let algorithm = GraphProto {
            initializer: vec![external("w", &[("location", "/etc/passwd")])],
            ..GraphProto::default()
        };
        let info = TrainingInfoProto { algorithm: Some(algorithm), ..TrainingInfoProto::default() };
        proto.training_info.push(info);
    };
    assert!(changed(training, b"", false).unwrap().training_info.is_empty());
}

#[test]
fn no_name_of_a_graph_is_taken_for_one_of_ours() {
    let port = |name: &str| {
        let mut port = Toy::default().proto().graph.unwrap().output[0].clone();
        name.clone_into(&mut port.name);
        port
    };
    let named = AttributeProto::default();
    let graphs = [
        GraphProto { node: vec![node("Constant", "tagfleet_bytes_table", named)], ..GraphProto::default() },
        GraphProto { initializer: vec![floats("tagfleet_bytes_offsets")], ..GraphProto::default() },
        GraphProto { output: vec![port("tagfleet_bytes")], ..GraphProto::default() },
        GraphProto { value_info: vec![port("tagfleet_bytes_levels")], ..GraphProto::default() },
        GraphProto {
            node: vec![NodeProto {
                input: vec!["tagfleet_bytes_samples".to_owned()],
                ..NodeProto::default()
            }],
            ..GraphProto::default()
        },
        GraphProto {
            input: vec![port("tagfleet_bytes")],
            initializer: vec![floats("tagfleet_bytes")],
            ..GraphProto::default()
        },
    ];
    for other in graphs {
        let flat = |proto: &mut ModelProto| {
            let graph = graph(proto);
            graph.node.extend(other.node.clone());
            graph.initializer.extend(other.initializer.clone());
            graph.input.extend(other.input.clone());
            graph.output.extend(other.output.clone());
            graph.value_info.extend(other.value_info.clone());
        };
        let nested = |proto: &mut ModelProto| graph(proto).node.push(branch(other.clone()));
        let options = [changed(flat, b"", false), changed(nested, b"", false)];
        for error in options.map(Result::unwrap_err) {
            let (_, why) = error.split_once(": ").unwrap();
            let ours = why == "it has been changed for a device already: tagfleet_bytes is in it";
            assert!(ours || why.starts_with("several outputs"), "{why}");
        }
    }
}

#[test]
fn operators_older_than_those_put_before_them_are_refused() {
    let with = |version: Option<i64>| {
        changed(
            |proto| match version {
                Some(version) => proto.opset_import[0].version = version,
                None => proto.opset_import.clear(),
            },
            b"",
            false,
        )
    };
    insta::assert_snapshot!(with(Some(6)).unwrap_err(), @"model.onnx: its operators are those of ONNX's set 6, and a device takes 7 or later: export the model again, or give --device cpu");
    insta::assert_snapshot!(with(None).unwrap_err(), @"model.onnx: it does not state which set of ONNX's operators it uses: export the model again, or give --device cpu");
    assert!(with(Some(7)).is_ok());
}

#[test]
fn functions_lose_their_defaults_so_they_are_refused() {
    let with = |proto: &mut ModelProto| proto.functions.push(FunctionProto::default());
    insta::assert_snapshot!(changed(with, b"", false).unwrap_err(), @"model.onnx: it has functions of its own, of which not all would be kept where it is rewritten: export the model with its functions inlined, or give --device cpu");
    assert_eq!(changed(with, b"", true), changed(with, b"", false));
}

#[test]
fn nothing_nested_or_sparse_stays_wide_in_silence() {
    let error = |change: &dyn Fn(&mut ModelProto)| changed(|proto| change(proto), b"", true).unwrap_err();
    let nested = |proto: &mut ModelProto| {
        let graph = graph(proto);
        graph.initializer.clear();
        graph.node.push(branch(GraphProto { initializer: vec![floats("w")], ..GraphProto::default() }));
    };
    assert!(error(&nested).contains(r#"the operator "If""#));
    let constant =
        |proto: &mut ModelProto| graph(proto).node.push(node("Constant", "c", sparse(floats("w"))));
    assert!(error(&constant).contains("sparse weights"));
    let twice = |proto: &mut ModelProto| graph(proto).initializer[0].float_data = vec![1.0];
    insta::assert_snapshot!(error(&twice), @r#"model.onnx: it can't be narrowed to 16-bit floats here, for it has the weights "weights" twice: leave out --precision fp16, or export the model in 16 bits"#);
}

#[test]
fn zeros_of_a_shape_are_narrowed_whatever_else_is_said_of_them() {
    let other = AttributeProto { name: "other".to_owned(), ..AttributeProto::default() };
    let zeros = |proto: &mut ModelProto| graph(proto).node.push(node("ConstantOfShape", "zeros", other));
    let proto = changed(zeros, b"", true).unwrap();
    let last = proto.graph.unwrap().node.pop().unwrap();
    let value = last.attribute.into_iter().find(|attribute| attribute.name == "value").unwrap().t.unwrap();
    assert_eq!((value.data_type, value.raw_data), (DataType::Float16 as i32, vec![0, 0]));
}

#[test]
fn an_output_may_be_the_input_and_a_weight_an_input_too() {
    let change = |proto: &mut ModelProto| {
        proto.ir_version = 3;
        let graph = graph(proto);
        let (pixels, mut weights) = (graph.input[0].clone(), graph.input[0].clone());
        graph.output.push(pixels);
        weights.name = "weights".to_owned();
        graph.input.push(weights);
    };
    for half in [false, true] {
        let graph = changed(change, b"", half).unwrap().graph.unwrap();
        let inputs: Vec<&str> = graph.input.iter().map(|port| port.name.as_str()).collect();
        assert_eq!(inputs, [INPUT, "weights"]);
        assert_eq!(graph.output[1].name, "pixels");
        assert!(graph.node.iter().any(|node| node.output == ["pixels"]));
    }
}

#[test]
fn graphs_in_graphs_end_somewhere() {
    let mut nested = GraphProto::default();
    for _ in 0..200 {
        nested = GraphProto { node: vec![branch(nested)], ..GraphProto::default() };
    }
    let error = changed(|proto| graph(proto).node.push(branch(nested)), b"", false).unwrap_err();
    assert!(error.starts_with("model.onnx is not an ONNX model"), "{error}");
}

fn entry() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..=120_u64).prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        "[-+ 0-9a-fx.]{0,8}",
    ]
}

proptest! {
    #[test]
    fn a_range_of_weights_is_what_it_says_or_refused(offset in entry(), length in proptest::option::of(entry())) {
        let file: Vec<u8> = (0..100).collect();
        let mut entries = vec![("location", "weights.bin"), ("offset", offset.as_str())];
        entries.extend(length.as_ref().map(|length| ("length", length.as_str())));
        let tensor = external("w", &entries);
        match changed(|proto| graph(proto).initializer.push(tensor), &file, false) {
            Ok(proto) => {
                let begin: usize = offset.parse().unwrap();
                let end = length.map_or(file.len(), |length| begin + length.parse::<usize>().unwrap());
                let initializer = proto.graph.unwrap().initializer;
                let held = initializer.iter().find(|tensor| tensor.name == "w").unwrap();
                prop_assert_eq!(&held.raw_data, &file[begin..end]);
            }
            Err(error) => prop_assert!(error.contains("weights"), "{}", error),
        }
    }

    #[test]
    fn weights_are_narrowed_alike_however_they_are_stored(bits in proptest::collection::vec(any::<u32>(), 1..20)) {
        let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let mut typed = graph_of(&[("Relu", &["x"], &["y"])], &["w"]);
        graph(&mut typed).initializer[0].float_data.clone_from(&values);
        let mut raw = typed.clone();
        let tensor = &mut graph(&mut raw).initializer[0];
        tensor.float_data.clear();
        tensor.raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        half::narrow(&mut typed).unwrap();
        half::narrow(&mut raw).unwrap();
        prop_assert_eq!(&typed, &raw);
        let tensor = &graph(&mut raw).initializer[0];
        let narrow = tensor.raw_data.chunks(2).map(|bytes| ::half::f16::from_le_bytes([bytes[0], bytes[1]]));
        for (narrow, wide) in narrow.zip(values) {
            prop_assert_eq!(narrow.is_finite(), wide.is_finite());
            prop_assert_eq!(narrow.to_f32() == 0.0, wide == 0.0);
        }
    }
}
