//! Turning and mirroring pixels by one of the eight EXIF orientations.
//!
//! Mirroring happens in place; only the four orientations that swap width and height take a second buffer. It
//! never reads EXIF.

use image::metadata::Orientation;

use crate::grid::Grid;
use crate::pixels::Pixels;

/// True if the orientation swaps width and height.
pub(super) fn transposes(orientation: Orientation) -> bool {
    orientation.to_exif() >= 5
}

fn mirrors_columns(orientation: Orientation) -> bool {
    matches!(orientation.to_exif(), 2 | 3 | 7 | 8)
}

fn mirrors_rows(orientation: Orientation) -> bool {
    matches!(orientation.to_exif(), 3 | 4 | 6 | 7)
}

/// Where the samples of the picture lie once it is turned by [`apply`].
pub(super) fn turn(grid: Grid, orientation: Orientation) -> Grid {
    let Grid { mut across, mut down } = grid;
    across.mirrored ^= mirrors_columns(orientation);
    down.mirrored ^= mirrors_rows(orientation);
    if transposes(orientation) { Grid { across: down, down: across } } else { Grid { across, down } }
}

/// The picture as it is meant to be seen.
pub(super) fn apply(mut pixels: Pixels, orientation: Orientation) -> Pixels {
    if mirrors_columns(orientation) {
        mirror_columns(&mut pixels);
    }
    if mirrors_rows(orientation) {
        mirror_rows(&mut pixels);
    }
    if transposes(orientation) { transpose(&pixels) } else { pixels }
}

/// Left becomes right.
fn mirror_columns(pixels: &mut Pixels) {
    let channels = usize::from(pixels.channels);
    for row in pixels.data.chunks_exact_mut(pixels.width as usize * channels) {
        let (mut left, mut right) = (0, row.len() - channels);
        while left < right {
            for channel in 0..channels {
                row.swap(left + channel, right + channel);
            }
            left += channels;
            right -= channels;
        }
    }
}

/// Top becomes bottom.
fn mirror_rows(pixels: &mut Pixels) {
    let stride = pixels.width as usize * usize::from(pixels.channels);
    let rows = pixels.height as usize;
    for top in 0..rows / 2 {
        let (above, below) = pixels.data.split_at_mut((rows - 1 - top) * stride);
        above[top * stride..][..stride].swap_with_slice(&mut below[..stride]);
    }
}

/// Rows become columns.
fn transpose(pixels: &Pixels) -> Pixels {
    let channels = usize::from(pixels.channels);
    let stride = pixels.width as usize * channels;
    let mut data = vec![0; pixels.data.len()];
    let mut turned = data.chunks_exact_mut(channels);
    for x in 0..pixels.width as usize {
        for row in pixels.data.chunks_exact(stride) {
            if let Some(pixel) = turned.next() {
                pixel.copy_from_slice(&row[x * channels..][..channels]);
            }
        }
    }
    Pixels { width: pixels.height, height: pixels.width, channels: pixels.channels, data }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picture(width: u32, height: u32, channels: u8) -> Pixels {
        let count = width * height * u32::from(channels);
        Pixels { width, height, channels, data: (0..count).map(|n| (n % 251) as u8).collect() }
    }

    fn orientation(exif: u8) -> Orientation {
        Orientation::from_exif(exif).unwrap()
    }

    /// 1 2 3
    /// 4 5 6, seen in every orientation; the results are what Pillow's `exif_transpose` makes of it.
    #[test]
    fn every_orientation_of_six_pixels() {
        let cases: [(u8, u32, [u8; 6]); 8] = [
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [4, 1, 5, 2, 6, 3]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [3, 6, 2, 5, 1, 4]),
        ];
        for (exif, width, data) in cases {
            let stored = Pixels { width: 3, height: 2, channels: 1, data: vec![1, 2, 3, 4, 5, 6] };
            let seen = apply(stored, orientation(exif));
            assert_eq!((seen.width, seen.height), (width, 6 / width), "orientation {exif}");
            assert_eq!(seen.data, data, "orientation {exif}");
        }
    }

    proptest! {
        #[test]
        fn an_orientation_and_its_inverse_are_nothing(
            exif in 1_u8..=8, width in 1_u32..9, height in 1_u32..9, colour in any::<bool>(),
        ) {
            let channels = if colour { 3 } else { 1 };
            let inverse = match exif { 6 => 8, 8 => 6, own => own };
            let there = apply(picture(width, height, channels), orientation(exif));
            let back = apply(there, orientation(inverse));
            prop_assert!(back == picture(width, height, channels));
        }
    }
}
