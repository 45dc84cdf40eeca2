//! Model folders as they are found in the wild, and what is wrong with some of them.

mod broken;
mod forms;
mod processors;
mod real;
mod toml_file;
mod transformers;

use std::path::Path;

use super::*;
use crate::preprocessing::Decoding;
use crate::testing::Toy;

/// A folder with a model made by `toy` and the given files.
fn folder(toy: &Toy, files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    toy.write(folder.path(), "model.onnx");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// A model of 224x224 that takes any batch.
fn toy() -> Toy {
    Toy { input: vec![0, 3, 224, 224], ..Toy::default() }
}

fn open(toy: &Toy, files: &[(&str, &str)]) -> Result<ModelSpec, String> {
    let folder = folder(toy, files);
    open_path(folder.path(), folder.path(), &ModelOptions::default())
}

fn open_path(root: &Path, path: &Path, options: &ModelOptions<'_>) -> Result<ModelSpec, String> {
    Model::open(path, options).map(|model| model.spec).map_err(|error| without(root, &error.to_string()))
}

/// A message without the name of the temporary folder.
fn without(folder: &Path, message: &str) -> String {
    message.replace(&format!("{}/", folder.display()), "").replace(&folder.display().to_string(), "FOLDER")
}

fn refused(toy: &Toy, files: &[(&str, &str)]) -> String {
    open(toy, files).unwrap_err()
}

/// One line: colour, resize, crop, numbers, size.
fn summary(preprocessing: &Preprocessing) -> String {
    let p = preprocessing;
    format!(
        "{:?} {:?} | {} | crop {} | x*{}{:+} | mean {:?} std {:?} | {}x{}",
        p.color,
        p.layout,
        p.resize.map_or("as it is".to_owned(), |r| format!("{:?} {:?}", r.to, r.filter)),
        p.crop.map_or("none".to_owned(), |c| format!("{}x{}", c.height, c.width)),
        p.scale as f32,
        p.offset,
        p.mean,
        p.std,
        p.input.height,
        p.input.width,
    )
}

/// What a user would want to know of a spec; never the labels themselves.
fn text(spec: &ModelSpec) -> String {
    let mut text = format!(
        "{} from {}\n{}\ninput {:?}\nscores {:?}, {:?}{}, {} labels\n{:?}, half: {}\n",
        spec.model,
        spec.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(" "),
        summary(&spec.preprocessing),
        spec.input,
        spec.scores.as_ref().unwrap(),
        spec.activation,
        if spec.multi_label { " (multi-label)" } else { "" },
        spec.labels.len(),
        spec.quantization,
        spec.half,
    );
    for note in &spec.notes {
        text.push_str(&format!("- {note}\n"));
    }
    text.extend(spec.warning.iter().map(|warning| format!("! {warning}\n")));
    text
}

#[test]
fn a_bare_model_gets_torchvisions_defaults_and_says_so() {
    insta::assert_snapshot!(text(&open(&toy(), &[]).unwrap()), @r#"
    model.onnx from model.onnx
    Rgb Nchw | Exact(Size { height: 224, width: 224 }) Bilinear | crop none | x*0.003921569+0 | mean [0.485, 0.456, 0.406] std [0.229, 0.224, 0.225] | 224x224
    input InputSpec { name: "pixels", element: F32, batch: None }
    scores OutputPort { name: "logits", len: Some(4) }, Softmax, 4 labels
    None, half: false
    - no labels: they are called class_0 to class_3; write their names into labels.txt next to the model, one per line
    - no problem_type in config.json: one label per image is assumed, so softmax
    ! nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NCHW graph by an unknown exporter: squash to 224x224, ImageNet's mean and std. Check with `tagfleet inspect`, or let `tagfleet fit` find it
    "#);
}

#[test]
fn another_fixed_size_follows_the_same_rule() {
    let gray = Toy { input: vec![0, 1, 64, 64], ..Toy::default() };
    insta::assert_snapshot!(text(&open(&gray, &[]).unwrap()), @r#"
    model.onnx from model.onnx
    Gray Nchw | Exact(Size { height: 64, width: 64 }) Bilinear | crop none | x*0.003921569+0 | mean [0.0] std [1.0] | 64x64
    input InputSpec { name: "pixels", element: F32, batch: None }
    scores OutputPort { name: "logits", len: Some(4) }, Softmax, 4 labels
    None, half: false
    - no labels: they are called class_0 to class_3; write their names into labels.txt next to the model, one per line
    - no problem_type in config.json: one label per image is assumed, so softmax
    ! nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NCHW graph by an unknown exporter: squash to 64x64, 0..1. Check with `tagfleet inspect`, or let `tagfleet fit` find it
    "#);
    let wide = Toy { input: vec![4, 224, 320, 3], last: Some("Sigmoid"), ..Toy::default() };
    insta::assert_snapshot!(text(&open(&wide, &[("labels.txt", "a\nb\n c \nd\n\n")]).unwrap()), @r#"
    model.onnx from labels.txt model.onnx
    Rgb Nhwc | Exact(Size { height: 224, width: 320 }) Bilinear | crop none | x*0.003921569+0 | mean [0.0, 0.0, 0.0] std [1.0, 1.0, 1.0] | 224x320
    input InputSpec { name: "pixels", element: F32, batch: Some(4) }
    scores OutputPort { name: "logits", len: Some(4) }, None (multi-label), 4 labels
    None, half: false
    - the output logits comes out of a softmax or sigmoid: its values are used as they are
    ! nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NHWC graph by an unknown exporter: squash to 224x320, 0..1. Check with `tagfleet inspect`, or let `tagfleet fit` find it
    "#);
}

#[test]
fn hugging_face_files_are_read() {
    let config = r#"{"problem_type": "multi_label_classification", "id2label": {"1": "b", "0": "a", "3": "d", "2": 7}}"#;
    let processor = r#"{"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224}, "resample": 3}"#;
    let spec = open(&toy(), &[("config.json", config), ("preprocessor_config.json", processor)]).unwrap();
    assert_eq!(spec.labels, ["a", "b", "7", "d"]);
    insta::assert_snapshot!(text(&spec), @r#"
    model.onnx from config.json model.onnx preprocessor_config.json
    Rgb Nchw | Exact(Size { height: 224, width: 224 }) Bicubic | crop none | x*0.003921569+0 | mean [0.5, 0.5, 0.5] std [0.5, 0.5, 0.5] | 224x224
    input InputSpec { name: "pixels", element: F32, batch: None }
    scores OutputPort { name: "logits", len: Some(4) }, Sigmoid (multi-label), 4 labels
    None, half: false
    "#);
}

#[test]
fn a_model_is_multi_label_whoever_applies_the_sigmoid() {
    let multi_label = |last, files: &[(&str, &str)]| {
        let spec = open(&Toy { last, ..toy() }, files).unwrap();
        (spec.activation, spec.multi_label)
    };
    let multi = ("config.json", r#"{"problem_type": "multi_label_classification"}"#);
    let single = ("config.json", r#"{"problem_type": "single_label_classification"}"#);
    let none = ("tagfleet.toml", "activation = \"none\"");
    let sigmoid = ("tagfleet.toml", "activation = \"sigmoid\"");
    assert_eq!(multi_label(Some("Sigmoid"), &[multi]), (Activation::None, true));
    assert_eq!(multi_label(Some("Sigmoid"), &[]), (Activation::None, true));
    assert_eq!(multi_label(Some("Sigmoid"), &[single]), (Activation::None, false));
    assert_eq!(multi_label(Some("Softmax"), &[multi]), (Activation::None, false));
    assert_eq!(multi_label(Some("LogSoftmax"), &[none]), (Activation::None, false));
    assert_eq!(multi_label(None, &[none, multi]), (Activation::None, true));
    assert_eq!(multi_label(None, &[sigmoid]), (Activation::Sigmoid, true));
    assert_eq!(multi_label(None, &[single]), (Activation::Softmax, false));
}

#[test]
fn tagfleet_toml_overrides() {
    let toml = "color = \"bgr\"\nresize = [224, 224]\ncrop = \"none\"\nfilter = \"lanczos\"\nscale = 1.0\nmean = [103.939, 116.779, 123.68]\nstd = 1.0\nactivation = \"none\"\nlabels = \"names.txt\"\n";
    let spec = open(&toy(), &[("tagfleet.toml", toml), ("names.txt", "w\nx\ny\nz")]).unwrap();
    assert_eq!(spec.labels, ["w", "x", "y", "z"]);
    insta::assert_snapshot!(text(&spec), @r#"
    model.onnx from model.onnx names.txt tagfleet.toml
    Bgr Nchw | Exact(Size { height: 224, width: 224 }) Lanczos | crop none | x*1+0 | mean [103.939, 116.779, 123.68] std [1.0, 1.0, 1.0] | 224x224
    input InputSpec { name: "pixels", element: F32, batch: None }
    scores OutputPort { name: "logits", len: Some(4) }, None, 4 labels
    None, half: false
    - tagfleet.toml overrides color, resize, filter, crop, scale, mean, std
    - labels from names.txt
    "#);
}

#[test]
fn timm_is_read() {
    let config = r#"{"architecture": "x", "num_classes": 4, "label_names": ["a", "b", "c", "d"],
        "pretrained_cfg": {"input_size": [3, 224, 224], "interpolation": "bilinear", "crop_pct": 0.95, "crop_mode": "center", "mean": [0.5, 0.5, 0.5]}}"#;
    insta::assert_snapshot!(text(&open(&toy(), &[("config.json", config)]).unwrap()), @r#"
    model.onnx from config.json model.onnx
    Rgb Nchw | ShortestEdge(235) Bilinear | crop 224x224 | x*0.003921569+0 | mean [0.5, 0.5, 0.5] std [0.229, 0.224, 0.225] | 224x224
    input InputSpec { name: "pixels", element: F32, batch: None }
    scores OutputPort { name: "logits", len: Some(4) }, Softmax, 4 labels
    None, half: false
    - preprocessing from timm's pretrained_cfg in config.json
    - no problem_type in config.json: one label per image is assumed, so softmax
    "#);
    let old = r#"{"architecture": "x", "input_size": [3, 224, 224], "crop_pct": 1.0, "crop_mode": "squash"}"#;
    insta::assert_snapshot!(summary(&open(&toy(), &[("config.json", old)]).unwrap().preprocessing), @"Rgb Nchw | Exact(Size { height: 224, width: 224 }) Bicubic | crop 224x224 | x*0.003921569+0 | mean [0.485, 0.456, 0.406] std [0.229, 0.224, 0.225] | 224x224");
    let border = config.replace("center", "border");
    insta::assert_snapshot!(summary(&open(&toy(), &[("config.json", &border)]).unwrap().preprocessing), @"Rgb Nchw | Fit(Size { height: 235, width: 235 }) Bilinear | crop 224x224 | x*0.003921569+0 | mean [0.5, 0.5, 0.5] std [0.229, 0.224, 0.225] | 224x224");
}

#[test]
fn weights_of_other_frameworks_name_the_command_that_exports_them() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.safetensors", "pytorch_model.bin.index.json", "saved_model.pb", "tf_model.h5"] {
        std::fs::write(folder.path().join(file), b"x").unwrap();
        let error = open_path(folder.path(), folder.path(), &ModelOptions::default()).unwrap_err();
        assert!(error.contains(&format!("weights in {file} but no .onnx file: ")), "{error}");
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
}

#[test]
fn the_model_file_is_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let chosen = |path: &Path, model_file| {
        let options = ModelOptions { model_file, ..ModelOptions::default() };
        open_path(folder.path(), path, &options).map_or_else(|error| error, |spec| spec.model)
    };
    insta::assert_snapshot!(chosen(folder.path(), None), @"FOLDER has no .onnx file, neither in it nor in its onnx/: export the model to ONNX first");
    toy().write(folder.path(), "onnx/model_quantized.onnx");
    assert_eq!(chosen(folder.path(), None), "onnx/model_quantized.onnx");
    toy().write(folder.path(), "onnx/model_fp16.onnx");
    insta::assert_snapshot!(chosen(folder.path(), None), @"FOLDER has no model.onnx but onnx/model_fp16.onnx, onnx/model_quantized.onnx: choose one with --model-file");
    assert_eq!(chosen(folder.path(), Some("model_fp16.onnx")), "onnx/model_fp16.onnx");
    assert_eq!(chosen(folder.path(), Some("onnx/model_fp16.onnx")), "onnx/model_fp16.onnx");
    insta::assert_snapshot!(chosen(folder.path(), Some("../x.onnx")), @r#"FOLDER has no model file "../x.onnx": it has onnx/model_fp16.onnx, onnx/model_quantized.onnx"#);
    toy().write(folder.path(), "onnx/model.onnx");
    std::fs::create_dir(folder.path().join("onnx/sub")).unwrap();
    assert_eq!(chosen(folder.path(), None), "onnx/model.onnx");
    assert_eq!(chosen(&folder.path().join("onnx/model_fp16.onnx"), None), "model_fp16.onnx");
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    assert_eq!(chosen(&folder.path().join("onnx/model_fp16.onnx"), None), "onnx/model_fp16.onnx");
    assert_eq!(
        chosen(&folder.path().join("onnx/./../onnx/../onnx/.//model_fp16.onnx"), None),
        "onnx/model_fp16.onnx"
    );
    assert_eq!(chosen(&folder.path().join("onnx/sub/../model_fp16.onnx"), None), "onnx/model_fp16.onnx");
    std::fs::write(folder.path().join("onnx/labels.txt"), "a").unwrap();
    assert!(chosen(&folder.path().join("onnx/model_fp16.onnx"), None).contains("labels.txt has 1 label(s)"));
    std::fs::remove_file(folder.path().join("onnx/labels.txt")).unwrap();
    insta::assert_snapshot!(chosen(&folder.path().join("onnx/model.onnx"), Some("x")), @"onnx/model.onnx is a file, so --model-file has nothing to choose from: give its folder, or leave --model-file out");
    insta::assert_snapshot!(chosen(&folder.path().join("none"), None), @"none can't be read as a model: No such file or directory (os error 2)");
}

#[test]
fn a_vector_must_be_an_output() {
    let folder = folder(&Toy { embedding: true, ..toy() }, &[]);
    let vector = |name| {
        let options = ModelOptions { vector: Some(name), ..ModelOptions::default() };
        open_path(folder.path(), folder.path(), &options)
    };
    assert_eq!(vector("embedding").unwrap().vector.unwrap().len, Some(3));
    insta::assert_snapshot!(vector("pooler").unwrap_err(), @r#"model.onnx: the model has no output "pooler": it has logits [n, 4], embedding [n, 3, 1, 1]"#);
}

#[test]
fn a_model_without_scores_is_run_for_its_vector_alone() {
    let folder = folder(&Toy { hidden: true, ..toy() }, &[]);
    let with = |vector| {
        let options = ModelOptions { vector, ..ModelOptions::default() };
        open_path(folder.path(), folder.path(), &options)
    };
    insta::assert_snapshot!(with(None).unwrap_err(), @"model.onnx: no output of the model is one row of scores per image, [n, c] or [n, c, 1, 1]: it has pixels_out [n, 3, 224, 224]; with `--output NAME` a run keeps one of them whole, without tags");
    insta::assert_snapshot!(with(Some("pooler")).unwrap_err(), @r#"model.onnx: the model has no output "pooler": it has pixels_out [n, 3, 224, 224]"#);
    let spec = with(Some("pixels_out")).unwrap();
    assert_eq!((&spec.scores, spec.labels.len(), spec.multi_label), (&None, 0, false));
    insta::assert_snapshot!(spec.notes[0], @r#"no output is a row of scores: rows have no tags, only the vector pixels_out; if pixels_out holds scores, set output = "pixels_out" in tagfleet.toml"#);
    let ranker = |labels| {
        let options = tagfleet_pipeline::run::TagOptions {
            labels,
            ..crate::scores::default_options(spec.activation, false)
        };
        crate::scores::Ranker::new(&spec.labels, spec.activation, &options)
    };
    assert_eq!(ranker(None).unwrap().tags(&[]), Ok(Vec::new()));
    insta::assert_snapshot!(ranker(Some(vec!["cat".to_owned()])).unwrap_err(), @"the model gives no scores: --labels has nothing to choose from");
}

#[test]
fn a_copy_is_checked() {
    let folder = folder(
        &Toy { external: Some("w.bin"), ..toy() },
        &[("w.bin", &"\0".repeat(48)), ("labels.txt", "a\nb\nc\nd")],
    );
    let model = Model::open(folder.path(), &ModelOptions::default()).unwrap();
    let names: Vec<&str> = model.spec.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["labels.txt", "model.onnx", "w.bin"]);
    let json = serde_json::to_string(&model.spec).unwrap();
    let spec: ModelSpec = serde_json::from_str(&json).unwrap();
    assert_eq!(spec, model.spec);
    assert!(Model::from_copy(folder.path(), spec.clone()).is_ok());
    let other = ModelSpec { sha256: "00".repeat(32), ..spec.clone() };
    assert!(Model::from_copy(folder.path(), other).unwrap_err().to_string().contains("sha256 0000"));
    std::fs::write(folder.path().join("labels.txt"), "a\nb\nc\nD").unwrap();
    let error = Model::from_copy(folder.path(), spec).unwrap_err().to_string();
    insta::assert_snapshot!(without(folder.path(), &error), @"labels.txt is not the file that this run started with: put that one back, or start a new run");
}

#[test]
fn jpegs_are_decoded_smaller_where_that_is_harmless() {
    let with = |toy: &Toy, files: &[(&str, &str)], exact| {
        let folder = folder(toy, files);
        let options = ModelOptions { exact, ..ModelOptions::default() };
        open_path(folder.path(), folder.path(), &options).unwrap()
    };
    let decoding = |toy: &Toy, files: &[(&str, &str)], exact| with(toy, files, exact).preprocessing.decoding;
    assert!(matches!(decoding(&toy(), &[], false), Decoding::Scaled { .. }));
    assert_eq!(decoding(&toy(), &[], true), Decoding::Exact);
    for toml in [r#"filter = "nearest""#, r#"filter = "box""#, r#"filter = "lanczos""#] {
        assert_eq!(decoding(&toy(), &[("tagfleet.toml", toml)], false), Decoding::Exact);
    }
    let whole = "resize = \"none\"\ncrop = 224";
    assert_eq!(decoding(&toy(), &[("tagfleet.toml", whole)], false), Decoding::Exact);
    let dynamic = Toy { dynamic: true, ..toy() };
    assert_eq!(decoding(&dynamic, &[], false), Decoding::Exact);
    let said = |exact| with(&dynamic, &[], exact).notes.iter().any(|note| note.contains("decoded exactly"));
    assert!(said(false) && !said(true), "only what was not asked for is said");
}

#[test]
fn what_was_recorded_before_there_was_scaling_means_exact() {
    let folder = folder(&toy(), &[]);
    let exact = ModelOptions { exact: true, ..ModelOptions::default() };
    let exact = open_path(folder.path(), folder.path(), &exact).unwrap().preprocessing;
    let record = serde_json::to_string(&exact).unwrap();
    assert!(!record.contains("decoding"), "an unfinished run of before goes on with --exact: {record}");
    assert_eq!(serde_json::from_str::<Preprocessing>(&record).unwrap(), exact);
    let scaled = open_path(folder.path(), folder.path(), &ModelOptions::default()).unwrap().preprocessing;
    let record = serde_json::to_value(&scaled).unwrap();
    insta::assert_snapshot!(record["decoding"], @r#"{"scaled":{"cover":4}}"#);
    assert_eq!(serde_json::from_value::<Preprocessing>(record).unwrap(), scaled);
}
