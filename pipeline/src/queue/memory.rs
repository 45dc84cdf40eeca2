//! A queue in memory with what matters of SQS: visibility timeout, receive count, a dead-letter queue.
//!
//! A run on one machine uses it. Tests use it on tokio's clock: if that is paused, no test waits. It never
//! outlives its process; a resumed run sends the missing shards again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{Message, Messages, Queue, QueueError};

/// A queue that lives and dies with its process.
#[derive(Debug)]
pub struct MemoryQueue {
    visibility_timeout: Duration,
    max_receive_count: u32,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    receipts: u64,
    visible: VecDeque<Stored>,
    /// By receipt number.
    in_flight: BTreeMap<u64, (Instant, Stored)>,
    dead: Vec<String>,
}

#[derive(Debug)]
struct Stored {
    body: String,
    receive_count: u32,
}

impl MemoryQueue {
    /// An empty queue. A message that was received `max_receive_count` times and not deleted goes to the dead
    /// letters.
    #[must_use]
    pub fn new(visibility_timeout: Duration, max_receive_count: u32) -> Self {
        let (state, changed) = (Mutex::default(), Notify::new());
        Self { visibility_timeout, max_receive_count, state, changed }
    }

    /// The bodies of the messages that were received too often, in the order in which they got here.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<String> {
        let mut state = self.lock();
        state.reappear(self.max_receive_count);
        state.dead.clone()
    }

    /// No code panics while it holds the lock, so a poisoned one guards a sound state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message, or when the next one in flight becomes visible.
    fn take(&self) -> Result<Message, Option<Instant>> {
        let mut state = self.lock();
        state.reappear(self.max_receive_count);
        let Some(mut stored) = state.visible.pop_front() else {
            return Err(state.in_flight.values().map(|(until, _)| *until).min());
        };
        stored.receive_count += 1;
        state.receipts += 1;
        let receipt = state.receipts;
        let message = Message {
            body: stored.body.clone(),
            receipt: receipt.to_string(),
            receive_count: stored.receive_count,
        };
        state.in_flight.insert(receipt, (Instant::now() + self.visibility_timeout, stored));
        Ok(message)
    }

    fn receipt(receipt: &str) -> Result<u64, QueueError> {
        let detail = || format!("{receipt:?} is not a receipt of this queue");
        receipt.parse().map_err(|_| QueueError { queue: "in memory".to_owned(), detail: detail() })
    }
}

impl State {
    /// Moves what has become visible back into the queue, or to the dead letters.
    fn reappear(&mut self, max_receive_count: u32) {
        let now = Instant::now();
        for (_, (_, stored)) in self.in_flight.extract_if(.., |_, (until, _)| *until <= now) {
            if stored.receive_count >= max_receive_count {
                self.dead.push(stored.body);
            } else {
                self.visible.push_back(stored);
            }
        }
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    fn visibility_timeout(&self) -> Duration {
        self.visibility_timeout
    }

    async fn send(&self, bodies: &[String]) -> Result<(), QueueError> {
        let sent = bodies.iter().map(|body| Stored { body: body.clone(), receive_count: 0 });
        self.lock().visible.extend(sent);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn messages(&self) -> Result<Messages, QueueError> {
        let mut state = self.lock();
        state.reappear(self.max_receive_count);
        Ok(Messages { visible: state.visible.len() as u64, in_hand: state.in_flight.len() as u64 })
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Message>, QueueError> {
        let deadline = Instant::now() + wait;
        loop {
            let changed = self.changed.notified();
            let next_visible = match self.take() {
                Ok(message) => return Ok(Some(message)),
                Err(next_visible) => next_visible,
            };
            if Instant::now() >= deadline {
                return Ok(None);
            }
            let wake = next_visible.map_or(deadline, |at| at.min(deadline));
            // Both outcomes mean the same: look again.
            let _ = timeout_at(wake, changed).await;
        }
    }

    async fn change_visibility(&self, receipt: &str, timeout: Duration) -> Result<(), QueueError> {
        let receipt = Self::receipt(receipt)?;
        let mut state = self.lock();
        // A receipt whose time is up no longer holds its message.
        state.reappear(self.max_receive_count);
        if let Some((until, _)) = state.in_flight.get_mut(&receipt) {
            *until = Instant::now() + timeout;
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        let receipt = Self::receipt(receipt)?;
        self.lock().in_flight.remove(&receipt);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::contract;

    #[tokio::test(start_paused = true)]
    async fn keeps_the_contract() {
        contract::holds(&MemoryQueue::new(Duration::from_secs(2), 1000)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_received_too_often_is_dead() {
        let queue = MemoryQueue::new(Duration::from_secs(2), 3);
        queue.send(&["poison".to_owned()]).await.unwrap();
        for receive_count in 1..=3 {
            let message = queue.receive(Duration::from_secs(3)).await.unwrap().unwrap();
            assert_eq!(message.receive_count, receive_count);
            assert!(queue.dead_letters().is_empty());
        }
        assert_eq!(queue.receive(Duration::from_secs(3)).await.unwrap(), None);
        assert_eq!(queue.dead_letters(), ["poison"]);
    }
}
