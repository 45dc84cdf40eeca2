//! Keeps the message of a shard invisible to other workers while the shard makes progress.
//!
//! Each shard is judged by itself: a stuck shard goes back to the queue, even if others make progress. A
//! shard whose images wait behind those of others makes progress if the others do, and so does one whose
//! requests are retried. It never decides how long an image may take: the tagger does, and gets the time to
//! find out.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use tokio::time::{MissedTickBehavior, interval};

use super::{ShardFailure, WorkerState};
use crate::progress::Counts;
use crate::queue::Message;

/// Beats in one visibility timeout: two may fail before the message is seen by others.
const BEATS: u32 = 3;
/// Beats in a row at which a tagger that has not answered yet is a sign of life: four timeouts. A tagger that
/// finds out which image it hangs on takes less; one that itself hangs for good must not keep shards from
/// others.
const TAGGING_BEATS: u32 = 4 * BEATS;

/// What the threads and tasks of one worker do that shows in no row.
#[derive(Default)]
pub(super) struct Liveness {
    tries: AtomicU64,
    tagging: AtomicUsize,
}

impl Liveness {
    /// A request failed for a while only, and will be made again.
    pub(super) fn tried(&self) {
        self.tries.fetch_add(1, Relaxed);
    }

    /// Does what `call` does, which is a call of a tagger.
    pub(super) fn tagging<T>(&self, call: impl FnOnce() -> T) -> T {
        self.tagging.fetch_add(1, Relaxed);
        let answer = call();
        self.tagging.fetch_sub(1, Relaxed);
        answer
    }
}

/// What shows whether a shard gets on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct LivenessSample {
    /// Images without a row; none while the shard is not read yet.
    left: Option<usize>,
    /// Whether some of it waits: behind other shards, for a tagger's answer, or for another try.
    waits: bool,
    /// What the whole worker has done.
    worker: Counts,
    /// Requests that it will have made again.
    tries: u64,
    /// Whether any of its taggers is at work.
    is_tagging: bool,
}

impl LivenessSample {
    fn beats_after(self, before: Self) -> bool {
        let worker_gets_on = self.worker != before.worker || self.tries != before.tries;
        self.left != before.left || (self.waits && worker_gets_on)
    }

    fn waits_for_a_tagger(self) -> bool {
        self.waits && self.is_tagging
    }
}

/// Extends the invisibility of `message` at each beat of its shard; returns once there was none for a whole
/// timeout, when others see the message anyway.
pub(super) async fn keep_invisible(state: &WorkerState, message: &Message) -> ShardFailure {
    let queue = state.worker.queue.as_ref();
    let timeout = queue.visibility_timeout();
    let mut clock = interval(timeout / BEATS);
    // Of a process that was suspended, all beats would come at once.
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock.tick().await;
    let (mut before, mut missed, mut tagging) = (state.pulse(&message.receipt), 0, 0);
    while missed < BEATS {
        clock.tick().await;
        let pulse = state.pulse(&message.receipt);
        let gets_on = pulse.beats_after(before);
        tagging = if gets_on { 0 } else { tagging + 1 };
        if gets_on || (pulse.waits_for_a_tagger() && tagging <= TAGGING_BEATS) {
            // The next one makes up for one that fails; after three failures the shard is tagged twice, which
            // is harmless.
            let _ = queue.change_visibility(&message.receipt, timeout).await;
            missed = 0;
        } else {
            missed += 1;
        }
        before = pulse;
    }
    ShardFailure::Stalled { body: message.body.clone(), silence: timeout }
}

impl WorkerState {
    fn pulse(&self, receipt: &str) -> LivenessSample {
        let worker = LivenessSample {
            worker: self.worker.progress.counts(),
            tries: self.liveness.tries.load(Relaxed),
            is_tagging: self.liveness.tagging.load(Relaxed) > 0,
            ..LivenessSample::default()
        };
        match self.lock().get(receipt).and_then(Option::as_ref) {
            Some(shard) => LivenessSample { left: Some(shard.left()), waits: shard.waits(), ..worker },
            None => worker,
        }
    }
}
