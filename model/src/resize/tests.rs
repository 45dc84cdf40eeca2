//! Arithmetic, exactness of the crop, and Pillow's own results.

use proptest::prelude::*;

use super::*;

fn size(width: u32, height: u32) -> Size {
    Size { height, width }
}

fn noise(width: u32, height: u32, channels: u8) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..width * height * u32::from(channels)).map(|_| next()).collect()
}

fn crop(samples: &[u8], channels: u8, window: &Window) -> Vec<u8> {
    let Size { height, width } = window.output();
    let mut output = vec![7; height as usize * width as usize * usize::from(channels)];
    Cropper::default().crop(samples, channels, window, &mut output).unwrap();
    output
}

fn to(to: ResizeTo, filter: Filter) -> Option<Resize> {
    Some(Resize { to, filter })
}

/// Python's `round`, computed another way.
fn python_round_half(over: i64) -> i64 {
    let half = over as f64 / 2.0;
    half.round_ties_even() as i64
}

#[test]
fn offsets_round_half_to_even() {
    let cases =
        [(256, 224, 16), (225, 224, 0), (227, 224, 2), (224, 225, 0), (224, 227, -2), (5, 9, -2), (1, 1, 0)];
    for (length, crop, offset) in cases {
        assert_eq!(crop_offset(length, crop), offset, "{crop} of {length}");
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
    assert_eq!(crop(&samples, 3, &Window::new(size(20, 10), same, None)), samples);
    assert_eq!(crop(&samples, 3, &Window::new(size(20, 10), None, None)), samples);
}

#[test]
fn a_crop_larger_than_the_picture_is_padded_with_zeros() {
    let window = Window::new(size(2, 1), None, Some(size(5, 4)));
    let expected = [[0; 5], [0; 5], [0, 0, 1, 2, 0], [0; 5]].concat();
    // round(-1.5) is -2: two zeros to the left, two above.
    assert_eq!(crop(&[1, 2], 1, &window), expected);
}

#[test]
fn nearest_takes_the_pixel_under_the_centre() {
    let resize = to(ResizeTo::Exact(size(3, 1)), Filter::Nearest);
    assert_eq!(crop(&[0, 1, 2, 3, 4, 5, 6], 1, &Window::new(size(7, 1), resize, None)), [1, 3, 5]);
    let resize = to(ResizeTo::Exact(size(6, 1)), Filter::Nearest);
    assert_eq!(crop(&[0, 1, 2], 1, &Window::new(size(3, 1), resize, None)), [0, 0, 1, 1, 2, 2]);
}

#[test]
fn extreme_shapes_cost_only_the_crop() {
    for (width, height) in [(1, 65535), (65535, 1)] {
        let resize = to(ResizeTo::ShortestEdge(256), Filter::Bicubic);
        let window = Window::new(size(width, height), resize, Some(size(224, 224)));
        assert_eq!(crop(&vec![9; 65535], 1, &window), vec![9; 224 * 224]);
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let resize = to(ResizeTo::Exact(size(3, 3)), Filter::Bilinear);
    let window = Window::new(size(6, 6), resize, None);
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
        let window = Window::new(size(61, 47), resize, Some(size(28, 28)));
        assert_eq!(crop(&drawn(), 3, &window), golden, "{filter:?}");
    }
}

proptest! {
    #[test]
    fn offsets_are_pythons(length in 1_u32..70_000, crop in 1_u32..2_000) {
        let offset = crop_offset(length, crop);
        prop_assert_eq!(offset, python_round_half(i64::from(length) - i64::from(crop)));
    }

    #[test]
    fn the_long_side_is_pythons(edge in 1_u32..2_000, width in 1_u32..65_536, height in 1_u32..65_536) {
        let resized = resized_size(size(width, height), ResizeTo::ShortestEdge(edge));
        let (short, long) = (width.min(height), width.max(height));
        let python = (f64::from(edge) * f64::from(long) / f64::from(short)) as u32;
        prop_assert_eq!((resized.width.min(resized.height), resized.width.max(resized.height)), (edge, python));
    }

    #[test]
    fn the_crop_is_the_crop_of_the_whole(
        width in 1_u32..90, height in 1_u32..90, edge in 1_u32..60, crop_width in 1_u32..70, crop_height in 1_u32..70,
        filter in prop::sample::select(vec![
            Filter::Nearest, Filter::Lanczos, Filter::Bilinear, Filter::Bicubic, Filter::Box, Filter::Hamming,
        ]),
        channels in prop::sample::select(vec![1_u8, 3]),
    ) {
        let picture = size(width, height);
        let samples = noise(width, height, channels);
        let resize = to(ResizeTo::ShortestEdge(edge), filter);
        let whole = crop(&samples, channels, &Window::new(picture, resize, None));
        let resized = resized_size(picture, ResizeTo::ShortestEdge(edge));
        let expected = crop(&whole, channels, &Window::new(resized, None, Some(size(crop_width, crop_height))));
        let direct = crop(&samples, channels, &Window::new(picture, resize, Some(size(crop_width, crop_height))));
        prop_assert_eq!(direct, expected);
    }
}
