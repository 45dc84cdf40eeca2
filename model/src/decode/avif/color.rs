//! YCbCr to RGB as libavif does it: by libyuv's arithmetic for the matrices that libyuv knows, in floating
//! point for others.
//!
//! Constants are those of libyuv's row_common.cc; libavif 1.4 uses its smooth upsampling. It never applies a
//! profile.

use super::super::flatten;
use super::planes::{Plane, Planes};
use super::sequence::{Colors, Layout};

mod matrix;
mod upsample;

use matrix::Matrix;

/// RGB of all pixels.
pub(super) fn to_rgb(planes: &Planes, colors: &Colors) -> Vec<u8> {
    let (width, height) = (planes.luma.width, planes.luma.height);
    let mut data = vec![0; width * height * 3];
    let matrix = Matrix::of(colors, planes.layout == Layout::Gray);
    let (mut blue, mut red) = (vec![128; width], vec![128; width]);
    for (y, out) in data.chunks_exact_mut(width.max(1) * 3).enumerate() {
        if planes.layout != Layout::Gray {
            chroma_row(&planes.blue, planes.layout, y, &mut blue, height);
            chroma_row(&planes.red, planes.layout, y, &mut red, height);
        }
        let samples = planes.luma.row(y).iter().zip(blue.iter().zip(&red));
        for (pixel, (&luma, (&blue, &red))) in out.chunks_exact_mut(3).zip(samples) {
            pixel.copy_from_slice(&matrix.rgb(luma, blue, red));
        }
    }
    data
}

fn chroma_row(plane: &Plane, layout: Layout, y: usize, out: &mut [u8], height: usize) {
    match layout {
        Layout::Whole => out.copy_from_slice(plane.row(y)),
        Layout::Half => upsample::row(plane.row(y), out),
        _ => {
            let near = plane.row(y / 2);
            let is_edge = y == 0 || (y + 1 == height && height.is_multiple_of(2));
            if is_edge {
                upsample::row(near, out);
            } else {
                let far = if y % 2 == 1 { y / 2 + 1 } else { y / 2 - 1 };
                upsample::between(near, plane.row(far), out);
            }
        }
    }
}

/// Lays the picture over white; `opacity`'s luma is alpha.
pub(super) fn over_white(data: &mut [u8], opacity: &Planes, is_premultiplied: bool) {
    for (pixel, &alpha) in data.chunks_exact_mut(3).zip(&opacity.luma.data) {
        for value in pixel {
            let straight = if is_premultiplied { flatten::separated(*value, alpha) } else { *value };
            *value = flatten::over_white(straight, alpha);
        }
    }
}
