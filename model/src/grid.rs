//! How the samples of a picture lie on the picture as stored: one sample per pixel, or one per square of
//! pixels.
//!
//! It exists because a JPEG can be decoded at a fraction of its size, whose last samples may hang over the
//! edge: 501 samples cover 1001 pixels at half size. Resizing must take that into account, else the picture
//! shifts by a part of a pixel. Geometry only: it never holds a sample.

use crate::preprocessing::Size;

/// By what a picture's sides are divided while it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reduction {
    /// One sample per pixel.
    None,
    /// One sample for 2x2 pixels.
    Half,
    /// One sample for 4x4 pixels.
    Quarter,
    /// One sample for 8x8 pixels.
    Eighth,
}

impl Reduction {
    /// All of them, the strongest first.
    pub const ALL: [Reduction; 4] = [Self::Eighth, Self::Quarter, Self::Half, Self::None];

    /// Pixels per sample on one side: 1, 2, 4 or 8.
    #[must_use]
    pub fn divisor(self) -> u32 {
        match self {
            Self::None => 1,
            Self::Half => 2,
            Self::Quarter => 4,
            Self::Eighth => 8,
        }
    }

    /// Samples that cover a side of `length` pixels.
    #[must_use]
    pub fn samples(self, length: u32) -> u32 {
        length.div_ceil(self.divisor())
    }
}

/// One side of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// Of the picture as stored, in pixels; at least 1.
    pub length: u32,
    /// The number of pixels per sample.
    pub reduction: Reduction,
    /// True if the picture was mirrored along this side, so that the first sample hangs over instead of the
    /// last.
    pub mirrored: bool,
}

impl Side {
    /// Samples along this side.
    #[must_use]
    pub fn samples(&self) -> u32 {
        self.reduction.samples(self.length)
    }

    /// The start of the picture, in samples: less than 1, and 0 unless the first sample hangs over.
    #[must_use]
    pub fn start(&self) -> f64 {
        let covered = f64::from(self.samples());
        if self.mirrored { covered - self.extent() } else { 0.0 }
    }

    /// How far the picture reaches, in samples: more than `samples() - 1`, and exact, because the divisor is
    /// a power of two.
    #[must_use]
    pub fn extent(&self) -> f64 {
        f64::from(self.length) / f64::from(self.reduction.divisor())
    }
}

/// Both sides of a picture as shown, after its EXIF orientation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Along a row.
    pub across: Side,
    /// Along a column.
    pub down: Side,
}

impl Grid {
    /// The grid of a picture of `size`, as stored, that is decoded with `reduction`.
    #[must_use]
    pub fn new(size: Size, reduction: Reduction) -> Grid {
        let side = |length| Side { length, reduction, mirrored: false };
        Grid { across: side(size.width), down: side(size.height) }
    }

    /// One sample per pixel.
    #[must_use]
    pub fn whole(size: Size) -> Grid {
        Grid::new(size, Reduction::None)
    }

    /// The picture's size as stored, in pixels.
    #[must_use]
    pub fn size(&self) -> Size {
        Size { height: self.down.length, width: self.across.length }
    }

    /// Rows of samples, and samples per row.
    #[must_use]
    pub fn samples(&self) -> Size {
        Size { height: self.down.samples(), width: self.across.samples() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn samples_hang_over_the_end_or_the_start() {
        let side = Side { length: 1001, reduction: Reduction::Half, mirrored: false };
        assert_eq!((side.samples(), side.start(), side.extent()), (501, 0.0, 500.5));
        let side = Side { mirrored: true, ..side };
        assert_eq!((side.samples(), side.start(), side.extent()), (501, 0.5, 500.5));
    }

    proptest! {
        #[test]
        fn the_picture_lies_within_its_samples(length in 1_u32..70_000, index in 0_usize..4, mirrored: bool) {
            let side = Side { length, reduction: Reduction::ALL[index], mirrored };
            prop_assert!((0.0..1.0).contains(&side.start()));
            prop_assert!(side.start() + side.extent() <= f64::from(side.samples()));
            prop_assert!(side.extent() > f64::from(side.samples()) - 1.0);
        }
    }
}
