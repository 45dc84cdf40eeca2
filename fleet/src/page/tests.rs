//! What is read of a run's shards, and what is left out.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::reduce::{TagCount, TagCounts};
use tagfleet_pipeline::shard::ShardId;
use tagfleet_pipeline::tags::{Reason, Tag};
use tagfleet_pipeline::thumbnails::{FailedImage, Picture, ShardSample, THUMBNAILS_VERSION};

fn picture(number: u32) -> Picture {
    let tags = vec![Tag { label: "cat".to_owned(), index: 0, score: number as f32 / 1000.0 }];
    Picture { key: format!("{number:04}.jpg"), width: 4, height: 3, tags, jpeg: "/9g=".to_owned() }
}

async fn bucket(shards: u32, change: impl Fn(u32, &mut ShardSample)) -> (MemoryBucket, RunId, RunKeys) {
    let (output, run) = (MemoryBucket::default(), RunId::try_from("r".to_owned()).unwrap());
    let keys = RunKeys::in_bucket("", &run);
    for number in 0..shards {
        let key = format!("bad {number}");
        let failure = FailedImage { key, reason: Reason::Corrupt, message: String::new(), jpeg: None };
        let mut sample = ShardSample {
            version: THUMBNAILS_VERSION,
            random: vec![picture(number)],
            unsure: vec![],
            failures: vec![failure],
        };
        change(number, &mut sample);
        let bytes = Bytes::from(serde_json::to_vec(&sample).unwrap());
        output.put(&keys.thumbnails(ShardId { range: 0, number }), bytes).await.unwrap();
    }
    (output, run, keys)
}

async fn collected(shards: u32, change: impl Fn(u32, &mut ShardSample)) -> Samples {
    let (output, run, keys) = bucket(shards, change).await;
    let count = TagCount { images: u64::from(shards), best: u64::from(shards) };
    let tags = TagCounts { labels: [("cat".to_owned(), count)].into(), ..TagCounts::default() };
    read_samples(&output, &run, &keys, &tags).await.unwrap()
}

#[tokio::test]
async fn shards_of_a_large_run_are_read_evenly() {
    let samples = collected(1000, |_, _| {}).await;
    assert_eq!((samples.read, samples.objects, samples.unread), (200, 1000, 0));
    let first = samples.unsure[0].key.trim_end_matches(".jpg").parse::<u32>().unwrap();
    let least: Vec<String> = samples.unsure.iter().map(|picture| picture.key.clone()).collect();
    assert!(first < 5, "{first}");
    assert_eq!(least, (0..12).map(|number| format!("{:04}.jpg", first + number * 5)).collect::<Vec<_>>());
}

#[tokio::test]
async fn objects_of_other_versions_are_left_out_and_counted() {
    let samples = collected(5, |number, sample| match number {
        0 => sample.version = 1,
        1 => sample.random[0].jpeg = "\" onerror=\"alert(1)".to_owned(),
        2 => sample.failures[0].jpeg = Some("<".to_owned()),
        3 => sample.random[0].tags.clear(),
        _ => {}
    })
    .await;
    let keys =
        |pictures: &[Arc<Picture>]| pictures.iter().map(|picture| picture.key.clone()).collect::<Vec<_>>();
    assert_eq!((samples.read, samples.unread), (2, 3));
    assert_eq!(keys(&samples.labels[0].pictures), ["0004.jpg"]);
    let mut random = keys(&samples.random);
    random.sort();
    assert_eq!(random, ["0003.jpg", "0004.jpg"], "an image without a tag is in the random sample");
}

#[tokio::test]
async fn a_mail_has_the_pictures_that_were_stored_for_it() {
    let samples = collected(9, |number, sample| {
        sample.random[0].tags[0].label = ["cat", "dog"][number as usize % 2].to_owned();
    })
    .await;
    let stored = samples.highlights();
    assert_eq!(stored.pictures.len(), 1, "dogs were not counted");
    let (output, _, keys) = bucket(0, |_, _| {}).await;
    assert_eq!(highlights(&output, &keys).await.unwrap(), Highlights::default());
    output.put(&keys.highlights(), serde_json::to_vec(&stored).unwrap().into()).await.unwrap();
    assert_eq!(highlights(&output, &keys).await.unwrap(), stored);
    output.put(&keys.highlights(), Bytes::from_static(b"{\"pictures\": 1}")).await.unwrap();
    assert_eq!(highlights(&output, &keys).await.unwrap(), Highlights::default());
}
