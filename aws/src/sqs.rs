//! SQS as a queue.
//!
//! Messages go out in batches of ten, many batches at once, and those of a batch that failed go out again. It
//! never makes or deletes a queue.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry};
use futures::stream::{self, StreamExt, TryStreamExt};
use tagfleet_pipeline::queue::{Message, Messages, Queue, QueueError};

use crate::Aws;
use crate::cause::cause;
use crate::client::{of_long_poll, of_messages};

/// The most messages of one batch, SQS's limit.
const BATCH: usize = 10;
/// Batches that are sent at once: a standard queue takes nearly any number.
const BATCHES_AT_ONCE: usize = 32;
/// The longest wait of one receive, SQS's limit.
const LONGEST_POLL: Duration = Duration::from_secs(20);
/// Attempts to send the messages of a batch that SQS could not take.
const SEND_TRIES: u32 = 5;

/// One SQS queue.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: aws_sdk_sqs::Client,
    url: String,
    visibility_timeout: Duration,
}

impl SqsQueue {
    /// The queue at `url`, whose messages are received for `visibility_timeout`.
    #[must_use]
    pub fn new(aws: &Aws, url: &str, visibility_timeout: Duration) -> Self {
        Self { client: of_messages(&aws.sqs), url: url.to_owned(), visibility_timeout }
    }

    fn fail(&self, detail: impl Into<String>) -> QueueError {
        QueueError { queue: self.url.clone(), detail: detail.into() }
    }

    fn error<E: std::error::Error + 'static, R: std::fmt::Debug + 'static>(
        &self,
        error: &SdkError<E, R>,
    ) -> QueueError {
        self.fail(cause(error))
    }

    /// Sends at most ten messages, and again those that SQS could not take.
    async fn send_until_taken(&self, mut left: Vec<String>) -> Result<(), QueueError> {
        for _ in 0..SEND_TRIES {
            left = self.send_batch(left).await?;
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(self.fail(format!("{} messages could not be sent", left.len())))
    }

    /// Sends at most ten; returns those that SQS could not take and asks to send again.
    async fn send_batch(&self, bodies: Vec<String>) -> Result<Vec<String>, QueueError> {
        let mut entries = Vec::with_capacity(bodies.len());
        for (number, body) in bodies.iter().enumerate() {
            let entry =
                SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body).build();
            entries.push(entry.map_err(|error| self.fail(error.to_string()))?);
        }
        let sent =
            self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let mut again = Vec::new();
        for failed in sent.map_err(|error| self.error(&error))?.failed {
            if failed.sender_fault {
                let why = failed.message.unwrap_or_default();
                return Err(self.fail(format!("a message was refused: {}: {why}", failed.code)));
            }
            let number: usize =
                failed.id.parse().map_err(|_| self.fail("an answer for a message never sent"))?;
            again.extend(bodies.get(number).cloned());
        }
        Ok(again)
    }
}

/// True for errors about a receipt that no longer holds its message.
fn is_stale<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
    // Codes with the older protocol's prefix mean the same.
    let code = code.rsplit('.').next().unwrap_or_default();
    ["MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"].contains(&code)
}

#[async_trait]
impl Queue for SqsQueue {
    fn visibility_timeout(&self) -> Duration {
        self.visibility_timeout
    }

    async fn send(&self, bodies: &[String]) -> Result<(), QueueError> {
        let batches = bodies.chunks(BATCH).map(<[String]>::to_vec);
        let sending = stream::iter(batches.map(|batch| self.send_until_taken(batch)));
        sending.buffer_unordered(BATCHES_AT_ONCE).try_collect().await
    }

    async fn messages(&self) -> Result<Messages, QueueError> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed,
            ApproximateNumberOfMessagesNotVisible,
        };
        let names = [
            ApproximateNumberOfMessages,
            ApproximateNumberOfMessagesDelayed,
            ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await;
        let counts = answer.map_err(|error| self.error(&error))?.attributes.unwrap_or_default();
        let count = |name: QueueAttributeName| {
            let count = counts.get(&name).and_then(|count| count.parse::<u64>().ok());
            count.ok_or_else(|| self.fail(format!("it has no {}", name.as_str())))
        };
        let visible =
            count(ApproximateNumberOfMessages)?.saturating_add(count(ApproximateNumberOfMessagesDelayed)?);
        Ok(Messages { visible, in_hand: count(ApproximateNumberOfMessagesNotVisible)? })
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Message>, QueueError> {
        let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let wait = wait.min(LONGEST_POLL);
        let receive = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(1)
            .visibility_timeout(seconds(self.visibility_timeout))
            .wait_time_seconds(seconds(wait))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let received = receive.customize().config_override(of_long_poll(&self.client, wait)).send().await;
        let received = received.map_err(|error| self.error(&error))?;
        let Some(message) = received.messages.unwrap_or_default().pop() else { return Ok(None) };
        let count = message.attributes.unwrap_or_default();
        let count = count
            .get(&MessageSystemAttributeName::ApproximateReceiveCount)
            .and_then(|count| count.parse().ok());
        let (Some(body), Some(receipt), Some(receive_count)) = (message.body, message.receipt_handle, count)
        else {
            return Err(self.fail("a message came without a body, a receipt or a receive count"));
        };
        Ok(Some(Message { body, receipt, receive_count }))
    }

    async fn change_visibility(&self, receipt: &str, timeout: Duration) -> Result<(), QueueError> {
        let seconds = i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX);
        let change = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
        match change.visibility_timeout(seconds).send().await {
            Err(error) if !is_stale(&error) => Err(self.error(&error)),
            _ => Ok(()),
        }
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        match self.client.delete_message().queue_url(&self.url).receipt_handle(receipt).send().await {
            Err(error) if !is_stale(&error) => Err(self.error(&error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod outage_tests;
