//! The ranges of samples that networks are usually trained on, by name.

/// What a first layer expects of samples that were 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleRange {
    /// 0 to 255, as they are.
    Bytes,
    /// 0 to 1.
    Unit,
    /// -1 to 1.
    Signed,
    /// 0 to 1, less ImageNet's mean, divided by its standard deviation: torchvision.
    Torch,
    /// Blue, green, red of 0 to 255, less ImageNet's mean: Caffe.
    Caffe,
    /// Red, green, blue of 0 to 255, less ImageNet's mean: TF-Slim's VGG and ResNet v1.
    Centred,
}
