//! How small JPEGs may be decoded for a model: only as far as measurements found it harmless.
//!
//! Harmless is a top-1 agreement with exact decoding of at least 99 % on pictures that really are scaled,
//! which `tests/scaling.rs` measures. It decides and explains; it never decodes.

use crate::graph::Quantization;
use crate::preprocessing::{Decoding, Filter, Resize, ResizeTo};

/// Each decoded side is at least this many times the side it is resized to: 198 of 200 mosaics of 12
/// megapixels and 183 of 184 enlarged photos agree. At twice they are 196 of 200 and 195 of 198, which is not
/// enough.
const COVER: u32 = 4;

/// The filters that were found harmless; with Lanczos only 181 of 184 agree.
const HARMLESS: [Filter; 3] = [Filter::Bilinear, Filter::Bicubic, Filter::Hamming];

/// The shorter side that a picture is resized to, in pixels, from which on smaller decoding was found
/// harmless.
///
/// Measured with SqueezeNet on photos that were resized to a square and then enlarged for it: of photos as
/// they are, 181 of 183 agree at 32 pixels. Of photos four times as large, 96 of 100 agree at 32, 97 of 100
/// at 48, 94 of 99 at 64, 92 of 93 at 96 and 90 of 91 at 128.
const SMALLEST: u32 = 128;

/// What is recorded with the run. `exact` is the user's wish.
pub(super) fn decide(
    exact: bool,
    resize: Option<Resize>,
    quantization: Quantization,
    notes: &mut Vec<String>,
) -> Decoding {
    let harmless =
        resize.is_some_and(|resize| HARMLESS.contains(&resize.filter) && shorter_side(resize.to) >= SMALLEST);
    if exact || !harmless {
        return Decoding::Exact;
    }
    if quantization != Quantization::None {
        notes.push(
            "the model computes with integers, so that the smallest difference of pixels can change its answer: JPEGs are decoded exactly"
                .to_owned(),
        );
        return Decoding::Exact;
    }
    Decoding::Scaled { cover: COVER }
}

fn shorter_side(to: ResizeTo) -> u32 {
    match to {
        ResizeTo::ShortestEdge(side) => side,
        ResizeTo::Exact(size)
        | ResizeTo::Cut(size)
        | ResizeTo::Cover(size)
        | ResizeTo::Fit(size)
        | ResizeTo::Height(size) => size.height.min(size.width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocessing::Size;

    fn decided(to: ResizeTo) -> Decoding {
        let resize = Resize { to, filter: Filter::Bilinear };
        decide(false, Some(resize), Quantization::None, &mut Vec::new())
    }

    #[test]
    fn pictures_for_tiny_inputs_are_decoded_exactly() {
        assert_eq!(decided(ResizeTo::ShortestEdge(32)), Decoding::Exact);
        assert_eq!(decided(ResizeTo::ShortestEdge(127)), Decoding::Exact);
        assert_eq!(decided(ResizeTo::ShortestEdge(128)), Decoding::Scaled { cover: COVER });
        let wide = Size { height: 64, width: 640 };
        assert_eq!(decided(ResizeTo::Exact(wide)), Decoding::Exact);
    }
}
