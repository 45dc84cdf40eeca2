//! Any sample layout of the `image` crate to 8-bit RGB or luma, alpha laid over white.
//!
//! It works in place, so that a large picture needs no second buffer. 16-bit samples keep their high byte: as
//! Pillow reads 16-bit RGB, but not as it reads 16-bit grey, of which it makes white all that is over 255. It
//! never applies a colour profile or a gamma.

use image::ColorType;

/// The samples of `color` in `data` (native endian, as `image` gives them) as 8-bit samples and their number
/// per pixel.
///
/// None for a layout that no decoder here produces.
pub(super) fn flatten(mut data: Vec<u8>, color: ColorType) -> Option<(Vec<u8>, u8)> {
    let channels = match color {
        ColorType::L8 | ColorType::Rgb8 => color.channel_count(),
        ColorType::La8 => squeeze::<1, 1, true>(&mut data),
        ColorType::L16 => squeeze::<2, 1, false>(&mut data),
        ColorType::La16 => squeeze::<2, 1, true>(&mut data),
        ColorType::Rgba8 => squeeze::<1, 3, true>(&mut data),
        ColorType::Rgb16 => squeeze::<2, 3, false>(&mut data),
        ColorType::Rgba16 => squeeze::<2, 3, true>(&mut data),
        ColorType::Rgb32F => squeeze::<4, 3, false>(&mut data),
        ColorType::Rgba32F => squeeze::<4, 3, true>(&mut data),
        _ => return None,
    };
    Some((data, channels))
}

/// Moves every pixel to the front: what is written never reaches what is still to be read.
fn squeeze<const SAMPLE: usize, const COLORS: usize, const ALPHA: bool>(data: &mut Vec<u8>) -> u8 {
    let stride = SAMPLE * (COLORS + usize::from(ALPHA));
    let pixels = data.len() / stride;
    for pixel in 0..pixels {
        let at = pixel * stride;
        let alpha = if ALPHA { sample::<SAMPLE>(&data[at + SAMPLE * COLORS..]) } else { 255 };
        for color in 0..COLORS {
            let value = sample::<SAMPLE>(&data[at + SAMPLE * color..]);
            data[pixel * COLORS + color] = over_white(value, alpha);
        }
    }
    data.truncate(pixels * COLORS);
    COLORS as u8
}

/// The sample at the front of `data`, as 0..=255.
fn sample<const SIZE: usize>(data: &[u8]) -> u8 {
    match SIZE {
        1 => data[0],
        2 => (u16::from_ne_bytes([data[0], data[1]]) >> 8) as u8,
        _ => (f32::from_ne_bytes([data[0], data[1], data[2], data[3]]).clamp(0.0, 1.0) * 255.0).round() as u8,
    }
}

/// `a * b / 255`, rounded as Pillow rounds it.
pub(super) fn product(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b) + 128;
    (((product >> 8) + product) >> 8) as u8
}

/// `value` seen through `alpha` before a white wall.
pub(super) fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// The colour before it was multiplied with alpha, as Pillow divides.
pub(super) fn separated(value: u8, alpha: u8) -> u8 {
    match alpha {
        0 => value,
        alpha => (u32::from(value) * 255 / u32::from(alpha)).min(255) as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(samples: &[u16]) -> Vec<u8> {
        samples.iter().flat_map(|sample| sample.to_ne_bytes()).collect()
    }

    #[test]
    fn opaque_is_unchanged_and_transparent_is_white() {
        for value in 0..=255 {
            assert_eq!(over_white(value, 255), value);
            assert_eq!(over_white(value, 0), 255);
        }
        assert_eq!(over_white(0, 128), 127);
    }

    #[test]
    fn division_by_alpha_is_pillows() {
        assert_eq!(separated(64, 128), 127);
        assert_eq!(separated(200, 100), 255);
        assert_eq!(separated(7, 0), 7);
    }

    #[test]
    fn every_layout_becomes_eight_bits() {
        let rgba = vec![1, 2, 3, 255, 4, 5, 6, 0];
        assert_eq!(flatten(rgba, ColorType::Rgba8), Some((vec![1, 2, 3, 255, 255, 255], 3)));
        assert_eq!(flatten(vec![9, 255, 9, 0], ColorType::La8), Some((vec![9, 255], 1)));
        assert_eq!(flatten(wide(&[0x12ff, 0xffff]), ColorType::L16), Some((vec![0x12, 0xff], 1)));
        assert_eq!(flatten(wide(&[0x12ff, 0xffff, 7, 0]), ColorType::La16), Some((vec![0x12, 0xff], 1)));
        assert_eq!(flatten(wide(&[0x100, 0x200, 0x3ff]), ColorType::Rgb16), Some((vec![1, 2, 3], 3)));
        let clear = wide(&[0x100, 0x200, 0x3ff, 0xffff, 0, 0, 0, 0]);
        assert_eq!(flatten(clear, ColorType::Rgba16), Some((vec![1, 2, 3, 255, 255, 255], 3)));
        let floats = [0.0_f32, 0.5, 7.0, f32::NAN, -1.0, 1.0].iter().flat_map(|x| x.to_ne_bytes()).collect();
        assert_eq!(flatten(floats, ColorType::Rgb32F), Some((vec![0, 128, 255, 0, 0, 255], 3)));
    }

    #[test]
    fn products_round_to_nearest() {
        for a in 0..=255_u8 {
            for b in 0..=255_u8 {
                let exact = f64::from(a) * f64::from(b) / 255.0;
                assert_eq!(product(a, b), exact.round() as u8, "{a} * {b}");
            }
        }
    }
}
