//! Which published family of networks a graph was exported from, by the names of its layers.
//!
//! tf2onnx and its predecessors keep the names of TensorFlow's layers, also those of a base network inside of
//! a larger one. Keras's applications expect different samples: the table is `preprocess_input` in
//! keras/src/applications of Keras 3. TF-Slim's are in `preprocessing_factory.py` and the README of
//! tensorflow/models, research/slim; those of EfficientNet and of the official ResNet in tensorflow/tpu,
//! models/official. It never looks at weights.

use tract_onnx::pb::GraphProto;

use super::range::SampleRange::{self, Bytes, Caffe, Centred, Signed, Torch};

/// Networks that share their layers' names and their preprocessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, for people.
    pub name: &'static str,
    /// What `preprocess_input` makes of samples of 0 to 255.
    pub range: SampleRange,
    /// Whether its evaluation cuts 7/8 out of the middle (TF-Slim), rather than squash (Keras).
    pub is_cropped: bool,
}

/// Parts of names that all are in a graph of the family; the first line that fits holds.
struct Line {
    parts: &'static [&'static str],
    family: Family,
}

const fn keras(name: &'static str, range: SampleRange, parts: &'static [&'static str]) -> Line {
    Line { parts, family: Family { name, range, is_cropped: false } }
}

const fn slim(name: &'static str, range: SampleRange, parts: &'static [&'static str]) -> Line {
    Line { parts, family: Family { name, range, is_cropped: true } }
}

const LINES: [Line; 23] = [
    slim("TF-Slim's MobileNet", Signed, &["MobilenetV1/Conv2d_0"]),
    slim("TF-Slim's MobileNetV2", Signed, &["MobilenetV2/expanded_conv"]),
    slim("TF-Slim's MobileNetV3", Signed, &["MobilenetV3/expanded_conv"]),
    slim("TF-Slim's Inception", Signed, &["Inception", "/Conv2d_1a_"]),
    slim("TF-Slim's ResNet V2", Signed, &["resnet_v2_", "bottleneck_v2"]),
    slim("TF-Slim's ResNet", Centred, &["resnet_v1_", "bottleneck_v1"]),
    slim("TF-Slim's VGG", Centred, &["vgg_", "/conv1/conv1_1"]),
    slim("the official ResNet", Centred, &["resnet_model/"]),
    slim("EfficientNet-Lite", Signed, &["efficientnet-lite"]),
    slim("EfficientNet", Torch, &["efficientnet-b", "/stem/"]),
    keras("Keras's Xception", Signed, &["block2_sepconv1"]),
    keras("Keras's VGG", Caffe, &["block1_conv1", "block5_conv1"]),
    keras("Keras's ResNet V2", Signed, &["conv2_block1_preact_bn"]),
    keras("Keras's ResNet", Caffe, &["conv2_block1_0_conv", "conv2_block1_add"]),
    keras("Keras's DenseNet", Torch, &["conv2_block1_concat"]),
    keras("Keras's MobileNet", Signed, &["conv_dw_1", "conv_pw_1"]),
    keras("Keras's MobileNetV2", Signed, &["expanded_conv_depthwise", "block_1_expand"]),
    keras("Keras's MobileNetV3", Bytes, &["expanded_conv_1", "squeeze_excite"]),
    keras("Keras's InceptionResNetV2", Signed, &["mixed_7a", "block35_1"]),
    keras("Keras's InceptionV3", Signed, &["mixed0", "mixed10"]),
    keras("Keras's EfficientNet", Bytes, &["block1a_", "block2a_"]),
    keras("Keras's ConvNeXt", Bytes, &["convnext", "_stage_0_block_0_"]),
    keras("Keras's NASNet", Signed, &["normal_add_1", "reduction_add"]),
];

/// The family, if the graph's names are those of one.
pub(super) fn family(graph: &GraphProto) -> Option<Family> {
    let names: Vec<&str> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().chain([&node.name]))
        .chain(graph.initializer.iter().map(|tensor| &tensor.name))
        .map(String::as_str)
        .collect();
    let has = |part: &&str| names.iter().any(|name| name.contains(part));
    LINES.iter().find(|line| line.parts.iter().all(has)).map(|line| line.family)
}
