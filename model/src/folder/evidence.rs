//! What a graph betrays of its preprocessing if no file describes it: a guess by a table, with the evidence
//! for it.
//!
//! | evidence | picture | samples |
//! |---|---|---|
//! | it takes integers | squashed | 0..255 as they are |
//! | it starts by scaling or centring its input | squashed | the range that this fits; CNTK's blue, green, red |
//! | the layers of a Keras application | squashed | that application's `preprocess_input` |
//! | the layers of TF-Slim and other TensorFlow classifiers, with ImageNet's classes | shorter side 256/224 and crop | those of its own evaluation |
//! | a batch normalisation behind or inside its first convolution | as below | the range that its statistics are of, if clearly another |
//! | PaddlePaddle, 48x192 or two scores and no fixed size (PaddleOCR's classifier of turned lines) | that height, padded | blue, green, red, -1..1 |
//! | PaddlePaddle | shorter side 256/224 and crop, squashed if not square; OpenCV | ImageNet's mean and standard deviation |
//! | Caffe and Caffe2 | shorter side 256/224 and crop for ImageNet, else squashed | blue, green, red, 0..255 less ImageNet's mean |
//! | MATLAB, which normalises in the graph | squashed | 0..255 |
//! | CNTK | squashed | blue, green, red, 0..255 |
//! | one channel | squashed | 0..1 |
//! | NHWC, or TensorFlow and Keras | squashed | 0..1 |
//! | ImageNet's 1000 classes, NCHW | shorter side 256/224 and crop (torchvision) | ImageNet's mean and standard deviation |
//! | NCHW of less than 64 pixels | squashed | 0..1 |
//! | any other NCHW | squashed | ImageNet's mean and standard deviation |
//!
//! The first line that fits holds. Of 30 networks that were published without a description 27 squash
//! pictures to the graph's size; the crop of ImageNet's own classifiers is right for those alone. Sources:
//! keras, `applications`; tensorflow/models, `research/slim/preprocessing`; PaddleClas,
//! `ppcls/data/preprocess`; PaddleOCR, `tools/infer/predict_cls.py`; onnx/models, the README of each Caffe2
//! network; CNTK, `Examples/Image/TransferLearning`; MATLAB's `exportONNXNetwork`, which keeps the
//! normalisation of its image input layer as the first operators.

use super::steps::{IMAGENET_MEAN, IMAGENET_STD, PerChannel, Steps};
use crate::graph::{Graph, ImageInput, Pictures, SampleRange};
use crate::preprocessing::{Anchor, Color, Fill, Filter, Layout, Resize, ResizeTo, Size};

/// The side that a graph without a fixed one most likely wants.
const USUAL_SIDE: u32 = 224;
/// ImageNet's mean in blue, green, red, which Caffe's networks subtract (keras,
/// `applications/imagenet_utils.py`).
const CAFFE_MEAN: [f64; 3] = [103.939, 116.779, 123.68];
/// These means in red, green, blue (tensorflow/models, `vgg_preprocessing.py`).
const CENTRED_MEAN: [f64; 3] = [123.68, 116.779, 103.939];
/// Networks for smaller pictures are rarely fine-tuned from ImageNet's.
const SMALL: u32 = 64;
/// Classes of ImageNet, without and with TensorFlow's background.
const IMAGENET: [usize; 2] = [1000, 1001];
/// The input of PaddleOCR's classifier of turned lines.
const OCR: Size = Size { height: 48, width: 192 };

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
    let (origin, maker) = Origin::of(graph);
    let is_imagenet = classes.is_some_and(|classes| IMAGENET.contains(&classes));
    let is_line = origin == Origin::Paddle
        && (size(input) == OCR || (classes == Some(2) && input.height.is_none() && input.width.is_none()));
    let sources = Evidence { graph, input, origin, is_imagenet, is_line };
    let (reason, steps) = sources.steps();
    let format = match input.layout {
        Layout::Nhwc => "NHWC",
        Layout::Nchw => "NCHW",
    };
    let geometry = geometry(&steps, size(input));
    Guess { steps, evidence: format!("{format} graph by {maker}{reason}: {geometry}") }
}

/// The programs whose graphs are evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Paddle,
    Caffe,
    Matlab,
    Cntk,
    Tensorflow,
    Other,
}

/// Parts of the names of producers, and of the graphs they write, in lower case. Recent versions of
/// Paddle2ONNX name the graph alone, and so do files that an optimiser or a quantiser has written again.
const MAKERS: [(&str, Origin); 9] = [
    ("paddle", Origin::Paddle),
    ("caffe", Origin::Caffe),
    ("matlab", Origin::Matlab),
    ("cntk", Origin::Cntk),
    ("tf2onnx", Origin::Tensorflow),
    ("keras", Origin::Tensorflow),
    ("tensorflow", Origin::Tensorflow),
    ("tflite", Origin::Tensorflow),
    ("tfjs", Origin::Tensorflow),
];

impl Origin {
    /// The origin, and its maker as it calls itself.
    fn of(graph: &Graph) -> (Self, &str) {
        for name in [graph.producer.as_str(), graph.name.as_str()] {
            let lower = name.to_lowercase();
            if let Some((_, origin)) = MAKERS.iter().find(|(part, _)| lower.contains(part)) {
                return (*origin, name);
            }
        }
        let maker = if graph.producer.is_empty() { "an unknown exporter" } else { graph.producer.as_str() };
        (Self::Other, maker)
    }
}

/// What is known of a graph.
struct Evidence<'a> {
    graph: &'a Graph,
    input: &'a ImageInput,
    origin: Origin,
    is_imagenet: bool,
    /// Whether pictures are lines of text, which may be upside down.
    is_line: bool,
}

impl Evidence<'_> {
    /// The reason in a few words, and the steps.
    fn steps(&self) -> (String, Steps) {
        let mut steps = squashed(self.input, "a guess");
        if self.input.element.integer_range().is_some() {
            return (" that takes integers".to_owned(), steps);
        }
        if let Some(range) = self.graph.opening.expected_range() {
            set_range(&mut steps, range);
            self.set_order(&mut steps);
            return (" that scales its input itself".to_owned(), steps);
        }
        if let Some(family) = self.graph.family {
            set_range(&mut steps, family.range);
            if family.is_cropped && self.is_imagenet {
                self.crop(&mut steps, Filter::Bilinear);
            }
            return (format!(" with the layers of {}", family.name), steps);
        }
        let (reason, usual) = self.set_usual(&mut steps);
        let pictures = if self.is_digit() { Pictures::Digits } else { Pictures::Photos };
        let range = self.graph.trained_on.map_or(usual, |seen| seen.nearest(pictures, usual));
        set_range(&mut steps, range);
        if self.input.channels == 1 {
            self.set_gray(&mut steps, range);
        }
        if range == usual {
            return (reason.to_owned(), steps);
        }
        (format!("{reason} whose first layer has the statistics of such samples"), steps)
    }

    /// What the origin's authors usually do: the reason in a few words, and their range, which is not set
    /// yet.
    fn set_usual(&self, steps: &mut Steps) -> (&'static str, SampleRange) {
        let is_colour = self.input.channels == 3;
        self.set_order(steps);
        match self.origin {
            Origin::Paddle => ("", self.set_paddle(steps)),
            Origin::Caffe if is_colour => {
                if self.is_imagenet {
                    self.crop(steps, Filter::Bilinear);
                }
                ("", SampleRange::Centred)
            }
            Origin::Matlab | Origin::Cntk | Origin::Caffe => ("", SampleRange::Bytes),
            Origin::Tensorflow => ("", SampleRange::Unit),
            Origin::Other if !is_colour || self.input.layout == Layout::Nhwc => ("", SampleRange::Unit),
            Origin::Other if self.is_imagenet => {
                self.crop(steps, Filter::Bilinear);
                (" with ImageNet's 1000 classes", SampleRange::Torch)
            }
            Origin::Other if size(self.input).height < SMALL => ("", SampleRange::Unit),
            Origin::Other => ("", SampleRange::Torch),
        }
    }

    /// Whether pictures are as small and gray as MNIST's.
    fn is_digit(&self) -> bool {
        self.input.channels == 1 && size(self.input).height <= 32
    }

    /// One mean and deviation: MNIST's for pictures of its size (PyTorch's example), else the average of
    /// ImageNet's.
    fn set_gray(&self, steps: &mut Steps, range: SampleRange) {
        let average = |values: [f64; 3]| PerChannel::One(values.iter().sum::<f64>() / 3.0);
        match range {
            SampleRange::Torch if self.is_digit() => {
                (steps.mean, steps.std) = (PerChannel::One(0.1307), PerChannel::One(0.3081));
            }
            SampleRange::Torch => (steps.mean, steps.std) = (average(IMAGENET_MEAN), average(IMAGENET_STD)),
            SampleRange::Centred | SampleRange::Caffe => steps.mean = average(CAFFE_MEAN),
            SampleRange::Bytes | SampleRange::Unit | SampleRange::Signed => {}
        }
    }

    /// CNTK and Caffe read pictures with OpenCV, as blue, green, red.
    fn set_order(&self, steps: &mut Steps) {
        if matches!(self.origin, Origin::Cntk | Origin::Caffe) && self.input.channels == 3 {
            steps.color = Some(Color::Bgr);
        }
    }

    fn set_paddle(&self, steps: &mut Steps) -> SampleRange {
        if let Some(resize) = &mut steps.resize {
            resize.filter = Filter::OpencvBilinear;
        }
        if self.input.channels == 1 {
            return SampleRange::Unit;
        }
        if self.is_line {
            steps.resize = Some(Resize { to: ResizeTo::Height(OCR), filter: Filter::OpencvBilinear });
            (steps.crop, steps.anchor, steps.fill) = (Some(OCR), Anchor::TopLeft, Fill::Zero);
            steps.color = Some(Color::Bgr);
            return SampleRange::Signed;
        }
        self.crop(steps, Filter::OpencvBilinear);
        SampleRange::Torch
    }

    /// The shorter side to 256/224 of the crop (torchvision 0.29, `transforms/_presets.py`; PaddleClas and
    /// TF-Slim the same).
    fn crop(&self, steps: &mut Steps, filter: Filter) {
        let size = size(self.input);
        if size.height != size.width {
            return;
        }
        let shorter = (u64::from(size.height) * 256 + 112) / 224;
        let shorter = u32::try_from(shorter).unwrap_or(u32::MAX);
        steps.resize = Some(Resize { to: ResizeTo::ShortestEdge(shorter), filter });
        steps.crop = Some(size);
    }
}

fn set_range(steps: &mut Steps, range: SampleRange) {
    match range {
        SampleRange::Bytes => steps.scale = 1.0,
        SampleRange::Unit => {}
        SampleRange::Signed => {
            steps.scale = 1.0 / 127.5;
            steps.offset = -1.0;
        }
        SampleRange::Torch => {
            steps.mean = PerChannel::Many(IMAGENET_MEAN.to_vec());
            steps.std = PerChannel::Many(IMAGENET_STD.to_vec());
        }
        SampleRange::Centred => {
            let is_bgr = steps.color == Some(Color::Bgr);
            steps.scale = 1.0;
            steps.mean = PerChannel::Many(if is_bgr { CAFFE_MEAN } else { CENTRED_MEAN }.to_vec());
        }
        SampleRange::Caffe => {
            steps.color = Some(Color::Bgr);
            set_range(steps, SampleRange::Centred);
        }
    }
}

fn size(input: &ImageInput) -> Size {
    let side = |side: Option<usize>| side.and_then(|side| u32::try_from(side).ok()).unwrap_or(USUAL_SIDE);
    Size { height: side(input.height), width: side(input.width) }
}

fn geometry(steps: &Steps, size: Size) -> String {
    let picture = match steps.resize {
        Some(Resize { to: ResizeTo::Height(size), .. }) => {
            format!("height {} and a width of at most {}, padded", size.height, size.width)
        }
        Some(Resize { to: ResizeTo::ShortestEdge(side), .. }) => {
            format!("shorter side to {side} and a centre crop of {}x{}", size.height, size.width)
        }
        _ => format!("squash to {}x{}", size.height, size.width),
    };
    let order = if steps.color == Some(Color::Bgr) { ", BGR" } else { "" };
    let is_centred = steps.std != PerChannel::One(1.0);
    let range = match () {
        () if steps.mean == PerChannel::One(0.1307) => "MNIST's mean and std",
        () if is_centred => "ImageNet's mean and std",
        () if steps.mean != PerChannel::One(0.0) => "0..255 minus ImageNet's mean",
        () if steps.scale == 1.0 => "0..255",
        () if steps.offset == -1.0 => "-1..1",
        () => "0..1",
    };
    format!("{picture}{order}, {range}")
}
