//! A decoded picture in memory: 8-bit samples, interleaved, rows without padding.
//!
//! Decoding hands it to resizing. It never knows how it was stored; a [`crate::grid::Grid`] holds what a
//! sample covers.

/// 8-bit pixels, `height` rows of `width` pixels of `channels` samples each.
#[derive(Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels per row, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// Samples per pixel: 3 (R, G, B) or 1 (luma).
    pub channels: u8,
    /// `width * height * channels` samples, row by row.
    pub data: Vec<u8>,
}
