//! One image file, from its bytes to the model's input tensor and its thumbnail.
//!
//! Laws: no panic but those that decoding catches, no memory beyond the limits, the budget is whole afterwards, a failure
//! is one line of text, and a JPEG that is decoded smaller is the same picture as the one decoded whole.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tagfleet_fuzz::within;
use tagfleet_model::decode::{Decoded, Limits, PixelBudget, decode, quiet_panics};
use tagfleet_model::preprocessing::{Color, Decoding, Filter, Layout, Preprocessing, Resize, ResizeTo, Size};
use tagfleet_model::tensor::Preprocessor;
use tagfleet_model::thumbnail::Draft;

const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 20, max_memory: 16 << 20 };
/// What the decoders may hold beside what is admitted: tables, the file's own metadata, messages.
const BESIDE: usize = 16 << 20;

/// Some ways to prepare a picture; the length of the input chooses.
fn steps(choice: usize) -> Preprocessing {
    let small = Size { height: 32, width: 40 };
    let (color, to, filter, crop) = match choice {
        0 => (Color::Rgb, Some(ResizeTo::ShortestEdge(36)), Filter::Bicubic, Some(small)),
        1 => (Color::Gray, Some(ResizeTo::Exact(small)), Filter::Lanczos, None),
        2 => (Color::Bgr, Some(ResizeTo::ShortestEdge(3)), Filter::Nearest, Some(small)),
        _ => (Color::Rgb, None, Filter::Bilinear, Some(small)),
    };
    let plain = Preprocessing::plain(color, small);
    Preprocessing {
        resize: to.map(|to| Resize { to, filter }),
        crop,
        mean: vec![0.5; plain.mean.len()],
        std: vec![2.0; plain.std.len()],
        layout: if choice == 2 { Layout::Nhwc } else { Layout::Nchw },
        exif: choice != 3,
        decoding: if choice == 0 { Decoding::Scaled { cover: 1 } } else { Decoding::Exact },
        ..plain
    }
}

fn prepared(bytes: &[u8], steps: &Preprocessing, budget: &Arc<PixelBudget>) -> Option<Size> {
    let mut preprocessor = Preprocessor::new(steps).expect("the steps are ours");
    let decoded = match decode(bytes, &LIMITS, budget, steps.exif, &preprocessor) {
        Ok(decoded) => decoded,
        Err(failure) => {
            assert!(!failure.to_string().chars().any(char::is_control));
            return None;
        }
    };
    check(&decoded);
    let mut tensor = vec![f32::NAN; preprocessor.tensor_len()];
    preprocessor.write(&decoded.pixels, &decoded.grid, &mut tensor).expect("any picture fits the steps");
    assert!(tensor.iter().all(|value| value.is_finite()));
    let _ = Draft::new(&decoded.pixels).encode();
    Some(decoded.grid.size())
}

fn check(decoded: &Decoded) {
    let (pixels, samples) = (&decoded.pixels, decoded.grid.samples());
    let length = samples.height as usize * samples.width as usize * usize::from(pixels.channels);
    assert_eq!((pixels.height, pixels.width), (samples.height, samples.width));
    assert_eq!(pixels.data.len(), length);
    assert!(decoded.memory.bytes() <= LIMITS.max_memory);
}

fuzz_target!(init: quiet_panics(), |bytes: &[u8]| {
    let budget = PixelBudget::new(LIMITS.max_memory);
    let steps = steps(bytes.len() % 4);
    let size = within(LIMITS.max_memory as usize + BESIDE, || prepared(bytes, &steps, &budget));
    if size.is_some() && steps.decoding != Decoding::Exact {
        let exact = Preprocessing { decoding: Decoding::Exact, ..steps };
        // Only its memory may be more than is allowed.
        let whole = prepared(bytes, &exact, &budget);
        assert!(whole.is_none() || whole == size);
    }
    assert_eq!(budget.free(), budget.total());
});
