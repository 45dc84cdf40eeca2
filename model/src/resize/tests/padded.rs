//! Pictures padded to a square, anchors, fills, OpenCV: equal to padding, resizing and cropping one after the
//! other.

use super::*;

const FILTERS: [Filter; 7] = [
    Filter::Nearest,
    Filter::Lanczos,
    Filter::Bilinear,
    Filter::Bicubic,
    Filter::Box,
    Filter::Hamming,
    Filter::OpencvBilinear,
];

/// A picture in the middle of a square of `color`.
fn squared(samples: &[u8], width: u32, height: u32, color: &[u8]) -> Vec<u8> {
    let side = width.max(height) as usize;
    let (left, top) = ((side - width as usize) / 2, (side - height as usize) / 2);
    let channels = color.len();
    let mut square = color.repeat(side * side);
    for (y, row) in samples.chunks_exact(width as usize * channels).enumerate() {
        square[((top + y) * side + left) * channels..][..row.len()].copy_from_slice(row);
    }
    square
}

/// The crop of a whole picture, with padding.
fn cut(samples: &[u8], from: Size, frame: &Frame, channels: usize) -> Vec<u8> {
    let Some(crop) = frame.crop else { return samples.to_vec() };
    let left = crop_offset(from.width, crop.width, frame.anchor);
    let top = crop_offset(from.height, crop.height, frame.anchor);
    let mut cut = Vec::new();
    for y in top..top + i64::from(crop.height) {
        for x in left..left + i64::from(crop.width) {
            let inside = (0..i64::from(from.width)).contains(&x) && (0..i64::from(from.height)).contains(&y);
            let at = (y * i64::from(from.width) + x).max(0) as usize * channels;
            cut.extend(if inside { &samples[at..at + channels] } else { &frame.fill[..channels] });
        }
    }
    cut
}

#[test]
fn a_long_row_is_padded_without_its_square() {
    let resize = to(ResizeTo::Exact(size(8, 8)), Filter::Bicubic);
    let frame = Frame { square: Some([255; 3]), resize, ..Frame::default() };
    for (width, height) in [(20_000, 1), (1, 20_000)] {
        let window = Window::new(&whole(width, height), &frame);
        assert!(window.memory(3) < 2 << 20, "{}", window.memory(3));
        let found = crop(&vec![0; 60_000], 3, &window);
        assert!(found.iter().filter(|sample| **sample == 255).count() >= 6 * 8 * 3);
    }
}

#[test]
fn sizes_that_keep_the_ratio_are_timms() {
    // ResizeKeepRatio of timm 1.0.31 for (height, width) = (224, 160), and PaddleOCR's width for 48x320.
    let target = Size { height: 224, width: 160 };
    let cases = [
        ((640, 480), (299, 224), (160, 120)),
        ((37, 91), (160, 394), (91, 224)),
        ((1, 500), (160, 80_000), (1, 224)),
        ((160, 224), (160, 224), (160, 224)),
    ];
    for ((width, height), cover, fit) in cases {
        let of = |to| resized_size(size(width, height), to);
        assert_eq!(of(ResizeTo::Cover(target)), size(cover.0, cover.1), "{width}x{height}");
        assert_eq!(of(ResizeTo::Fit(target)), size(fit.0, fit.1), "{width}x{height}");
    }
    let line = Size { height: 48, width: 320 };
    let width = |width, height| resized_size(size(width, height), ResizeTo::Height(line)).width;
    assert_eq!((width(100, 30), width(101, 30), width(1000, 30), width(1, 500)), (160, 162, 320, 1));
}

#[test]
fn a_square_counts_when_a_picture_is_decoded_smaller() {
    let resize = to(ResizeTo::Exact(size(100, 100)), Filter::Bilinear);
    let frame = Frame { square: Some([0; 3]), resize, ..Frame::default() };
    let of = |width, height| reduction(size(width, height), &frame, Decoding::Scaled { cover: 1 });
    assert_eq!(
        (of(800, 10), of(9, 800)),
        (Reduction::Half, Reduction::None),
        "no sample hangs over into padding"
    );
    assert_eq!(
        (of(800, 16), of(16, 796), of(800, 800)),
        (Reduction::Eighth, Reduction::Quarter, Reduction::Eighth)
    );
}

proptest! {
    #[test]
    fn one_step_is_as_good_as_three(
        width in 1_u32..70, height in 1_u32..70, across in 1_u32..50, down in 1_u32..50,
        crop_width in 1_u32..60, crop_height in 1_u32..60, kind in 0..5, square in any::<bool>(), cropped in any::<bool>(),
        filter in prop::sample::select(FILTERS.to_vec()), anchor in prop::sample::select(ANCHORS.to_vec()),
        channels in prop::sample::select(vec![1_u8, 3]),
    ) {
        let target = size(across, down);
        let target = match kind {
            0 => ResizeTo::Exact(target),
            1 => ResizeTo::ShortestEdge(across),
            2 => ResizeTo::Cover(target),
            3 => ResizeTo::Fit(target),
            _ => ResizeTo::Height(target),
        };
        let frame = Frame {
            square: square.then_some([200, 10, 90]),
            resize: to(target, filter),
            crop: cropped.then_some(size(crop_width, crop_height)),
            anchor,
            fill: [7, 99, 250],
        };
        let samples = noise(width, height, channels);
        let direct = crop(&samples, channels, &Window::new(&whole(width, height), &frame));
        let color = [200, 10, 90];
        let (padded, picture) = if square { (squared(&samples, width, height, &color[..usize::from(channels)]), size(width.max(height), width.max(height))) } else { (samples, size(width, height)) };
        let resized = crop(&padded, channels, &framed(&Grid::whole(picture), frame.resize, None));
        let expected = cut(&resized, resized_size(picture, target), &frame, usize::from(channels));
        prop_assert_eq!(direct, expected);
    }

    #[test]
    fn memory_is_no_less_than_what_a_padded_picture_takes(
        width in 1_u32..300, height in 1_u32..300, across in 1_u32..90, down in 1_u32..90,
        filter in prop::sample::select(vec![Filter::Lanczos, Filter::Bilinear, Filter::Bicubic, Filter::Box]),
    ) {
        let resize = to(ResizeTo::Exact(size(across, down)), filter);
        let frame = Frame { square: Some([1, 2, 3]), resize, ..Frame::default() };
        let window = Window::new(&whole(width, height), &frame);
        let mut cropper = Cropper::default();
        let mut output = vec![0; across as usize * down as usize * 3];
        cropper.crop(&noise(width, height, 3), 3, &window, &mut output).unwrap();
        let taken = cropper.resampler.bytes() + cropper.unpadded.capacity();
        prop_assert!(taken as u64 <= window.memory(3) + 128, "{taken} of {}", window.memory(3));
    }

    /// Padding and picture keep their places to within a pixel or two of the edge.
    #[test]
    fn a_reduced_picture_in_a_square_does_not_shift(
        width in 38_u32..60, height in 38_u32..60, strength in 0_usize..3, mirrored in any::<bool>(),
        filter in prop::sample::select(vec![Filter::Bilinear, Filter::Bicubic, Filter::Hamming]),
    ) {
        let (width, height) = (width * 8, height * 8);
        let frame = Frame {
            square: Some([255; 3]),
            resize: to(ResizeTo::Exact(size(32, 32)), filter),
            ..Frame::default()
        };
        let mut grid = Grid::new(size(width, height), Reduction::ALL[strength]);
        grid.across.mirrored = mirrored;
        let samples = grid.samples();
        let gray = |count: u32| vec![100; count as usize];
        let exact = crop(&gray(width * height), 1, &Window::new(&whole(width, height), &frame));
        let found = crop(&gray(samples.width * samples.height), 1, &Window::new(&grid, &frame));
        let shift: i32 = exact.iter().zip(&found).map(|(a, b)| i32::from(a.abs_diff(*b))).max().unwrap();
        // A whole pixel of 300 would change a sample by 155 * 32 / 300.
        prop_assert!(shift <= 20, "{shift}");
    }
}
