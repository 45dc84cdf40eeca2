//! Which of Keras's applications a graph was exported from, by the names of its layers.
//!
//! Keras's applications expect different values, and tf2onnx keeps the layers' names. The table is that of
//! `preprocess_input` in keras/src/applications of Keras 3. It never looks at weights.

use tract_onnx::pb::GraphProto;

/// What `preprocess_input` of an application does to samples of 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KerasInput {
    /// `x / 127.5 - 1`
    Signed,
    /// Blue, green, red, minus ImageNet's mean (`mode="caffe"`).
    Caffe,
    /// `x / 255`, then ImageNet's mean and standard deviation (`mode="torch"`).
    Torch,
    /// Nothing: the layers do it.
    Bytes,
}

/// Layers that only this application has, its input and its name; the first line that fits holds.
const APPLICATIONS: [(&[&str], KerasInput, &str); 11] = [
    (&["block2_sepconv1"], KerasInput::Signed, "Xception"),
    (&["block1_conv1", "block5_conv1"], KerasInput::Caffe, "VGG"),
    (&["conv2_block1_preact_bn"], KerasInput::Signed, "ResNet V2"),
    (&["conv2_block1_0_conv", "conv2_block1_add"], KerasInput::Caffe, "ResNet"),
    (&["conv2_block1_concat"], KerasInput::Torch, "DenseNet"),
    (&["conv_dw_1"], KerasInput::Signed, "MobileNet"),
    (&["expanded_conv_depthwise", "block_1_expand"], KerasInput::Signed, "MobileNetV2"),
    (&["mixed_7a", "block35_1"], KerasInput::Signed, "InceptionResNetV2"),
    (&["mixed9_0"], KerasInput::Signed, "InceptionV3"),
    (&["block1a_", "block2a_"], KerasInput::Bytes, "EfficientNet"),
    (&["normal_add_1", "reduction_add"], KerasInput::Signed, "NASNet"),
];

/// The application, if the graph's names are those of one.
pub(super) fn keras(graph: &GraphProto) -> Option<(KerasInput, &'static str)> {
    let names: Vec<&str> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().chain([&node.name]))
        .chain(graph.initializer.iter().map(|tensor| &tensor.name))
        .map(String::as_str)
        .collect();
    let has = |layer: &&str| names.iter().any(|name| name.contains(layer));
    let found = APPLICATIONS.iter().find(|(layers, ..)| layers.iter().all(has));
    found.map(|&(_, input, name)| (input, name))
}
