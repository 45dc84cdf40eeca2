//! The laws of split: every key is in exactly one shard, in order, whatever stops it and however often it
//! runs.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::btree_set;
use proptest::prelude::*;

use bytes::Bytes;
use futures::stream::TryStreamExt;
use tokio_util::sync::CancellationToken;

use super::range::{OpenShard, RangeTask, ShardBuilder, Splitter};
use super::*;
use crate::bucket::memory::MemoryBucket;
use crate::bucket::{Bucket, KeyRange, Kind};
use crate::filter::{Filter, SkipReason};
use crate::queue::MemoryQueue;
use crate::record;
use crate::run::RunKeys;
use crate::shard::{MAX_IMAGE_BYTES, Shard};
use crate::testing::FailingBucket;
use crate::testing::unsorted_bucket::UnsortedBucket;

fn run() -> (RunId, RunKeys) {
    let id = RunId::try_from("r".to_owned()).unwrap();
    let keys = RunKeys::new("out/", &id);
    (id, keys)
}

fn named(keys: impl IntoIterator<Item = String>) -> Source {
    Source::Named(Arc::new(keys.into_iter().collect()))
}

async fn bucket_of(keys: impl IntoIterator<Item = String>) -> Arc<MemoryBucket> {
    let bucket = MemoryBucket::default();
    for key in keys {
        bucket.put(&key, Bytes::from_static(b"x")).await.unwrap();
    }
    Arc::new(bucket)
}

fn queue() -> MemoryQueue {
    MemoryQueue::new(Duration::from_secs(60), 20)
}

async fn split(source: &Source, output: &dyn Bucket, queue: &dyn Queue) -> Result<RangeSplit, SplitError> {
    match split_until(source, output, queue, &CancellationToken::new()).await? {
        SplitProgress::Done(record) => Ok(record),
        SplitProgress::Stopped(_) => panic!("nobody told it to stop"),
    }
}

async fn split_until(
    source: &Source,
    output: &dyn Bucket,
    queue: &dyn Queue,
    stop: &CancellationToken,
) -> Result<SplitProgress, SplitError> {
    let (id, keys) = run();
    let range = KeyRange::default();
    let task = RangeTask { number: 0, range: &range, run: &id, output, keys: &keys, queue };
    split_range(source, task, usize::MAX, stop).await
}

/// The keys of all shards, shard by shard.
async fn shards(output: &dyn Bucket) -> Vec<Vec<String>> {
    let (_, keys) = run();
    let pages: Vec<_> = output.list(&KeyRange::prefix(&keys.shards())).try_collect().await.unwrap();
    let mut shards = Vec::new();
    for object in pages.concat() {
        let shard = record::read_shard(output, &keys, keys.shard_of(&object.key).unwrap()).await.unwrap();
        shards.push(shard.images.into_iter().map(|image| image.key).collect());
    }
    shards
}

async fn messages(queue: &MemoryQueue) -> Vec<ShardId> {
    let mut shards = Vec::new();
    while let Some(message) = queue.receive(Duration::ZERO).await.unwrap() {
        shards.push(serde_json::from_str::<ShardMessage>(&message.body).unwrap().shard);
    }
    shards
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number:06}.jpg")).collect()
}

#[tokio::test]
async fn shards_grow() {
    let (output, queue) = (MemoryBucket::default(), queue());
    let keys = numbered(32 * 256 + 2 * 2000 + 5);
    let record = split(&named(keys.clone()), &output, &queue).await.unwrap();
    let shards = shards(&output).await;
    assert_eq!(
        shards.iter().map(Vec::len).collect::<Vec<_>>(),
        [vec![256; 32], vec![2000, 2000, 5]].concat()
    );
    assert_eq!(shards.concat(), keys);
    assert_eq!((record.shards, record.images), (35, keys.len() as u64));
    assert_eq!(messages(&queue).await.len(), 35);
    assert_eq!(record, dry_run(&named(keys), &KeyRange::default()).await.unwrap().split);
}

#[tokio::test]
async fn a_split_that_stops_after_each_page_finishes() {
    let keys = numbered(4500);
    let source = Source::Listed(bucket_of(keys.clone()).await, Filter::default());
    let (output, queue) = (MemoryBucket::default(), queue());
    let (calls, record) = split_page_by_page(&source, &output, &queue).await;
    assert_eq!(calls, 5, "five pages");
    assert_eq!(shards(&output).await.concat(), keys);
    assert_eq!(messages(&queue).await.len(), record.shards as usize);
}

/// The number of calls that a split takes if each one is asked to stop after its first page.
async fn split_page_by_page(source: &Source, output: &dyn Bucket, queue: &MemoryQueue) -> (u32, RangeSplit) {
    let stop = CancellationToken::new();
    stop.cancel();
    for calls in 1.. {
        match split_until(source, output, queue, &stop).await.unwrap() {
            SplitProgress::Done(record) => return (calls - 1, record),
            SplitProgress::Stopped(_) => assert_eq!(messages(queue).await, [], "messages go out at the end"),
        }
    }
    unreachable!("the listing ends")
}

#[tokio::test]
async fn keys_that_are_not_inputs_are_skipped_and_counted_once() {
    let markers = (0..2500).map(|number| format!("{number:06}/"));
    let source = MemoryBucket::default();
    for key in markers {
        source.put(&key, Bytes::new()).await.unwrap();
    }
    source.put("001500/a.jpg", Bytes::from_static(b"x")).await.unwrap();
    source.put("002499/no.txt", Bytes::from_static(b"x")).await.unwrap();
    let filter = Filter::new(&["*.jpg".to_owned()], &[], false).unwrap();
    let source = Source::Listed(Arc::new(source), filter);
    let (output, queue) = (MemoryBucket::default(), queue());
    let (_, record) = split_page_by_page(&source, &output, &queue).await;
    assert_eq!((record.images, record.skipped.files(), record.shards), (1, 2500, 1));
}

#[tokio::test]
async fn messages_do_not_follow_the_key_space() {
    let (output, queue) = (MemoryBucket::default(), queue());
    split(&named(numbered(32 * 256)), &output, &queue).await.unwrap();
    let sent = messages(&queue).await;
    let neighbours = sent.windows(2).filter(|pair| pair[0].number.abs_diff(pair[1].number) == 1).count();
    assert!(sent.len() == 32 && neighbours < 8, "{sent:?}");
}

#[test]
fn a_shard_ends_before_its_images_have_too_many_bytes() {
    let image = |size| Image { size: Some(size), ..Image::named("k".to_owned()) };
    let mut open = ShardBuilder::default();
    assert!(!open.is_full_before(&image(2 * MAX_IMAGE_BYTES)), "it is a shard by itself");
    open.push(image(MAX_IMAGE_BYTES - 1));
    assert!(!open.is_full_before(&image(1)));
    open.push(image(1));
    assert!(open.is_full_before(&image(1)));
    assert_eq!(open.take().len(), 2);
    assert!(open.is_empty() && !open.is_full_before(&image(1)));
}

#[test]
fn a_shard_ends_before_its_rows_are_too_large() {
    let mut open = ShardBuilder::default();
    open.push(Image::named("a".to_owned()));
    assert!(!open.is_full(0, 2));
    open.push(Image::named("b".to_owned()));
    assert!(open.is_full(0, 2));
}

#[tokio::test]
async fn folder_markers_are_not_images() {
    let source = MemoryBucket::default();
    source.put("a/", Bytes::new()).await.unwrap();
    source.put("a/b", Bytes::from_static(b"x")).await.unwrap();
    let (output, queue) = (MemoryBucket::default(), queue());
    let record = split(&Source::Listed(Arc::new(source), Filter::default()), &output, &queue).await.unwrap();
    assert_eq!((record.images, record.skipped.of(SkipReason::FolderMarker)), (1, 1));
}

#[tokio::test]
async fn two_splitters_at_once_agree() {
    let keys = numbered(1000);
    let source = Source::Listed(bucket_of(keys.clone()).await, Filter::default());
    let (output, queue) = (MemoryBucket::default(), queue());
    let (first, second) = tokio::join!(split(&source, &output, &queue), split(&source, &output, &queue));
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(shards(&output).await.concat(), keys);
}

#[tokio::test]
async fn a_second_splitter_with_other_objects_drops_and_repeats_none() {
    let keys = numbered(600);
    let source = bucket_of(keys.clone()).await;
    let (output, queue) = (MemoryBucket::default(), queue());
    let (id, run_keys) = run();
    let (range, number) = (KeyRange::default(), 0);
    let task = RangeTask { number, range: &range, run: &id, output: &output, keys: &run_keys, queue: &queue };
    // The first one saw every second object of the first 300 and was stopped then.
    let images = keys[..300].iter().step_by(2).cloned().map(Image::named).collect();
    let first =
        Shard { id: ShardId { range: 0, number: 0 }, images, skipped: Skipped::default(), kept: None };
    output.put(&run_keys.shard(first.id), first.encode().unwrap()).await.unwrap();
    // The second one had listed before that shard was there: it meets it on its first put.
    let mut late = Splitter::new(task, None);
    let mut open = OpenShard::default();
    keys[..256].iter().cloned().for_each(|key| open.images.push(Image::named(key)));
    assert!(!late.commit(&mut open).await.unwrap(), "another one was first");
    assert!(open.is_empty(), "the keys after the winner's last key are listed again");
    let source: Source = Source::Listed(source, Filter::default());
    split(&source, &output, &queue).await.unwrap();
    let all = shards(&output).await.concat();
    assert!(all.is_sorted() && all.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(all[150..], keys[299..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Stopped after any number of calls, again and again: no key is dropped, none repeated, every shard has
    /// a message.
    #[test]
    fn a_stopped_split_resumes_without_losing_keys(keys in btree_set(".{0,3}", 0..900), stops in prop::collection::vec(0..12u64, 0..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let source = Source::Listed(bucket_of(keys.clone()).await, Filter::default());
            let wanted: Vec<String> = keys.into_iter().collect();
            let output: Arc<dyn Bucket> = Arc::new(MemoryBucket::default());
            let queue = queue();
            for stop in stops {
                let failing = FailingBucket::new(output.clone(), Kind::Temporary, stop..u64::MAX);
                let _ = split(&source, &failing, &queue).await;
            }
            let record = split(&source, output.as_ref(), &queue).await.unwrap();
            let shards = shards(output.as_ref()).await;
            assert_eq!(shards.concat(), wanted);
            assert_eq!(record.shards as usize, shards.len());
            let sent: std::collections::BTreeSet<_> = messages(&queue).await.into_iter().collect();
            assert_eq!(sent.len(), shards.len());
        });
    }
}

async fn keys_of(source: &Source, range: &KeyRange) -> Vec<String> {
    let pages: Vec<_> = source.pages(range).try_collect().await.unwrap();
    pages.into_iter().flat_map(|page| page.images).map(|image| image.key).collect()
}

proptest! {
    /// Several inputs give the keys that one listing of everything gives for them, in any range.
    #[test]
    fn several_places_are_read_in_key_order_and_each_key_once(
        all in btree_set("[a-c/]{1,4}", 0..40),
        prefixes in prop::collection::vec("[a-c/]{1,2}", 0..4),
        named in prop::collection::vec("[a-c/]{1,4}", 0..10),
        after in prop::option::of("[a-c/]{0,3}"),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bucket = bucket_of(all.iter().cloned()).await;
            let picks = Arc::new(Picks::new(prefixes.clone(), named.clone()));
            let source = Source::Several(bucket, Filter::default(), picks);
            let range = KeyRange { after, ..KeyRange::default() };
            let listed = all.iter().filter(|key| prefixes.iter().any(|prefix| key.starts_with(prefix)));
            let is_listed = |key: &&String| prefixes.iter().any(|prefix| key.starts_with(prefix));
            let mut wanted: Vec<&String> = listed.chain(named.iter().filter(|key| !is_listed(key))).collect();
            wanted.retain(|key| range.contains(key));
            wanted.sort_unstable();
            wanted.dedup();
            assert_eq!(keys_of(&source, &range).await.iter().collect::<Vec<_>>(), wanted);
        });
    }
}

/// Rows follow shards, so shards of a store without an order would mix the rows of all.
#[tokio::test]
async fn a_store_that_lists_in_no_order_is_split_in_order_or_not_at_all() {
    for (count, page) in [(900, 7), (900, 1000), (5000, 1000)] {
        let store = UnsortedBucket::new(bucket_of(numbered(count)).await, page);
        let source = Source::Listed(Arc::new(store), Filter::default());
        let (output, queue) = (MemoryBucket::default(), queue());
        assert_eq!(split(&source, &output, &queue).await.unwrap().images, count as u64);
        assert_eq!(shards(&output).await.concat(), numbered(count), "{count} keys in pages of {page}");
    }
    let swapped = UnsortedBucket::late(bucket_of(numbered(5000)).await);
    let source = Source::Listed(Arc::new(swapped), Filter::default());
    let (output, queue) = (MemoryBucket::default(), queue());
    let error = split(&source, &output, &queue).await.unwrap_err();
    assert!(error.to_string().contains("this store does not list in key order"), "{error}");
    assert!(messages(&queue).await.is_empty(), "nothing is tagged");
}
