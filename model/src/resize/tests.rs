//! Arithmetic, exactness of the crop, and Pillow's own results.

mod padded;
mod scaled;

use proptest::prelude::*;

use super::*;
use crate::grid::Reduction;
use crate::preprocessing::{Decoding, ResizeTo};

fn size(width: u32, height: u32) -> Size {
    Size { height, width }
}

fn whole(width: u32, height: u32) -> Grid {
    Grid::whole(size(width, height))
}

fn noise(width: u32, height: u32, channels: u8) -> Vec<u8> {
    crate::testing::noise(1).take((width * height * u32::from(channels)) as usize).collect()
}

fn crop(samples: &[u8], channels: u8, window: &Window) -> Vec<u8> {
    let Size { height, width } = window.output();
    let mut output = vec![7; height as usize * width as usize * usize::from(channels)];
    Cropper::default().crop(samples, channels, window, &mut output).unwrap();
    output
}

fn framed(grid: &Grid, resize: Option<Resize>, crop: Option<Size>) -> Window {
    Window::new(grid, &Frame { resize, crop, ..Frame::default() })
}

fn reduced(size: Size, resize: Option<Resize>, decoding: Decoding) -> Reduction {
    reduction(size, &Frame { resize, ..Frame::default() }, decoding)
}

fn to(to: ResizeTo, filter: Filter) -> Option<Resize> {
    Some(Resize { to, filter })
}

/// What a library does, computed in its own way: torchvision pads before it crops.
fn offset_of(anchor: Anchor, length: u32, crop: u32) -> i64 {
    let over = f64::from(length) - f64::from(crop);
    let half = match anchor {
        Anchor::Center if over < 0.0 => -(-over / 2.0).floor(),
        Anchor::Center => (over / 2.0).round_ties_even(),
        Anchor::CenterTrunc => (over / 2.0).trunc(),
        Anchor::CenterFloor => (over / 2.0).floor(),
        Anchor::TopLeft => 0.0,
    };
    half as i64
}

const ANCHORS: [Anchor; 4] = [Anchor::Center, Anchor::CenterTrunc, Anchor::CenterFloor, Anchor::TopLeft];

#[test]
fn offsets_are_those_of_the_libraries() {
    // Length, crop, torchvision, transformers with torchvision, transformers with PIL.
    let cases = [
        (256, 224, [16, 16, 16]),
        (225, 224, [0, 0, 0]),
        (227, 224, [2, 1, 1]),
        (229, 224, [2, 2, 2]),
        (224, 225, [0, 0, -1]),
        (224, 227, [-1, -1, -2]),
        (5, 9, [-2, -2, -2]),
    ];
    for (length, crop, offsets) in cases {
        let found = ANCHORS.map(|anchor| crop_offset(length, crop, anchor));
        assert_eq!(found[..3], offsets, "{crop} of {length}");
        assert_eq!(found[3], 0);
    }
}

#[test]
fn the_shortest_edge_gets_the_length() {
    let edge = ResizeTo::ShortestEdge(256);
    assert_eq!(resized_size(size(500, 375), edge), size(341, 256));
    assert_eq!(resized_size(size(375, 500), edge), size(256, 341));
    assert_eq!(resized_size(size(1, 65535), edge), size(256, 16_776_960));
    assert_eq!(resized_size(size(9, 9), edge), size(256, 256));
    assert_eq!(resized_size(size(9, 9), ResizeTo::Exact(size(3, 4))), size(3, 4));
}

#[test]
fn nothing_is_computed_where_no_size_changes() {
    let samples = noise(20, 10, 3);
    let same = to(ResizeTo::Exact(size(20, 10)), Filter::Bicubic);
    assert_eq!(crop(&samples, 3, &framed(&whole(20, 10), same, None)), samples);
    assert_eq!(crop(&samples, 3, &framed(&whole(20, 10), None, None)), samples);
}

#[test]
fn a_crop_larger_than_the_picture_is_padded_with_zeros() {
    let window = framed(&whole(2, 1), None, Some(size(5, 4)));
    let expected = [[0; 5], [0, 1, 2, 0, 0], [0; 5], [0; 5]].concat();
    assert_eq!(crop(&[1, 2], 1, &window), expected);
}

#[test]
fn nearest_takes_the_pixel_under_the_centre() {
    let resize = to(ResizeTo::Exact(size(3, 1)), Filter::Nearest);
    assert_eq!(crop(&[0, 1, 2, 3, 4, 5, 6], 1, &framed(&whole(7, 1), resize, None)), [1, 3, 5]);
    let resize = to(ResizeTo::Exact(size(6, 1)), Filter::Nearest);
    assert_eq!(crop(&[0, 1, 2], 1, &framed(&whole(3, 1), resize, None)), [0, 0, 1, 1, 2, 2]);
}

#[test]
fn extreme_shapes_cost_only_the_crop() {
    for (width, height) in [(1, 65535), (65535, 1)] {
        let resize = to(ResizeTo::ShortestEdge(256), Filter::Bicubic);
        let window = framed(&whole(width, height), resize, Some(size(224, 224)));
        assert_eq!(crop(&vec![9; 65535], 1, &window), vec![9; 224 * 224]);
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let resize = to(ResizeTo::Exact(size(3, 3)), Filter::Bilinear);
    let window = framed(&whole(6, 6), resize, None);
    assert!(Cropper::default().crop(&[0; 35], 1, &window, &mut [0; 9]).is_err());
    assert!(Cropper::default().crop(&[0; 36], 1, &window, &mut [0; 8]).is_err());
}

/// Made by `testdata/make_golden.py`: Pillow's crop of the picture that [`drawn`] draws too.
const GOLDEN: [(Filter, &[u8]); 6] = [
    (Filter::Nearest, include_bytes!("../../testdata/golden_nearest.png")),
    (Filter::Lanczos, include_bytes!("../../testdata/golden_lanczos.png")),
    (Filter::Bilinear, include_bytes!("../../testdata/golden_bilinear.png")),
    (Filter::Bicubic, include_bytes!("../../testdata/golden_bicubic.png")),
    (Filter::Box, include_bytes!("../../testdata/golden_box.png")),
    (Filter::Hamming, include_bytes!("../../testdata/golden_hamming.png")),
];

/// The same, of the picture transposed and made 37x20, which Pillow 13 does down first.
const TALL: [(Filter, &[u8]); 6] = [
    (Filter::Nearest, include_bytes!("../../testdata/golden_tall_nearest.png")),
    (Filter::Lanczos, include_bytes!("../../testdata/golden_tall_lanczos.png")),
    (Filter::Bilinear, include_bytes!("../../testdata/golden_tall_bilinear.png")),
    (Filter::Bicubic, include_bytes!("../../testdata/golden_tall_bicubic.png")),
    (Filter::Box, include_bytes!("../../testdata/golden_tall_box.png")),
    (Filter::Hamming, include_bytes!("../../testdata/golden_tall_hamming.png")),
];

fn drawn() -> Vec<u8> {
    let mut samples = Vec::new();
    for y in 0..47_i32 {
        for x in 0..61_i32 {
            let inside = (x - 30).pow(2) + (y - 20).pow(2) < 150;
            let red = (x * 3 + y) % 256;
            let green = if (x / 5 + y / 5) % 2 == 1 { 200 } else { 40 };
            samples.extend([red as u8, green, if inside { 230 } else { 20 }]);
        }
    }
    samples
}

#[test]
fn crops_are_pillows_to_the_bit() {
    for (filter, png) in GOLDEN {
        let golden = image::load_from_memory(png).unwrap().into_rgb8().into_raw();
        let resize = to(ResizeTo::ShortestEdge(32), filter);
        let window = framed(&whole(61, 47), resize, Some(size(28, 28)));
        assert_eq!(crop(&drawn(), 3, &window), golden, "{filter:?}");
    }
}

#[test]
fn tall_pictures_are_pillows_to_the_bit() {
    let drawn = drawn();
    let transposed: Vec<u8> = (0..61)
        .flat_map(|x| (0..47).flat_map(move |y| [0, 1, 2].map(|channel| (y * 61 + x) * 3 + channel)))
        .map(|index| drawn[index])
        .collect();
    for (filter, png) in TALL {
        let golden = image::load_from_memory(png).unwrap().into_rgb8().into_raw();
        let window = framed(&whole(47, 61), to(ResizeTo::Exact(size(37, 20)), filter), None);
        assert_eq!(crop(&transposed, 3, &window), golden, "{filter:?}");
    }
}

/// Of the picture that [`drawn`] draws, Pillow's `ImageOps.fit` with Lanczos.
const CUT: [((u32, u32), &[u8]); 3] = [
    ((24, 24), include_bytes!("../../testdata/golden_cut_24x24.png")),
    ((13, 30), include_bytes!("../../testdata/golden_cut_13x30.png")),
    ((40, 9), include_bytes!("../../testdata/golden_cut_40x9.png")),
];

#[test]
fn cuts_are_pillows_to_the_bit() {
    for ((width, height), png) in CUT {
        let golden = image::load_from_memory(png).unwrap().into_rgb8().into_raw();
        let window = framed(&whole(61, 47), to(ResizeTo::Cut(size(width, height)), Filter::Lanczos), None);
        assert_eq!(crop(&drawn(), 3, &window), golden, "{width}x{height}");
    }
}

#[test]
fn the_order_is_pillow_13s() {
    let cases = [
        ((50, 60), (40, 40), false),
        ((50, 60), (40, 39), true),
        ((50, 60), (50, 60), false),
        ((50, 60), (80, 59), true),
        ((50, 60), (99, 61), false),
        ((60, 50), (30, 30), false),
    ];
    for (from, into, expected) in cases {
        let resize = to(ResizeTo::Exact(size(into.0, into.1)), Filter::Bicubic);
        for crop in [None, Some(size(7, 9))] {
            let window = framed(&whole(from.0, from.1), resize, crop);
            assert_eq!(resample::goes_down_first(&window), expected, "{from:?} to {into:?}");
        }
    }
}

#[test]
fn extreme_shapes_take_little_memory() {
    let exact = to(ResizeTo::Exact(size(224, 224)), Filter::Bicubic);
    let memory = |width, height| framed(&whole(width, height), exact, None).memory(3);
    assert!(memory(4000, 3000) < 3 << 20, "{}", memory(4000, 3000));
    assert!(memory(10, 2_000_000) < 2 << 20, "{}", memory(10, 2_000_000));
    assert!(memory(1, 60_000_000) < 16 << 20, "{}", memory(1, 60_000_000));
    // Across, the weights are kept for the next row.
    assert!(memory(60_000_000, 1) > 900 << 20, "{}", memory(60_000_000, 1));
}

#[test]
fn large_buffers_are_given_back() {
    let mut cropper = Cropper::default();
    let exact = to(ResizeTo::Exact(size(1, 1)), Filter::Lanczos);
    let window = framed(&whole(4_000_000, 1), exact, None);
    assert!(window.memory(1) > KEPT as u64);
    cropper.crop(&vec![9; 4_000_000], 1, &window, &mut [0]).unwrap();
    assert!(cropper.resampler.bytes() < KEPT, "{} bytes are kept", cropper.resampler.bytes());
}

proptest! {
    #[test]
    fn offsets_are_computed_exactly(length in 1_u32..70_000, crop in 1_u32..2_000) {
        for anchor in ANCHORS {
            prop_assert_eq!(crop_offset(length, crop, anchor), offset_of(anchor, length, crop));
        }
    }

    #[test]
    fn the_long_side_is_pythons(edge in 1_u32..2_000, width in 1_u32..65_536, height in 1_u32..65_536) {
        let resized = resized_size(size(width, height), ResizeTo::ShortestEdge(edge));
        let (short, long) = (width.min(height), width.max(height));
        let python = (f64::from(edge) * f64::from(long) / f64::from(short)) as u32;
        prop_assert_eq!((resized.width.min(resized.height), resized.width.max(resized.height)), (edge, python));
    }

    #[test]
    fn memory_is_no_less_than_what_is_taken(
        width in 1_u32..300, height in 1_u32..300, across in 1_u32..90, down in 1_u32..90, crop in 1_u32..90,
        filter in prop::sample::select(vec![Filter::Lanczos, Filter::Bilinear, Filter::Bicubic, Filter::Box]),
    ) {
        let resize = to(ResizeTo::Exact(size(across, down)), filter);
        let window = framed(&whole(width, height), resize, Some(size(crop, crop)));
        let mut cropper = Cropper::default();
        let mut output = vec![0; crop as usize * crop as usize * 3];
        cropper.crop(&noise(width, height, 3), 3, &window, &mut output).unwrap();
        let taken = cropper.resampler.bytes() + cropper.unpadded.capacity();
        // The smallest buffers of all hold four values.
        prop_assert!(taken as u64 <= window.memory(3) + 128, "{taken} of {}", window.memory(3));
    }

    #[test]
    fn the_crop_is_the_crop_of_the_whole(
        width in 1_u32..90, height in 1_u32..90, edge in 1_u32..60, exact in prop::option::of(1_u32..60), crop_width in 1_u32..70, crop_height in 1_u32..70,
        filter in prop::sample::select(vec![
            Filter::Nearest, Filter::Lanczos, Filter::Bilinear, Filter::Bicubic, Filter::Box, Filter::Hamming,
        ]),
        channels in prop::sample::select(vec![1_u8, 3]),
    ) {
        let picture = size(width, height);
        let samples = noise(width, height, channels);
        let target = exact.map_or(ResizeTo::ShortestEdge(edge), |down| ResizeTo::Exact(size(edge, down)));
        let resize = to(target, filter);
        let whole = crop(&samples, channels, &framed(&Grid::whole(picture), resize, None));
        let resized = resized_size(picture, target);
        let expected = crop(&whole, channels, &framed(&Grid::whole(resized), None, Some(size(crop_width, crop_height))));
        let direct = crop(&samples, channels, &framed(&Grid::whole(picture), resize, Some(size(crop_width, crop_height))));
        prop_assert_eq!(direct, expected);
    }
}
