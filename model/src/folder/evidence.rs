//! What a graph betrays of its preprocessing if no file describes it: a guess by a table, with the evidence for it.
//!
//! | evidence | picture | samples |
//! |---|---|---|
//! | it takes integers | squashed | 0..255 as they are |
//! | it begins by scaling or centring its input | squashed | the range that this fits |
//! | 1000 classes and the layers of a Keras application | squashed | that application's `preprocess_input` |
//! | PaddlePaddle | shorter side 256/224 of the crop, OpenCV | ImageNet's mean and standard deviation |
//! | MATLAB, which normalises in the graph | squashed | 0..255 |
//! | CNTK | squashed | blue, green, red, 0..255 |
//! | 1000 classes, NCHW | torchvision's shorter side 256/224 and crop | ImageNet's mean and standard deviation |
//! | one channel | squashed | 0..1 |
//! | NHWC, as TensorFlow and Keras have it | squashed | 0..1 |
//! | NCHW of less than 64 pixels | squashed | 0..1 |
//! | any other NCHW | squashed | ImageNet's mean and standard deviation |
//!
//! Of 30 networks that were published without a description 27 squash pictures to the graph's size; the crop of ImageNet's
//! own classifiers is right for those alone. It never reads a weight.

use super::steps::{IMAGENET_MEAN, IMAGENET_STD, PerChannel, Steps};
use crate::graph::{Graph, ImageInput, KerasInput, SampleRange};
use crate::preprocessing::{Color, Filter, Layout, Resize, ResizeTo, Size};

/// The side that a graph without a fixed one most likely wants.
const USUAL_SIDE: u32 = 224;
/// ImageNet's mean in blue, green, red, which Caffe's networks subtract (keras, `applications/imagenet_utils.py`).
const CAFFE_MEAN: [f64; 3] = [103.939, 116.779, 123.68];
/// Networks for smaller pictures are rarely fine-tuned from ImageNet's.
const SMALL: u32 = 64;

/// A guess, and the evidence for it in a few words.
pub(super) struct Guess {
    pub(super) steps: Steps,
    pub(super) evidence: String,
}

/// Steps that squash a picture to the graph's size and scale it to 0..1.
pub(super) fn squashed(input: &ImageInput, source: &'static str) -> Steps {
    let size = size(input);
    Steps {
        resize: Some(Resize { to: ResizeTo::Exact(size), filter: Filter::Bilinear }),
        source,
        ..Steps::of_element(input.element)
    }
}

/// The most likely steps for `graph`, which gives `classes` scores.
pub(super) fn guess(graph: &Graph, input: &ImageInput, classes: Option<usize>) -> Guess {
    let steps = squashed(input, "a guess");
    let (samples, steps) = samples(graph, input, classes, steps);
    let format = match input.layout {
        Layout::Nhwc => "NHWC",
        Layout::Nchw => "NCHW",
    };
    let producer = if graph.producer.is_empty() { "an unknown exporter" } else { graph.producer.as_str() };
    let geometry = geometry(&steps, size(input));
    Guess { steps, evidence: format!("{format} graph by {producer}{samples}: {geometry}") }
}

/// The reason, and the steps with the samples it stands for.
fn samples(
    graph: &Graph,
    input: &ImageInput,
    classes: Option<usize>,
    mut steps: Steps,
) -> (&'static str, Steps) {
    let is_imagenet = classes == Some(1000);
    let producer = graph.producer.to_lowercase();
    if input.element.integers().is_some() {
        return (" that takes integers", steps);
    }
    if let Some(range) = graph.opening.expected_range() {
        set_range(&mut steps, range);
        return (" that scales its input itself", steps);
    }
    if let (true, Some((keras, _))) = (is_imagenet, graph.keras) {
        set_keras(&mut steps, keras);
        return (" with the layers of a Keras application", steps);
    }
    if producer.contains("paddle") {
        crop(&mut steps, size(input), Filter::OpencvBilinear);
        set_imagenet(&mut steps);
        return ("", steps);
    }
    if producer.contains("matlab") || producer.contains("cntk") {
        set_range(&mut steps, SampleRange::Bytes);
        if producer.contains("cntk") && input.channels == 3 {
            steps.color = Some(Color::Bgr);
        }
        return ("", steps);
    }
    if input.channels == 1 || (input.layout == Layout::Nhwc) {
        return ("", steps);
    }
    if is_imagenet {
        crop(&mut steps, size(input), Filter::Bilinear);
        set_imagenet(&mut steps);
        return (" with ImageNet's 1000 classes", steps);
    }
    if size(input).height >= SMALL {
        set_imagenet(&mut steps);
    }
    ("", steps)
}

fn set_range(steps: &mut Steps, range: SampleRange) {
    match range {
        SampleRange::Bytes => steps.scale = 1.0,
        SampleRange::Unit => {}
        SampleRange::Signed => {
            steps.scale = 1.0 / 127.5;
            steps.offset = -1.0;
        }
    }
}

fn set_keras(steps: &mut Steps, input: KerasInput) {
    match input {
        KerasInput::Signed => set_range(steps, SampleRange::Signed),
        KerasInput::Bytes => set_range(steps, SampleRange::Bytes),
        KerasInput::Torch => set_imagenet(steps),
        KerasInput::Caffe => {
            set_range(steps, SampleRange::Bytes);
            steps.color = Some(Color::Bgr);
            steps.mean = PerChannel::Many(CAFFE_MEAN.to_vec());
        }
    }
}

fn set_imagenet(steps: &mut Steps) {
    steps.mean = PerChannel::Many(IMAGENET_MEAN.to_vec());
    steps.std = PerChannel::Many(IMAGENET_STD.to_vec());
}

/// The shorter side to 256/224 of the crop (torchvision 0.29, `transforms/_presets.py`; PaddleClas the same).
fn crop(steps: &mut Steps, size: Size, filter: Filter) {
    if size.height != size.width {
        return;
    }
    let shorter = (u64::from(size.height) * 256 + 112) / 224;
    let shorter = u32::try_from(shorter).unwrap_or(u32::MAX);
    steps.resize = Some(Resize { to: ResizeTo::ShortestEdge(shorter), filter });
    steps.crop = Some(size);
}

fn size(input: &ImageInput) -> Size {
    let side = |side: Option<usize>| side.and_then(|side| u32::try_from(side).ok()).unwrap_or(USUAL_SIDE);
    Size { height: side(input.height), width: side(input.width) }
}

fn geometry(steps: &Steps, size: Size) -> String {
    let picture = match steps.resize {
        Some(Resize { to: ResizeTo::ShortestEdge(side), .. }) => {
            format!("shorter side to {side} and a centre crop of {}x{}", size.height, size.width)
        }
        _ => format!("squash to {}x{}", size.height, size.width),
    };
    let order = if steps.color == Some(Color::Bgr) { ", BGR" } else { "" };
    let is_centred = steps.std != PerChannel::One(1.0);
    let range = match () {
        () if is_centred => "ImageNet's mean and std",
        () if steps.mean != PerChannel::One(0.0) => "0..255 minus ImageNet's mean",
        () if steps.scale == 1.0 => "0..255",
        () if steps.offset == -1.0 => "-1..1",
        () => "0..1",
    };
    format!("{picture}{order}, {range}")
}
