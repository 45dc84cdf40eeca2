//! The queue of an execution: made when a run is planned, deleted at its end.
//!
//! Both can be repeated. It never touches the messages.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use sha2::{Digest, Sha256};
use tagfleet_pipeline::bucket::Kind;
use tagfleet_pipeline::format::hex;

use crate::Aws;
use crate::error::ServiceError;

const SERVICE: &str = "SQS";
/// SQS's longest: 14 days.
const RETENTION_SECONDS: u32 = 14 * 24 * 3600;

/// SQS's limit.
const MAX_NAME: usize = 80;
/// Bytes of a hash in a name: 32 hexadecimal digits.
const HASH_BYTES: usize = 16;

/// The name of an execution's queue: `prefix` and the execution's name, or a hash of it if SQS could not take
/// that.
#[must_use]
pub fn queue_name(prefix: &str, execution: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if prefix.len() + execution.len() <= MAX_NAME && execution.chars().all(is_allowed) {
        return format!("{prefix}{execution}");
    }
    format!("{prefix}{}", hex(&Sha256::digest(execution)[..HASH_BYTES]))
}

/// A new queue.
#[derive(Clone, Copy, Debug)]
pub struct NewQueue<'a> {
    /// Its name: at most 80 letters, digits, `-` and `_`.
    pub name: &'a str,
    /// The run that its tag `tagfleet:run` names.
    pub run: &'a str,
    /// The queue for messages that were received too often.
    pub dead_letter_queue_arn: &'a str,
    /// How long a received message stays invisible if a receive does not set it.
    pub visibility_timeout: Duration,
    /// How often a message is received before it goes to the dead-letter queue.
    pub max_receive_count: u32,
}

impl Aws {
    /// Makes a queue, encrypted with SQS's keys, and returns its URL; if a queue has this name and these
    /// attributes already, its URL is returned.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn create_queue(&self, queue: &NewQueue<'_>) -> Result<String, ServiceError> {
        let mut attributes = HashMap::new();
        let timeout = queue.visibility_timeout.as_secs().to_string();
        attributes.insert(QueueAttributeName::VisibilityTimeout, timeout);
        attributes.insert(QueueAttributeName::MessageRetentionPeriod, RETENTION_SECONDS.to_string());
        attributes.insert(QueueAttributeName::SqsManagedSseEnabled, "true".to_owned());
        attributes.insert(QueueAttributeName::RedrivePolicy, redrive(queue));
        let create = self.sqs.create_queue().queue_name(queue.name).set_attributes(Some(attributes));
        let created = create.tags("tagfleet:run", queue.run).send().await;
        let failed = |error| ServiceError::from_sdk(SERVICE, "CreateQueue", queue.name, &error);
        let url = created.map_err(failed)?.queue_url;
        url.ok_or_else(|| ServiceError {
            kind: Kind::Other,
            service: SERVICE,
            action: "CreateQueue".to_owned(),
            resource: queue.name.to_owned(),
            code: String::new(),
            detail: "SQS gave the queue no URL".to_owned(),
        })
    }

    /// The URL of the queue of this name; `None` if there is no such queue.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn find_queue(&self, name: &str) -> Result<Option<String>, ServiceError> {
        match self.sqs.get_queue_url().queue_name(name).send().await {
            Ok(found) => Ok(found.queue_url),
            Err(error) => match ServiceError::from_sdk(SERVICE, "GetQueueUrl", name, &error) {
                error if error.kind == Kind::Missing => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Deletes the queue at `url` with all its messages; one that is gone already is fine.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn delete_queue(&self, url: &str) -> Result<(), ServiceError> {
        let Err(error) = self.sqs.delete_queue().queue_url(url).send().await else { return Ok(()) };
        let error = ServiceError::from_sdk(SERVICE, "DeleteQueue", url, &error);
        if error.kind == Kind::Missing { Ok(()) } else { Err(error) }
    }
}

fn redrive(queue: &NewQueue<'_>) -> String {
    let policy = serde_json::json!({
        "deadLetterTargetArn": queue.dead_letter_queue_arn,
        "maxReceiveCount": queue.max_receive_count.to_string(),
    });
    policy.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_s_name_fits_sqs_and_keeps_its_prefix() {
        assert_eq!(queue_name("fleet-run-", "nightly-1-2"), "fleet-run-nightly-1-2");
        for execution in ["a".repeat(80), "with space".to_owned(), "ü".to_owned()] {
            let name = queue_name("fleet-run-", &execution);
            assert!(name.starts_with("fleet-run-") && name.len() == 42, "{name}");
        }
        assert_ne!(queue_name("p-", "a.b"), queue_name("p-", "a.c"));
    }
}
