//! A picture that gives no decoder and no engine a reason to die.
//!
//! The child tags it before it reports that it is ready. If that kills the child, no image is to blame. The
//! result is not looked at: an engine that fails reports that again with the first image, whose shard then
//! goes back.

use std::io::Cursor;

use image::{ImageError, ImageFormat, Rgb, RgbImage};

/// Both sides in pixels.
const SIDE: u32 = 64;

/// A small JPEG, the most frequent format by far.
pub(super) fn picture() -> Result<Vec<u8>, ImageError> {
    let picture = RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb([x as u8 * 4, y as u8 * 4, 128]));
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Jpeg)?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Limits, PixelBudget, decode};
    use crate::grid::Grid;

    #[test]
    fn it_is_a_picture() {
        let limits = Limits::default();
        let budget = PixelBudget::new(limits.max_memory);
        let decoded = decode(&picture().unwrap(), &limits, &budget, true, &|_: &Grid, _: u8| 0).unwrap();
        assert_eq!((decoded.pixels.width, decoded.pixels.height), (SIDE, SIDE));
        assert!(!decoded.second_decoder);
    }
}
