//! A fleet's request file, and the requests that runs store.
//!
//! Laws: what is accepted reads the same after it was written; its results lie below its output, which no input holds;
//! its recipients are plain addresses; a refusal is one line of text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tagfleet_fleet::request::{FleetRequest, ValidRequest};
use tagfleet_fuzz::within;
use tagfleet_pipeline::run::{Ranges, RunId, RunKeys, RunRequest, StackKeys};
use tagfleet_pipeline::shard::ShardId;

const STACK: &str = "stack";
/// Most of it is for the automata of globs.
const MEMORY: usize = 256 << 20;

fn fleet_request(bytes: &[u8]) {
    let valid = match ValidRequest::parse(bytes, STACK) {
        Ok(valid) => valid,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.chars().any(char::is_control), "{message:?}");
            return;
        }
    };
    let written = serde_json::to_vec(&valid.request).expect("a request can be written");
    let again = ValidRequest::parse(&written, STACK).expect("what was accepted is accepted again");
    assert_eq!(again.request, valid.request);
    assert_eq!(
        (&again.prefixes, &again.model, &again.output),
        (&valid.prefixes, &valid.model, &valid.output)
    );
    assert_eq!(again.deadline, valid.deadline);
    check_places(&valid);
    for address in &valid.request.notify {
        assert!(address.is_ascii() && !address.contains(|c: char| c.is_control() || " ,;<>\"".contains(c)));
    }
}

fn check_places(valid: &ValidRequest) {
    let prefix = &valid.output.prefix;
    assert!(prefix.is_empty() || prefix.ends_with('/'));
    assert!(valid.prefixes.is_sorted() && !valid.prefixes.is_empty());
    if valid.output.bucket == valid.source {
        assert!(valid.prefixes.iter().all(|input| !prefix.starts_with(input)));
    }
    if valid.output.bucket == STACK {
        assert!(prefix.starts_with(StackKeys::TAGS));
    }
    let run = RunId::try_from("run-1".to_owned()).expect("an id of ours");
    let keys = RunKeys::in_bucket(prefix, &run);
    let part = keys.part(ShardId { range: 1, number: 2 });
    assert!(part.starts_with(prefix) && keys.report().starts_with(prefix));
    for key in ["a.jpg", "b/ü ß.png", "", "\0", "a\nb"] {
        let _ = valid.filter.takes(key);
    }
}

fn stored(bytes: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<RunRequest>(bytes) {
        let written = serde_json::to_vec(&request).expect("a request can be written");
        assert_eq!(serde_json::from_slice::<RunRequest>(&written).expect("and read"), request);
        assert!(request.max_shard_images() > 0);
    }
    if let Ok(ranges) = serde_json::from_slice::<Ranges>(bytes) {
        let written = serde_json::to_vec(&ranges).expect("ranges can be written");
        assert_eq!(serde_json::from_slice::<Ranges>(&written).expect("and read"), ranges);
    }
    if let Ok(request) = serde_json::from_slice::<FleetRequest>(bytes) {
        let _ = ValidRequest::new(request, "another");
    }
}

fuzz_target!(|bytes: &[u8]| {
    within(MEMORY, || {
        fleet_request(bytes);
        stored(bytes);
    });
});
