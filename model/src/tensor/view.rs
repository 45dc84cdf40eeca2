//! Another view of the same picture: mirrored, or shifted by a few pixels.
//!
//! A view shows whether a model's answer holds for the picture or for an accident of it. Runs use the plain
//! view.

use crate::preprocessing::{Size, View};

/// A shift is this part of the width and of the height: 4 pixels of 224.
const PART: usize = 56;

/// Changes `samples`, `channels` to a pixel, in place.
pub(super) fn apply(view: View, samples: &mut [u8], size: Size, channels: u8) {
    let (width, channels) = (size.width as usize, usize::from(channels));
    match view {
        View::Plain => {}
        View::Mirrored => samples.chunks_exact_mut(width * channels).for_each(|row| mirror(row, channels)),
        View::Shifted => shift(samples, width, channels),
    }
}

fn mirror(row: &mut [u8], channels: usize) {
    row.reverse();
    row.chunks_exact_mut(channels).for_each(<[u8]>::reverse);
}

/// Moves the picture to the right and down; its first row and column fill the gap.
fn shift(samples: &mut [u8], width: usize, channels: usize) {
    let row = width * channels;
    if row == 0 {
        return;
    }
    let (right, down) = (step(width), step(samples.len() / row));
    for line in samples.chunks_exact_mut(row) {
        line.copy_within(..row - right * channels, right * channels);
        for pixel in 1..right {
            line.copy_within(..channels, pixel * channels);
        }
    }
    samples.copy_within(..samples.len() - down * row, down * row);
    for line in 1..down {
        samples.copy_within(..row, line * row);
    }
}

fn step(side: usize) -> usize {
    (side / PART).max(1).min(side)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { height: 2, width: 3 };

    fn viewed(view: View, channels: u8, samples: &[u8]) -> Vec<u8> {
        let mut samples = samples.to_vec();
        apply(view, &mut samples, SIZE, channels);
        samples
    }

    #[test]
    fn pictures_are_mirrored_and_shifted_pixel_by_pixel() {
        assert_eq!(viewed(View::Mirrored, 1, &[1, 2, 3, 4, 5, 6]), [3, 2, 1, 6, 5, 4]);
        assert_eq!(viewed(View::Shifted, 1, &[1, 2, 3, 4, 5, 6]), [1, 1, 2, 1, 1, 2]);
        let colors = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(viewed(View::Mirrored, 3, &colors)[..9], [7, 8, 9, 4, 5, 6, 1, 2, 3]);
        assert_eq!(viewed(View::Shifted, 3, &colors)[..9], [1, 2, 3, 1, 2, 3, 4, 5, 6]);
        assert_eq!(viewed(View::Plain, 3, &colors), colors);
    }

    #[test]
    fn a_shift_of_a_large_picture_is_filled_with_its_edge() {
        let size = Size { height: 1, width: 112 };
        let mut samples: Vec<u8> = (0..112).collect();
        apply(View::Shifted, &mut samples, size, 1);
        assert_eq!(samples[..4], [0, 0, 0, 1]);
    }
}
