//! A queue that gives no more shards once the worker's share of the run's budget is spent.
//!
//! Before each shard the worker's own usage is priced: its part of the machine, and every request it has
//! sent. A shard is taken only if one more at what those so far cost, on average, stays within the share;
//! what is in hand is finished. So a share may be passed by what the last shard costs more than the average.
//! A worker that replaces an interrupted one has what that one left of the share. A price that is not known
//! ends the worker with an error: it never works without knowing what it spends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use async_trait::async_trait;
use serde_json::json;
use tagfleet_aws::S3Bucket;
use tagfleet_cost::usage::{self, Usage, UsageRecord, WorkerEnd};
use tagfleet_fleet::pricing::Pricing;
use tagfleet_pipeline::queue::{Message, Messages, Queue, QueueError};
use tagfleet_pipeline::record;

use crate::configuration::Budget;
use crate::log;
use crate::shutdown::Drain;
use crate::usage::Reporter;

/// Returns what the worker has spent so far, in dollars, or which price is not known.
type Spending = Box<dyn Fn() -> Result<f64, String> + Send + Sync>;

/// A queue that keeps to a share of the budget.
struct BudgetedQueue {
    queue: Arc<dyn Queue>,
    max_usd: f64,
    spent: Spending,
    /// Shards that were taken.
    taken: AtomicU64,
    drain: Drain,
}

/// Wraps `queue` so that it keeps to `budget`.
pub(crate) async fn queue(
    queue: Arc<dyn Queue>,
    budget: &Budget,
    reporter: &Reporter,
    drain: Drain,
) -> anyhow::Result<Arc<dyn Queue>> {
    let region =
        reporter.aws.region().context("a limit needs prices, and no region is set: set AWS_REGION")?;
    let pricing = Pricing::load(&S3Bucket::new(&reporter.aws, &budget.bucket), region).await?;
    let before = usage_before(budget, reporter).await?;
    let reporter = reporter.clone();
    let spent: Spending = Box::new(move || {
        let own = Usage::of_worker(reporter.usage(SystemTime::now(), None));
        Ok(pricing.usd(&before)? + pricing.usd(&own)?)
    });
    let so_far = spent().map_err(|why| anyhow::anyhow!("its share of the budget cannot be kept: {why}"))?;
    log::event("limited", json!({"max_usd": budget.max_usd, "spent_usd": so_far}));
    Ok(Arc::new(BudgetedQueue { queue, max_usd: budget.max_usd, spent, taken: AtomicU64::new(0), drain }))
}

/// What the job's attempts before this one used; one that was killed in its first minute may have left no
/// record.
async fn usage_before(budget: &Budget, reporter: &Reporter) -> anyhow::Result<Usage> {
    let mut records = Vec::new();
    for name in &budget.earlier {
        let key = reporter.keys.usage(name);
        records.extend(record::read_if_present::<UsageRecord>(reporter.output.as_ref(), &key).await?);
    }
    Ok(usage::sum(records))
}

impl BudgetedQueue {
    /// Whether one more shard stays within the share.
    fn may_take(&self) -> Result<bool, QueueError> {
        let spent = (self.spent)()
            .map_err(|detail| QueueError { queue: "its share of the budget".to_owned(), detail })?;
        let taken = self.taken.load(Relaxed);
        // Of the first one nothing is known: it is taken while anything is left.
        let one_more = if taken == 0 { 0.0 } else { spent / taken as f64 };
        Ok(spent < self.max_usd && spent + one_more <= self.max_usd)
    }
}

#[async_trait]
impl Queue for BudgetedQueue {
    fn visibility_timeout(&self) -> Duration {
        self.queue.visibility_timeout()
    }

    async fn send(&self, bodies: &[String]) -> Result<(), QueueError> {
        self.queue.send(bodies).await
    }

    async fn messages(&self) -> Result<Messages, QueueError> {
        self.queue.messages().await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Message>, QueueError> {
        if !self.may_take()? {
            self.drain.start(WorkerEnd::BudgetShareSpent, None);
            return Ok(None);
        }
        let message = self.queue.receive(wait).await?;
        self.taken.fetch_add(u64::from(message.is_some()), Relaxed);
        Ok(message)
    }

    async fn change_visibility(&self, receipt: &str, timeout: Duration) -> Result<(), QueueError> {
        self.queue.change_visibility(receipt, timeout).await
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        self.queue.delete(receipt).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tagfleet_pipeline::infer::Stop;
    use tagfleet_pipeline::queue::MemoryQueue;

    use super::*;

    /// A budgeted queue of ten messages, what is spent, and the stop that it sets.
    async fn budgeted(max_usd: f64) -> (BudgetedQueue, Arc<Mutex<Result<f64, String>>>, Stop) {
        let queue = MemoryQueue::new(Duration::from_secs(60), 20);
        queue.send(&vec!["shard".to_owned(); 10]).await.unwrap();
        let (spent, stop) = (Arc::new(Mutex::new(Ok(0.0))), Stop::default());
        let told = spent.clone();
        let queue = BudgetedQueue {
            queue: Arc::new(queue),
            max_usd,
            spent: Box::new(move || told.lock().unwrap().clone()),
            taken: AtomicU64::new(0),
            drain: Drain::of(&stop),
        };
        (queue, spent, stop)
    }

    async fn receives(queue: &BudgetedQueue) -> bool {
        queue.receive(Duration::ZERO).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn no_shard_is_taken_that_would_pass_the_share() {
        let (queue, spent, stop) = budgeted(1.0).await;
        assert!(receives(&queue).await);
        *spent.lock().unwrap() = Ok(0.3);
        assert!(receives(&queue).await, "two cost 0.6");
        *spent.lock().unwrap() = Ok(0.6);
        assert!(receives(&queue).await, "three cost 0.9");
        *spent.lock().unwrap() = Ok(0.9);
        assert!(!stop.drain.is_cancelled());
        assert!(!receives(&queue).await, "four would cost 1.2");
        assert!(stop.drain.is_cancelled() && !stop.now.is_cancelled(), "what is in hand is finished");
    }

    #[tokio::test]
    async fn a_share_that_the_machine_alone_has_spent_buys_no_shard() {
        let (queue, spent, stop) = budgeted(0.01).await;
        *spent.lock().unwrap() = Ok(0.01);
        assert!(!receives(&queue).await);
        assert!(stop.drain.is_cancelled());
    }

    #[tokio::test]
    async fn an_unknown_price_is_an_error() {
        let (queue, spent, _) = budgeted(1.0).await;
        *spent.lock().unwrap() = Err("no price of x1.large".to_owned());
        let error = queue.receive(Duration::ZERO).await.unwrap_err().to_string();
        assert_eq!(error, "queue its share of the budget: no price of x1.large");
    }
}
