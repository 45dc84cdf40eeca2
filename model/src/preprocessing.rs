//! How a decoded picture becomes the model's input: resolved once, written into the run, the same everywhere.
//!
//! Everything is explicit here: defaults were applied while the model's files were read. It does no work itself.

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
    /// One channel: ITU-R 601-2 luma, as Pillow's `convert("L")`.
    Gray,
}

/// Where the channels stand in the input tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[n, c, h, w]`
    Nchw,
    /// `[n, h, w, c]`
    Nhwc,
}

/// Pillow's resampling filters, by Pillow's names. All but `Nearest` are antialiased when they shrink.
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
}

impl Filter {
    /// True where a small shift of a pixel changes its weight but a little, so that averages can stand for pixels.
    #[must_use]
    pub fn is_continuous(self) -> bool {
        !matches!(self, Self::Nearest | Self::Box)
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
}

/// One resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// The target.
    pub to: ResizeTo,
    /// The filter.
    pub filter: Filter,
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
        /// Each side that is decoded is at least so many times the side it is resized to; at least 1.
        cover: u32,
    },
}

impl Decoding {
    /// True where every pixel is decoded.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        *self == Self::Exact
    }
}

/// Every step from a decoded picture to the input tensor, in this order:
/// colour, resize, centre crop, `x * scale + offset`, `(x - mean) / std`, layout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Channels and their order; alpha is laid over white before.
    pub color: Color,
    /// The resize, if there is one.
    pub resize: Option<Resize>,
    /// The centre crop, if there is one. Offsets are `(n - crop) / 2` rounded half to even, as torchvision and
    /// transformers' Fast processors have them; its slow ones round down, one pixel off where `n - crop` is 3, 7, 11, ...
    /// A crop larger than the picture is padded with zeros (before scaling).
    pub crop: Option<Size>,
    /// The size of the input tensor; a picture that arrives with another is an error of the model's files.
    pub input: Size,
    /// Multiplied with each sample of 0..=255; 1.0 for none.
    pub scale: f32,
    /// Added after scaling; 0.0 for none (EfficientNet's `rescale_offset` is -1.0).
    pub offset: f32,
    /// Subtracted per channel, in the order of `color`; zeros for none.
    pub mean: Vec<f32>,
    /// Divided by per channel, in the order of `color`; ones for none.
    pub std: Vec<f32>,
    /// The tensor's layout.
    pub layout: Layout,
    /// Whether EXIF orientation is applied to the decoded picture.
    pub exif: bool,
    /// How small a JPEG may be decoded. Left out where it is exact, so that runs of before keep their record.
    #[serde(default, skip_serializing_if = "Decoding::is_exact")]
    pub decoding: Decoding,
}
