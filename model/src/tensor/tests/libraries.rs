//! Whole tensors, and the value of each sample, against the libraries: what `testdata/make_libraries.py`
//! made, to the bit.

use super::*;
use crate::preprocessing::{Anchor, Arithmetic, Filter, Resize, ResizeTo};

const VALUES: &[u8] = include_bytes!("../../../testdata/golden_values.f32");
const TENSORS: &[u8] = include_bytes!("../../../testdata/golden_tensors.f32");

type MeanStd = ([f32; 3], [f32; 3]);

const IMAGENET: MeanStd = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
const CLIP: MeanStd = ([0.481_454_66, 0.457_827_5, 0.408_210_72], [0.268_629_55, 0.261_302_6, 0.275_777_1]);
const HALF: MeanStd = ([0.5; 3], [0.5; 3]);
const ODD: MeanStd = ([0.1307, 0.7, 1.0 / 3.0], [0.3081, 0.017, 1.0 / 7.0]);
const PAIRS: [MeanStd; 4] = [IMAGENET, CLIP, HALF, ODD];
const PLAIN: MeanStd = ([0.0; 3], [1.0; 3]);
const SCALES: [f64; 6] = [1.0 / 255.0, 1.0 / 127.5, 1.0 / 256.0, 0.00392156862745098, 0.5, 1.0];
const PICTURES: [(u32, u32); 4] = [(1, 1), (1, 500), (37, 91), (640, 480)];

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn normalising(scale: f64, (mean, std): MeanStd, arithmetic: Arithmetic) -> Preprocessing {
    let (mean, std) = (mean.to_vec(), std.to_vec());
    Preprocessing { scale, mean, std, arithmetic, ..Preprocessing::plain(Color::Rgb, size(16, 16)) }
}

fn size(width: u32, height: u32) -> Size {
    Size { height, width }
}

/// The cases of `values()` in the script, in its order.
fn cases() -> Vec<Preprocessing> {
    let mut cases = Vec::new();
    for pair in PAIRS {
        cases.push(normalising(1.0 / 255.0, pair, Arithmetic::Separate));
    }
    for (both, alone) in
        [(Arithmetic::Separate, Arithmetic::Separate), (Arithmetic::Fused, Arithmetic::Single)]
    {
        for scale in SCALES {
            for pair in PAIRS {
                cases.push(normalising(scale, pair, both));
            }
            cases.push(normalising(scale, PLAIN, alone));
        }
    }
    for (without, with) in
        [(Arithmetic::Separate, Arithmetic::Separate), (Arithmetic::Fused, Arithmetic::Single)]
    {
        for (offset, arithmetic) in [(0.0, without), (-1.0, with)] {
            for std_twice in [false, true] {
                cases.push(Preprocessing { offset, std_twice, ..normalising(1.0 / 127.5, ODD, arithmetic) });
            }
        }
    }
    cases
}

#[test]
fn every_value_is_that_of_the_libraries() {
    let golden = floats(VALUES);
    let (cases, each) = (cases(), 3 * LEVELS);
    assert_eq!(golden.len(), cases.len() * each);
    for (number, (steps, golden)) in cases.iter().zip(golden.chunks(each)).enumerate() {
        let found = values(steps).unwrap();
        let different = found.iter().zip(golden).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        assert_eq!(different, 0, "of {each} in case {number}: {steps:?}");
    }
}

fn noise(width: u32, height: u32) -> Pixels {
    let data = crate::testing::noise(1).take((width * height * 3) as usize).collect();
    Pixels { width, height, channels: 3, data }
}

fn gray_mean() -> Preprocessing {
    let to = ResizeTo::Exact(size(15, 14));
    Preprocessing {
        resize: Some(Resize { to, filter: Filter::OpencvBilinear }),
        scale: 1.0 / 255.0,
        ..Preprocessing::plain(Color::GrayMean, size(15, 14))
    }
}

/// The `WAYS` of the script, in its order.
fn ways() -> Vec<Preprocessing> {
    let to = |to, filter| Some(Resize { to, filter });
    let plain = |color, width, height| Preprocessing::plain(color, size(width, height));
    let imagenet = normalising(1.0 / 255.0, IMAGENET, Arithmetic::Separate);
    let clip = normalising(1.0 / 255.0, CLIP, Arithmetic::Separate);
    let tall = Preprocessing { crop: Some(size(12, 20)), input: size(12, 20), ..imagenet.clone() };
    let thirty = Preprocessing { crop: Some(size(40, 30)), input: size(40, 30), ..clip.clone() };
    vec![
        Preprocessing {
            resize: to(ResizeTo::Fit(size(13, 22)), Filter::Bicubic),
            fill: Fill::Color([124, 116, 104]),
            ..tall.clone()
        },
        Preprocessing { resize: to(ResizeTo::Cover(size(13, 22)), Filter::Bicubic), ..tall },
        Preprocessing {
            resize: to(ResizeTo::ShortestEdge(18), Filter::Bilinear),
            crop: Some(size(16, 16)),
            ..imagenet
        },
        Preprocessing {
            resize: to(ResizeTo::Exact(size(14, 9)), Filter::Bilinear),
            crop: Some(size(17, 16)),
            scale: 1.0 / 255.0,
            ..plain(Color::Rgb, 17, 16)
        },
        Preprocessing {
            resize: to(ResizeTo::ShortestEdge(19), Filter::Bicubic),
            crop: Some(size(16, 16)),
            anchor: Anchor::CenterFloor,
            ..clip
        },
        Preprocessing { anchor: Anchor::CenterTrunc, arithmetic: Arithmetic::Fused, ..thirty.clone() },
        Preprocessing { anchor: Anchor::CenterFloor, ..thirty },
        Preprocessing {
            square: Some([255; 3]),
            resize: to(ResizeTo::Exact(size(16, 16)), Filter::Bicubic),
            layout: Layout::Nhwc,
            ..plain(Color::Bgr, 16, 16)
        },
        Preprocessing {
            resize: to(ResizeTo::Height(size(40, 12)), Filter::OpencvBilinear),
            crop: Some(size(40, 12)),
            anchor: Anchor::TopLeft,
            fill: Fill::Zero,
            scale: 1.0 / 255.0,
            mean: vec![0.5; 3],
            std: vec![0.5; 3],
            ..plain(Color::Bgr, 40, 12)
        },
        gray_mean(),
        Preprocessing {
            resize: to(ResizeTo::Fit(size(18, 14)), Filter::Bilinear),
            crop: Some(size(18, 14)),
            fill: Fill::Color([114, 100, 3]),
            layout: Layout::Nhwc,
            ..plain(Color::Rgb, 18, 14)
        },
    ]
}

#[test]
fn every_tensor_is_that_of_the_libraries() {
    let golden = floats(TENSORS);
    let mut rest = golden.as_slice();
    let pictures = PICTURES.map(|(width, height)| noise(width, height));
    for (number, steps) in ways().iter().enumerate() {
        for picture in &pictures {
            if number == 0 && picture.height == 500 {
                continue;
            }
            let found = write(steps, picture);
            let (expected, behind) = rest.split_at(found.len());
            rest = behind;
            let different = found.iter().zip(expected).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert_eq!(different, 0, "by {worst} in way {number} of {}x{}", picture.width, picture.height);
        }
    }
    assert!(rest.is_empty());
}

/// 32 of these bits decide an answer only by chance; but which ones, the libraries do not agree on.
#[test]
fn the_arithmetics_differ() {
    let values = |arithmetic| values(&normalising(1.0 / 255.0, IMAGENET, arithmetic)).unwrap();
    assert_ne!(values(Arithmetic::Separate), values(Arithmetic::Fused));
}
