//! The meaning of each processor of transformers, by its defaults and by files as they are found.

use super::super::processor::Context;
use super::super::processor_types::{Processor, by_class, by_model_type};
use super::super::steps;
use super::*;
use crate::graph::ImageInput;
use crate::preprocessing::Layout;

fn steps(class: &str, fields: &str) -> String {
    let mut fields: serde_json::Value = serde_json::from_str(fields).unwrap();
    fields["image_processor_type"] = class.into();
    let file: Processor = serde_json::from_value(fields).unwrap();
    let name = "pixels".to_owned();
    let (layout, channels) = (Layout::Nchw, 3);
    let input =
        ImageInput { name, element: Element::F32, batch: None, layout, channels, height: None, width: None };
    let mut notes = Vec::new();
    let context = Context { model_type: None, input: &input };
    let steps = file.described("preprocessor_config.json", context, &mut notes).unwrap();
    let per_channel =
        |values: &steps::PerChannel| format!("{values:?}").replace("Many", "").replace("One", "");
    format!(
        "{}{} | crop {} {:?} | {:.5}{:+} | {} {}{}{:?}{}",
        if steps.color.is_some() { "BGR " } else { "" },
        steps.resize.map_or("as it is".to_owned(), |r| format!("{:?} {:?}", r.to, r.filter)),
        steps.crop.map_or("none".to_owned(), |c| format!("{}x{}", c.height, c.width)),
        steps.anchor,
        steps.scale as f32,
        steps.offset,
        per_channel(&steps.mean),
        per_channel(&steps.std),
        if steps.std_twice { " twice " } else { " " },
        steps.arithmetic,
        notes.iter().map(|note| format!("\n  {note}")).collect::<String>(),
    )
}

const FAMILIES: [&str; 23] = [
    "ViT",
    "DeiT",
    "Beit",
    "Blip",
    "CLIP",
    "ChineseCLIP",
    "Siglip",
    "ConvNext",
    "MobileNetV1",
    "MobileNetV2",
    "MobileViT",
    "EfficientNet",
    "Bit",
    "Levit",
    "PoolFormer",
    "Pvt",
    "Segformer",
    "Perceiver",
    "DINOv3ViT",
    "DPT",
    "Flava",
    "OwlViT",
    "VideoMAE",
];

#[test]
fn defaults_of_every_processor() {
    let mut table = String::new();
    for family in FAMILIES {
        table.push_str(&format!("{family}: {}\n", steps(&format!("{family}ImageProcessor"), "{}")));
    }
    for family in ["Beit", "Pvt", "MobileViT"] {
        table.push_str(&format!("{family}, fast: {}\n", steps(&format!("{family}ImageProcessorFast"), "{}")));
    }
    insta::assert_snapshot!(table, @"
    ViT: Exact(Size { height: 224, width: 224 }) Bilinear | crop none CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate
    DeiT: Exact(Size { height: 256, width: 256 }) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate
    Beit: Exact(Size { height: 224, width: 224 }) Bicubic | crop none CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate
    Blip: Exact(Size { height: 384, width: 384 }) Bicubic | crop none CenterFloor | 0.00392+0 | ([0.48145466, 0.4578275, 0.40821073]) ([0.26862954, 0.26130258, 0.27577711]) Separate
    CLIP: ShortestEdge(224) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.48145466, 0.4578275, 0.40821073]) ([0.26862954, 0.26130258, 0.27577711]) Separate
    ChineseCLIP: ShortestEdge(224) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.48145466, 0.4578275, 0.40821073]) ([0.26862954, 0.26130258, 0.27577711]) Separate
    Siglip: Exact(Size { height: 224, width: 224 }) Bicubic | crop none CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate
    ConvNext: Exact(Size { height: 384, width: 384 }) Bicubic | crop none CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate
    MobileNetV1: ShortestEdge(256) Bilinear | crop 224x224 CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate
    MobileNetV2: ShortestEdge(256) Bilinear | crop 224x224 CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate
    MobileViT: BGR ShortestEdge(224) Bicubic | crop 256x256 CenterFloor | 0.00392+0 | (0.0) (1.0) Separate
    EfficientNet: Exact(Size { height: 346, width: 346 }) Bicubic | crop none CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) twice Separate
    Bit: ShortestEdge(224) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.48145466, 0.4578275, 0.40821073]) ([0.26862954, 0.26130258, 0.27577711]) Separate
    Levit: ShortestEdge(256) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.485, 0.456, 0.406]) ([0.229, 0.224, 0.225]) Separate
    PoolFormer: ShortestEdge(248) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.485, 0.456, 0.406]) ([0.229, 0.224, 0.225]) Separate
    Pvt: Exact(Size { height: 224, width: 224 }) Bicubic | crop none CenterFloor | 0.00392+0 | ([0.485, 0.456, 0.406]) ([0.229, 0.224, 0.225]) Separate
    Segformer: Exact(Size { height: 512, width: 512 }) Bilinear | crop none CenterFloor | 0.00392+0 | ([0.485, 0.456, 0.406]) ([0.229, 0.224, 0.225]) Separate
    Perceiver: ShortestEdge(256) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.485, 0.456, 0.406]) ([0.229, 0.224, 0.225]) Separate
      preprocessor_config.json: Perceiver crops before it resizes, tagfleet after: the same region, up to a pixel at its edges
    DINOv3ViT: Exact(Size { height: 224, width: 224 }) Bilinear | crop none CenterFloor | 0.00392+0 | ([0.485, 0.456, 0.406]) ([0.229, 0.224, 0.225]) Separate
    DPT: Exact(Size { height: 384, width: 384 }) Bicubic | crop none CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate
    Flava: Exact(Size { height: 224, width: 224 }) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.48145466, 0.4578275, 0.40821073]) ([0.26862954, 0.26130258, 0.27577711]) Separate
    OwlViT: Exact(Size { height: 768, width: 768 }) Bicubic | crop none CenterFloor | 0.00392+0 | ([0.48145466, 0.4578275, 0.40821073]) ([0.26862954, 0.26130258, 0.27577711]) Separate
    VideoMAE: ShortestEdge(224) Bilinear | crop 224x224 CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate
    Beit, fast: Exact(Size { height: 224, width: 224 }) Bicubic | crop none CenterTrunc | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Fused
    Pvt, fast: Exact(Size { height: 224, width: 224 }) Bicubic | crop none CenterTrunc | 0.00392+0 | ([0.485, 0.456, 0.406]) ([0.229, 0.224, 0.225]) Fused
    MobileViT, fast: BGR ShortestEdge(224) Bicubic | crop 256x256 CenterTrunc | 0.00392+0 | (0.0) (1.0) Single
    ");
}

#[test]
fn files_as_they_are_found() {
    // microsoft/resnet-50
    insta::assert_snapshot!(steps("ConvNextFeatureExtractor", r#"{"crop_pct": 0.875, "size": 224, "resample": 3}"#), @"ShortestEdge(256) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate");
    // google/vit-base-patch16-224, as first published
    insta::assert_snapshot!(steps("ViTFeatureExtractor", r#"{"do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": 224}"#), @"Exact(Size { height: 224, width: 224 }) Bilinear | crop none CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate");
    // apple/mobilevit-small
    insta::assert_snapshot!(steps("MobileViTFeatureExtractor", r#"{"crop_size": {"height": 256, "width": 256}, "do_flip_channel_order": true, "resample": 2, "size": {"shortest_edge": 288}}"#), @"BGR ShortestEdge(288) Bilinear | crop 256x256 CenterFloor | 0.00392+0 | (0.0) (1.0) Separate");
    // google/efficientnet-b0
    insta::assert_snapshot!(steps("EfficientNetImageProcessor", r#"{"do_center_crop": false, "image_std": [0.47853944, 0.4732864, 0.47434163], "include_top": true, "rescale_offset": false, "size": {"height": 224, "width": 224}}"#), @"Exact(Size { height: 224, width: 224 }) Bicubic | crop none CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.47853944, 0.4732864, 0.47434163]) twice Separate");
    insta::assert_snapshot!(steps("EfficientNetImageProcessor", r#"{"rescale_factor": 0.00784, "rescale_offset": true, "do_normalize": false, "include_top": false}"#), @"Exact(Size { height: 346, width: 346 }) Bicubic | crop none CenterFloor | 0.00784-1 | (0.0) (1.0) Separate");
    // openai/clip-vit-base-patch32, as first published
    insta::assert_snapshot!(steps("CLIPFeatureExtractor", r#"{"crop_size": 224, "do_center_crop": true, "size": 224, "resample": 3}"#), @"ShortestEdge(224) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.48145466, 0.4578275, 0.40821073]) ([0.26862954, 0.26130258, 0.27577711]) Separate");
    // facebook/levit-128S and facebook/deit-base, as first published
    insta::assert_snapshot!(steps("LevitFeatureExtractor", r#"{"size": 224}"#), @"ShortestEdge(256) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.485, 0.456, 0.406]) ([0.229, 0.224, 0.225]) Separate");
    insta::assert_snapshot!(steps("DeiTFeatureExtractor", r#"{"size": 256, "crop_size": 224}"#), @"Exact(Size { height: 256, width: 256 }) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate");
    insta::assert_snapshot!(steps("PoolFormerFeatureExtractor", r#"{"crop_pct": 0.95, "size": 224}"#), @"ShortestEdge(235) Bicubic | crop 224x224 CenterFloor | 0.00392+0 | ([0.485, 0.456, 0.406]) ([0.229, 0.224, 0.225]) Separate");
    insta::assert_snapshot!(steps("BitImageProcessor", r#"{"do_resize": null, "do_rescale": false, "do_normalize": false, "crop_size": {"shortest_edge": 200}}"#), @"ShortestEdge(224) Bicubic | crop 200x200 CenterFloor | 1.00000+0 | (0.0) (1.0) Separate");
    insta::assert_snapshot!(steps("ConvNextImageProcessor", r#"{"size": {"shortest_edge": 256}, "crop_pct": null, "do_resize": false}"#), @"as it is | crop none CenterFloor | 0.00392+0 | ([0.5, 0.5, 0.5]) ([0.5, 0.5, 0.5]) Separate");
}

#[test]
fn a_model_type_stands_for_its_processor() {
    let same = |model_type, class| std::ptr::eq(by_model_type(model_type).unwrap(), by_class(class).unwrap());
    assert!(same("resnet", "ConvNextImageProcessor") && same("dinov2", "BitImageProcessor"));
    assert!(by_model_type("bert").is_none());
    let spec =
        open(&toy(), &[("config.json", r#"{"model_type": "swin"}"#), ("preprocessor_config.json", "{}")])
            .unwrap();
    insta::assert_snapshot!(text(&spec), @r#"
    model.onnx from config.json model.onnx preprocessor_config.json
    Rgb Nchw | Exact(Size { height: 224, width: 224 }) Bilinear | crop none | x*0.003921569+0 | mean [0.5, 0.5, 0.5] std [0.5, 0.5, 0.5] | 224x224
    input InputSpec { name: "pixels", element: F32, batch: None }
    scores OutputPort { name: "logits", len: Some(4) }, Softmax, 4 labels
    None, half: false
    - preprocessor_config.json names no processor: absent fields get the defaults of the one for swin models
    - no labels: they are called class_0 to class_3; write their names into labels.txt next to the model, one per line
    - no problem_type in config.json: one label per image is assumed, so softmax
    "#);
    let spec = open(&toy(), &[("preprocessor_config.json", r#"{"crop_size": 224}"#)]).unwrap();
    insta::assert_snapshot!(text(&spec), @r#"
    model.onnx from model.onnx preprocessor_config.json
    Rgb Nchw | as it is | crop 224x224 | x*0.003921569+0 | mean [0.485, 0.456, 0.406] std [0.229, 0.224, 0.225] | 224x224
    input InputSpec { name: "pixels", element: F32, batch: None }
    scores OutputPort { name: "logits", len: Some(4) }, Softmax, 4 labels
    None, half: false
    - preprocessor_config.json names no processor: absent fields get ImageNet's mean, 1/255 and bilinear
    - no labels: they are called class_0 to class_3; write their names into labels.txt next to the model, one per line
    - no problem_type in config.json: one label per image is assumed, so softmax
    "#);
}
