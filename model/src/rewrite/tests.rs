//! Graphs for devices: what is narrowed, what is refused, and that nothing is lost on the way.

mod drawn;
mod hostile;

use proptest::prelude::*;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::*;
use crate::folder::ModelOptions;
use crate::preprocessing::Preprocessing;
use crate::tensor::Preprocessor;
use crate::testing::Toy;

fn rewritten(toy: &Toy, half: bool) -> Result<ModelProto, ModelError> {
    let folder = tempfile::tempdir().unwrap();
    toy.write(folder.path(), "model.onnx");
    let model = Model::open(folder.path(), &ModelOptions::default())?;
    let graph = for_device(&model, steps(&model.spec.preprocessing).tables(), half)?;
    Ok(ModelProto::decode(graph.as_slice()).unwrap())
}

fn steps(preprocessing: &Preprocessing) -> Preprocessor {
    Preprocessor::new(preprocessing).unwrap()
}

#[test]
fn a_graph_for_a_device_takes_bytes() {
    let proto = rewritten(&Toy::default(), false).unwrap();
    let graph = proto.graph.unwrap();
    let nodes: Vec<String> = graph
        .node
        .iter()
        .map(|node| format!("{} {} -> {}", node.op_type, node.input.join(" "), node.output.join(" ")))
        .collect();
    insta::assert_snapshot!(nodes.join("\n"), @r"
    Transpose tagfleet_bytes -> tagfleet_bytes_planes
    Cast tagfleet_bytes_planes -> tagfleet_bytes_levels
    Add tagfleet_bytes_levels tagfleet_bytes_offsets -> tagfleet_bytes_places
    Gather tagfleet_bytes_table tagfleet_bytes_places -> pixels
    GlobalAveragePool pixels -> embedding
    Flatten embedding -> flat
    MatMul flat weights -> product
    Add product bias -> logits
    ");
    let inputs: Vec<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(inputs, [INPUT]);
}

#[test]
fn sixteen_bits_are_half_the_weights() {
    let wide = rewritten(&Toy::default(), false).unwrap().graph.unwrap();
    let narrow = rewritten(&Toy::default(), true).unwrap().graph.unwrap();
    let bytes = |graph: &GraphProto| -> usize {
        let floats = graph
            .initializer
            .iter()
            .filter(|tensor| [DataType::Float as i32, DataType::Float16 as i32].contains(&tensor.data_type));
        floats.map(|tensor| tensor.raw_data.len()).sum()
    };
    assert_eq!(bytes(&wide), 2 * bytes(&narrow));
    assert!(narrow.initializer.iter().all(|tensor| tensor.data_type != DataType::Float as i32));
}

#[test]
fn what_cannot_be_narrowed_is_named_and_left_alone() {
    let error = rewritten(&Toy { last: Some("Celu"), ..Toy::default() }, true).unwrap_err().to_string();
    let (_, reason) = error.split_once("model.onnx: ").unwrap();
    insta::assert_snapshot!(reason, @r#"it can't be narrowed to 16-bit floats here, for it has the operator "Celu": leave out --precision fp16, or export the model in 16 bits"#);
    assert!(rewritten(&Toy { last: Some("Celu"), ..Toy::default() }, false).is_ok());
}

#[test]
fn weights_beside_the_model_are_brought_in_and_hostile_lengths_refused() {
    let folder = tempfile::tempdir().unwrap();
    Toy { external: Some("weights.bin"), ..Toy::default() }.write(folder.path(), "model.onnx");
    let weights = [7; 48];
    std::fs::write(folder.path().join("weights.bin"), weights).unwrap();
    let model = Model::open(folder.path(), &ModelOptions::default()).unwrap();
    let tables = steps(&model.spec.preprocessing);
    let proto = ModelProto::decode(for_device(&model, tables.tables(), false).unwrap().as_slice()).unwrap();
    let tensor =
        proto.graph.unwrap().initializer.into_iter().find(|tensor| tensor.name == "weights").unwrap();
    assert_eq!(
        (tensor.raw_data.as_slice(), tensor.data_location, tensor.external_data.len()),
        (&weights[..], None, 0)
    );
    // Cut after the folder was looked at.
    std::fs::write(folder.path().join("weights.bin"), [7; 40]).unwrap();
    let error = for_device(&model, tables.tables(), false).unwrap_err().to_string();
    assert!(error.contains("weights.bin is not the file that this run started with"), "{error}");
}

/// A graph of these nodes, each an operator, its inputs and its outputs.
fn graph_of(nodes: &[(&str, &[&str], &[&str])], constants: &[&str]) -> ModelProto {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let mut node = Vec::new();
    for (op, input, output) in nodes {
        let mut next = NodeProto {
            op_type: (*op).to_owned(),
            input: owned(input),
            output: owned(output),
            ..NodeProto::default()
        };
        if *op == "Cast" {
            next.attribute = vec![AttributeProto {
                name: "to".to_owned(),
                i: DataType::Float as i64,
                ..AttributeProto::default()
            }];
        }
        node.push(next);
    }
    let constant = |name: &&str| TensorProto {
        name: (*name).to_owned(),
        data_type: DataType::Float as i32,
        float_data: vec![2.0],
        ..TensorProto::default()
    };
    let graph =
        GraphProto { node, initializer: constants.iter().map(constant).collect(), ..GraphProto::default() };
    ModelProto { graph: Some(graph), ..ModelProto::default() }
}

#[test]
fn scales_of_a_resize_stay_wide_or_the_graph_is_refused() {
    let mut alone = graph_of(&[("Resize", &["x", "", "scales"], &["y"])], &["scales", "weights"]);
    half::narrow(&mut alone).unwrap();
    let types = alone.graph.unwrap().initializer.iter().map(|tensor| tensor.data_type).collect::<Vec<_>>();
    assert_eq!(types, [DataType::Float as i32, DataType::Float16 as i32]);
    let shared: &[(&str, &[&str], &[&str])] =
        &[("Mul", &["x", "scales"], &["z"]), ("Resize", &["z", "scales"], &["y"])];
    let computed: &[(&str, &[&str], &[&str])] =
        &[("Concat", &["a", "a"], &["scales"]), ("Resize", &["x", "", "scales"], &["y"])];
    for nodes in [shared, computed] {
        let error = half::narrow(&mut graph_of(nodes, &["scales"])).unwrap_err().to_string();
        assert!(error.contains("the scales of a resize in the operator"), "{error}");
    }
}

#[test]
fn a_resize_to_sizes_that_are_computed_is_narrowed() {
    let nodes: &[(&str, &[&str], &[&str])] = &[
        ("Shape", &["x"], &["shape"]),
        ("Concat", &["shape", "shape"], &["sizes"]),
        ("Resize", &["x", "", "", "sizes"], &["y"]),
    ];
    assert!(half::narrow(&mut graph_of(nodes, &["weights"])).is_ok());
}

#[test]
fn a_range_of_floats_is_refused_and_one_of_integers_is_not() {
    let nodes = |first: &'static str| [("Range", [first, "limit", "delta"], ["places"])];
    let narrowed = |first| {
        let [(op, inputs, outputs)] = nodes(first);
        half::narrow(&mut graph_of(&[(op, &inputs, &outputs)], &["weights"]))
    };
    assert!(narrowed("weights").unwrap_err().to_string().contains("a range of floats"));
    assert!(narrowed("start").is_ok());
}

#[test]
fn shapes_are_not_counted_in_sixteen_bits() {
    let nodes: &[(&str, &[&str], &[&str])] = &[
        ("Shape", &["x"], &["shape"]),
        ("ReduceProd", &["shape"], &["elements"]),
        ("Cast", &["elements"], &["float"]),
        ("Div", &["x", "float"], &["mean"]),
    ];
    let error = half::narrow(&mut graph_of(nodes, &["weights"])).unwrap_err().to_string();
    assert!(error.contains("shapes that it computes with as floats"), "{error}");
    assert!(half::narrow(&mut graph_of(&nodes[..2], &["weights"])).is_ok());
    for op in ["Max", "Min", "Mod", "Neg", "Range", "ReduceSum", "Split", "Where"] {
        let nodes: &[(&str, &[&str], &[&str])] = &[
            ("Shape", &["x"], &["shape"]),
            (op, &["zero", "shape", "one"], &["size"]),
            ("Cast", &["size"], &["float"]),
            ("Range", &["weights", "float", "weights"], &["places"]),
        ];
        assert!(half::narrow(&mut graph_of(nodes, &["weights"])).is_err(), "{op}");
    }
}

proptest! {
    #[test]
    fn a_weight_that_is_narrowed_stays_finite_and_keeps_its_sign(bits in any::<u32>()) {
        let (wide, narrow) = (f32::from_bits(bits), half::narrowed(f32::from_bits(bits)));
        prop_assert_eq!(narrow.is_nan(), wide.is_nan());
        prop_assert_eq!(narrow.is_infinite(), wide.is_infinite());
        if !wide.is_nan() {
            prop_assert_eq!(narrow.to_f32() == 0.0, wide == 0.0);
            prop_assert_eq!(narrow.is_sign_negative(), wide.is_sign_negative());
        }
        if wide.abs() > 1e-4 && wide.abs() < 65_504.0 {
            prop_assert!((narrow.to_f32() - wide).abs() <= wide.abs() / 2048.0);
        }
    }
}
