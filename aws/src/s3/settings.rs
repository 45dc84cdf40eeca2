//! How a bucket is set up, as far as a fleet depends on it: whom it notifies, and what encrypts it.
//!
//! It reads settings only; it never changes one and reads no object.

use aws_sdk_s3::types::ServerSideEncryption;
use tagfleet_pipeline::bucket::BucketError;

use super::S3Bucket;

/// Whom a bucket tells of its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notifications {
    /// Whether EventBridge gets all events.
    pub event_bridge: bool,
    /// The ARNs of functions, queues and topics that get some.
    pub others: Vec<String>,
}

/// What encrypts the objects of a bucket where a write says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Keys that S3 keeps, or the account's key for S3: readers need no grant.
    Managed,
    /// This KMS key: readers need `kms:Decrypt` on it.
    Key(String),
}

impl S3Bucket {
    /// Whom the bucket notifies; asks for `s3:GetBucketNotification`.
    ///
    /// # Errors
    /// Where S3 does not say.
    pub async fn notifications(&self) -> Result<Notifications, BucketError> {
        let get = |client: aws_sdk_s3::Client| {
            client.get_bucket_notification_configuration().bucket(&self.bucket).send()
        };
        let asked = self.at.ask(get).await;
        let told = asked.map_err(|error| self.error("", &error))?;
        let mut others = Vec::new();
        for function in told.lambda_function_configurations() {
            others.push(function.lambda_function_arn.clone());
        }
        for queue in told.queue_configurations() {
            others.push(queue.queue_arn.clone());
        }
        for topic in told.topic_configurations() {
            others.push(topic.topic_arn.clone());
        }
        Ok(Notifications { event_bridge: told.event_bridge_configuration.is_some(), others })
    }

    /// What encrypts new objects of the bucket; asks for `s3:GetEncryptionConfiguration`.
    ///
    /// # Errors
    /// Where S3 does not say.
    pub async fn encryption(&self) -> Result<Encryption, BucketError> {
        let get = |client: aws_sdk_s3::Client| client.get_bucket_encryption().bucket(&self.bucket).send();
        let asked = self.at.ask(get).await;
        let told = asked.map_err(|error| self.error("", &error))?;
        let rules = told.server_side_encryption_configuration.map(|rules| rules.rules).unwrap_or_default();
        for rule in rules {
            let Some(default) = rule.apply_server_side_encryption_by_default else { continue };
            let key = default.kms_master_key_id.filter(|key| !key.ends_with("alias/aws/s3"));
            match (default.sse_algorithm, key) {
                (ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse, Some(key)) => {
                    return Ok(Encryption::Key(key));
                }
                _ => return Ok(Encryption::Managed),
            }
        }
        Ok(Encryption::Managed)
    }
}
