//! What the parent reads from its child, which decodes hostile images and may be theirs by now.
//!
//! Laws: an answer takes no more memory than what came through the pipe accounts for, and what is read is the same after
//! it was written, to the bit.

#![no_main]
#![expect(dead_code, reason = "only the parent's half of the protocol is read here")]

#[path = "../../model/src/isolation/protocol.rs"]
mod protocol;

use libfuzzer_sys::fuzz_target;
use protocol::{read_answer, read_setup, write_answer};
use tagfleet_fuzz::within;

/// What a byte can become: an outcome of a few bytes takes about a hundred.
const GROWTH: usize = 256;

fn answers(mut pipe: &[u8]) {
    while let Ok(Some(answer)) = read_answer(&mut pipe) {
        let mut written = Vec::new();
        write_answer(&mut written, &answer).expect("an answer can be written");
        let again = read_answer(&mut written.as_slice()).expect("and read").expect("it is there");
        let mut twice = Vec::new();
        write_answer(&mut twice, &again).expect("an answer can be written");
        assert_eq!(written, twice);
    }
}

fuzz_target!(|bytes: &[u8]| {
    within((1 << 20) + GROWTH * bytes.len(), || {
        answers(bytes);
        let _ = read_setup(&mut &*bytes);
    });
});
