//! A shard in hand: its images, and the rows that threads have filled in so far.
//!
//! Rows arrive in any order and leave in key order. It knows nothing of queues or buckets.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::progress::Progress;
use crate::report::candidates::Candidates;
use crate::report::thumbnails::ShardSample;
use crate::run::RunId;
use crate::shard::Image;
use crate::shard::Shard;
use crate::tagger::{Seen, Wanted};
use crate::tags::{Outcome, Row};

pub(super) struct OpenShard {
    pub(super) images: Vec<Image>,
    rows: Mutex<Rows>,
    /// Locked after `rows`, never before them.
    candidates: Mutex<Candidates>,
    complete: Notify,
    abandoned: AtomicBool,
    waiting: AtomicUsize,
    progress: Arc<Progress>,
}

/// Something of the shard waits for as long as this lives: behind other shards, for a tagger's answer, for another try.
pub(super) struct Turn(Arc<OpenShard>);

impl Turn {
    pub(super) fn of(shard: &Arc<OpenShard>) -> Self {
        shard.waiting.fetch_add(1, Relaxed);
        Self(shard.clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

struct Rows {
    rows: Vec<Option<Row>>,
    left: usize,
    tagged: u64,
    failed: u64,
}

impl OpenShard {
    pub(super) fn new(run: &RunId, shard: Shard, progress: Arc<Progress>) -> Self {
        let Shard { id, images, .. } = shard;
        let candidates = Candidates::new(run, id, images.iter().map(|image| image.key.as_str()));
        let rows =
            Mutex::new(Rows { rows: vec![None; images.len()], left: images.len(), tagged: 0, failed: 0 });
        Self {
            images,
            rows,
            candidates: Mutex::new(candidates),
            complete: Notify::new(),
            abandoned: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            progress,
        }
    }

    /// Fills in the row of image `index`: what was read of it, or else what the listing said.
    pub(super) fn set(&self, index: usize, read: Option<(u64, String)>, mut seen: Seen) {
        let image = &self.images[index];
        let (bytes, etag) = match read {
            Some((bytes, etag)) => (Some(bytes), Some(etag)),
            None => (image.size, image.etag.clone()),
        };
        let failed = matches!(seen.outcome, Outcome::Failed(_));
        let mut rows = self.lock();
        if self.is_abandoned() || rows.rows[index].is_some() {
            return;
        }
        self.candidates().keep(index, &mut seen);
        let (etag, outcome) = (etag.filter(|etag| !etag.is_empty()), seen.outcome);
        let row = Row { key: image.key.clone(), bytes, etag, outcome };
        rows.rows[index] = Some(row);
        rows.left -= 1;
        *(if failed { &mut rows.failed } else { &mut rows.tagged }) += 1;
        self.progress.add(failed);
        if rows.left == 0 {
            self.complete.notify_one();
        }
    }

    /// Whether a thumbnail of image `index` is worth making.
    pub(super) fn wanted(&self, index: usize) -> Wanted {
        self.candidates().wanted(index)
    }

    /// Waits until every image has its row.
    pub(super) async fn completed(&self) {
        while self.lock().left > 0 {
            self.complete.notified().await;
        }
    }

    /// The rows in key order, once complete.
    pub(super) fn take_rows(&self) -> Vec<Row> {
        std::mem::take(&mut self.lock().rows).into_iter().flatten().collect()
    }

    /// The pictures and failures for the report, once complete; `rows` are those that were taken.
    pub(super) fn take_sample(&self, rows: &[Row]) -> ShardSample {
        std::mem::take(&mut *self.candidates()).sample(rows)
    }

    /// Drops the rows: the shard will be tagged again, here or elsewhere.
    pub(super) fn abandon(&self) {
        let mut rows = self.lock();
        if self.abandoned.swap(true, Relaxed) {
            return;
        }
        rows.rows = Vec::new();
        self.progress.take_back(rows.tagged, rows.failed);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Relaxed)
    }

    /// Images without a row yet.
    pub(super) fn left(&self) -> usize {
        self.lock().left
    }

    /// True while something of it waits: see [`Turn`].
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
