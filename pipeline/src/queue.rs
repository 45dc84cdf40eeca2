//! The port to a message queue: what the stages need of SQS, and nothing more.
//!
//! At least once, in no order: a message that is not deleted before its visibility timeout comes again, and
//! after too many receipts goes to the dead-letter queue. Messages are disposable; whether work is done is
//! decided by listings, and the number of messages only by how much is sent again. [`contract`] holds what
//! every adapter must do.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod memory;

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

pub use memory::MemoryQueue;

/// How long a received message stays hidden unless its worker asks for more: a worker renews it while it
/// makes progress.
pub const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(300);
/// Receipts of a message before it moves to the dead-letter queue, or a local run leaves it to the next
/// round. Shards that reclaimed machines give back count too, so this is far more than a worker's failures in
/// a row.
pub const MAX_RECEIVE_COUNT: u32 = 20;

/// A message in hand: invisible to others until its visibility timeout ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What was sent.
    pub body: String,
    /// Names this receipt of the message; a later receipt of the same message has another.
    pub receipt: String,
    /// How often the message was received, this time included; from 1.
    pub receive_count: u32,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Those that a receiver would get, now or soon.
    pub visible: u64,
    /// Messages in flight. Their receivers may be gone: they are visible again once their time is up.
    pub in_hand: u64,
}

impl Messages {
    /// All of them.
    #[must_use]
    pub fn all(self) -> u64 {
        self.visible.saturating_add(self.in_hand)
    }
}

/// A queue. One implementation lives in memory, another is SQS; both pass [`contract`].
#[async_trait]
pub trait Queue: Send + Sync {
    /// How long a received message stays invisible unless that is changed.
    fn visibility_timeout(&self) -> Duration;

    /// Sends all of `bodies`; any number, in batches if the service wants them.
    ///
    /// # Errors
    /// Some may have been sent in spite of an error: sending all of them again is always safe.
    async fn send(&self, bodies: &[String]) -> Result<(), QueueError>;

    /// How many messages there are, about: a service may be a minute behind.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn messages(&self) -> Result<Messages, QueueError>;

    /// One visible message, waiting up to `wait` for it; `None` if there was none.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn receive(&self, wait: Duration) -> Result<Option<Message>, QueueError>;

    /// Makes the message of this receipt visible again after `timeout` from now; at once for zero.
    ///
    /// A receipt that is no longer the message's latest, or of a deleted message, changes nothing and is not
    /// an error.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn change_visibility(&self, receipt: &str, timeout: Duration) -> Result<(), QueueError>;

    /// Deletes the message of this receipt; deleting it again is not an error.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn delete(&self, receipt: &str) -> Result<(), QueueError>;
}

/// The queue could not be used; the adapter has already retried if its service recommends it.
#[derive(Clone, Debug, Error)]
#[error("queue {queue}: {detail}")]
pub struct QueueError {
    /// The queue's name.
    pub queue: String,
    /// One line for a person.
    pub detail: String,
}
