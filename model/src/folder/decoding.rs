//! How small JPEGs may be decoded for a model: only as far as measuring found it harmless.
//!
//! `tests/scaling.rs` measures it: top-1 agreement with exact decoding of at least 99 %. It decides and says why; it never
//! decodes.

use crate::graph::Quantization;
use crate::preprocessing::{Decoding, Resize};

/// Each decoded side is at least so many times the side it is resized to.
const COVER: u32 = 4;

/// What is recorded with the run. `exact` is the user's wish.
pub(super) fn decide(
    exact: bool,
    resize: Option<Resize>,
    quantization: Quantization,
    notes: &mut Vec<String>,
) -> Decoding {
    let smooth = resize.is_some_and(|resize| resize.filter.is_continuous());
    if exact || !smooth {
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
