//! What the tasks of one worker share, above all the shards in hand: taken from the queue, opened, done or
//! given back.
//!
//! A shard that is given back before it is done leaves a checkpoint first, so that the next worker finds it.
//! That takes a bounded time and is never a reason to keep a message: a checkpoint that cannot be written
//! costs work and is reported. Nothing in it tags or fetches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::denials::Denials;
use super::fetch::Fetcher;
use super::heartbeat::Liveness;
use super::retry::Retries;
use super::shard_in_progress::{ShardInProgress, Unfinished};
use super::{Stop, Worker};
use crate::progress::Trouble;
use crate::queue::{Message, QueueError};

/// Time limit for the checkpoint of a shard: an interrupted spot machine has little more.
const CHECKPOINT_TIME: Duration = Duration::from_secs(12);

/// What the tasks of one worker share.
pub(super) struct WorkerState {
    pub(super) worker: Worker,
    pub(super) fetcher: Fetcher,
    pub(super) retries: Arc<Retries>,
    pub(super) denials: Arc<Denials>,
    pub(super) liveness: Arc<Liveness>,
    pub(super) in_hand: Mutex<InHand>,
}

/// The shards in hand by the receipt of their message; none until its list of images is read.
type InHand = BTreeMap<String, Option<Arc<ShardInProgress>>>;

impl WorkerState {
    /// No code panics while it holds the lock, so a poisoned one guards a sound map.
    pub(super) fn lock(&self) -> MutexGuard<'_, InHand> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message, or `None` if the queue is empty or the worker is asked to stop.
    ///
    /// A dropped request may take a message along, which is then invisible until its timeout. So the request
    /// is waited for unless there is no time left.
    pub(super) async fn receive(&self, stop: &Stop) -> Result<Option<Message>, QueueError> {
        let received = tokio::select! {
            biased;
            received = self.worker.queue.receive(self.worker.receive_wait) => received?,
            () = stop.now.cancelled() => None,
        };
        let Some(message) = received else { return Ok(None) };
        if stop.is_asked_for() {
            self.worker.queue.change_visibility(&message.receipt, Duration::ZERO).await?;
            return Ok(None);
        }
        self.lock().insert(message.receipt.clone(), None);
        Ok(Some(message))
    }

    pub(super) fn open(&self, message: &Message, shard: ShardInProgress) -> Arc<ShardInProgress> {
        let shard = Arc::new(shard);
        self.lock().insert(message.receipt.clone(), Some(shard.clone()));
        shard
    }

    /// The message is done with: its shard has its part.
    pub(super) fn committed(&self, receipt: &str) {
        self.lock().remove(receipt);
    }

    /// No image of a shard in hand is started any more.
    pub(super) fn close_all(&self) {
        for shard in self.lock().values().flatten() {
            shard.close();
        }
    }

    /// Leaves a shard: others see its message after `delay`, and find what is tagged of it.
    pub(super) async fn give_back(&self, receipt: &str, delay: Duration) -> Result<(), QueueError> {
        let shard = self.lock().remove(receipt).flatten();
        if let Some(shard) = shard {
            self.keep(&shard).await;
        }
        self.worker.queue.change_visibility(receipt, delay).await
    }

    /// Leaves every shard in hand, and makes it visible to others at once.
    pub(super) async fn give_back_all(&self) {
        let receipts: Vec<String> = self.lock().keys().cloned().collect();
        // If this fails, the visibility timeout does the same a little later.
        join_all(receipts.iter().map(|receipt| self.give_back(receipt, Duration::ZERO))).await;
    }

    /// Stores the rows that a shard has, unless its checkpoint has them all.
    async fn keep(&self, shard: &ShardInProgress) {
        let Some(mut unfinished) = shard.abandon().filter(Unfinished::has_new_rows) else { return };
        let rows = unfinished.take_rows();
        let saving = timeout(CHECKPOINT_TIME, self.worker.checkpoints().save(&shard.shard, rows)).await;
        let why = match saving {
            Ok(Ok(())) => return unfinished.kept(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("shard {}: it takes more than {} s", shard.shard.id, CHECKPOINT_TIME.as_secs()),
        };
        self.worker.progress.trouble(Trouble::CheckpointUnwritten, why);
    }
}
