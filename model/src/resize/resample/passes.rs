//! The two passes over the samples, compiled for AVX2 too, which is chosen if the processor has it.
//!
//! Sums of integers: whatever they are compiled for, they give the same bits. They allocate nothing and never
//! compute a weight.

use multiversion::multiversion;

use super::{HALF, PRECISION, Taps, Weights};

/// Samples of one row that are summed up at once: as many as the registers hold.
const AT_ONCE: usize = 32;

/// Rows that go across at once, so that vectors run over rows and every sum of a vector has the same weight.
pub(super) const ROWS: usize = 16;

/// One row more of a block: its samples become those number `index` of each column.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn turn(index: usize, from: &[u8], block: &mut [[u8; ROWS]]) {
    for (column, sample) in block.iter_mut().zip(from) {
        column[index] = *sample;
    }
}

/// The samples of some rows, turned, to one shorter or longer row each; `block` starts with the source pixel
/// number `start`, and `padding` has each row's sample outside the picture, by channels.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn across<const CHANNELS: usize>(
    weights: &Weights,
    start: usize,
    block: &[[u8; ROWS]],
    padding: &[[u8; ROWS]; CHANNELS],
    to: &mut [u8],
    width: usize,
) {
    for (pixel, (place, weights)) in weights.all().enumerate() {
        let block = &block[(place.first.max(start) - start) * CHANNELS..];
        for (channel, padding) in padding.iter().enumerate() {
            let mut sums = padding.map(|sample| HALF + i32::from(sample) * place.padding);
            let columns = block.get(channel..).unwrap_or_default();
            for (column, weight) in columns.iter().step_by(CHANNELS).zip(weights) {
                for (sum, sample) in sums.iter_mut().zip(column) {
                    *sum += i32::from(*sample) * weight;
                }
            }
            let at = pixel * CHANNELS + channel;
            let samples = sums.map(clip);
            for (sample, row) in samples.iter().zip(to.chunks_exact_mut(width)) {
                row[at] = *sample;
            }
        }
    }
}

/// Some rows, `stride` samples apart, to one row; `from` starts with the first of them. `padding` is a row
/// outside the picture, which is read only if `taps` has some of it.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn down(taps: &Taps, from: &[u8], stride: usize, padding: &[u8], to: &mut [u8]) {
    let weights = taps.weights();
    let (blocks, rest) = to.as_chunks_mut::<AT_ONCE>();
    for (index, block) in blocks.iter_mut().enumerate() {
        let mut sums = [HALF; AT_ONCE];
        if taps.padding != 0 {
            for (sum, sample) in sums.iter_mut().zip(&padding[index * AT_ONCE..]) {
                *sum += i32::from(*sample) * taps.padding;
            }
        }
        for (row, weight) in from.chunks(stride).zip(weights) {
            let Some(samples) = row[index * AT_ONCE..].first_chunk::<AT_ONCE>() else { continue };
            for (sum, sample) in sums.iter_mut().zip(samples) {
                *sum += i32::from(*sample) * weight;
            }
        }
        *block = sums.map(clip);
    }
    let done = blocks.len() * AT_ONCE;
    for (index, sample) in rest.iter_mut().enumerate() {
        let mut sum = HALF + taps.padding * i32::from(padding[done + index]);
        for (row, weight) in from.chunks(stride).zip(weights) {
            sum += i32::from(row[done + index]) * weight;
        }
        *sample = clip(sum);
    }
}

pub(super) fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
