//! Folders in the forms that programs and people publish: what describes them, and what their outputs mean.

use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, StringStringEntryProto};

use super::*;
use crate::preprocessing::{Color, Fill, Filter, Layout, Resize, ResizeTo, Size};

const GRAPH: &str = "model.onnx";

/// A folder of `files` with the graph of `toy`, after `change`.
fn changed(toy: &Toy, files: &[(&str, &str)], change: impl FnOnce(&mut ModelProto)) -> tempfile::TempDir {
    use prost::Message;
    let folder = folder(toy, files);
    let mut proto = toy.proto();
    change(&mut proto);
    std::fs::write(folder.path().join(GRAPH), proto.encode_to_vec()).unwrap();
    folder
}

fn spec(toy: &Toy, files: &[(&str, &str)], change: impl FnOnce(&mut ModelProto)) -> ModelSpec {
    let folder = changed(toy, files, change);
    open_path(folder.path(), folder.path(), &ModelOptions::default()).unwrap()
}

fn metadata(entries: &[(&str, &str)]) -> impl FnOnce(&mut ModelProto) {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    let entries = entries.iter().map(entry).collect();
    move |proto| proto.metadata_props = entries
}

fn square(side: u32) -> Size {
    Size { height: side, width: side }
}

#[test]
fn the_nested_processor_wins() {
    let nested = r#"{"image_processor": {"image_processor_type": "CLIPImageProcessor", "crop_size": 224, "size": {"shortest_edge": 224}}}"#;
    let other = r#"{"image_processor_type": "ViTImageProcessor"}"#;
    let both = [("processor_config.json", nested), ("preprocessor_config.json", other)];
    let found = spec(&toy(), &both, |_| {});
    assert_eq!(found.preprocessing.crop, Some(square(224)), "CLIP crops, ViT does not");
    let plain =
        [("processor_config.json", r#"{"processor_class": "X"}"#), ("preprocessor_config.json", other)];
    assert_eq!(spec(&toy(), &plain, |_| {}).preprocessing.crop, None);
}

#[test]
fn a_model_type_alone_stands_for_its_processor() {
    let config = r#"{"model_type": "vit", "image_size": 224}"#;
    let found = spec(&toy(), &[("config.json", config)], |_| {});
    assert_eq!((found.preprocessing.mean[0], found.warning), (0.5, None));
    let larger = Toy { input: vec![0, 3, 448, 448], ..Toy::default() };
    let found = spec(&larger, &[("config.json", r#"{"model_type": "deit"}"#)], |_| {});
    let resize = Resize { to: ResizeTo::Exact(square(512)), filter: Filter::Bicubic };
    assert_eq!((found.preprocessing.resize, found.preprocessing.crop), (Some(resize), Some(square(448))));
}

#[test]
fn ultralytics_is_read_from_its_metadata() {
    let entries =
        [("task", "classify"), ("imgsz", "[224, 224]"), ("names", "{0: 'a', 1: 'b', 2: 'c', 3: 'it\\'s'}")];
    let found = spec(&toy(), &[], metadata(&entries));
    let resize = Resize { to: ResizeTo::ShortestEdge(224), filter: Filter::Bilinear };
    assert_eq!((found.preprocessing.resize, found.preprocessing.crop), (Some(resize), Some(square(224))));
    assert_eq!((found.preprocessing.mean, found.warning), (vec![0.0; 3], None));
    assert_eq!(found.labels, ["a", "b", "c", "it's"]);
    let folder = changed(&toy(), &[], metadata(&[("task", "detect"), ("names", "{0: 'a'}")]));
    let error = open_path(folder.path(), folder.path(), &ModelOptions::default()).unwrap_err();
    insta::assert_snapshot!(error, @r#"this Ultralytics model's task is "detect", but tagfleet tags with classifiers: export a model of the task classify"#);
}

#[test]
fn custom_vision_is_read_from_its_metadata() {
    let entries = [("Image.BitmapPixelFormat", "Bgr8"), ("Image.NominalPixelRange", "NominalRange_0_255")];
    let found = spec(&toy(), &[("labels.txt", "a\nb\nc\nd")], metadata(&entries));
    let steps = found.preprocessing;
    assert_eq!((steps.color, steps.scale, steps.resize.unwrap().filter), (Color::Bgr, 1.0, Filter::Bicubic));
    let found = spec(&toy(), &[], metadata(&[("Image.NominalPixelRange", "Normalized_1_1")]));
    assert_eq!((found.preprocessing.scale, found.preprocessing.offset), (1.0 / 127.5, -1.0));
}

#[test]
fn a_map_is_read_by_its_tensor_and_gives_the_labels() {
    let found = spec(&Toy { output: "p", ..toy() }, &[], |proto| {
        let graph = proto.graph.as_mut().unwrap();
        let strings = ["a", "b", "c", "d"].map(|label| label.as_bytes().to_vec()).to_vec();
        let attribute =
            AttributeProto { name: "classlabels_strings".to_owned(), strings, ..AttributeProto::default() };
        graph.node.push(NodeProto {
            op_type: "ZipMap".to_owned(),
            domain: "ai.onnx.ml".to_owned(),
            input: vec!["p".to_owned()],
            output: vec!["loss".to_owned()],
            attribute: vec![attribute],
            ..NodeProto::default()
        });
        graph.output[0].name = "loss".to_owned();
        graph.output[0].r#type = None;
    });
    assert_eq!((found.scores.unwrap().name.as_str(), found.has_maps), ("p", true));
    assert_eq!(found.labels, ["a", "b", "c", "d"]);
}

#[test]
fn wd_taggers_are_known_by_their_tags() {
    let toy = Toy { input: vec![0, 448, 448, 3], last: Some("Sigmoid"), ..Toy::default() };
    let config = r#"{"architecture": "vit", "pretrained_cfg": {"input_size": [3, 448, 448], "mean": [0.5, 0.5, 0.5]}}"#;
    let tags = "tag_id,name,category,count\n9,general,9,1\n8,solo,0,1\n7,\"a, b\",0,1\n6,d,0,1\n";
    let found = spec(&toy, &[("config.json", config), ("selected_tags.csv", tags)], |_| {});
    let steps = found.preprocessing;
    assert_eq!((steps.color, steps.square, steps.layout), (Color::Bgr, Some([255; 3]), Layout::Nhwc));
    assert_eq!((steps.scale, steps.mean), (1.0, vec![0.0; 3]));
    assert_eq!((found.labels[2].as_str(), found.multi_label), ("a, b", true));
    // Without the tags nothing proves that the description fits.
    insta::assert_snapshot!(refused(&toy, &[("config.json", config)]), @r#"
    config.json describes a PyTorch network, but the graph has its channels last (NHWC), so it came from elsewhere; write tagfleet.toml into the model's folder with the steps its author uses. As far as they are known:

        resize = 512
        crop = [448, 448]
        filter = "bicubic"
        scale = 0.00392156862745098
        mean = [0.5, 0.5, 0.5]
        std = [0.229, 0.224, 0.225]
        layout = "nhwc"
    "#);
    let stated = [("config.json", config), ("tagfleet.toml", "layout = \"nhwc\"")];
    assert_eq!(open(&toy, &stated).unwrap().preprocessing.mean, [0.5; 3]);
}

#[test]
fn teachable_machine_is_known_by_its_numbered_labels() {
    let toy = Toy { input: vec![0, 224, 224, 3], last: Some("Softmax"), ..Toy::default() };
    let found = spec(&toy, &[("labels.txt", "0 Cat\n1 Dog\n2 Fox\n3 Owl\n")], |_| {});
    let resize = Resize { to: ResizeTo::Cut(square(224)), filter: Filter::Lanczos };
    assert_eq!((found.preprocessing.resize, found.preprocessing.offset), (Some(resize), -1.0));
    assert_eq!((found.labels[1].as_str(), found.warning), ("Dog", None));
    let plain = spec(&toy, &[("labels.txt", "Cat\nDog\nFox\nOwl\n")], |_| {});
    assert!(plain.warning.is_some());
}

#[test]
fn open_clip_and_paddle_are_read() {
    let squash = r#"{"size": [224, 224], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "resize_mode": "squash"}"#;
    let found = spec(&toy(), &[("preprocess_cfg.json", squash)], |_| {});
    let resize = Resize { to: ResizeTo::Exact(square(224)), filter: Filter::Bicubic };
    assert_eq!((found.preprocessing.resize, found.warning), (Some(resize), None));
    let longest = r#"{"model_cfg": {"vision_cfg": {"image_size": 224}}, "preprocess_cfg": {"resize_mode": "longest", "fill_color": 7}}"#;
    let found = spec(&toy(), &[("open_clip_config.json", longest)], |_| {});
    assert_eq!(found.preprocessing.fill, Fill::Color([7; 3]));
    let inference = "PreProcess:\n  transform_ops:\n  - ResizeImage:\n      resize_short: 256\n  - CropImage:\n      size: 224\n  - NormalizeImage:\n      channel_num: 3\n      mean: [0.485, 0.456, 0.406]\n      order: ''\n      scale: 1.0/255.0\n      std: [0.229, 0.224, 0.225]\n  - ToCHWImage: null\nPostProcess:\n  Topk:\n    topk: 2\n    label_list: [y, no, c, d]\n";
    let found = spec(&toy(), &[("inference.yml", inference)], |_| {});
    let resize = Resize { to: ResizeTo::Cover(square(256)), filter: Filter::OpencvBilinear };
    assert_eq!((found.preprocessing.resize, found.preprocessing.crop), (Some(resize), Some(square(224))));
    assert_eq!(found.labels, ["y", "no", "c", "d"]);
    let unknown = inference.replace("CropImage", "TenCrop");
    insta::assert_snapshot!(refused(&toy(), &[("inference.yml", &unknown)]), @r#"
    inference.yml: TenCrop {"size":224} is not read; write tagfleet.toml into the model's folder with the steps its author uses. As far as they are known:

        resize = { cover = [256, 256] }
        crop = "none"
        filter = "opencv_bilinear"
        scale = 1.0
        mean = 0.0
        std = 1.0
    "#);
}

#[test]
fn labels_beside_placeholders_win() {
    let config = r#"{"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2", "3": "LABEL_3"}}"#;
    let files = [("config.json", config), ("labels.txt", "0 Cat\n1 Dog\n2 Fox\n3 Owl")];
    assert_eq!(spec(&toy(), &files, |_| {}).labels, ["Cat", "Dog", "Fox", "Owl"]);
    let named = config.replace("LABEL_", "name");
    let found = spec(&toy(), &[("config.json", &named), ("labels.txt", "a\nb\nc\nd")], |_| {});
    assert_eq!(found.labels[0], "name0");
    assert!(found.notes.iter().any(|note| note.contains("labels.txt has others")), "{:?}", found.notes);
    let two = [("labels.txt", "a\nb\nc\nd"), ("classes.txt", "d\nc\nb\na")];
    insta::assert_snapshot!(refused(&toy(), &two), @r#"model.onnx: labels.txt and classes.txt name other labels for the same scores: choose one with labels = "labels.txt" in tagfleet.toml"#);
    let one_fits = [("labels.txt", "a\nb\nc\nd"), ("classes.txt", "a\nb")];
    assert_eq!(spec(&toy(), &one_fits, |_| {}).labels[3], "d");
}

#[test]
fn one_score_is_a_probability() {
    let one = |last, files: &[(&str, &str)]| {
        let toy = Toy { classes: 1, last, ..toy() };
        let found = spec(&toy, files, |_| {});
        (found.activation, found.labels, found.multi_label)
    };
    let config = [("config.json", r#"{"id2label": {"0": "defect"}}"#)];
    assert_eq!(one(None, &config), (Activation::Sigmoid, vec!["defect".to_owned()], false));
    let names = vec!["cat".to_owned(), "dog".to_owned()];
    let labels = [("labels.txt", "cat\ndog")];
    assert_eq!(one(Some("Sigmoid"), &labels), (Activation::BinaryProbability, names.clone(), false));
    assert_eq!(one(None, &labels), (Activation::BinaryLogit, names, false));
    assert_eq!(one(Some("Sigmoid"), &[]).1, ["positive"]);
    let regression = [("config.json", r#"{"problem_type": "regression", "id2label": {"0": "age"}}"#)];
    assert_eq!(one(None, &regression).0, Activation::None);
}

#[test]
fn a_row_that_is_not_scores_is_a_vector() {
    let tower = Toy { output: "image_embeds", ..toy() };
    let found = spec(&tower, &[], |_| {});
    assert_eq!((found.scores, found.vector.unwrap().name.as_str()), (None, "image_embeds"));
    let labelled = spec(&Toy { output: "out", ..toy() }, &[("labels.txt", "a\nb\nc\nd")], |_| {});
    assert_eq!(labelled.scores.unwrap().name, "out");
}

#[test]
fn the_images_part_is_found_beside_the_whole() {
    let folder = changed(&toy(), &[], |proto| {
        let graph = proto.graph.as_mut().unwrap();
        let mut text = graph.input[0].clone();
        text.name = "input_ids".to_owned();
        graph.input.push(text);
    });
    Toy { output: "image_embeds", ..toy() }.write(folder.path(), "onnx/vision_model.onnx");
    let with =
        |vector| open_path(folder.path(), folder.path(), &ModelOptions { vector, ..ModelOptions::default() });
    assert_eq!(with(Some("image_embeds")).unwrap().model, "onnx/vision_model.onnx");
    insta::assert_snapshot!(with(None).unwrap_err(), @"model.onnx takes more than an image; onnx/vision_model.onnx next to it is the part for images: give --output with one of its outputs (image_embeds)");
}

#[test]
fn a_guess_warns_and_what_is_not_read_is_an_error() {
    let found = spec(&toy(), &[], |_| {});
    insta::assert_snapshot!(found.warning.unwrap(), @"nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NCHW graph by an unknown exporter: squash to 224x224, ImageNet's mean and std. Check with `tagfleet inspect`, or let `tagfleet fit` find it");
    let own = [("preprocess.json", r#"{"resize": 256, "mean": [0.5, 0.5, 0.5]}"#)];
    insta::assert_snapshot!(refused(&toy(), &own), @r#"
    preprocess.json seems to describe preprocessing, but tagfleet does not read it; write tagfleet.toml into the model's folder with the steps its author uses. As far as they are known:

        resize = [224, 224]
        crop = "none"
        filter = "bilinear"
        scale = 0.00392156862745098
        mean = [0.485, 0.456, 0.406]
        std = [0.229, 0.224, 0.225]
    "#);
    let stated = [own[0], ("tagfleet.toml", "resize = [224, 224]\nmean = 0.5\nstd = 0.5")];
    assert_eq!(open(&toy(), &stated).unwrap().warning, None);
    let folder = changed(&toy(), &[], metadata(&[("mean", "[0.1, 0.2, 0.3]")]));
    let error = open_path(folder.path(), folder.path(), &ModelOptions::default()).unwrap_err();
    assert!(
        error.starts_with("the graph's metadata has mean = \"[0.1, 0.2, 0.3]\", which cannot be read"),
        "{error}"
    );
}

#[test]
fn evidence_in_the_graph_decides_the_guess() {
    let warning = |toy: &Toy, producer: &str| {
        let producer = producer.to_owned();
        spec(toy, &[], |proto| proto.producer_name = producer).warning.unwrap()
    };
    let nhwc = Toy { input: vec![0, 224, 224, 3], last: Some("Softmax"), ..Toy::default() };
    insta::assert_snapshot!(warning(&nhwc, "tf2onnx"), @"nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NHWC graph by tf2onnx: squash to 224x224, 0..1. Check with `tagfleet inspect`, or let `tagfleet fit` find it");
    insta::assert_snapshot!(warning(&toy(), "PaddlePaddle"), @"nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NCHW graph by PaddlePaddle: shorter side to 256 and a centre crop of 224x224, ImageNet's mean and std. Check with `tagfleet inspect`, or let `tagfleet fit` find it");
    insta::assert_snapshot!(warning(&toy(), "CNTK"), @"nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NCHW graph by CNTK: squash to 224x224, BGR, 0..255. Check with `tagfleet inspect`, or let `tagfleet fit` find it");
    insta::assert_snapshot!(warning(&Toy { classes: 1000, ..toy() }, "pytorch"), @"nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NCHW graph by pytorch with ImageNet's 1000 classes: shorter side to 256 and a centre crop of 224x224, ImageNet's mean and std. Check with `tagfleet inspect`, or let `tagfleet fit` find it");
    insta::assert_snapshot!(guess(&warning(&Toy { input: vec![0, 3, 48, 192], ..toy() }, "PaddlePaddle")), @"NCHW graph by PaddlePaddle: height 48 and a width of at most 192, padded, BGR, -1..1");
    insta::assert_snapshot!(guess(&warning(&Toy { input: vec![0, 3, 80, 160], ..toy() }, "PaddlePaddle")), @"NCHW graph by PaddlePaddle: squash to 80x160, ImageNet's mean and std");
    insta::assert_snapshot!(guess(&warning(&Toy { classes: 1000, ..toy() }, "onnx-caffe2")), @"NCHW graph by onnx-caffe2: shorter side to 256 and a centre crop of 224x224, BGR, 0..255 minus ImageNet's mean");
    insta::assert_snapshot!(guess(&warning(&Toy { input: vec![0, 3, 0, 0], classes: 2, ..Toy::default() }, "PaddlePaddle")), @"NCHW graph by PaddlePaddle: height 48 and a width of at most 192, padded, BGR, -1..1");
    insta::assert_snapshot!(guess(&warning(&toy(), "tf2onnx")), @"NCHW graph by tf2onnx: squash to 224x224, 0..1");
}

/// The guess in a warning.
fn guess(warning: &str) -> &str {
    let guess = warning.split_once("from the graph: ").map(|(_, guess)| guess);
    guess.and_then(|guess| guess.split_once(". Check")).map_or("", |(guess, _)| guess)
}

#[test]
fn the_names_of_layers_decide_the_guess() {
    let named = |layers: &[&str], classes| {
        let found = spec(&Toy { input: vec![0, 224, 224, 3], classes, ..Toy::default() }, &[], |proto| {
            proto.producer_name = "tf2onnx".to_owned();
            let names = &mut proto.graph.as_mut().unwrap().node;
            names.iter_mut().zip(layers).for_each(|(node, layer)| node.name = (*layer).to_owned());
        });
        guess(&found.warning.unwrap()).to_owned()
    };
    insta::assert_snapshot!(named(&["sequential/vgg16/block1_conv1/Conv2D", "sequential/vgg16/block5_conv1/Conv2D"], 4), @"NHWC graph by tf2onnx with the layers of Keras's VGG: squash to 224x224, BGR, 0..255 minus ImageNet's mean");
    insta::assert_snapshot!(named(&["m/mobilenetv2_1.00_224/expanded_conv_depthwise/depthwise", "m/mobilenetv2_1.00_224/block_1_expand/Conv2D"], 4), @"NHWC graph by tf2onnx with the layers of Keras's MobileNetV2: squash to 224x224, -1..1");
    insta::assert_snapshot!(named(&["MobilenetV1/MobilenetV1/Conv2d_0/Relu6"], 1001), @"NHWC graph by tf2onnx with the layers of TF-Slim's MobileNet: shorter side to 256 and a centre crop of 224x224, -1..1");
    insta::assert_snapshot!(named(&["vgg_16/conv1/conv1_1/Conv2D"], 4), @"NHWC graph by tf2onnx with the layers of TF-Slim's VGG: squash to 224x224, 0..255 minus ImageNet's mean");
    insta::assert_snapshot!(named(&["sequential/conv2d/Conv2D"], 4), @"NHWC graph by tf2onnx: squash to 224x224, 0..1");
}
