//! Pictures that cost about what photos cost: gradients, ellipses with edges, and texture at every scale.
//!
//! Drawn from numbers alone, so that every machine gets the same ones. Their bytes, detail and sizes are
//! those of photos on the web; they show nothing.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tagfleet_model::pixels::Pixels;

use super::jpeg;

/// Width and height of pictures, in turn.
const SIZES: [(u32, u32); 5] = [(500, 375), (500, 333), (375, 500), (500, 400), (500, 500)];
/// Bytes that a picture should have; the quality is chosen for it.
const BYTES: usize = 110_000;
const QUALITIES: std::ops::RangeInclusive<i32> = 60..=98;
/// Texture: the distance of its grid in pixels, and how much it changes brightness.
const OCTAVES: [(u32, f32); 6] = [(96, 26.0), (48, 18.0), (24, 12.0), (12, 9.0), (6, 9.0), (3, 11.0)];
/// Noise of a sensor, in levels.
const NOISE: f32 = 13.0;
/// Ellipses in each picture.
const ELLIPSES: u32 = 14;

/// Writes `count` different pictures into `folder`.
pub(super) fn all(folder: &Path, count: usize) -> Result<()> {
    for number in 0..count {
        let (width, height) = SIZES[number % SIZES.len()];
        let picture = picture(number as u32, width, height);
        let path = folder.join(format!("{number:06}.jpg"));
        fs::write(&path, sized(&picture)?).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// At the quality that comes closest to [`BYTES`].
fn sized(picture: &Pixels) -> Result<Vec<u8>> {
    let (mut low, mut high) = (*QUALITIES.start(), *QUALITIES.end());
    let mut best = jpeg::encode(picture, low)?;
    while low < high {
        let middle = (low + high + 1) / 2;
        let bytes = jpeg::encode(picture, middle)?;
        if bytes.len() > BYTES {
            high = middle - 1;
        } else {
            low = middle;
        }
        if bytes.len().abs_diff(BYTES) < best.len().abs_diff(BYTES) {
            best = bytes;
        }
    }
    Ok(best)
}

fn picture(number: u32, width: u32, height: u32) -> Pixels {
    let (corners, ellipses) = (corners(number), ellipses(number, width, height));
    let mut data = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        for x in 0..width {
            let base = ellipses.iter().rev().find(|ellipse| ellipse.covers(x, y)).map_or_else(
                || blend(&corners, x as f32 / width as f32, y as f32 / height as f32),
                |ellipse| ellipse.color,
            );
            let texture = texture(number, x, y);
            for (channel, value) in (0..3).zip(base) {
                let noise = NOISE * signed(hash(number, [x, y, 1000 + channel]));
                data.push((value + texture + noise).clamp(0.0, 255.0) as u8);
            }
        }
    }
    Pixels { width, height, channels: 3, data }
}

type Rgb = [f32; 3];

fn color(number: u32, what: u32) -> Rgb {
    [0, 1, 2].map(|channel| 40.0 + 170.0 * unit(hash(number, [what, channel, 7])))
}

fn corners(number: u32) -> [Rgb; 4] {
    [0, 1, 2, 3].map(|corner| color(number, corner))
}

fn blend([a, b, c, d]: &[Rgb; 4], x: f32, y: f32) -> Rgb {
    [0, 1, 2].map(|i| mix(mix(a[i], b[i], x), mix(c[i], d[i], x), y))
}

fn mix(from: f32, to: f32, part: f32) -> f32 {
    from + (to - from) * part
}

/// An ellipse of one colour.
struct Ellipse {
    middle: (f32, f32),
    radii: (f32, f32),
    color: Rgb,
}

impl Ellipse {
    fn covers(&self, x: u32, y: u32) -> bool {
        let across = (x as f32 - self.middle.0) / self.radii.0;
        let down = (y as f32 - self.middle.1) / self.radii.1;
        across * across + down * down < 1.0
    }
}

fn ellipses(number: u32, width: u32, height: u32) -> Vec<Ellipse> {
    let ellipse = |index: u32| {
        let random = |what: u32| unit(hash(number, [index, what, 5000]));
        Ellipse {
            middle: (random(0) * width as f32, random(1) * height as f32),
            radii: (8.0 + random(2) * 90.0, 8.0 + random(3) * 90.0),
            color: color(number, 100 + index),
        }
    };
    (0..ELLIPSES).map(ellipse).collect()
}

/// The brightness that all octaves add at a pixel.
fn texture(number: u32, x: u32, y: u32) -> f32 {
    let octave = |(index, (cell, strength)): (u32, (u32, f32))| {
        let corner =
            |right: u32, below: u32| signed(hash(number, [x / cell + right, y / cell + below, 10 + index]));
        let (across, down) = (smooth(x % cell, cell), smooth(y % cell, cell));
        let (above, below) =
            (mix(corner(0, 0), corner(1, 0), across), mix(corner(0, 1), corner(1, 1), across));
        strength * mix(above, below, down)
    };
    (0..).zip(OCTAVES).map(octave).sum()
}

/// From 0 to 1 over a cell, level at both ends.
fn smooth(position: u32, cell: u32) -> f32 {
    let part = position as f32 / cell as f32;
    part * part * (3.0 - 2.0 * part)
}

/// A hash, which is the same on every machine.
fn hash(number: u32, values: [u32; 3]) -> u32 {
    let mut state = number.wrapping_mul(0x9e37_79b9) ^ 0x85eb_ca6b;
    for value in values {
        state = (state ^ value).wrapping_mul(0xc2b2_ae35);
        state = (state ^ (state >> 15)).wrapping_mul(0x27d4_eb2f);
        state ^= state >> 13;
    }
    state
}

/// In 0..1.
fn unit(hash: u32) -> f32 {
    (hash >> 8) as f32 / (1_u32 << 24) as f32
}

/// In -1..1.
fn signed(hash: u32) -> f32 {
    unit(hash) * 2.0 - 1.0
}
