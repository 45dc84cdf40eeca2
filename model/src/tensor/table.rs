//! What each sample value becomes, computed once: scale, offset, mean and standard deviation in the steps of
//! the library that the model was trained or published with.
//!
//! A table makes that free: a sample has 256 values, and a sum of three has 766. Nothing here knows a
//! picture.

use crate::preprocessing::{Arithmetic, Color, Preprocessing};

/// Values of one sample.
pub(crate) const LEVELS: usize = 256;
/// Sums of three samples.
const SUMS: usize = 3 * (LEVELS - 1) + 1;

/// One channel: what each sample, or sum of three samples, becomes.
pub(crate) struct Table {
    /// Which sample of a pixel it takes; for sums there is only one.
    pub(crate) sample: usize,
    pub(crate) values: Vec<f32>,
}

impl Table {
    /// The table of the graph's channel number `channel`.
    pub(super) fn new(steps: &Preprocessing, channel: usize) -> Table {
        let (mean, std) = (steps.mean[channel], steps.std[channel]);
        let value = |level: usize| match steps.color {
            Color::GrayMean => normalised(steps, level as f64 / 3.0, mean, std),
            Color::Rgb | Color::Bgr | Color::Gray => normalised(steps, level as f64, mean, std),
        };
        let sample = match steps.color {
            Color::Rgb => channel,
            Color::Bgr => 2 - channel,
            Color::Gray | Color::GrayMean => 0,
        };
        Table { sample, values: (0..levels(steps.color)).map(value).collect() }
    }
}

/// How many values a table of this colour has.
fn levels(color: Color) -> usize {
    if color == Color::GrayMean { SUMS } else { LEVELS }
}

/// Every step is rounded to 32 bits as the libraries do.
fn normalised(steps: &Preprocessing, sample: f64, mean: f32, std: f32) -> f32 {
    let once = match steps.arithmetic {
        Arithmetic::Separate => ((sample * steps.scale) as f32 + steps.offset - mean) / std,
        Arithmetic::Single => (sample as f32 * steps.scale as f32 + steps.offset - mean) / std,
        Arithmetic::Fused => {
            let inverse = (1.0 / steps.scale) as f32;
            (sample as f32 - (mean - steps.offset) * inverse) / (std * inverse)
        }
    };
    if steps.std_twice { once / std } else { once }
}
