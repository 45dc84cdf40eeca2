//! Disturbances that pass, denials that do not, and taggers that take their time, on tokio's clock.

use std::sync::mpsc::{Receiver, channel};

use tokio::sync::Notify;
use tokio::time::{Instant, advance, timeout};

use super::tests::{IMAGES, SlowBucket, VISIBILITY, key, shard, worker};
use super::*;
use crate::bucket::memory::MemoryBucket;
use crate::progress::Trouble;
use crate::tags::Outcome;
use crate::testing::{FailingBucket, LengthTagger};

/// A worker on two shards of images that are gone, whose source fails this many times before it reports that.
async fn worker_on(failures: u64, kind: Kind) -> Worker {
    let worker = worker(Arc::new(SlowBucket::default()), Arc::new(MemoryBucket::default())).await;
    let source = Arc::new(FailingBucket::new(worker.source.clone(), kind, 0..failures));
    Worker { source, ..worker }
}

async fn assert_done(worker: &Worker) {
    for number in 0..2 {
        assert!(worker.output.exists(&worker.keys.part(shard(number))).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_disturbance_of_minutes_costs_no_shard() {
    let worker = worker_on(400, Kind::Temporary).await;
    let began = Instant::now();
    assert_eq!(infer(worker.clone(), vec![], &Stop::default()).await.unwrap(), WorkerExit::Idle);
    let took = began.elapsed();
    assert!(took > VISIBILITY && took < RETRY_TIME, "{took:?}");
    assert_eq!(worker.progress.shard_failures().last, None);
    assert_done(&worker).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_long_outage_shards_are_returned_and_the_worker_continues() {
    let worker = worker_on(4000, Kind::Temporary).await;
    let began = Instant::now();
    assert_eq!(infer(worker.clone(), vec![], &Stop::default()).await.unwrap(), WorkerExit::Idle);
    assert!(began.elapsed() > 3 * RETRY_TIME, "{:?}", began.elapsed());
    let failures = worker.progress.shard_failures();
    assert!(failures.count > u64::from(MAX_FAILURES_IN_A_ROW), "{failures:?}");
    assert!(failures.last.unwrap().ends_with("on purpose"), "none of them counts as hanging");
    assert_done(&worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_whose_put_fails_for_a_while_is_put_again() {
    let worker = worker(Arc::new(SlowBucket::default()), Arc::new(MemoryBucket::default())).await;
    // Of one shard alone, so that its calls come in their order.
    let other = worker.queue.receive(Duration::ZERO).await.unwrap().unwrap();
    worker.queue.delete(&other.receipt).await.unwrap();
    // Before the puts, of the thumbnails and then of the part, come `exists` and the `get`s of shard and
    // checkpoint.
    let output = Arc::new(FailingBucket::new(worker.output.clone(), Kind::Temporary, 3..11));
    let worker = Worker { output: output.clone(), ..worker };
    assert_eq!(infer(worker.clone(), vec![], &Stop::default()).await.unwrap(), WorkerExit::Idle);
    assert_eq!(worker.progress.shard_failures().last, None);
    assert_eq!((worker.progress.counts().committed, output.calls()), (20, 12));
    assert!(worker.progress.troubles().contains_key(&Trouble::Thumbnails), "these are not put again");
}

#[tokio::test(start_paused = true)]
async fn thumbnails_that_cannot_be_stored_fail_no_shard() {
    let worker = worker(Arc::new(SlowBucket::default()), Arc::new(MemoryBucket::default())).await;
    let other = worker.queue.receive(Duration::ZERO).await.unwrap().unwrap();
    worker.queue.delete(&other.receipt).await.unwrap();
    for kind in [Kind::Denied, Kind::Full, Kind::Other] {
        let stored = MemoryBucket::default();
        for number in 0..2 {
            let id = worker.keys.shard(shard(number));
            stored.put(&id, worker.output.get(&id, None, 10_000).await.unwrap().bytes).await.unwrap();
        }
        crate::split::send_shards(worker.queue.as_ref(), &worker.run, &[shard(0)]).await.unwrap();
        // The fourth call puts them.
        let output = Arc::new(FailingBucket::new(Arc::new(stored), kind, 3..4));
        let progress = Arc::new(Progress::default());
        let worker = Worker { output: output.clone(), progress: progress.clone(), ..worker.clone() };
        infer(worker.clone(), vec![], &Stop::default()).await.unwrap();
        assert!(output.exists(&worker.keys.part(shard(0))).await.unwrap(), "{kind:?}");
        let troubles = progress.troubles();
        let times = &troubles[&Trouble::Thumbnails];
        assert_eq!(times.count, 1);
        assert!(times.last.contains("run/work/thumbnails/"), "{}", times.last);
        assert_eq!(progress.shard_failures().count, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_must_stop_now_makes_no_further_try() {
    let worker = worker_on(u64::MAX, Kind::Temporary).await;
    let (stop, began) = (Stop::default(), Instant::now());
    let stopping = async {
        let _ = timeout(Duration::from_secs(70), std::future::pending::<()>()).await;
        stop.now.cancel();
    };
    let (end, ()) = tokio::join!(infer(worker.clone(), vec![], &stop), stopping);
    assert_eq!((end.unwrap(), began.elapsed().as_secs()), (WorkerExit::Stopped, 70));
    assert!(worker.queue.receive(Duration::ZERO).await.unwrap().is_some(), "its message is visible at once");
}

#[tokio::test(start_paused = true)]
async fn denials_are_not_tried_again() {
    let worker = worker_on(u64::MAX, Kind::Denied).await;
    let began = Instant::now();
    let error = infer(worker, vec![], &Stop::default()).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::ZERO);
    let InferError::Stuck(ShardFailure::Bucket(error)) = error else { panic!("{error}") };
    assert_eq!(
        (error.kind, error.bucket.as_str(), error.key.len()),
        (Kind::Denied, "failing", "00.jpg".len())
    );
}

/// Reports each call, and answers once it is allowed to.
struct LateTagger {
    called: Arc<Notify>,
    answer: Receiver<()>,
}

impl Tagger for LateTagger {
    fn batch_size(&self) -> usize {
        1
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        self.called.notify_one();
        // No second answer is held back.
        let _ = self.answer.recv();
        LengthTagger { batch_size: 1 }.tag(images)
    }
}

/// The outcome of shards whose first image takes its tagger this long, which must be more than zero.
async fn tag_late(takes: Duration) -> Worker {
    const STEP: Duration = Duration::from_secs(5);
    let source = Arc::new(MemoryBucket::default());
    let worker = worker(Arc::new(SlowBucket::default()), Arc::new(MemoryBucket::default())).await;
    for image in 0..IMAGES {
        source.put(&key(image), "picture".into()).await.unwrap();
    }
    let worker = Worker { source, ..worker };
    let (called, (hold, answer)) = (Arc::new(Notify::new()), channel());
    let tagger = Box::new(LateTagger { called: called.clone(), answer });
    // While a thread runs, only the test moves the clock.
    let waiting = async {
        called.notified().await;
        for _ in 0..takes.as_secs() / STEP.as_secs() {
            advance(STEP).await;
            tokio::task::yield_now().await;
        }
        drop(hold);
    };
    let stop = Stop::default();
    let (end, ()) = tokio::join!(infer(worker.clone(), vec![tagger], &stop), waiting);
    assert_eq!(end.unwrap(), WorkerExit::Idle);
    worker
}

#[tokio::test(start_paused = true)]
async fn a_tagger_that_recovers_from_a_hang_costs_no_shard() {
    let worker = tag_late(3 * VISIBILITY).await;
    assert_eq!(worker.progress.shard_failures().last, None);
    assert_eq!(worker.progress.counts().committed, IMAGES as u64);
    assert_done(&worker).await;
}

#[tokio::test(start_paused = true)]
async fn a_tagger_that_hangs_for_good_does_not_keep_its_shards() {
    let worker = tag_late(6 * VISIBILITY).await;
    let why = worker.progress.shard_failures().last.unwrap();
    assert!(why.ends_with("something hangs"), "{why}");
}
