//! Objects of a run that were cut off, emptied or overwritten: the error names the object and a remedy, and
//! the remedy works.

use bytes::Bytes;
use tagfleet_pipeline::bucket::{Bucket, KeyRange};
use tagfleet_pipeline::infer::Worker;
use tagfleet_pipeline::local::{LocalOutcome, RunError};
use tagfleet_pipeline::queue::MemoryQueue;
use tagfleet_pipeline::run::{RunId, RunKeys};
use tagfleet_pipeline::shard::ShardId;
use tagfleet_pipeline::split::{RangeTask, Source, SplitProgress, split_range};
use tokio_util::sync::CancellationToken;

use crate::stopped::{Place, block_on};

const IMAGES: usize = 600;
const DELETE: &str = ": delete this object and resume the run";

fn id(number: u32) -> ShardId {
    ShardId { range: 0, number }
}

/// The damaged forms of an object with the bytes `whole`.
fn damages(whole: &Bytes) -> [Bytes; 3] {
    let mut overwritten = whole.to_vec();
    let half = overwritten.len() / 2;
    overwritten[half..].fill(0);
    [Bytes::new(), whole.slice(..half), overwritten.into()]
}

/// A run that was stopped after its first part and in the middle of a shard, or that has ended.
async fn place(is_complete: bool) -> Place {
    let place = Place::new(IMAGES).await;
    let (_, ended) = place.stopped_after(if is_complete { IMAGES } else { 300 }, (1, 1)).await;
    ended.unwrap();
    if is_complete {
        place.quiet().await.1.unwrap();
    }
    place
}

fn is_complete(ended: &Result<LocalOutcome, RunError>) -> bool {
    matches!(ended, Ok(LocalOutcome::Complete(counts)) if counts.rows() == IMAGES as u64)
}

/// Damages an object of a run in each way: the next process names it, and once it is deleted the rows are as
/// they should be.
fn is_named_and_can_be_fixed(is_complete_before: bool, key: impl Fn(&RunKeys) -> String) {
    block_on(async {
        let quiet = Place::new(IMAGES).await;
        let expected = quiet.rows(&quiet.quiet().await.0).await;
        let keys = RunKeys::new("", &RunId::try_from("run".to_owned()).unwrap());
        for number in 0..3 {
            let (place, key) = (place(is_complete_before).await, key(&keys));
            if key != keys.compacted(0, 0) {
                // Otherwise compacted parts are not read again.
                place.output.delete(&keys.compacted(0, 0));
            }
            let whole = place.output.get(&key, None, u64::MAX).await.unwrap().bytes;
            place.output.put(&key, damages(&whole)[number].clone()).await.unwrap();
            let said = place.quiet().await.1.unwrap_err().to_string();
            assert!(said.contains(&key) && said.contains(DELETE), "damage {number}: {said}");
            place.output.delete(&key);
            let (worker, ended) = place.quiet().await;
            assert!(is_complete(&ended), "damage {number} of {key}: {ended:?}");
            // A result that was written before the damage was found is in another folder.
            assert_eq!(place.rows(&worker).await, expected, "damage {number} of {key}");
        }
    });
}

#[test]
fn a_damaged_record_of_a_split_is_named() {
    is_named_and_can_be_fixed(false, |keys| keys.range_split(0));
    is_named_and_can_be_fixed(true, |keys| keys.range_split(0));
}

#[test]
fn a_damaged_shard_is_named() {
    is_named_and_can_be_fixed(false, |keys| keys.shard(id(2)));
}

#[test]
fn a_part() {
    is_named_and_can_be_fixed(true, |keys| keys.part(id(1)));
}

#[test]
fn the_groups() {
    is_named_and_can_be_fixed(true, RunKeys::groups);
}

#[test]
fn damaged_counts_of_a_group_are_named() {
    is_named_and_can_be_fixed(true, |keys| keys.compacted(0, 0));
}

#[test]
fn damaged_ranges_end_the_run() {
    block_on(async {
        let place = place(false).await;
        let keys = RunKeys::new("", &RunId::try_from("run".to_owned()).unwrap());
        place.output.put(&keys.ranges(), Bytes::from_static(b"{")).await.unwrap();
        let said = place.quiet().await.1.unwrap_err().to_string();
        assert!(said.contains(&keys.ranges()) && said.ends_with("start a new run"), "{said}");
    });
}

/// Every shard of a run that was split, deleted one after the other and all at once.
#[test]
fn deleted_shards_are_restored_as_they_were() {
    block_on(async {
        for gone in [vec![0], vec![1], vec![2], vec![0, 1], vec![1, 2], vec![0, 1, 2]] {
            let place = place(false).await;
            let keys = RunKeys::new("", &RunId::try_from("run".to_owned()).unwrap());
            let mut before = Vec::new();
            for number in &gone {
                before.push(place.output.get(&keys.shard(id(*number)), None, u64::MAX).await.unwrap().bytes);
                place.output.delete(&keys.shard(id(*number)));
            }
            assert!(is_complete(&place.quiet().await.1), "{gone:?}");
            for (number, before) in gone.iter().zip(before) {
                let after = place.output.get(&keys.shard(id(*number)), None, u64::MAX).await.unwrap().bytes;
                assert_eq!(after, before, "shard {number} of {gone:?}");
            }
        }
    });
}

#[test]
fn a_shard_with_changed_images_is_not_restored() {
    block_on(async {
        for is_added in [true, false] {
            let place = place(false).await;
            let keys = RunKeys::new("", &RunId::try_from("run".to_owned()).unwrap());
            place.output.delete(&keys.shard(id(0)));
            if is_added {
                place.source.put("00100b.jpg", Bytes::from_static(b"image")).await.unwrap();
            } else {
                place.source.delete("00100.jpg");
            }
            let said = place.quiet().await.1.unwrap_err().to_string();
            assert!(said.contains(&keys.shard(id(0))) && said.ends_with("start a new run"), "{said}");
        }
    });
}

#[test]
fn a_cursor() {
    block_on(async {
        let place = Place::new(3000).await;
        let worker: Worker = place.worker(place.source.clone());
        let (queue, stop) =
            (MemoryQueue::new(std::time::Duration::from_secs(60), 20), CancellationToken::new());
        let source = Source::Listed(place.source.clone(), tagfleet_pipeline::filter::Filter::default());
        stop.cancel();
        let split = async || {
            let (range, output) = (KeyRange::default(), place.output.as_ref());
            let (run, keys) = (&worker.run, &worker.keys);
            let task = RangeTask { number: 0, range: &range, run, output, keys, queue: &queue };
            split_range(&source, task, 256, &stop).await
        };
        assert!(matches!(split().await.unwrap(), SplitProgress::Stopped(_)));
        let key = worker.keys.range_cursor(0);
        place.output.put(&key, Bytes::from_static(b"{\"ver")).await.unwrap();
        let said = split().await.unwrap_err().to_string();
        assert!(said.starts_with(&key) && said.contains(DELETE), "{said}");
        place.output.delete(&key);
        let images = loop {
            if let SplitProgress::Done(record) = split().await.unwrap() {
                break record.images;
            }
        };
        assert_eq!(images, 3000);
    });
}
