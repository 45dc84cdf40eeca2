//! What is read of a graph, and what is refused as no model of images.

use tract_onnx::pb::tensor_proto::DataType;

use super::*;
use crate::preprocessing::Layout;
use crate::testing::Toy;

fn graph(toy: &Toy) -> Graph {
    let folder = tempfile::tempdir().unwrap();
    toy.write(folder.path(), "model.onnx");
    read(&folder.path().join("model.onnx")).unwrap()
}

fn input(dims: &[i64]) -> String {
    let graph = graph(&Toy { input: dims.to_vec(), ..Toy::default() });
    graph.image_input(None).map_or_else(|error| error.to_string(), |input| format!("{input:?}"))
}

/// The error of reading `contents` as a model, without the folder's name.
fn refused(contents: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, contents).unwrap();
    without(folder.path(), &read(&path).unwrap_err().to_string())
}

fn without(folder: &Path, message: &str) -> String {
    message.replace(&format!("{}/", folder.display()), "").replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn what_is_no_model_is_refused() {
    insta::assert_snapshot!(refused(b""), @"model.onnx is empty: copy or export the model again");
    insta::assert_snapshot!(refused(b"hello\n"), @"model.onnx is a text file, not an ONNX model");
    insta::assert_snapshot!(refused(b"\xff\xd8\xff\xe0\0\x10JFIF"), @"model.onnx looks like a JPEG, not like an ONNX model");
    insta::assert_snapshot!(refused(b"PK\x03\x04"), @"model.onnx looks like a ZIP archive, not like an ONNX model");
    insta::assert_snapshot!(
        refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        @"model.onnx is a Git LFS pointer, not a model: run `git lfs pull` where it came from"
    );
    insta::assert_snapshot!(refused(&[8, 8]), @"model.onnx is not an ONNX model: it holds no graph");
    assert!(refused(&[255; 64]).starts_with("model.onnx is not an ONNX model: "));
}

#[test]
fn image_inputs() {
    insta::assert_snapshot!(input(&[0, 3, 8, 8]), @r#"ImageInput { name: "pixels", element: F32, batch: None, layout: Nchw, channels: 3, height: Some(8), width: Some(8) }"#);
    insta::assert_snapshot!(input(&[2, 1, 8, 0]), @r#"ImageInput { name: "pixels", element: F32, batch: Some(2), layout: Nchw, channels: 1, height: Some(8), width: None }"#);
    insta::assert_snapshot!(input(&[0, 8, 9, 3]), @r#"ImageInput { name: "pixels", element: F32, batch: None, layout: Nhwc, channels: 3, height: Some(8), width: Some(9) }"#);
    insta::assert_snapshot!(input(&[0, 0, 0, 0]), @r#"ImageInput { name: "pixels", element: F32, batch: None, layout: Nchw, channels: 3, height: None, width: None }"#);
    for dynamic in [[0, 0, 0, 3], [0, 0, 8, 1]] {
        assert!(input(&dynamic).contains("layout: Nhwc"), "{dynamic:?}");
    }
    for first in [[0, 3, 0, 3], [0, 1, 0, 3], [0, 0, 8, 8]] {
        assert!(input(&first).contains("layout: Nchw"), "{first:?}");
    }
}

#[test]
fn inputs_that_are_no_image_are_refused() {
    insta::assert_snapshot!(input(&[0, 128]), @"the model's input pixels [n, 128] is not an image: an image has 4 dimensions, [n, channels, height, width]");
    insta::assert_snapshot!(input(&[0, 5, 8, 8]), @"the model's input pixels [n, 5, 8, 8] has 5 channels, but an image has 3 or 1");
    insta::assert_snapshot!(input(&[5000, 3, 8, 8]), @"the model's input pixels [5000, 3, 8, 8] wants more than 1024 images at once: export it with a dynamic batch");
    let integers = graph(&Toy { element: DataType::Int32, ..Toy::default() });
    insta::assert_snapshot!(integers.image_input(None).unwrap_err(), @"the model's input pixels [n, 3, 8, 8] takes neither floats nor bytes: export it with a float32, float16, uint8 or int8 input");
    let mut two = graph(&Toy::default());
    two.inputs.push(two.inputs[0].clone());
    insta::assert_snapshot!(two.image_input(None).unwrap_err(), @"the model has 2 inputs (pixels [n, 3, 8, 8], pixels [n, 3, 8, 8]), but tagfleet feeds one image: export the image part alone");
}

#[test]
fn a_layout_that_is_said_is_believed() {
    let graph = graph(&Toy { input: vec![0, 3, 8, 3], ..Toy::default() });
    assert_eq!(graph.image_input(None).unwrap().layout, Layout::Nchw);
    let nhwc = graph.image_input(Some(Layout::Nhwc)).unwrap();
    assert_eq!((nhwc.height, nhwc.width, nhwc.channels), (Some(3), Some(8), 3));
}

fn port(name: &str, shape: &[usize]) -> Port {
    let shape = shape.iter().map(|&dim| Some(dim).filter(|&dim| dim > 0)).collect();
    let name = name.to_owned();
    let shape = Some(shape);
    Port { name, element: Element::F32, shape, probabilities: None, dense: false, map: None }
}

#[test]
fn rows_of_scores_have_the_shape_of_a_batch() {
    let hidden = port("hidden", &[0, 197, 768]);
    let outputs = vec![
        hidden.clone(),
        port("logits", &[0, 10]),
        port("squeezed", &[1, 10, 1, 1]),
        port("prototypes", &[7, 512]),
    ];
    let graph = Graph { outputs, ..graph(&Toy::default()) };
    let names = |batch| graph.score_rows(batch).iter().map(|port| port.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names(None), ["logits", "squeezed"]);
    assert_eq!(names(Some(7)), ["logits", "squeezed", "prototypes"]);
    let refused = |name| graph.scores_output(name).unwrap_err();
    insta::assert_snapshot!(refused("hidden"), @"the output hidden [n, 197, 768] is not one row of scores per image, [n, c] or [n, c, 1, 1]: name another in tagfleet.toml");
    insta::assert_snapshot!(refused("nonesuch"), @r#"the model has no output "nonesuch": it has hidden [n, 197, 768], logits [n, 10], squeezed [1, 10, 1, 1], prototypes [7, 512]"#);
    insta::assert_snapshot!(graph.no_scores(), @"no output of the model is one row of scores per image, [n, c] or [n, c, 1, 1]: it has hidden [n, 197, 768], logits [n, 10], squeezed [1, 10, 1, 1], prototypes [7, 512]; with `--output NAME` a run keeps one of them whole, without tags");
}

#[test]
fn an_output_larger_than_can_be_counted_is_refused() {
    let hostile = port("hidden", &[0, 1 << 40, 1 << 40]);
    insta::assert_snapshot!(hostile.kept().unwrap_err(), @"the output hidden [n, 1099511627776, 1099511627776] is too large");
}

#[test]
fn quantisation_precision_and_probabilities_are_seen() {
    let plain = graph(&Toy::default());
    assert_eq!(
        (plain.quantization, plain.half, plain.outputs[0].probabilities),
        (Quantization::None, false, None)
    );
    assert_eq!(graph(&Toy { dynamic: true, ..Toy::default() }).quantization, Quantization::Dynamic);
    assert!(graph(&Toy { element: DataType::Float16, ..Toy::default() }).half);
    let last = |op| graph(&Toy { last: Some(op), ..Toy::default() }).outputs[0].probabilities;
    assert_eq!(last("Softmax"), Some(Activation::Softmax));
    assert_eq!(last("Sigmoid"), Some(Activation::Sigmoid));
    assert_eq!(last("LogSoftmax"), None);
}

#[test]
fn external_weights_are_checked() {
    let external = |location, data: Option<&[u8]>| {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        Toy { external: Some(location), ..Toy::default() }.write(&root, "model.onnx");
        if let Some(data) = data {
            std::fs::write(root.join(location), data).unwrap();
        }
        let read = read(&root.join("model.onnx"));
        without(&root, &read.map_or_else(|error| error.to_string(), |graph| format!("{:?}", graph.external)))
    };
    insta::assert_snapshot!(external("model.onnx.data", Some(&[0; 48])), @r#"[ExternalFile { location: "model.onnx.data", bytes: 48 }]"#);
    insta::assert_snapshot!(external("model.onnx.data", None), @"model.onnx needs model.onnx.data next to it, which holds its weights: copy that file into FOLDER");
    insta::assert_snapshot!(external("model.onnx.data", Some(&[0; 47])), @"model.onnx.data has 47 bytes, but model.onnx wants 48 from it: copy it again");
    insta::assert_snapshot!(
        external("model.onnx.data", Some(b"version https://git-lfs.github.com/spec/v1")),
        @"model.onnx.data is a Git LFS pointer, not a model: run `git lfs pull` where it came from"
    );
    insta::assert_snapshot!(external("../secret", Some(&[0; 48])), @r#"model.onnx wants its weights from "../secret", outside its own folder: refused; export the model again"#);
    insta::assert_snapshot!(external("./w.bin", Some(&[0; 48])), @r#"[ExternalFile { location: "w.bin", bytes: 48 }]"#);
    for outside in ["", ".", "a/../../secret"] {
        assert!(external(outside, None).contains("outside its own folder"), "{outside:?}");
    }
    insta::assert_snapshot!(external("/etc/passwd", None), @r#"model.onnx wants its weights from "/etc/passwd", outside its own folder: refused; export the model again"#);
}
