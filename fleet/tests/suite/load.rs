//! Load: a queue of very many tiny shards, one very large shard, a key space of a million keys, a fleet of
//! 300,000 shards. CI does not run it: `make load` prints the processor's time per item and memory at several
//! sizes, and fails if the time grows with their number.

mod fleet;
mod night;
mod synthetic_bucket;
mod synthetic_run;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::TryStreamExt;
use tagfleet_pipeline::bucket::{Bucket, DirBucket, KeyRange};
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::infer::{Stop, Worker, infer};
use tagfleet_pipeline::record;
use tagfleet_pipeline::reduce::{self, Compaction, Counted};
use tagfleet_pipeline::run::Ranges;
use tagfleet_pipeline::shard::{Image, Shard, ShardId};
use tagfleet_pipeline::split::cut::cut;
use tagfleet_pipeline::split::{RangeTask, Source, dry_run, send_shards, split_range};
use tagfleet_pipeline::testing::{self, LengthTagger};
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use self::synthetic_bucket::SyntheticBucket;

/// With ten times as many items, each may take at most this factor longer: caches may slow it, quadratic work
/// must not.
const MOST_GROWTH: f64 = 3.0;

/// The most memory that this process has had, in MB; 0 if the system does not report it.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) / 1000
}

/// The processor time of all threads of this process. Other processes do not count.
fn processor_time() -> Duration {
    const TICK: u64 = 10;
    let status = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = status.rsplit(')').next().unwrap().split_whitespace().collect();
    // In user mode and in the kernel.
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * TICK)
}

/// The processor's time since the last lap.
struct Laps(Duration);

impl Laps {
    fn begin() -> Self {
        Self(processor_time())
    }

    fn lap(&mut self) -> Duration {
        let now = processor_time();
        now - std::mem::replace(&mut self.0, now)
    }
}

/// Measures at each of these sizes, the smallest first, and holds the last against the first.
fn measure(what: &str, sizes: [usize; 3], run: impl AsyncFn(usize) -> Vec<(&'static str, Duration)>) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let mut first: Vec<f64> = Vec::new();
    for size in sizes {
        let stages = runtime.block_on(run(size));
        let micros: Vec<f64> =
            stages.iter().map(|(_, time)| time.as_secs_f64() * 1e6 / size as f64).collect();
        let each: Vec<String> =
            stages.iter().zip(&micros).map(|((stage, _), micros)| format!("{stage} {micros:.1}")).collect();
        println!("{what}: {size}: {} us each, peak {} MB", each.join(", "), peak_mb());
        if first.is_empty() {
            first.clone_from(&micros);
        }
        for (now, before) in micros.iter().zip(&first) {
            // The clock's ticks are nearly as long as the smallest size takes.
            assert!(*now < MOST_GROWTH * before.max(10.0), "{what}: {now} us each, and {before} us at first");
        }
    }
}

/// A worker whose output is a folder, so that its rows are not in this process's memory. In `/dev/shm` if
/// there is one, because a disk would be waited for.
fn worker(source: Arc<dyn Bucket>) -> (Worker, TempDir) {
    let shared_memory = Path::new("/dev/shm");
    let place = if shared_memory.is_dir() { shared_memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::tempdir_in(place).unwrap();
    let output = Arc::new(DirBucket::new(folder.path()));
    (testing::worker(source, output, Duration::from_secs(300)), folder)
}

/// Every stage over this many images, with at most `shard_images` in a shard.
async fn whole_run(images: usize, shard_images: usize) -> Vec<(&'static str, Duration)> {
    let source = Arc::new(SyntheticBucket::of(images));
    let (worker, _folder) = worker(source.clone());
    let (output, keys, run) = (worker.output.as_ref(), &worker.keys, (&worker.run, &worker.keys));
    let mut laps = Laps::begin();
    let ranges = Ranges { version: 1, ranges: vec![KeyRange::default()] };
    record::create(output, &keys.ranges(), &ranges).await.unwrap();
    let (listed, never) = (Source::Listed(source, Filter::default()), CancellationToken::new());
    let (range, queue) = (&ranges.ranges[0], worker.queue.as_ref());
    let task = RangeTask { number: 0, range, run: run.0, output, keys: run.1, queue };
    split_range(&listed, task, shard_images, &never).await.unwrap();
    let split = laps.lap();
    infer(worker.clone(), LengthTagger::threads(1, 8), &Stop::default()).await.unwrap();
    let inferred = laps.lap();
    assert_eq!(reduce::missing(output, keys).await.unwrap(), []);
    let compared = laps.lap();
    let groups = reduce::groups(output, keys, None).await.unwrap();
    Compaction { output, run: run.0, keys: run.1, vector: None, earlier: None, counted: Counted::Best }
        .all(&groups, &[])
        .await
        .unwrap();
    assert_eq!(reduce::total(output, keys, &groups).await.unwrap().rows(), images as u64);
    vec![("split", split), ("infer", inferred), ("compare", compared), ("compact", laps.lap())]
}

#[test]
#[ignore = "make load"]
fn a_queue_of_very_many_tiny_shards() {
    measure("tiny shards", [10_000, 20_000, 100_000], async |shards| whole_run(shards, 1).await);
}

#[test]
#[ignore = "make load"]
fn a_night_over_very_many_keys() {
    measure("keys of a night", [100_000, 1_000_000, 10_000_000], night::night);
}

#[test]
#[ignore = "make load"]
fn one_very_large_shard() {
    // Only the shards behind the 160th hold 10,000.
    measure("images of one shard", [1000, 2000, 10_000], one_shard);
}

async fn one_shard(images: usize) -> Vec<(&'static str, Duration)> {
    let source = Arc::new(SyntheticBucket::of(images));
    let pages: Vec<Vec<_>> = source.list(&KeyRange::default()).try_collect().await.unwrap();
    let id = ShardId { range: 0, number: 200 };
    let shard = Shard {
        id,
        images: pages.concat().into_iter().map(Image::from).collect(),
        skipped: Default::default(),
        kept: None,
    };
    let (worker, _folder) = worker(source);
    let mut laps = Laps::begin();
    worker.output.put_if_absent(&worker.keys.shard(id), shard.encode().unwrap()).await.unwrap();
    let encoded = laps.lap();
    send_shards(worker.queue.as_ref(), &worker.run, &[id]).await.unwrap();
    infer(worker.clone(), LengthTagger::threads(1, 8), &Stop::default()).await.unwrap();
    assert!(worker.output.exists(&worker.keys.part(id)).await.unwrap());
    vec![("write", encoded), ("infer", laps.lap())]
}

#[test]
#[ignore = "make load"]
fn a_key_space_of_a_million_keys() {
    measure("keys", [100_000, 200_000, 1_000_000], keys);
}

async fn keys(keys: usize) -> Vec<(&'static str, Duration)> {
    let source = Arc::new(SyntheticBucket::of(keys));
    let mut laps = Laps::begin();
    let ranges = cut(source.as_ref(), &["photos/".to_owned()]).await.unwrap();
    let planned = laps.lap();
    let listed = Source::Listed(source, Filter::default());
    let mut images = 0;
    for range in &ranges {
        images += dry_run(&listed, range).await.unwrap().split.images;
    }
    assert_eq!(images, keys as u64);
    vec![("cut", planned), ("list", laps.lap())]
}
