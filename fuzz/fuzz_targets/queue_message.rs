//! A message of the queue and the shard it points to, whose keys then go into a part.
//!
//! An input is a stored shard as it is, or the lines of one, which are compressed here. Laws: what is read is the same
//! after it was written; no shard takes more memory than its limit; any key and etag survives Parquet.

#![no_main]

use std::io::Write as _;

use libfuzzer_sys::fuzz_target;
use tagfleet_fuzz::within;
use tagfleet_pipeline::run::{RunId, RunKeys};
use tagfleet_pipeline::shard::Shard;
use tagfleet_pipeline::split::ShardMessage;
use tagfleet_pipeline::tags::parquet::{RunColumns, encode_part, open};
use tagfleet_pipeline::tags::slowest::Slowest;
use tagfleet_pipeline::tags::{Failure, Outcome, Reason, Row};

/// What a shard of 10,000 images may hold, its text included.
const MEMORY: usize = 512 << 20;

fn message(bytes: &[u8]) {
    let Ok(message) = serde_json::from_slice::<ShardMessage>(bytes) else { return };
    let written = serde_json::to_vec(&message).expect("a message can be written");
    assert_eq!(serde_json::from_slice::<ShardMessage>(&written).expect("and read"), message);
    let keys = RunKeys::in_bucket("tags/", &message.run);
    let (shard, part) = (keys.shard(message.shard), keys.part(message.shard));
    assert_eq!(keys.shard_of(&shard), Some(message.shard));
    assert_eq!(keys.shard_of(&part), Some(message.shard));
    assert!(part.starts_with("tags/work/") && !part.contains(".."));
}

fn shard(stored: &[u8]) {
    let Ok(shard) = Shard::decode(stored) else { return };
    let written = shard.encode().expect("a shard can be written");
    assert_eq!(Shard::decode(&written).expect("and read"), shard);
    rows(&shard);
}

fn rows(shard: &Shard) {
    let run = RunId::try_from("run-1".to_owned()).expect("an id of ours");
    let failure = |key: &str| Failure::new(Reason::Missing, key);
    let rows: Vec<Row> = shard
        .images
        .iter()
        .map(|image| Row {
            key: image.key.clone(),
            bytes: image.size.filter(|size| i64::try_from(*size).is_ok()),
            etag: image.etag.clone(),
            outcome: Outcome::Failed(failure(&image.key)),
        })
        .collect();
    let columns = RunColumns { run, model: "model@0".to_owned(), vector: None };
    let part = encode_part(&rows, &columns, &Slowest::default()).expect("any key can be stored");
    assert_eq!(open(part).expect("a part can be read").rows, rows.len() as u64);
}

fn compressed(lines: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("level 1 exists");
    encoder.write_all(lines).expect("memory takes any bytes");
    encoder.finish().expect("memory takes any bytes")
}

fuzz_target!(|bytes: &[u8]| {
    within(MEMORY, || {
        message(bytes);
        shard(bytes);
        shard(&compressed(bytes));
    });
});
