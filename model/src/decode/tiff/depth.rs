//! Unpacked bytes of a chunk to samples of eight bits: predictors undone, every depth.
//!
//! Of deeper samples the high eight bits count, as everywhere in decoding. It never knows what a sample
//! means, but for the index of a palette, which is not scaled.

use super::directory::Order;
use super::layout::{Color, Layout, Predictor};

/// Adds up what a predictor took apart, in place.
pub(super) fn undo_predictor(bytes: &mut [u8], layout: &Layout<'_>) {
    let row = layout.row_bytes();
    if row == 0 || layout.predictor == Predictor::None {
        return;
    }
    let samples = layout.samples_per_chunk();
    for row in bytes.chunks_exact_mut(row) {
        match (layout.predictor, layout.bits) {
            (Predictor::Difference, 8) => add_bytes(row, samples),
            (Predictor::Difference, 16) => add_wide::<2>(row, samples, layout.order),
            (Predictor::Difference, 32) => add_wide::<4>(row, samples, layout.order),
            (Predictor::Float, bits) => join_float(row, samples, bits as usize / 8, layout.order),
            _ => {}
        }
    }
}

fn add_bytes(row: &mut [u8], samples: usize) {
    for at in samples..row.len() {
        row[at] = row[at].wrapping_add(row[at - samples]);
    }
}

fn add_wide<const SIZE: usize>(row: &mut [u8], samples: usize, order: Order) {
    let stride = samples * SIZE;
    for at in (stride..(row.len() / SIZE) * SIZE).step_by(SIZE) {
        let sum = order.number(&row[at..at + SIZE]).wrapping_add(order.number(&row[at - stride..][..SIZE]));
        match order {
            Order::Little => row[at..at + SIZE].copy_from_slice(&sum.to_le_bytes()[..SIZE]),
            Order::Big => row[at..at + SIZE].copy_from_slice(&sum.to_be_bytes()[8 - SIZE..]),
        }
    }
}

/// Adobe's third predictor: all high bytes of a row come first, then the next ones, as differences.
fn join_float(row: &mut [u8], samples: usize, size: usize, order: Order) {
    add_bytes(row, samples);
    let planes = row.to_vec();
    let count = row.len() / size.max(1);
    for (index, value) in row.chunks_exact_mut(size.max(1)).enumerate() {
        for (byte, stored) in value.iter_mut().enumerate() {
            let plane = if order == Order::Big { byte } else { size - 1 - byte };
            *stored = planes[plane * count + index];
        }
    }
}

/// Writes the samples of one row, `count` of them, into every `step`th place of `out`.
pub(super) fn unpack_row(bytes: &[u8], layout: &Layout<'_>, out: &mut [u8], step: usize) {
    let places = out.iter_mut().step_by(step);
    match layout.bits {
        8 => places.zip(bytes).for_each(|(place, &byte)| *place = byte),
        16 => {
            let high = if layout.order == Order::Big { 0 } else { 1 };
            places.zip(bytes.chunks_exact(2)).for_each(|(place, pair)| *place = pair[high]);
        }
        32 => places.zip(bytes.chunks_exact(4)).for_each(|(place, four)| *place = float(four, layout.order)),
        bits => {
            let is_index = layout.color == Color::Palette;
            let mut reader = BitReader { bytes, at: 0 };
            for place in places {
                *place = scaled(reader.take(bits as usize), bits, is_index);
            }
        }
    }
}

fn float(bytes: &[u8], order: Order) -> u8 {
    let value = f32::from_bits(order.number(bytes) as u32);
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

fn scaled(value: u32, bits: u32, is_index: bool) -> u8 {
    match bits {
        _ if is_index => value as u8,
        0..8 => (value * 255 / ((1 << bits) - 1)) as u8,
        _ => (value >> (bits - 8)) as u8,
    }
}

/// Samples that do not fill bytes, the highest bit first.
struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl BitReader<'_> {
    fn take(&mut self, bits: usize) -> u32 {
        let byte = |index: usize| u32::from(self.bytes.get(self.at / 8 + index).copied().unwrap_or(0));
        let window = byte(0) << 16 | byte(1) << 8 | byte(2);
        let value = window >> (24 - self.at % 8 - bits) & ((1 << bits) - 1);
        self.at += bits;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_taken_from_the_top() {
        let mut reader = BitReader { bytes: &[0b1010_0101, 0b1111_0000, 0xab], at: 0 };
        assert_eq!(reader.take(1), 1);
        assert_eq!(reader.take(3), 0b010);
        assert_eq!(reader.take(12), 0b0101_1111_0000);
        assert_eq!(reader.take(8), 0xab);
        assert_eq!(reader.take(4), 0, "behind the end");
    }

    #[test]
    fn few_bits_fill_the_range_and_many_keep_their_high_ones() {
        assert_eq!([0, 1].map(|value| scaled(value, 1, false)), [0, 255]);
        assert_eq!([0, 1, 2, 3].map(|value| scaled(value, 2, false)), [0, 85, 170, 255]);
        assert_eq!(scaled(3, 4, false), 51);
        assert_eq!(scaled(3, 4, true), 3);
        assert_eq!(scaled(0xabc, 12, false), 0xab);
    }

    #[test]
    fn wide_differences_add_up_in_both_orders() {
        let mut little = [0xff, 0x00, 0x02, 0x01];
        add_wide::<2>(&mut little, 1, Order::Little);
        assert_eq!(little, [0xff, 0x00, 0x01, 0x02]);
        let mut big = [0x00, 0xff, 0x01, 0x02];
        add_wide::<2>(&mut big, 1, Order::Big);
        assert_eq!(big, [0x00, 0xff, 0x02, 0x01]);
    }

    #[test]
    fn floats_are_joined_from_their_planes() {
        let value = 0.5_f32.to_be_bytes();
        let mut row = [value[0], value[1].wrapping_sub(value[0]), value[2].wrapping_sub(value[1]), 0];
        row[3] = value[3].wrapping_sub(value[2]);
        join_float(&mut row, 1, 4, Order::Little);
        assert_eq!(row, 0.5_f32.to_le_bytes());
    }
}
