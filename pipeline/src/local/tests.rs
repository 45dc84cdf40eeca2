//! The local run over ports in memory and a tagger without a model: one row per key, under any faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::bucket::memory::MemoryBucket;
use crate::bucket::{Bucket, KeyRange, Kind};
use crate::filter::Filter;
use crate::tagger::DeviceTime;
use crate::tags::{Outcome, parquet};
use crate::testing::{self, FailingBucket, LengthTagger, request};

fn ranges() -> Ranges {
    Ranges { version: 1, ranges: vec![KeyRange::default()] }
}

pub(super) fn worker(source: Arc<dyn Bucket>, output: Arc<dyn Bucket>) -> Worker {
    testing::worker(source, output, Duration::from_secs(60))
}

pub(super) async fn source_of(images: usize) -> Arc<MemoryBucket> {
    let source = MemoryBucket::default();
    for number in 0..images {
        let bytes = match number % 10 {
            9 => format!("bad {number}"),
            _ => format!("image {number}"),
        };
        source.put(&format!("{number:05}.jpg"), Bytes::from(bytes)).await.unwrap();
    }
    Arc::new(source)
}

pub(super) async fn run_on(
    source: &Arc<MemoryBucket>,
    worker: &Worker,
    stop: &Stop,
) -> Result<LocalOutcome, RunError> {
    let listed = Source::Listed(source.clone(), Filter::default());
    run(&request(), &ranges(), &listed, worker, &|| Ok(LengthTagger::threads(2, 3)), stop).await
}

/// Key, status and number of tags of every result row, in their order.
async fn rows(worker: &Worker) -> Vec<(String, String, usize)> {
    let groups = reduce::groups(worker.output.as_ref(), &worker.keys, None).await.unwrap();
    let mut rows = Vec::new();
    for number in (0..).take(groups.groups.len()) {
        let stored = worker.output.get(&worker.keys.result(number, 0), None, u64::MAX).await.unwrap();
        for batch in parquet::open(stored.bytes).unwrap().batches {
            let batch = batch.unwrap();
            let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
            let (keys, status) = (text("key"), text("status"));
            let tags = batch.column_by_name("tags").unwrap().as_list::<i32>();
            for row in 0..batch.num_rows() {
                rows.push((keys.value(row).to_owned(), status.value(row).to_owned(), tags.value(row).len()));
            }
        }
    }
    rows
}

#[tokio::test]
async fn one_row_per_key_in_key_order() {
    let source = source_of(600).await;
    source.put("00600.jpg", Bytes::from(vec![b'x'; 1001])).await.unwrap();
    let worker = worker(source.clone(), Arc::new(MemoryBucket::default()));
    let LocalOutcome::Complete(counts) = run_on(&source, &worker, &Stop::default()).await.unwrap() else {
        panic!()
    };
    assert_eq!((counts.tagged, counts.second_decoder), (540, 60));
    insta::assert_json_snapshot!(counts.failed, @r#"
    {
      "corrupt": 60,
      "too_large": 1
    }
    "#);
    let best: u64 = counts.tags.labels.values().map(|count| count.best).sum();
    assert_eq!(best, 540);
    let shards =
        reduce::groups(worker.output.as_ref(), &worker.keys, None).await.unwrap().groups.remove(0).shards;
    for shard in shards {
        assert!(worker.output.exists(&worker.keys.thumbnails(shard)).await.unwrap(), "{shard}");
    }
    let rows = rows(&worker).await;
    assert!(rows.is_sorted());
    assert_eq!(rows.len(), 601);
    assert_eq!(rows[8], ("00008.jpg".to_owned(), "tagged".to_owned(), 1));
    assert_eq!(rows[9], ("00009.jpg".to_owned(), "failed".to_owned(), 0));
    let progress = worker.progress.counts();
    assert_eq!((progress.total, progress.done(), progress.committed, progress.failed), (601, 601, 601, 61));
}

#[tokio::test]
async fn objects_deleted_or_overwritten_after_split_are_rows() {
    let source = source_of(5).await;
    let worker = worker(source.clone(), Arc::new(MemoryBucket::default()));
    let listed = Source::Listed(source.clone(), Filter::default());
    let (run, keys) = (&worker.run, &worker.keys);
    record::create(worker.output.as_ref(), &keys.ranges(), &ranges()).await.unwrap();
    let output = worker.output.as_ref();
    let (range, queue) = (KeyRange::default(), worker.queue.as_ref());
    let never = CancellationToken::new();
    let task = split::RangeTask { number: 0, range: &range, run, output, keys, queue };
    split::split_range(&listed, task, 3, &never).await.unwrap();
    source.delete("00001.jpg");
    source.put("00002.jpg", Bytes::from_static(b"another picture")).await.unwrap();
    source.put("00007.jpg", Bytes::from_static(b"added later")).await.unwrap();
    let LocalOutcome::Complete(counts) = run_on(&source, &worker, &Stop::default()).await.unwrap() else {
        panic!()
    };
    assert_eq!(counts.tagged, 3);
    insta::assert_json_snapshot!(counts.failed, @r#"
    {
      "changed": 1,
      "missing": 1
    }
    "#);
}

#[tokio::test]
async fn a_worker_that_meets_nothing_but_denials_stops_and_names_the_cause() {
    let source = source_of(600).await;
    let denying = Arc::new(FailingBucket::new(source.clone(), Kind::Denied, 0..u64::MAX));
    let worker = worker(denying, Arc::new(MemoryBucket::default()));
    let error = run_on(&source, &worker, &Stop::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("infer: 3 shards in a row could not be tagged; the last one: failing: "),
        "{text}"
    );
    assert!(text.ends_with("on purpose"), "{text}");
    assert_eq!(worker.progress.counts().done(), 0, "what was not committed does not count");
}

#[tokio::test]
async fn throttling_is_not_a_row() {
    let source = source_of(300).await;
    let throttled = Arc::new(FailingBucket::new(source.clone(), Kind::Temporary, 100..110));
    let worker = worker(throttled, Arc::new(MemoryBucket::default()));
    let ended = run_on(&source, &worker, &Stop::default()).await.unwrap();
    let LocalOutcome::Complete(counts) = ended else { panic!("{ended:?}") };
    assert_eq!((counts.tagged, counts.all_failed()), (270, 30));
}

#[tokio::test]
async fn a_broken_engine_stops_the_run_and_loses_nothing() {
    let source = source_of(300).await;
    source.put("00200.jpg", Bytes::from_static(b"broken")).await.unwrap();
    let worker = worker(source.clone(), Arc::new(MemoryBucket::default()));
    let error = run_on(&source, &worker, &Stop::default()).await.unwrap_err();
    insta::assert_snapshot!(error, @"infer: the model could not be run: the engine broke");
}

#[tokio::test]
async fn a_stopped_run_resumes() {
    let source = source_of(700).await;
    let worker = worker(source.clone(), Arc::new(MemoryBucket::default()));
    let stop = Stop::default();
    stop.drain.cancel();
    assert_eq!(run_on(&source, &worker, &stop).await.unwrap(), LocalOutcome::Interrupted);
    let ended = run_on(&source, &worker, &Stop::default()).await.unwrap();
    assert!(matches!(ended, LocalOutcome::Complete(counts) if counts.rows() == 700));
}

#[tokio::test]
async fn a_failed_put_subtracts_its_images_from_the_progress() {
    let source = source_of(600).await;
    for from in 0..24 {
        let output =
            Arc::new(FailingBucket::new(Arc::new(MemoryBucket::default()), Kind::Temporary, from..from + 2));
        let worker = worker(source.clone(), output);
        let _ = run_on(&source, &worker, &Stop::default()).await;
        let progress = worker.progress.counts();
        // If a put fails although it wrote the part, the shard is found done later and is not counted in this
        // run.
        assert!(progress.done() <= 600, "{} of 600", progress.done());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_must_stop_now_returns_its_shards() {
    let source = source_of(700).await;
    let worker = worker(source.clone(), Arc::new(MemoryBucket::default()));
    let listed = Source::Listed(source.clone(), Filter::default());
    let (stop, started) = (Stop::default(), Arc::new(tokio::sync::Notify::new()));
    let blocking =
        || Ok(vec![Box::new(Blocking { stop: stop.clone(), started: started.clone() }) as Box<dyn Tagger>]);
    let request = request();
    let ranges = ranges();
    let running = run(&request, &ranges, &listed, &worker, &blocking, &stop);
    let stopping = async {
        started.notified().await;
        stop.now.cancel();
    };
    let (ended, ()) = tokio::join!(running, stopping);
    assert_eq!(ended.unwrap(), LocalOutcome::Interrupted);
    let kept = reduce::counts_kept(&worker.checkpoints()).await.unwrap().rows();
    assert!(kept > 0, "the image that was being tagged has its row");
    assert_eq!(worker.progress.counts().done(), kept, "what is kept counts, and nothing else");
    assert!(
        worker.queue.receive(Duration::ZERO).await.unwrap().is_some(),
        "its messages are visible at once"
    );
    let ended = run_on(&source, &worker, &Stop::default()).await.unwrap();
    assert!(matches!(ended, LocalOutcome::Complete(counts) if counts.rows() == 700));
}

/// Tags nothing before it is asked to stop.
struct Blocking {
    stop: Stop,
    started: Arc<tokio::sync::Notify>,
}

impl Tagger for Blocking {
    fn batch_size(&self) -> usize {
        1
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        self.started.notify_one();
        while !self.stop.now.is_cancelled() {
            std::thread::yield_now();
        }
        LengthTagger { batch_size: 1 }.tag(images)
    }
}

/// Its model runs on a device that takes a millisecond for a call.
struct OnDevice(Arc<AtomicU64>);

impl Tagger for OnDevice {
    fn batch_size(&self) -> usize {
        4
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        self.0.fetch_add(1, Relaxed);
        LengthTagger { batch_size: 4 }.tag(images)
    }

    fn device_time(&self) -> Option<DeviceTime> {
        let compute_milliseconds = self.0.load(Relaxed);
        let wall_milliseconds = compute_milliseconds * 2;
        Some(DeviceTime { wall_milliseconds, compute_milliseconds, ..DeviceTime::default() })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_times_of_a_devices_stages_are_known_at_the_end() {
    let source = source_of(300).await;
    let quiet = worker(source.clone(), Arc::new(MemoryBucket::default()));
    let worker = worker(source.clone(), Arc::new(MemoryBucket::default()));
    run_on(&source, &quiet, &Stop::default()).await.unwrap();
    assert_eq!(quiet.progress.device_time(), None, "the processor ran the model");
    let calls = Arc::new(AtomicU64::new(0));
    let taggers = || Ok((0..3).map(|_| Box::new(OnDevice(calls.clone())) as Box<dyn Tagger>).collect());
    let listed = Source::Listed(source.clone(), Filter::default());
    run(&request(), &ranges(), &listed, &worker, &taggers, &Stop::default()).await.unwrap();
    let told = worker.progress.device_time().unwrap();
    assert_eq!(told.compute_milliseconds, calls.load(Relaxed), "the time of the last tagger");
}

#[tokio::test]
async fn a_shard_that_is_done_is_not_done_again() {
    let source = source_of(300).await;
    let counting = Arc::new(FailingBucket::new(source.clone(), Kind::Other, u64::MAX..u64::MAX));
    let worker = worker(counting.clone(), Arc::new(MemoryBucket::default()));
    run_on(&source, &worker, &Stop::default()).await.unwrap();
    assert_eq!(counting.calls(), 300, "one GET per image");
    let all = [0, 1].map(|number| ShardId { range: 0, number });
    split::send_shards(worker.queue.as_ref(), &worker.run, &all).await.unwrap();
    infer(worker.clone(), LengthTagger::threads(1, 1), &Stop::default()).await.unwrap();
    assert_eq!(counting.calls(), 300, "a late delivery reads no image");
    assert_eq!(worker.queue.receive(Duration::ZERO).await.unwrap(), None, "and its message is gone");
}

#[tokio::test]
async fn a_message_of_another_run_is_not_touched() {
    let source = source_of(3).await;
    let worker = worker(source.clone(), Arc::new(MemoryBucket::default()));
    worker
        .queue
        .send(&["{\"version\":1,\"run\":\"other\",\"shard\":\"00000-0000000\"}".to_owned()])
        .await
        .unwrap();
    let error = infer(worker.clone(), LengthTagger::threads(1, 1), &Stop::default()).await.unwrap_err();
    assert!(error.to_string().contains("not a message of run run"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The output fails at any moment, for a while or until the process ends, several times over: the rows of
    /// a run that reaches its end are those of an undisturbed one.
    #[test]
    fn a_disturbed_run_has_the_rows_of_a_quiet_run(
        images in 1..600usize,
        faults in prop::collection::vec((0..40u64, 1..60u64), 0..5),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(async {
            let source = source_of(images).await;
            let quiet = worker(source.clone(), Arc::new(MemoryBucket::default()));
            run_on(&source, &quiet, &Stop::default()).await.unwrap();
            let output: Arc<dyn Bucket> = Arc::new(MemoryBucket::default());
            for (from, calls) in faults {
                let failing = Arc::new(FailingBucket::new(output.clone(), Kind::Temporary, from..from + calls));
                let stormy = worker(source.clone(), failing);
                let _ = run_on(&source, &stormy, &Stop::default()).await;
            }
            let last = worker(source.clone(), output);
            assert!(matches!(run_on(&source, &last, &Stop::default()).await.unwrap(), LocalOutcome::Complete(_)));
            assert_eq!(rows(&last).await, rows(&quiet).await);
            let progress = last.progress.counts();
            assert_eq!((progress.total, progress.done()), (images as u64, images as u64));
        });
    }
}
