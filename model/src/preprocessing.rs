//! How a decoded picture becomes the model's input: resolved once, written into the run, the same everywhere.
//!
//! Everything is explicit here: defaults were applied while the model's files were read. It does no work
//! itself.

use serde::{Deserialize, Serialize};

/// A height and a width in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Rows.
    pub height: u32,
    /// Pixels per row.
    pub width: u32,
}

/// The channels a model was trained on, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Color {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// ITU-R 601-2 luma before the resize, as Pillow's `convert("L")`. A graph with three channels gets it in
    /// each.
    Gray,
    /// The mean of red, green and blue after the resize, with its thirds, as numpy's `mean(axis=2)`. A graph
    /// with three channels gets it in each.
    GrayMean,
}

impl Color {
    /// Whether a picture loses its colours.
    #[must_use]
    pub fn is_gray(self) -> bool {
        matches!(self, Self::Gray | Self::GrayMean)
    }
}

/// The position of the channels in the input tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[n, c, h, w]`
    Nchw,
    /// `[n, h, w, c]`
    Nhwc,
}

/// Resampling filters: Pillow's by Pillow's names, all but `Nearest` antialiased when they shrink, and
/// OpenCV's for 8-bit samples, which are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// PIL 0
    Nearest,
    /// PIL 1
    Lanczos,
    /// PIL 2
    Bilinear,
    /// PIL 3
    Bicubic,
    /// PIL 4
    Box,
    /// PIL 5
    Hamming,
    /// OpenCV's `INTER_LINEAR`, in its fixed-point arithmetic.
    OpencvBilinear,
}

impl Filter {
    /// True if a small shift of a pixel changes its weight only a little, so that averages can replace
    /// pixels.
    #[must_use]
    pub fn is_continuous(self) -> bool {
        !matches!(self, Self::Nearest | Self::Box | Self::OpencvBilinear)
    }
}

/// The size a picture is resized to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeTo {
    /// The shorter side gets this length, the other `floor(this * long / short)`.
    ShortestEdge(u32),
    /// Exactly this size; the aspect ratio is not kept.
    Exact(Size),
    /// Exactly this size, of the largest part of the picture that has its aspect ratio, from the middle:
    /// Pillow's `ImageOps.fit`.
    Cut(Size),
    /// The smallest size of the picture's aspect ratio that covers this one. Sides are `round(side / ratio)`,
    /// half to even, as in timm's `ResizeKeepRatio(longest=0.0)`.
    Cover(Size),
    /// The largest size of the picture's aspect ratio inside this one, rounded in the same way: timm's
    /// `ResizeKeepRatio(longest=1.0)`, which others call a letterbox.
    Fit(Size),
    /// This height; the width is `ceil(height * (width / height))` of the picture, at most this width:
    /// PaddleOCR's `resize_norm_img`.
    Height(Size),
}

/// One resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// The target.
    pub to: ResizeTo,
    /// The filter.
    pub filter: Filter,
}

/// What lies around a picture that is smaller than its crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// A colour before scaling and normalising: red, green and blue, in this order whatever [`Color`] is.
    Color([u8; 3]),
    /// 0.0 after scaling and normalising.
    Zero,
}

impl Fill {
    /// True for black before scaling, which most libraries pad with.
    #[must_use]
    pub fn is_black(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Fill {
    fn default() -> Self {
        Self::Color([0; 3])
    }
}

/// Where a crop of `crop` pixels starts in `n` pixels; a negative start is padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// `(n - crop) / 2`, rounded half to even, but padding towards zero: torchvision and timm.
    #[default]
    Center,
    /// `(n - crop) / 2`, rounded towards zero: transformers' torchvision processors.
    CenterTrunc,
    /// `(n - crop) / 2`, rounded down: transformers' PIL processors.
    CenterFloor,
    /// 0: all padding is on the right and at the bottom.
    TopLeft,
}

impl Anchor {
    /// True for torchvision's rule.
    #[must_use]
    pub fn is_center(&self) -> bool {
        *self == Self::Center
    }
}

/// In which steps samples are scaled and normalised. Libraries differ in the last bits of what they compute,
/// and models that compute with integers turn such bits into other answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// `x * scale` in 64 bits, rounded to 32; then offset, mean and std in 32 bits, each rounded:
    /// torchvision, timm, OpenCLIP, transformers' PIL processors.
    #[default]
    Separate,
    /// `(x - mean / scale) / (std / scale)` in 32 bits: transformers' torchvision processors that scale and
    /// normalise.
    Fused,
    /// As `Separate` with a scale of 32 bits: Keras' `Rescaling`, and transformers' torchvision processors
    /// that only scale.
    Single,
}

impl Arithmetic {
    /// True for what most libraries do.
    #[must_use]
    pub fn is_separate(&self) -> bool {
        *self == Self::Separate
    }
}

/// How small a JPEG may be decoded before it is resized. Other formats are always decoded whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decoding {
    /// Every pixel, as Pillow does: what a run without this record did.
    #[default]
    Exact,
    /// At 1/2, 1/4 or 1/8 of its size, by averages over its pixels, as far as `cover` allows.
    Scaled {
        /// Each side that is decoded is at least this many times the side it is resized to; at least 1.
        cover: u32,
    },
}

impl Decoding {
    /// True if every pixel is decoded.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        *self == Self::Exact
    }
}

/// Another view of the same picture, for which a model's output should not change. It exists for checks, and
/// no description has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The crop as it is.
    #[default]
    Plain,
    /// Left and right changed.
    Mirrored,
    /// Moved right and down by 1/56 of each side, at least a pixel; the edge fills the gap.
    Shifted,
}

impl View {
    /// True for what runs see.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}

/// Every step from a decoded picture to the input tensor, in this order: square, resize, crop, `x * scale +
/// offset`, `(x - mean) / std`, layout. Channels are chosen last; only [`Color::Gray`] is computed first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Channels and their order; alpha is laid over white before.
    pub color: Color,
    /// The colour (red, green, blue) that pads a picture to a square before it is resized, the picture in the
    /// middle: `(side - n) / 2` pixels, rounded down, come before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub square: Option<[u8; 3]>,
    /// The resize, if there is one.
    pub resize: Option<Resize>,
    /// The crop, if there is one. If it is larger than the picture, the picture is padded.
    pub crop: Option<Size>,
    /// Where the crop lies.
    #[serde(default, skip_serializing_if = "Anchor::is_center")]
    pub anchor: Anchor,
    /// What pads a picture that is smaller than its crop.
    #[serde(default, skip_serializing_if = "Fill::is_black")]
    pub fill: Fill,
    /// The size of the input tensor; a picture that arrives with another is an error of the model's files.
    pub input: Size,
    /// Multiplied with each sample of 0..=255; 1.0 for none.
    pub scale: f64,
    /// Added after scaling; 0.0 for none (EfficientNet's `rescale_offset` is -1.0).
    pub offset: f32,
    /// Subtracted per channel, in the order of `color`; zeros for none. One value per channel of the graph.
    pub mean: Vec<f32>,
    /// Divided by per channel, in the order of `color`; ones for none. As many values as `mean`.
    pub std: Vec<f32>,
    /// Whether samples are divided by `std` once more, as EfficientNet's `include_top` does in transformers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub std_twice: bool,
    /// How all this is rounded.
    #[serde(default, skip_serializing_if = "Arithmetic::is_separate")]
    pub arithmetic: Arithmetic,
    /// The tensor's layout.
    pub layout: Layout,
    /// Whether EXIF orientation is applied to the decoded picture.
    pub exif: bool,
    /// How small a JPEG may be decoded. Left out if it is exact.
    #[serde(default, skip_serializing_if = "Decoding::is_exact")]
    pub decoding: Decoding,
    /// How the crop is changed before the model sees it; runs leave it plain.
    #[serde(default, skip_serializing_if = "View::is_plain")]
    pub view: View,
}

impl Preprocessing {
    /// Samples of 0..=255 as they are, of pictures that have the size of the input already.
    #[must_use]
    pub fn plain(color: Color, input: Size) -> Self {
        let channels = if color.is_gray() { 1 } else { 3 };
        Self {
            color,
            square: None,
            resize: None,
            crop: None,
            anchor: Anchor::default(),
            fill: Fill::default(),
            input,
            scale: 1.0,
            offset: 0.0,
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
            std_twice: false,
            arithmetic: Arithmetic::default(),
            layout: Layout::Nchw,
            exif: true,
            decoding: Decoding::default(),
            view: View::default(),
        }
    }
}

/// What turns the scores of the output into probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Exactly one label holds.
    Softmax,
    /// Each label holds or doesn't, by itself.
    Sigmoid,
    /// They are used as they are.
    None,
    /// One score for two labels: its sigmoid is the probability of the second, the rest that of the first.
    BinaryLogit,
    /// One score for two labels, which is the probability of the second already.
    BinaryProbability,
}

impl Activation {
    /// Whether one score means two labels.
    #[must_use]
    pub fn is_binary(self) -> bool {
        matches!(self, Self::BinaryLogit | Self::BinaryProbability)
    }
}
