//! The same answer everywhere: rows are the same to the bit whatever the batch size, the threads, the sizes
//! of shards, the order of messages, and how often they come.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use proptest::prelude::*;
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::bucket::{Bucket, KeyRange};
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::infer::{Stop, Worker, infer};
use tagfleet_pipeline::progress::Progress;
use tagfleet_pipeline::queue::{MemoryQueue, Queue};
use tagfleet_pipeline::record;
use tagfleet_pipeline::reduce::{self, Compaction, Counted};
use tagfleet_pipeline::run::{Ranges, RunId, RunKeys};
use tagfleet_pipeline::split::{RangeTask, Source, split_range};
use tagfleet_pipeline::testing::LengthTagger;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use tagfleet_pipeline::testing::rows::{Rows, rows_of};

/// The way in which a run is done. It must not change the rows.
#[derive(Clone, Debug)]
struct Way {
    workers: usize,
    threads: usize,
    batch_size: usize,
    shard_images: usize,
    /// Copies of each message.
    copies: usize,
    /// Messages are sent from this one on, the ones before it last.
    first: usize,
    /// Where the key space is cut.
    cut: Option<String>,
}

const PLAIN: Way =
    Way { workers: 1, threads: 1, batch_size: 1, shard_images: usize::MAX, copies: 1, first: 0, cut: None };

fn way() -> impl Strategy<Value = Way> {
    let cut = prop::option::of("[a-z]{1,2}");
    (1..4_usize, 1..5_usize, 1..9_usize, 1..70_usize, 1..4_usize, 0..50_usize, cut).prop_map(
        |(workers, threads, batch_size, shard_images, copies, first, cut)| Way {
            workers,
            threads,
            batch_size,
            shard_images,
            copies,
            first,
            cut,
        },
    )
}

async fn source_of(images: &[(String, Vec<u8>)]) -> Arc<MemoryBucket> {
    let source = MemoryBucket::default();
    for (key, bytes) in images {
        source.put(key, Bytes::from(bytes.clone())).await.unwrap();
    }
    Arc::new(source)
}

/// The rows of a run over `source`, done in this way.
async fn rows(source: &Arc<MemoryBucket>, way: &Way) -> Rows {
    let run = RunId::try_from("run".to_owned()).unwrap();
    let worker = Worker {
        source: source.clone(),
        output: Arc::new(MemoryBucket::default()),
        queue: Arc::new(MemoryQueue::new(Duration::from_secs(60), 20)),
        keys: RunKeys::new("", &run),
        run,
        model: "length@00000000".to_owned(),
        vector: None,
        max_image_bytes: 60,
        receive_wait: Duration::ZERO,
        retry_delay: Duration::ZERO,
        retry_time: Duration::ZERO,
        progress: Arc::new(Progress::default()),
    };
    split(source, &worker, way).await;
    let workers = (0..way.workers).map(|_| {
        let taggers = LengthTagger::threads(way.threads, way.batch_size);
        let worker = worker.clone();
        async move { infer(worker, taggers, &Stop::default()).await }
    });
    try_join_all(workers).await.unwrap();
    results(&worker).await
}

async fn split(source: &Arc<MemoryBucket>, worker: &Worker, way: &Way) {
    let (listed, never) = (Source::Listed(source.clone(), Filter::default()), CancellationToken::new());
    let mut ranges = vec![KeyRange { up_to: way.cut.clone(), ..KeyRange::default() }];
    ranges.extend(way.cut.clone().map(|cut| KeyRange { after: Some(cut), ..KeyRange::default() }));
    let aside = MemoryQueue::new(Duration::from_secs(60), 20);
    for (number, range) in (0..).zip(&ranges) {
        let (run, output, keys) = (&worker.run, worker.output.as_ref(), &worker.keys);
        let task = RangeTask { number, range, run, output, keys, queue: &aside };
        split_range(&listed, task, way.shard_images, &never).await.unwrap();
    }
    let ranges = Ranges { version: 1, ranges };
    record::create(worker.output.as_ref(), &worker.keys.ranges(), &ranges).await.unwrap();
    let mut bodies = Vec::new();
    while let Some(message) = aside.receive(Duration::ZERO).await.unwrap() {
        bodies.extend(vec![message.body; way.copies]);
    }
    let first = way.first % bodies.len().max(1);
    bodies.rotate_left(first);
    worker.queue.send(&bodies).await.unwrap();
}

async fn results(worker: &Worker) -> Rows {
    let (output, keys) = (worker.output.as_ref(), &worker.keys);
    let groups = reduce::groups(output, keys, None).await.unwrap();
    let mut rows = Vec::new();
    for (number, group) in (0..).zip(&groups.groups) {
        Compaction { output, run: &worker.run, keys, vector: None, earlier: None, counted: Counted::Best }
            .group(number, group)
            .await
            .unwrap();
        rows.extend(rows_of(output.get(&keys.result(number, 0), None, u64::MAX).await.unwrap().bytes));
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn batch_threads_shards_and_order_do_not_change_the_rows(
        images in prop::collection::btree_map("[a-zü/]{1,6}", "(bad|image){1}.{0,60}", 1..120),
        way in way(),
    ) {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(async {
            let images: Vec<_> = images.into_iter().map(|(key, text)| (key, text.into_bytes())).collect();
            let source = source_of(&images).await;
            let plain = rows(&source, &PLAIN).await;
            assert_eq!(plain.len(), images.len());
            assert_eq!(rows(&source, &way).await, plain);
        });
    }
}
