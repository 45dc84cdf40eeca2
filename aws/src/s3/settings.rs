//! How a bucket is set up, as far as a fleet depends on it: whom it notifies, and what encrypts it.
//!
//! It reads settings only; it never changes one and reads no object.

use aws_sdk_s3::types::ServerSideEncryption;
use tagfleet_pipeline::bucket::BucketError;

use super::S3Bucket;

/// The receivers of a bucket's notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notifications {
    /// Whether EventBridge gets all events.
    pub event_bridge: bool,
    /// The ARNs of functions, queues and topics that get some.
    pub others: Vec<String>,
}

/// The default encryption of a bucket's new objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    /// A KMS key on which readers need `kms:Decrypt`; none for keys that S3 keeps and the account's key for
    /// S3.
    pub key: Option<String>,
    /// Whether S3 calls KMS at every read: the key is KMS's, and no Bucket Key replaces it.
    pub asks_kms: bool,
}

impl S3Bucket {
    /// The receivers of the bucket's notifications; needs `s3:GetBucketNotification`.
    ///
    /// # Errors
    /// If S3 does not answer that.
    pub async fn notifications(&self) -> Result<Notifications, BucketError> {
        let get = |client: aws_sdk_s3::Client| {
            client.get_bucket_notification_configuration().bucket(&self.bucket).send()
        };
        let found = self.client.send(get).await.map_err(|error| self.error("", &error))?;
        let mut others = Vec::new();
        for function in found.lambda_function_configurations() {
            others.push(function.lambda_function_arn.clone());
        }
        for queue in found.queue_configurations() {
            others.push(queue.queue_arn.clone());
        }
        for topic in found.topic_configurations() {
            others.push(topic.topic_arn.clone());
        }
        Ok(Notifications { event_bridge: found.event_bridge_configuration.is_some(), others })
    }

    /// The encryption of new objects of the bucket; needs `s3:GetEncryptionConfiguration`.
    ///
    /// # Errors
    /// If S3 does not answer that.
    pub async fn encryption(&self) -> Result<Encryption, BucketError> {
        let get = |client: aws_sdk_s3::Client| client.get_bucket_encryption().bucket(&self.bucket).send();
        let found = self.client.send(get).await.map_err(|error| self.error("", &error))?;
        let rules = found.server_side_encryption_configuration.map(|rules| rules.rules).unwrap_or_default();
        for rule in rules {
            let Some(default) = rule.apply_server_side_encryption_by_default else { continue };
            let is_of_kms = matches!(
                default.sse_algorithm,
                ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse
            );
            let key = default.kms_master_key_id.filter(|key| is_of_kms && !key.ends_with("alias/aws/s3"));
            let asks_kms = is_of_kms && rule.bucket_key_enabled != Some(true);
            return Ok(Encryption { key, asks_kms });
        }
        Ok(Encryption::default())
    }
}
