//! Matrices of YCbCr, by ITU-T H.273's numbers.
//!
//! It never rounds otherwise than libavif.

use super::super::sequence::Colors;

/// One way to RGB.
pub(super) enum Matrix {
    /// Green, blue and red as they are.
    Identity {
        is_full_range: bool,
    },
    Fixed(Fixed),
    Float(Float),
    CoCg {
        is_full_range: bool,
    },
    /// The whole range is used already.
    Gray,
}

/// libyuv's constants, in 64ths but for luma.
pub(super) struct Fixed {
    luma: i32,
    bias: i32,
    blue_of_blue: i32,
    green_of_blue: i32,
    green_of_red: i32,
    red_of_red: i32,
}

/// The weights of red and blue in luma.
pub(super) struct Float {
    red: f32,
    blue: f32,
    is_full_range: bool,
}

const fn fixed(luma: i32, bias: i32, [bb, gb, gr, rr]: [i32; 4]) -> Matrix {
    Matrix::Fixed(Fixed { luma, bias, blue_of_blue: bb, green_of_blue: gb, green_of_red: gr, red_of_red: rr })
}

impl Matrix {
    pub(super) fn of(colors: &Colors, is_gray: bool) -> Matrix {
        let is_full_range = colors.is_full_range;
        if is_gray {
            return Matrix::Gray;
        }
        // 12 is derived from the primaries.
        let number = match (colors.matrix, colors.primaries) {
            (12, 1 | 2) => 1,
            (12, 5 | 6) => 6,
            (12, 9) => 9,
            (number, _) => number,
        };
        match (number, is_full_range) {
            (0, _) => Matrix::Identity { is_full_range },
            (1, false) => fixed(18997, -1160, [128, 14, 34, 115]),
            (1, true) => fixed(16320, 32, [119, 12, 30, 101]),
            (2 | 5 | 6, false) => fixed(18997, -1160, [128, 25, 52, 102]),
            (2 | 5 | 6, true) => fixed(16320, 32, [113, 22, 46, 90]),
            (9, false) => fixed(19003, -1160, [128, 12, 42, 107]),
            (9, true) => fixed(16320, 32, [120, 11, 37, 94]),
            (8, _) => Matrix::CoCg { is_full_range },
            (4, _) => Matrix::Float(Float { red: 0.30, blue: 0.11, is_full_range }),
            // Display P3, by H.273's formulas for weights from primaries.
            (12, _) if colors.primaries == 12 => {
                Matrix::Float(Float { red: 0.228_974_57, blue: 0.079_286_91, is_full_range })
            }
            (7, _) => Matrix::Float(Float { red: 0.212, blue: 0.087, is_full_range }),
            _ => Matrix::Float(Float { red: 0.299, blue: 0.114, is_full_range }),
        }
    }

    pub(super) fn rgb(&self, luma: u8, blue: u8, red: u8) -> [u8; 3] {
        match self {
            Matrix::Identity { is_full_range: true } => [red, luma, blue],
            Matrix::Identity { is_full_range: false } => [red, luma, blue].map(widened),
            Matrix::Gray => [luma; 3],
            Matrix::Fixed(constants) => constants.rgb(luma, blue, red),
            Matrix::Float(weights) => weights.rgb(luma, blue, red),
            Matrix::CoCg { is_full_range } => cocg(*is_full_range, luma, blue, red),
        }
    }
}

impl Fixed {
    fn rgb(&self, luma: u8, blue: u8, red: u8) -> [u8; 3] {
        let luma = ((i32::from(luma) * 0x0101 * self.luma) >> 16) + self.bias;
        let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
        let green = luma - (blue * self.green_of_blue + red * self.green_of_red);
        let sums = [luma + red * self.red_of_red, green, luma + blue * self.blue_of_blue];
        sums.map(|sum| (sum >> 6).clamp(0, 255) as u8)
    }
}

impl Float {
    fn rgb(&self, luma: u8, blue: u8, red: u8) -> [u8; 3] {
        let (luma, blue, red) = unit(self.is_full_range, luma, blue, red);
        let (r, b) = (luma + 2.0 * (1.0 - self.red) * red, luma + 2.0 * (1.0 - self.blue) * blue);
        let weight = 1.0 - self.red - self.blue;
        let chroma = self.red * (1.0 - self.red) * red + self.blue * (1.0 - self.blue) * blue;
        [r, luma - 2.0 * chroma / weight, b].map(byte)
    }
}

fn cocg(is_full_range: bool, luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, green, orange) = unit(is_full_range, luma, blue, red);
    let rest = luma - green;
    [rest + orange, luma + green, rest - orange].map(byte)
}

/// Luma as 0..=1, chrominance as -0.5..=0.5.
fn unit(is_full_range: bool, luma: u8, blue: u8, red: u8) -> (f32, f32, f32) {
    let (black, luma_range, range) = if is_full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
    let chroma = |sample: u8| (f32::from(sample) - 128.0) / range;
    ((f32::from(luma) - black) / luma_range, chroma(blue), chroma(red))
}

fn byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

/// A sample of 16..=235 as 0..=255, as libavif rounds.
fn widened(sample: u8) -> u8 {
    let stretched = ((i32::from(sample) - 16) * 255 + 109) / 219;
    stretched.clamp(0, 255) as u8
}
