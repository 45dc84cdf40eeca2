//! A shard in hand: its images, and the rows that threads have filled in so far.
//!
//! Rows arrive in any order, some from a checkpoint, and leave in key order, or as the next checkpoint if the
//! shard is left before it is done. It knows nothing of queues or buckets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::bucket::BucketError;
use crate::checkpoint;
use crate::progress::Progress;
use crate::run::RunId;
use crate::shard::Shard;
use crate::tagger::{Seen, Wanted};
use crate::tags::slowest::Slowest;
use crate::tags::{Cause, Failure, Outcome, Row};
use crate::thumbnails::ShardSample;
use crate::thumbnails::candidates::Candidates;

/// Images of a shard that are named as readable: others may have been deleted since.
const READABLE: usize = 8;

pub(super) struct ShardInProgress {
    pub(super) shard: Shard,
    rows: Mutex<Rows>,
    /// Locked after `rows`, never before them.
    candidates: Mutex<Candidates>,
    settled: Notify,
    closing: AtomicBool,
    abandoned: AtomicBool,
    waiting: AtomicUsize,
    progress: Arc<Progress>,
}

/// While this lives, part of the shard waits: behind other shards, for a tagger's answer, or for another try.
pub(super) struct WaitGuard(Arc<ShardInProgress>);

impl WaitGuard {
    pub(super) fn of(shard: &Arc<ShardInProgress>) -> Self {
        shard.waiting.fetch_add(1, Relaxed);
        Self(shard.clone())
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

struct Rows {
    /// By position; empty once they are complete.
    open: Vec<Option<Row>>,
    complete: Option<Arc<Vec<Row>>>,
    left: usize,
    /// By position: denied images. They have no row yet.
    denied: BTreeMap<usize, BucketError>,
    /// Of this worker, and not from a checkpoint.
    tagged: u64,
    failed: u64,
    /// Of those that this worker tagged.
    slowest: Slowest,
}

/// What there was of a shard that is left before it is done. Its rows are counted until this is dropped, or
/// for good once they are kept.
pub(super) struct Unfinished<'a> {
    pub(super) rows: checkpoint::Rows,
    tagged: u64,
    failed: u64,
    progress: &'a Progress,
}

impl Unfinished<'_> {
    /// Whether this worker has added to what the checkpoint had.
    pub(super) fn has_new_rows(&self) -> bool {
        self.tagged + self.failed > 0
    }

    pub(super) fn take_rows(&mut self) -> checkpoint::Rows {
        std::mem::take(&mut self.rows)
    }

    /// The rows are stored: they stay counted.
    pub(super) fn kept(mut self) {
        (self.tagged, self.failed) = (0, 0);
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.progress.take_back(self.tagged, self.failed);
    }
}

impl ShardInProgress {
    /// Opens `shard`, of which the rows in `kept` are there already. Their pictures are not: thumbnails are
    /// of images that this worker tags.
    pub(super) fn new(run: &RunId, shard: Shard, kept: checkpoint::Rows, progress: Arc<Progress>) -> Self {
        let candidates = Candidates::new(run, shard.id, shard.images.iter().map(|image| image.key.as_str()));
        let mut open = vec![None; shard.images.len()];
        let left = open.len() - kept.len();
        for (index, row) in kept {
            open[index] = Some(row);
        }
        Self {
            shard,
            rows: Mutex::new(Rows {
                open,
                complete: None,
                left,
                denied: BTreeMap::new(),
                tagged: 0,
                failed: 0,
                slowest: Slowest::default(),
            }),
            candidates: Mutex::new(candidates),
            settled: Notify::new(),
            closing: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            progress,
        }
    }

    /// Whether image `index` has its row, or is denied.
    pub(super) fn is_done(&self, index: usize) -> bool {
        let rows = self.lock();
        rows.open.get(index).is_none_or(Option::is_some) || rows.denied.contains_key(&index)
    }

    /// Records that image `index` is denied; returns the number of denied images.
    pub(super) fn deny(&self, index: usize, error: BucketError) -> usize {
        let mut rows = self.lock();
        if rows.open.get(index).is_some_and(Option::is_none) {
            rows.denied.insert(index, error);
        }
        self.notify(&rows);
        rows.denied.len()
    }

    /// Denied images.
    pub(super) fn denied(&self) -> usize {
        self.lock().denied.len()
    }

    /// The error of the first of them.
    pub(super) fn first_denied(&self) -> Option<BucketError> {
        self.lock().denied.values().next().cloned()
    }

    /// Keys of some images that could be read, by this worker or by an earlier one.
    pub(super) fn readable(&self) -> Vec<String> {
        let rows = self.lock();
        let tagged = rows.open.iter().flatten().filter(|row| matches!(row.outcome, Outcome::Tagged(_)));
        tagged.take(READABLE).map(|row| row.key.clone()).collect()
    }

    /// They may be asked for again.
    pub(super) fn ask_denied_again(&self) {
        self.lock().denied.clear();
    }

    /// Gives each of them a failed row.
    pub(super) fn fail_denied(&self) {
        let denied = std::mem::take(&mut self.lock().denied);
        for (index, error) in denied {
            let failure = Failure::new(Cause::Denied, error.detail);
            self.set(index, None, Outcome::Failed(failure).into());
        }
    }

    /// Wakes the task that waits for the last image once none is left.
    fn notify(&self, rows: &Rows) {
        if rows.left == rows.denied.len() {
            self.settled.notify_one();
        }
    }

    /// Fills in the row of image `index`: the size and etag that were read, else those of the listing.
    pub(super) fn set(&self, index: usize, read: Option<(u64, String)>, mut seen: Seen) {
        let image = &self.shard.images[index];
        let (bytes, etag) = match read {
            Some((bytes, etag)) => (Some(bytes), Some(etag)),
            None => (image.size, image.etag.clone()),
        };
        let failed = matches!(seen.outcome, Outcome::Failed(_));
        let mut rows = self.lock();
        if self.abandoned.load(Relaxed) || rows.open.get(index).is_none_or(Option::is_some) {
            return;
        }
        self.candidates().keep(index, &mut seen);
        if let Some(milliseconds) = seen.milliseconds {
            rows.slowest.offer(&image.key, milliseconds);
        }
        let (etag, outcome) = (etag.filter(|etag| !etag.is_empty()), seen.outcome);
        rows.open[index] = Some(Row { key: image.key.clone(), bytes, etag, outcome });
        rows.left -= 1;
        rows.denied.remove(&index);
        *(if failed { &mut rows.failed } else { &mut rows.tagged }) += 1;
        self.progress.add(failed);
        self.notify(&rows);
    }

    /// Whether a thumbnail of image `index` is worth making.
    pub(super) fn wanted(&self, index: usize) -> Wanted {
        self.candidates().wanted(index)
    }

    /// Waits until every image has its row or is denied.
    pub(super) async fn settled(&self) {
        while self.left() > 0 {
            self.settled.notified().await;
        }
    }

    /// The pictures and failures for the report, once complete; `rows` are the shard's.
    pub(super) fn take_sample(&self, rows: &[Row]) -> ShardSample {
        std::mem::take(&mut *self.candidates()).sample(rows)
    }

    /// The images that took the longest, of those that this worker tagged.
    pub(super) fn slowest(&self) -> Slowest {
        self.lock().slowest.clone()
    }

    /// The rows in key order, once complete. They stay here as well until the shard is done.
    pub(super) fn complete_rows(&self) -> Arc<Vec<Row>> {
        let mut rows = self.lock();
        let open = std::mem::take(&mut rows.open);
        rows.complete.get_or_insert_with(|| Arc::new(open.into_iter().flatten().collect())).clone()
    }

    /// No image of it is started any more; those that are under way still get their rows.
    pub(super) fn close(&self) {
        self.closing.store(true, Relaxed);
    }

    /// Takes the finished rows; none can be added after that. `None` the second time. Rows of denied images
    /// are not among them: the next worker on the shard requests these images again.
    pub(super) fn abandon(&self) -> Option<Unfinished<'_>> {
        let mut rows = self.lock();
        self.close();
        if self.abandoned.swap(true, Relaxed) {
            return None;
        }
        let mut found: checkpoint::Rows = match rows.complete.take() {
            Some(complete) => (0..).zip(Arc::unwrap_or_clone(complete)).collect(),
            None => {
                let open = std::mem::take(&mut rows.open);
                (0..).zip(open).filter_map(|(index, row)| Some((index, row?))).collect()
            }
        };
        let before = found.len();
        found.retain(|_, row| !row.is_denied());
        let denied = (before - found.len()) as u64;
        self.progress.take_back(0, denied);
        let (tagged, failed) = (rows.tagged, rows.failed - denied);
        Some(Unfinished { rows: found, tagged, failed, progress: &self.progress })
    }

    /// Whether its images are still to be started.
    pub(super) fn is_open(&self) -> bool {
        !self.closing.load(Relaxed)
    }

    /// Images without a row yet, but for those that are denied.
    pub(super) fn left(&self) -> usize {
        let rows = self.lock();
        rows.left - rows.denied.len()
    }

    /// True while something of it waits: see [`WaitGuard`].
    pub(super) fn waits(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    fn candidates(&self) -> MutexGuard<'_, Candidates> {
        self.candidates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No code panics while it holds the lock, so a poisoned one guards sound rows.
    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
