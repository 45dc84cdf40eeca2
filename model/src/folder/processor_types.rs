//! The image processors of transformers that are understood, with the defaults each gives to absent fields.
//!
//! Every default is that of transformers 4.57.1, `models/<family>/image_processing_<family>.py`, and of the `_fast.py`
//! beside it where the name ends in `Fast`; the two differ for BEiT alone. Files written by 5.x spell every field out.
//! Nothing here reads a file.

use super::steps::{IMAGENET_MEAN, IMAGENET_STD};
use crate::preprocessing::Filter;

/// `IMAGENET_STANDARD_MEAN` and `IMAGENET_STANDARD_STD` of transformers' `image_utils.py`.
const HALF: ([f64; 3], [f64; 3]) = ([0.5; 3], [0.5; 3]);
/// `OPENAI_CLIP_MEAN` and `OPENAI_CLIP_STD`, from the same file.
const CLIP: ([f64; 3], [f64; 3]) =
    ([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_58, 0.275_777_11]);
const IMAGENET: ([f64; 3], [f64; 3]) = (IMAGENET_MEAN, IMAGENET_STD);

/// What a processor does besides resize, crop, rescale, normalise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// Below 384: shorter side to `int(size / crop_pct)`, crop `size`; from 384 on: exactly `size`, no crop.
    ConvNext,
    /// Shorter side to `int(size / crop_pct)` where `crop_pct` is set.
    PoolFormer,
    /// Shorter side to `int(256 / 224 * size)`.
    Levit,
    /// Divides by the standard deviation a second time where `include_top` is set.
    EfficientNet,
    /// Crops before it resizes.
    Perceiver,
    /// Nothing named the processor.
    Unnamed,
}

/// The size that an absent `size` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DefaultSize {
    Square(u32),
    ShortestEdge(u32),
    Unset,
}

/// One processor and its defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ProcessorType {
    pub(super) kind: Kind,
    pub(super) size: DefaultSize,
    pub(super) filter: Filter,
    /// A centre crop of this side; `None` where the processor makes none by default.
    pub(super) crop: Option<u32>,
    /// The side a crop has where a file asks for one and doesn't give it.
    pub(super) crop_side: Option<u32>,
    /// The default of `crop_pct`.
    pub(super) crop_pct: Option<f64>,
    /// Mean and standard deviation; `None` where it does not normalise.
    pub(super) mean_std: Option<([f64; 3], [f64; 3])>,
    /// Whether red and blue change places.
    pub(super) flip: bool,
}

impl ProcessorType {
    const fn new(size: DefaultSize, filter: Filter, mean_std: ([f64; 3], [f64; 3])) -> Self {
        let mean_std = Some(mean_std);
        Self {
            kind: Kind::Plain,
            size,
            filter,
            crop: None,
            crop_side: None,
            crop_pct: None,
            mean_std,
            flip: false,
        }
    }

    const fn cropped(self, side: u32) -> Self {
        Self { crop: Some(side), crop_side: Some(side), ..self }
    }

    const fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// What a folder gets whose files name no processor: resize and crop as far as they are given, ImageNet's mean.
    pub(super) const UNNAMED: Self =
        Self::new(DefaultSize::Unset, Filter::Bilinear, IMAGENET).of_kind(Kind::Unnamed);
}

/// The processor of that class name, e.g. `ViTImageProcessor`, `ViTImageProcessorFast`, `ViTFeatureExtractor`.
pub(super) fn by_class(class: &str) -> Option<ProcessorType> {
    const SUFFIXES: [&str; 4] =
        ["ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor"];
    let family = SUFFIXES.iter().find_map(|suffix| class.strip_suffix(suffix))?;
    by_family(family, class.ends_with("Fast"))
}

/// The processor that transformers takes for a `model_type` where no class is named
/// (`IMAGE_PROCESSOR_MAPPING_NAMES` in `models/auto/image_processing_auto.py`).
pub(super) fn by_model_type(model_type: &str) -> Option<ProcessorType> {
    let family = match model_type {
        "vit" | "vit_mae" | "vit_msn" | "swin" | "swinv2" | "swiftformer" | "dinat" | "nat" | "ijepa" => {
            "ViT"
        }
        "deit" => "DeiT",
        "beit" | "data2vec-vision" => "Beit",
        "clip" | "metaclip_2" => "CLIP",
        "siglip" => "Siglip",
        "convnext" | "convnextv2" | "resnet" | "regnet" | "van" | "cvt" => "ConvNext",
        "mobilenet_v1" => "MobileNetV1",
        "mobilenet_v2" => "MobileNetV2",
        "mobilevit" | "mobilevitv2" => "MobileViT",
        "efficientnet" | "align" => "EfficientNet",
        "bit" | "dinov2" | "dinov2_with_registers" | "focalnet" | "hiera" => "Bit",
        "levit" => "Levit",
        "poolformer" => "PoolFormer",
        "pvt" | "pvt_v2" => "Pvt",
        "segformer" => "Segformer",
        "perceiver" => "Perceiver",
        "dinov3_vit" => "DINOv3ViT",
        _ => return None,
    };
    by_family(family, false)
}

fn by_family(family: &str, fast: bool) -> Option<ProcessorType> {
    use DefaultSize::{ShortestEdge, Square};
    use Filter::{Bicubic, Bilinear, Nearest};
    let new = ProcessorType::new;
    Some(match family {
        "ViT" => new(Square(224), Bilinear, HALF),
        "Beit" if fast => ProcessorType { crop_side: Some(224), ..new(Square(224), Bicubic, HALF) },
        "DeiT" | "Beit" => new(Square(256), Bicubic, HALF).cropped(224),
        "CLIP" | "ChineseCLIP" | "Bit" => new(ShortestEdge(224), Bicubic, CLIP).cropped(224),
        "Siglip" => new(Square(224), Bicubic, HALF),
        "ConvNext" => ProcessorType {
            crop_pct: Some(224.0 / 256.0),
            ..new(ShortestEdge(384), Bilinear, HALF).of_kind(Kind::ConvNext)
        },
        "MobileNetV1" | "MobileNetV2" => new(ShortestEdge(256), Bilinear, HALF).cropped(224),
        "MobileViT" => ProcessorType {
            mean_std: None,
            flip: true,
            ..new(ShortestEdge(224), Bilinear, HALF).cropped(256)
        },
        "EfficientNet" => ProcessorType {
            crop_side: Some(289),
            ..new(Square(346), Nearest, HALF).of_kind(Kind::EfficientNet)
        },
        "Levit" => new(ShortestEdge(224), Bicubic, IMAGENET).cropped(224).of_kind(Kind::Levit),
        "PoolFormer" => ProcessorType {
            crop_pct: Some(0.9),
            ..new(ShortestEdge(224), Bicubic, IMAGENET).cropped(224).of_kind(Kind::PoolFormer)
        },
        "Pvt" | "DINOv3ViT" => new(Square(224), Bilinear, IMAGENET),
        "Segformer" => new(Square(512), Bilinear, IMAGENET),
        "Perceiver" => new(Square(224), Bicubic, IMAGENET).cropped(256).of_kind(Kind::Perceiver),
        _ => return None,
    })
}
