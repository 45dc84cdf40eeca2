//! Real models from elsewhere; skipped, with a message, if they are absent.

use super::*;
use crate::testing::shared_models;

fn described(name: &str) -> Option<String> {
    let models = shared_models()?;
    let root = models.join(name);
    Some(match open_path(&models, &root, &ModelOptions::default()) {
        Ok(spec) => text(&spec),
        Err(error) => error,
    })
}

/// The model of the folder `name` with a `tagfleet.toml`, in a folder of its own.
fn with_toml(name: &str, toml: &str) -> Option<ModelSpec> {
    let models = shared_models()?;
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(models.join(name).join("model.onnx"), folder.path().join("model.onnx")).unwrap();
    std::fs::write(folder.path().join("tagfleet.toml"), toml).unwrap();
    Some(open_path(folder.path(), folder.path(), &ModelOptions::default()).unwrap())
}

#[test]
fn mobilenet_quantised_dynamically() {
    let Some(text) = described("mobilenetv2_int8") else { return };
    insta::assert_snapshot!(text, @r#"
    model.onnx from config.json model.onnx preprocessor_config.json
    Rgb Nchw | ShortestEdge(256) Bilinear | crop 224x224 | x*0.003921569+0 | mean [0.485, 0.456, 0.406] std [0.229, 0.224, 0.225] | 224x224
    input InputSpec { name: "input", element: F32, batch: None }
    scores OutputPort { name: "output", len: Some(1000) }, Softmax, 1000 labels
    Dynamic, half: false
    - preprocessor_config.json names no processor: absent fields get the defaults of the one for mobilenet_v2 models
    - the model computes with integers, so that the smallest difference of pixels can change its answer: JPEGs are decoded exactly
    - the model quantises dynamically, so that images in one batch change each other's scores: images run one by one
    "#);
}

#[test]
fn mobilenet_quantised_statically() {
    let Some(text) = described("mobilenetv2_int8_qdq_batch1") else { return };
    insta::assert_snapshot!(text, @r#"
    model.onnx from config.json model.onnx preprocessor_config.json
    Rgb Nchw | ShortestEdge(256) Bilinear | crop 224x224 | x*0.003921569+0 | mean [0.485, 0.456, 0.406] std [0.229, 0.224, 0.225] | 224x224
    input InputSpec { name: "image", element: F32, batch: Some(1) }
    scores OutputPort { name: "class_logits", len: Some(1000) }, Softmax, 1000 labels
    Qdq, half: false
    - preprocessor_config.json names no processor: absent fields get the defaults of the one for mobilenet_v2 models
    - the model computes with integers, so that the smallest difference of pixels can change its answer: JPEGs are decoded exactly
    "#);
}

#[test]
fn squeezenet_in_half_precision() {
    let Some(text) = described("squeezenet_fp16_bgr") else { return };
    insta::assert_snapshot!(text, @r#"
    model.onnx from model.onnx
    Bgr Nchw | ShortestEdge(256) Bilinear | crop 224x224 | x*1+0 | mean [103.939, 116.779, 123.68] std [1.0, 1.0, 1.0] | 224x224
    input InputSpec { name: "data_0", element: F16, batch: Some(1) }
    scores OutputPort { name: "softmaxout_1", len: Some(1000) }, None, 1000 labels
    None, half: true
    - no labels: they are called class_0 to class_999; write their names into labels.txt next to the model, one per line
    - the output softmaxout_1 comes out of a softmax or sigmoid: its values are used as they are
    ! nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NCHW graph by onnx-caffe2: shorter side to 256 and a centre crop of 224x224, BGR, 0..255 minus ImageNet's mean. Check with `tagfleet inspect`, or let `tagfleet fit` find it
    "#);
    let toml = "color = \"bgr\"\nscale = 1.0\nmean = [103.939, 116.779, 123.68]\nstd = 1.0\n";
    let Some(spec) = with_toml("squeezenet_fp16_bgr", toml) else { return };
    insta::assert_snapshot!(summary(&spec.preprocessing), @"Bgr Nchw | ShortestEdge(256) Bilinear | crop 224x224 | x*1+0 | mean [103.939, 116.779, 123.68] std [1.0, 1.0, 1.0] | 224x224");
}

#[test]
fn small_and_gray() {
    let Some(text) = described("mnist_1channel") else { return };
    insta::assert_snapshot!(text, @r#"
    model.onnx from model.onnx
    Gray Nchw | Exact(Size { height: 28, width: 28 }) Bilinear | crop none | x*1+0 | mean [0.0] std [1.0] | 28x28
    input InputSpec { name: "Input3", element: F32, batch: Some(1) }
    scores OutputPort { name: "Plus214_Output_0", len: Some(10) }, Softmax, 10 labels
    None, half: false
    - no labels: they are called class_0 to class_9; write their names into labels.txt next to the model, one per line
    - no problem_type in config.json: one label per image is assumed, so softmax
    ! nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NCHW graph by CNTK: squash to 28x28, 0..255. Check with `tagfleet inspect`, or let `tagfleet fit` find it
    "#);
    let Some(text) = described("pcb_64x64") else { return };
    insta::assert_snapshot!(text, @r#"
    model.onnx from model.onnx
    Gray Nchw | Exact(Size { height: 64, width: 64 }) Bilinear | crop none | x*0.003921569+0 | mean [0.0] std [1.0] | 64x64
    input InputSpec { name: "input", element: F32, batch: None }
    scores OutputPort { name: "logits", len: Some(7) }, Softmax, 7 labels
    None, half: false
    - no labels: they are called class_0 to class_6; write their names into labels.txt next to the model, one per line
    - no problem_type in config.json: one label per image is assumed, so softmax
    ! nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NCHW graph by pytorch: squash to 64x64, 0..1. Check with `tagfleet inspect`, or let `tagfleet fit` find it
    "#);
}

#[test]
fn weights_beside_the_model() {
    let Some(text) = described("tinycnn_external_data") else { return };
    insta::assert_snapshot!(text, @r#"
    model.onnx from model.onnx
    Rgb Nchw | Exact(Size { height: 32, width: 32 }) Bilinear | crop none | x*0.003921569+0 | mean [0.485, 0.456, 0.406] std [0.229, 0.224, 0.225] | 32x32
    input InputSpec { name: "input", element: F32, batch: Some(1) }
    scores OutputPort { name: "output", len: Some(10) }, Softmax, 10 labels
    None, half: false
    - no labels: they are called class_0 to class_9; write their names into labels.txt next to the model, one per line
    - no problem_type in config.json: one label per image is assumed, so softmax
    ! nothing describes this model's preprocessing; results are probably wrong. Guessed from the graph: NCHW graph by an unknown exporter whose first layer has the statistics of such samples: squash to 32x32, ImageNet's mean and std. Check with `tagfleet inspect`, or let `tagfleet fit` find it
    "#);
}

#[test]
fn damaged_models_are_refused() {
    let Some(error) = described("broken") else { return };
    insta::assert_snapshot!(error, @"broken has no model.onnx but lfs_pointer_densenet-12.onnx, mobilenetv2_fp32_external_data_missing.onnx: choose one with --model-file");
    let Some(error) = described("broken/lfs_pointer_densenet-12.onnx") else { return };
    insta::assert_snapshot!(error, @"broken/lfs_pointer_densenet-12.onnx is a Git LFS pointer, not a model: run `git lfs pull` where it came from");
    let Some(error) = described("broken/mobilenetv2_fp32_external_data_missing.onnx") else { return };
    insta::assert_snapshot!(error, @"broken/mobilenetv2_fp32_external_data_missing.onnx needs mobilenet_v2_fp32.onnx.data next to it, which holds its weights: copy that file into broken");
    let Some(error) = described("imagenet_classes.txt") else { return };
    insta::assert_snapshot!(error, @"imagenet_classes.txt is a text file, not an ONNX model");
}
