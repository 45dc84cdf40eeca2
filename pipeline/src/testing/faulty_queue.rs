//! A queue as one process meets it, over a service that delivers messages twice, late, in any order, or
//! never.
//!
//! Without faults it keeps the contract. A message that never comes represents one that was received too
//! often and went to the dead-letter queue. It never leaves a test.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use super::faults::{Fault, Process};
use crate::queue::{Message, Messages, Queue, QueueError};

/// Any queue, with the faults of a process.
pub struct FaultyQueue {
    inner: Arc<dyn Queue>,
    process: Arc<Process>,
}

impl FaultyQueue {
    /// `inner` as `process` meets it.
    #[must_use]
    pub fn new(inner: Arc<dyn Queue>, process: Arc<Process>) -> Self {
        Self { inner, process }
    }

    async fn call<T>(
        &self,
        (operation, key): (&'static str, &str),
        answer: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        let failed = |why: &str| QueueError { queue: "faulty".to_owned(), detail: why.to_owned() };
        let (call, fault) = self.process.begin(operation, key).await;
        let answer = match fault {
            Fault::None | Fault::DiskFull => answer.await,
            Fault::Refused(why) => Err(failed(why)),
            Fault::Lost(why) => {
                // Its result is lost.
                let _ = answer.await;
                Err(failed(why))
            }
        };
        self.process.end(call).await;
        answer
    }

    /// What becomes of a message that is sent while it storms.
    async fn send_in_a_storm(&self, body: &str) -> Result<(), QueueError> {
        let mut random = self.process.random("message", body);
        let is_unruly = random.below(1000) < self.process.storm().unruly;
        let times = match random.below(3) {
            _ if !is_unruly => 1,
            0 => 0,
            1 => 2,
            _ => {
                let at = Instant::now() + Duration::from_secs(random.below(600));
                let (queue, body) = (self.inner.clone(), body.to_owned());
                tokio::spawn(async move {
                    sleep_until(at).await;
                    queue.send(&[body]).await
                });
                0
            }
        };
        self.inner.send(&vec![body.to_owned(); times]).await
    }

    async fn send_all(&self, bodies: &[String]) -> Result<(), QueueError> {
        if self.process.storm().is_over() {
            return self.inner.send(bodies).await;
        }
        let mut shuffled: Vec<_> =
            bodies.iter().map(|body| (self.process.random("order", body).below(u64::MAX), body)).collect();
        shuffled.sort_unstable();
        for (_, body) in shuffled {
            self.send_in_a_storm(body).await?;
        }
        Ok(())
    }

    /// A queue may forget that a message was deleted.
    async fn delete_or_forget(&self, receipt: &str) -> Result<(), QueueError> {
        if !self.process.storm().is_over() && self.process.random("forget", receipt).one_in(50) {
            return Ok(());
        }
        self.inner.delete(receipt).await
    }
}

#[async_trait]
impl Queue for FaultyQueue {
    fn visibility_timeout(&self) -> Duration {
        self.inner.visibility_timeout()
    }

    async fn send(&self, bodies: &[String]) -> Result<(), QueueError> {
        self.call(("send", ""), self.send_all(bodies)).await
    }

    async fn messages(&self) -> Result<Messages, QueueError> {
        self.call(("messages", ""), self.inner.messages()).await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Message>, QueueError> {
        self.call(("receive", ""), self.inner.receive(wait)).await
    }

    async fn change_visibility(&self, receipt: &str, timeout: Duration) -> Result<(), QueueError> {
        self.call(("change_visibility", receipt), self.inner.change_visibility(receipt, timeout)).await
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        self.call(("delete", receipt), self.delete_or_forget(receipt)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{MemoryQueue, contract};

    #[tokio::test(start_paused = true)]
    async fn without_a_storm_it_keeps_the_contract() {
        let inner = Arc::new(MemoryQueue::new(Duration::from_secs(2), 1000));
        contract::holds(&FaultyQueue::new(inner, Arc::new(Process::undisturbed()))).await;
    }
}
