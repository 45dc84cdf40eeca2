//! Samples of a TIFF's pixels to gray or RGB, alpha laid over white, with the arithmetic of Pillow and
//! libtiff.
//!
//! It never applies a colour profile or a response curve.

use super::super::flatten;
use super::directory::Directory;
use super::layout::{Alpha, Color, Layout};
use super::tags;

/// Converts pixels of one picture.
pub(super) struct Converter {
    color: Color,
    samples: usize,
    alpha: Option<Alpha>,
    palette: Vec<[u8; 3]>,
    ycbcr: Option<Box<YCbCr>>,
}

impl Converter {
    pub(super) fn new(directory: &Directory<'_>, layout: &Layout<'_>) -> Converter {
        let is_palette = layout.color == Color::Palette;
        let is_ycbcr = matches!(layout.color, Color::YCbCr { .. });
        Converter {
            color: layout.color,
            samples: layout.samples,
            alpha: layout.alpha,
            palette: if is_palette { palette(directory, layout.bits) } else { Vec::new() },
            ycbcr: is_ycbcr.then(|| Box::new(YCbCr::new(directory))),
        }
    }

    /// One row of interleaved samples.
    pub(super) fn row(&self, samples: &[u8], out: &mut [u8]) {
        // By far the most pictures.
        if (self.color, self.samples, self.alpha) == (Color::Rgb, 3, None) {
            let used = out.len().min(samples.len());
            out[..used].copy_from_slice(&samples[..used]);
            return;
        }
        let pixels = samples.chunks_exact(self.samples.max(1));
        for (pixel, out) in pixels.zip(out.chunks_exact_mut(usize::from(self.color.channels()))) {
            let color = self.pixel(pixel);
            for (out, value) in out.iter_mut().zip(color) {
                *out = self.over_white(value, pixel);
            }
        }
    }

    /// A pixel of YCbCr that shares its chrominance with others.
    pub(super) fn ycbcr(&self, luma: u8, blue: u8, red: u8) -> [u8; 3] {
        self.ycbcr.as_ref().map_or([luma; 3], |tables| tables.rgb(luma, blue, red))
    }

    fn pixel(&self, samples: &[u8]) -> [u8; 3] {
        match (self.color, samples) {
            (Color::Gray { inverted: false }, &[gray, ..]) => [gray; 3],
            (Color::Gray { inverted: true }, &[gray, ..]) => [255 - gray; 3],
            (Color::Rgb, &[red, green, blue, ..]) => [red, green, blue],
            (Color::Palette, &[index, ..]) => {
                self.palette.get(usize::from(index)).copied().unwrap_or_default()
            }
            (Color::Cmyk, &[cyan, magenta, yellow, key, ..]) => {
                [cyan, magenta, yellow].map(|ink| 255 - key - flatten::product(ink, 255 - key))
            }
            (Color::YCbCr { .. }, &[luma, blue, red, ..]) => self.ycbcr(luma, blue, red),
            _ => [0; 3],
        }
    }

    fn over_white(&self, value: u8, pixel: &[u8]) -> u8 {
        match self.alpha {
            None => value,
            Some(Alpha { at, associated }) => {
                let alpha = pixel.get(at).copied().unwrap_or(255);
                let value = if associated { flatten::separated(value, alpha) } else { value };
                flatten::over_white(value, alpha)
            }
        }
    }
}

/// All reds come first. Values are of 16 bits, but old writers stored 8: libtiff's rule distinguishes them.
fn palette(directory: &Directory<'_>, bits: u32) -> Vec<[u8; 3]> {
    let Some(values) = directory.values(tags::COLOR_MAP) else { return Vec::new() };
    let stored = values.count / 3;
    let used = stored.min(1 << bits);
    let value = |color: usize, index: usize| values.number(color * stored + index).unwrap_or(0);
    let is_wide = (0..3).any(|color| (0..used).any(|index| value(color, index) >= 256));
    let shift = if is_wide { 8 } else { 0 };
    let entry = |index: usize| [0, 1, 2].map(|color| (value(color, index) >> shift) as u8);
    (0..used).map(entry).collect()
}

/// libtiff's tables (tif_color.c), which round each product on its own.
struct YCbCr {
    luma: [i32; 256],
    red_of_red: [i32; 256],
    blue_of_blue: [i32; 256],
    green_of_red: [i32; 256],
    green_of_blue: [i32; 256],
}

const SHIFT: u32 = 16;
const HALF: i32 = 1 << (SHIFT - 1);

impl YCbCr {
    fn new(directory: &Directory<'_>) -> YCbCr {
        let list = |tag| directory.values(tag);
        let (luma, reference) = (list(tags::LUMA), list(tags::REFERENCE));
        let fraction = |values: Option<super::directory::Values<'_>>, index: usize, default: f32| {
            values
                .and_then(|values| values.fraction(index))
                .filter(|value| value.is_finite())
                .unwrap_or(default)
        };
        let weights = [0.299, 0.587, 0.114].into_iter().enumerate();
        let weights: Vec<f32> = weights.map(|(index, default)| fraction(luma, index, default)).collect();
        let range = [0.0, 255.0, 128.0, 255.0, 128.0, 255.0].into_iter().enumerate();
        let range: Vec<f32> = range.map(|(index, default)| fraction(reference, index, default)).collect();
        YCbCr::of([weights[0], weights[1], weights[2]], &range)
    }

    fn of([red, green, blue]: [f32; 3], range: &[f32]) -> YCbCr {
        let (of_red, of_blue) = ((2.0 - 2.0 * red).clamp(0.0, 2.0), (2.0 - 2.0 * blue).clamp(0.0, 2.0));
        let green = if green == 0.0 { 1.0 } else { green };
        let factors = [
            fixed(of_red),
            -fixed((red * of_red / green).clamp(0.0, 2.0)),
            fixed(of_blue),
            -fixed((blue * of_blue / green).clamp(0.0, 2.0)),
        ];
        let mut tables = YCbCr {
            luma: [0; 256],
            red_of_red: [0; 256],
            blue_of_blue: [0; 256],
            green_of_red: [0; 256],
            green_of_blue: [0; 256],
        };
        for index in 0..256_usize {
            let offset = index as i32 - 128;
            let chroma = |black: f32, white: f32| stretched(offset, black - 128.0, white - 128.0, 127.0);
            let (blue, red) = (chroma(range[2], range[3]), chroma(range[4], range[5]));
            tables.red_of_red[index] = (factors[0] * red + HALF) >> SHIFT;
            tables.green_of_red[index] = factors[1] * red;
            tables.blue_of_blue[index] = (factors[2] * blue + HALF) >> SHIFT;
            tables.green_of_blue[index] = factors[3] * blue + HALF;
            tables.luma[index] = stretched(index as i32, range[0], range[1], 255.0);
        }
        tables
    }

    fn rgb(&self, luma: u8, blue: u8, red: u8) -> [u8; 3] {
        let (blue, red) = (usize::from(blue), usize::from(red));
        let luma = self.luma[usize::from(luma)];
        let green = (self.green_of_blue[blue] + self.green_of_red[red]) >> SHIFT;
        let sums = [luma + self.red_of_red[red], luma + green, luma + self.blue_of_blue[blue]];
        sums.map(|sum| sum.clamp(0, 255) as u8)
    }
}

fn fixed(value: f32) -> i32 {
    (f64::from(value) * f64::from(1 << SHIFT) + 0.5) as i32
}

/// A code between black and white as 0..=`most`; kept so small that no product overflows.
fn stretched(code: i32, black: f32, white: f32, most: f32) -> i32 {
    let (black, range) = (black as i32, if white - black == 0.0 { 1.0 } else { white - black });
    (((code.saturating_sub(black)) as f32 * most / range) as i32).clamp(-128 * 32, 128 * 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS: [f32; 3] = [0.299, 0.587, 0.114];

    #[test]
    fn gray_stays_gray_and_colors_are_libtiffs() {
        let tables = YCbCr::of(WEIGHTS, &[0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
        for luma in 0..=255 {
            assert_eq!(tables.rgb(luma, 128, 128), [luma; 3]);
        }
        assert_eq!(tables.rgb(76, 85, 255), [254, 0, 0], "red, as TIFFYCbCrtoRGB gives it");
    }

    #[test]
    fn absurd_ranges_do_not_overflow() {
        for range in
            [[f32::MAX, f32::MIN, f32::MAX, 0.0, 1e30, 1e-30], [0.0; 6], [-1e9, 1e9, 5.0, 5.0, 0.0, 1.0]]
        {
            YCbCr::of(WEIGHTS, &range).rgb(255, 255, 255);
            YCbCr::of([1e30, 0.0, -1e30], &range).rgb(0, 0, 0);
        }
    }
}
