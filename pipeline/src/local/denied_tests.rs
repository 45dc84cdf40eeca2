//! Denied images: rows if others of the run can be read, a stop if none can or too many cannot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use futures::stream::TryStreamExt;
use proptest::prelude::*;

use super::tests::{run_on, source_of, worker};
use super::*;
use crate::bucket::memory::MemoryBucket;
use crate::bucket::{Bucket, BucketError, Fetched, KeyRange};
use crate::denied;
use crate::testing::denying_bucket::DenyingBucket;
use crate::testing::keys_and_codes;
use crate::testing::source::TestSource;

/// A run of this many images, of which those are denied whose number satisfies `is_denied`.
async fn denying(
    images: usize,
    is_denied: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (Arc<MemoryBucket>, Arc<DenyingBucket>, Worker) {
    let source = source_of(images).await;
    let number = |key: &str| key.trim_end_matches(".jpg").parse::<usize>().unwrap();
    let denying = Arc::new(DenyingBucket::new(source.clone(), move |key| is_denied(number(key))));
    let worker = worker(denying.clone(), Arc::new(MemoryBucket::default()));
    (source, denying, worker)
}

async fn complete(source: &Arc<MemoryBucket>, worker: &Worker) -> RowCounts {
    match run_on(source, worker, &Stop::default()).await.unwrap() {
        LocalOutcome::Complete(counts) => counts,
        ended => panic!("{ended:?}"),
    }
}

/// The error code of every failed row by its key, of all result files.
async fn failures(worker: &Worker) -> BTreeMap<String, String> {
    let range = KeyRange::prefix(&worker.keys.results());
    let mut failures = BTreeMap::new();
    for object in worker.output.list(&range).try_concat().await.unwrap() {
        let stored = worker.output.get(&object.key, None, u64::MAX).await.unwrap();
        let rows = keys_and_codes(stored.bytes).into_iter();
        failures.extend(rows.filter_map(|(key, code)| Some((key, code?))));
    }
    failures
}

#[tokio::test]
async fn one_denied_image_is_a_row() {
    let (source, denying, worker) = denying(5, |number| number == 2).await;
    let counts = complete(&source, &worker).await;
    assert_eq!((counts.tagged, &counts.failed), (4, &BTreeMap::from([("denied".to_owned(), 1)])));
    assert_eq!(denying.denials(), 2, "it was asked for once more");
    assert_eq!(denied::announced(worker.output.as_ref(), &worker.keys).await.unwrap(), 1);
}

/// The worker comes to them first: it has read nothing yet, and looks for something that can be read
/// elsewhere.
#[tokio::test]
async fn shards_of_denied_images_are_rows_if_other_images_can_be_read() {
    let (source, _, worker) = denying(1024, |number| number < 700).await;
    denied::accept(worker.output.as_ref(), &worker.keys).await.unwrap();
    let counts = complete(&source, &worker).await;
    assert_eq!((counts.failed["denied"], counts.rows()), (700, 1024));
    assert_eq!(worker.progress.shard_failures().count, 0);
}

#[tokio::test]
async fn too_many_denied_images_stop_the_run_until_permitted_or_accepted() {
    for is_accepted in [false, true] {
        let (source, denying, worker) = denying(1200, |number| number % 10 == 0).await;
        let error = run_on(&source, &worker, &Stop::default()).await.unwrap_err();
        assert!(matches!(error, RunError::Infer(InferError::Denied(_))), "{error}");
        let text = error.to_string();
        assert!(text.contains("of 1200 images cannot be read") && text.contains("at most 12"), "{text}");
        let parts = reduce::counts_so_far(worker.output.as_ref(), &worker.keys).await.unwrap();
        assert_eq!(parts.failed.get("denied").copied().unwrap_or(0), 0, "26 of a shard are too many");
        let kept = reduce::counts_kept(&worker.checkpoints()).await.unwrap();
        assert_eq!(kept.failed.get("denied"), None, "what is kept can be asked for again");
        assert_eq!(worker.progress.counts().done(), kept.rows(), "what is kept counts");
        if is_accepted {
            denied::accept(worker.output.as_ref(), &worker.keys).await.unwrap();
        } else {
            denying.permit();
        }
        let again = super::tests::worker(denying, worker.output.clone());
        let counts = complete(&source, &again).await;
        let denied = counts.failed.get("denied").copied().unwrap_or(0);
        assert_eq!((counts.rows(), denied), (1200, if is_accepted { 120 } else { 0 }));
    }
}

/// All that can be read was read by an earlier process, and is in the only shard's checkpoint.
#[tokio::test]
async fn a_process_that_reads_no_image_knows_what_an_earlier_one_read() {
    let (source, denying, worker) = denying(20, |number| number < 11).await;
    let error = run_on(&source, &worker, &Stop::default()).await.unwrap_err();
    assert!(matches!(error, RunError::Infer(InferError::Denied(_))), "{error}");
    denied::accept(worker.output.as_ref(), &worker.keys).await.unwrap();
    let counts = complete(&source, &super::tests::worker(denying, worker.output.clone())).await;
    assert_eq!((counts.rows(), counts.failed["denied"]), (20, 11));
}

#[tokio::test]
async fn the_limit_holds_for_all_shards_together() {
    // One in each of five shards, and 12 are taken: then six more in one of them.
    for (more, is_taken) in [(7, true), (8, false)] {
        let (source, _, worker) =
            denying(1200, move |number| number % 256 == 0 || (1000..1000 + more).contains(&number)).await;
        let ended = run_on(&source, &worker, &Stop::default()).await;
        assert_eq!(matches!(ended, Ok(LocalOutcome::Complete(_))), is_taken, "{ended:?}");
        let rows = reduce::counts_so_far(worker.output.as_ref(), &worker.keys).await.unwrap();
        assert!(rows.failed.get("denied").copied().unwrap_or(0) <= 12);
    }
}

/// A source in which every image is denied the first time, and whose reads fail now and then.
struct Unsteady {
    inner: Arc<MemoryBucket>,
    first_only: bool,
    denied: std::sync::Mutex<std::collections::BTreeSet<String>>,
    calls: AtomicU64,
    fails_each: u64,
}

#[async_trait]
impl TestSource for Unsteady {
    fn inner(&self) -> &dyn Bucket {
        &*self.inner
    }

    fn name(&self) -> &str {
        "unsteady"
    }

    async fn get(&self, key: &str, if_match: Option<&str>, limit: u64) -> Result<Fetched, BucketError> {
        let error = |kind, detail: &str| {
            Err(BucketError {
                kind,
                bucket: "unsteady".to_owned(),
                key: key.to_owned(),
                detail: detail.to_owned(),
            })
        };
        if self.fails_each > 0 && self.calls.fetch_add(1, Relaxed).is_multiple_of(self.fails_each) {
            return error(Kind::Temporary, "503: slow down");
        }
        let is_odd = key.as_bytes().get(4).is_some_and(|digit| digit % 2 == 1);
        let is_denied = if self.first_only {
            self.denied.lock().unwrap().insert(key.to_owned())
        } else {
            self.denied.lock().unwrap().contains(key)
        };
        if is_denied && (is_odd || !self.first_only) {
            return error(Kind::Denied, "AccessDenied: Access Denied");
        }
        self.inner.get(key, if_match, limit).await
    }
}

#[tokio::test]
async fn a_transient_denial_is_not_a_row() {
    let source = source_of(100).await;
    let unsteady = Unsteady {
        inner: source.clone(),
        first_only: true,
        denied: std::sync::Mutex::default(),
        calls: AtomicU64::new(0),
        fails_each: 0,
    };
    let worker = worker(Arc::new(unsteady), Arc::new(MemoryBucket::default()));
    let counts = complete(&source, &worker).await;
    assert_eq!((counts.tagged, counts.failed.get("denied")), (90, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whichever images are denied, and whenever else a read fails for a while: exactly these are rows
    /// `denied`.
    #[test]
    fn denied_images_are_rows_and_throttled_ones_are_not(
        images in 2..400_usize,
        // Fewer than calls between two failures: a shard's denied images are asked for in a row, and this
        // worker makes no request again.
        denied in prop::collection::btree_set(0..400_usize, 0..40),
        fails_each in prop_oneof![Just(0_u64), 50..150_u64],
    ) {
        let denied: std::collections::BTreeSet<String> =
            denied.into_iter().filter(|number| *number < images - 1).map(|number| format!("{number:05}.jpg")).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        runtime.block_on(async {
            let source = source_of(images).await;
            let output: Arc<dyn Bucket> = Arc::new(MemoryBucket::default());
            let unsteady = Arc::new(Unsteady {
                inner: source.clone(),
                first_only: false,
                denied: std::sync::Mutex::new(denied.clone()),
                calls: AtomicU64::new(0),
                fails_each,
            });
            let of_process = || worker(unsteady.clone(), output.clone());
            denied::accept(output.as_ref(), &of_process().keys).await.unwrap();
            let mut processes = 0;
            let last = loop {
                let worker = of_process();
                processes += 1;
                assert!(processes < 200, "it comes to no end");
                if let Ok(LocalOutcome::Complete(counts)) = run_on(&source, &worker, &Stop::default()).await {
                    assert_eq!(counts.rows(), images as u64);
                    break worker;
                }
            };
            let found = failures(&last).await;
            let of_denied = found.into_iter().filter(|(_, code)| code == "denied").map(|(key, _)| key);
            assert_eq!(of_denied.collect::<std::collections::BTreeSet<String>>(), denied);
        });
    }
}
