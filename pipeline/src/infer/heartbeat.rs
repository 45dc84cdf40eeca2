//! Keeps the message of a shard invisible to other workers for as long as the shard gets on.
//!
//! Each shard by itself: one that hangs goes back to the queue however well others do. A shard whose images wait behind
//! those of others gets on where the others do. It never decides how long an image may take.

use tokio::time::{MissedTickBehavior, interval};

use super::{Crew, ShardFailure};
use crate::progress::Counts;
use crate::queue::Message;

/// Beats in one visibility timeout: two may fail before the message is seen by others.
const BEATS: u32 = 3;

/// What shows whether a shard gets on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Pulse {
    /// Images without a row; none while the shard is not read yet.
    left: Option<usize>,
    /// Whether some of it waits behind other shards.
    waits: bool,
    /// What the whole worker has done.
    worker: Counts,
}

impl Pulse {
    fn beats_after(self, before: Self) -> bool {
        self.left != before.left || (self.waits && self.worker != before.worker)
    }
}

/// Extends the invisibility of `message` at each beat of its shard; returns once there was none for a whole timeout, when
/// others see the message anyway.
pub(super) async fn keep_invisible(crew: &Crew, message: &Message) -> ShardFailure {
    let queue = crew.worker.queue.as_ref();
    let timeout = queue.visibility_timeout();
    let mut beats = interval(timeout / BEATS);
    // Of a process that was suspended, all beats would come at once.
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats.tick().await;
    let (mut before, mut missed) = (crew.pulse(&message.receipt), 0);
    while missed < BEATS {
        beats.tick().await;
        let pulse = crew.pulse(&message.receipt);
        if pulse.beats_after(before) {
            // One that fails is made up for by the next; after three the shard is tagged twice, which is harmless.
            let _ = queue.change_visibility(&message.receipt, timeout).await;
            missed = 0;
        } else {
            missed += 1;
        }
        before = pulse;
    }
    ShardFailure::Stalled { body: message.body.clone(), silence: timeout }
}

impl Crew {
    fn pulse(&self, receipt: &str) -> Pulse {
        let worker = self.worker.progress.counts();
        match self.lock().get(receipt).and_then(Option::as_ref) {
            Some(shard) => Pulse { left: Some(shard.left()), waits: shard.waits(), worker },
            None => Pulse { left: None, waits: false, worker },
        }
    }
}
