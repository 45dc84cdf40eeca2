//! Pictures decoded at a fraction of their size: which fraction, and that nothing shifts.

use super::*;
use crate::grid::Side;

const FILTERS: [Filter; 4] = [Filter::Lanczos, Filter::Bilinear, Filter::Bicubic, Filter::Hamming];

/// One smooth row: `waves` full waves over its length, not symmetric.
fn wave(length: u32, waves: f64) -> Vec<f64> {
    let value = |x: u32| {
        let at = (f64::from(x) + 0.5) / f64::from(length);
        127.5 + 100.0 * (std::f64::consts::TAU * waves * at + 0.7).sin()
    };
    (0..length).map(value).collect()
}

/// libjpeg-turbo's result for a row: averages, the last pixel repeated if the row ends within one.
fn averages(row: &[f64], reduction: Reduction) -> Vec<f64> {
    let pixels = reduction.divisor() as usize;
    let mean = |group: &[f64]| {
        let missing = (pixels - group.len()) as f64;
        (group.iter().sum::<f64>() + missing * group[group.len() - 1]) / pixels as f64
    };
    row.chunks(pixels).map(mean).collect()
}

/// The picture that is the product of a row and a column, both around 127.5.
fn product(row: &[f64], column: &[f64]) -> Vec<u8> {
    let pixel = |x: f64, y: f64| (127.5 + (x - 127.5) * (y - 127.5) / 127.5).round() as u8;
    column.iter().flat_map(|&y| row.iter().map(move |&x| pixel(x, y))).collect()
}

fn worst(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

fn mirrored(grid: &Grid) -> Grid {
    let mirror = |side: Side| Side { mirrored: !side.mirrored, ..side };
    Grid { across: mirror(grid.across), down: mirror(grid.down) }
}

#[test]
fn the_strongest_reduction_that_covers_the_target() {
    let edge = |filter| to(ResizeTo::ShortestEdge(256), filter);
    let scaled = |cover| Decoding::Scaled { cover };
    let of = |width, height, cover| reduced(size(width, height), edge(Filter::Bilinear), scaled(cover));
    assert_eq!(of(4000, 3000, 1), Reduction::Eighth);
    assert_eq!(of(4000, 3000, 2), Reduction::Quarter);
    assert_eq!((of(2048, 2048, 1), of(2047, 2048, 1)), (Reduction::Eighth, Reduction::Quarter));
    assert_eq!((of(512, 512, 1), of(511, 511, 1)), (Reduction::Half, Reduction::None));
    assert_eq!((of(1024, 1024, 2), of(1023, 1024, 2)), (Reduction::Half, Reduction::None));
    // Both sides count if the aspect ratio is not kept.
    let exact = to(ResizeTo::Exact(size(200, 50)), Filter::Bicubic);
    assert_eq!(reduced(size(800, 800), exact, scaled(1)), Reduction::Quarter);
    assert_eq!(reduced(size(10_000, 10_000), edge(Filter::Bilinear), Decoding::Exact), Reduction::None);
    for filter in [Filter::Nearest, Filter::Box] {
        assert_eq!(reduced(size(10_000, 10_000), edge(filter), scaled(1)), Reduction::None);
    }
    assert_eq!(reduced(size(10_000, 10_000), None, scaled(1)), Reduction::None);
}

#[test]
fn a_resize_that_is_the_reduction_is_nothing() {
    let grid = Grid::new(size(24, 16), Reduction::Quarter);
    let window = framed(&grid, to(ResizeTo::Exact(size(6, 4)), Filter::Lanczos), None);
    let samples = noise(6, 4, 3);
    assert_eq!(crop(&samples, 3, &window), samples);
}

#[test]
fn samples_of_another_grid_are_refused() {
    let grid = Grid::new(size(1001, 9), Reduction::Half);
    let window = framed(&grid, to(ResizeTo::Exact(size(3, 3)), Filter::Bilinear), None);
    assert!(Cropper::default().crop(&vec![0; 1001 * 9], 1, &window, &mut [0; 9]).is_err());
    assert!(Cropper::default().crop(&vec![0; 501 * 5], 1, &window, &mut [0; 9]).is_ok());
}

proptest! {
    /// A shift of one pixel of the picture as stored would change a sample by twenty levels and more.
    #[test]
    fn the_box_is_that_of_the_whole_picture(
        width in 600_u32..760, height in 600_u32..760, waves in 2.0..5.0_f64, crop_side in 20_u32..64,
        strength in 0_usize..3, filter in prop::sample::select(FILTERS.to_vec()),
    ) {
        let strength = Reduction::ALL[strength];
        let (row, column) = (wave(width, waves), wave(height, waves + 1.0));
        let resize = to(ResizeTo::ShortestEdge(64), filter);
        let wanted = Some(size(crop_side, crop_side));
        let whole = Grid::whole(size(width, height));
        let exact = crop(&product(&row, &column), 1, &framed(&whole, resize, wanted));
        let grid = Grid::new(size(width, height), strength);
        let samples = product(&averages(&row, strength), &averages(&column, strength));
        let scaled = crop(&samples, 1, &framed(&grid, resize, wanted));
        prop_assert!(worst(&exact, &scaled) <= 6, "{strength:?} {}", worst(&exact, &scaled));
    }

    /// Even if the samples that hang over come first.
    #[test]
    fn a_mirrored_picture_gives_the_mirrored_crop(
        width in 130_u32..400, height in 130_u32..400, half in 4_u32..16,
        strength in 0_usize..4, filter in prop::sample::select(FILTERS.to_vec()),
    ) {
        let grid = Grid::new(size(width, height), Reduction::ALL[strength]);
        let Size { height: rows, width: columns } = grid.samples();
        let samples = noise(columns, rows, 1);
        let backwards: Vec<u8> = samples.iter().rev().copied().collect();
        // Crops of an even length in an even length leave as much on both sides.
        let resize = to(ResizeTo::Exact(size(32, 32)), filter);
        let wanted = Some(size(half * 2, half * 2));
        let there = crop(&samples, 1, &framed(&grid, resize, wanted));
        let mut back = crop(&backwards, 1, &framed(&mirrored(&grid), resize, wanted));
        back.reverse();
        prop_assert!(worst(&there, &back) <= 1, "{}", worst(&there, &back));
    }

    #[test]
    fn memory_is_no_less_than_what_a_reduced_picture_takes(
        width in 300_u32..600, height in 300_u32..600, strength in 0_usize..3,
        mirror: bool, filter in prop::sample::select(FILTERS.to_vec()),
    ) {
        let mut grid = Grid::new(size(width, height), Reduction::ALL[strength]);
        if mirror {
            grid = mirrored(&grid);
        }
        let window = framed(&grid, to(ResizeTo::ShortestEdge(30), filter), Some(size(20, 20)));
        let mut cropper = Cropper::default();
        let Size { height, width } = grid.samples();
        cropper.crop(&noise(width, height, 3), 3, &window, &mut [0; 1200]).unwrap();
        let taken = cropper.resampler.bytes() + cropper.unpadded.capacity();
        prop_assert!(taken as u64 <= window.memory(3) + 128, "{taken} of {}", window.memory(3));
    }
}
