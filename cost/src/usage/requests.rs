//! Requests that were sent, by operation: what the services bill.
//!
//! It counts and adds; the price book has the prices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Requests that were sent to AWS, every attempt counted, by operation as IAM spells it: `s3:GetObject`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Requests(pub BTreeMap<String, RequestCount>);

/// Requests of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestCount {
    /// Attempts sent, retries counted.
    pub calls: u64,
    /// Bytes of their bodies.
    pub bytes_out: u64,
    /// Bytes of the answers' bodies.
    pub bytes_in: u64,
    /// Units of 64 KiB, rounded up, at least one for each call: what SQS bills.
    pub chunks: u64,
}

impl Requests {
    /// Counts one more request without a body.
    pub fn count(&mut self, operation: &str) {
        let count = self.0.entry(operation.to_owned()).or_default();
        count.calls += 1;
        count.chunks += 1;
    }

    /// What was counted since `before`, an earlier state of the same counts.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut requests = Self::default();
        for (operation, now) in &self.0 {
            let then = before.0.get(operation).copied().unwrap_or_default();
            let count = RequestCount {
                calls: now.calls - then.calls,
                bytes_out: now.bytes_out - then.bytes_out,
                bytes_in: now.bytes_in - then.bytes_in,
                chunks: now.chunks - then.chunks,
            };
            if count.calls > 0 || count.bytes_in > 0 {
                requests.0.insert(operation.clone(), count);
            }
        }
        requests
    }

    /// Adds the counts of another process; sums saturate.
    pub fn add(&mut self, other: &Self) {
        for (operation, count) in &other.0 {
            let sum = self.0.entry(operation.clone()).or_default();
            sum.calls = sum.calls.saturating_add(count.calls);
            sum.bytes_out = sum.bytes_out.saturating_add(count.bytes_out);
            sum.bytes_in = sum.bytes_in.saturating_add(count.bytes_in);
            sum.chunks = sum.chunks.saturating_add(count.chunks);
        }
    }
}
