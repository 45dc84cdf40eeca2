//! Counts every request that is sent to AWS: each attempt of it, retries too, by operation.
//!
//! An interceptor of the SDK's clients, which the SDK calls once for each attempt; signed requests use the
//! same meter. Operations are named as IAM spells the permission, so a batch counts with its single
//! operation, and each piece of an upload as `s3:PutObject`. Bytes are those of bodies as their headers
//! declare them. An answer that is broken off counts whole; one that declares no length (listings of S3)
//! counts none. Calls of S3 to KMS on behalf of a request, as the answer reports them, are counted as well.
//! It has no prices and delays nothing.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, Metadata};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use tagfleet_cost::usage::Requests;

/// What SQS bills as one request: 64 KiB.
const CHUNK_BYTES: u64 = 64 << 10;

/// The requests of all clients that share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<Mutex<Requests>>);

/// An attempt that was sent and not yet answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentRequest {
    bytes_out: u64,
}

impl Storable for SentRequest {
    type Storer = StoreReplace<Self>;
}

impl Meter {
    /// What was sent so far.
    pub(crate) fn requests(&self) -> Requests {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts an attempt that is sent.
    pub(crate) fn sent(&self, operation: &str, bytes_out: u64) -> SentRequest {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = requests.0.entry(operation.to_owned()).or_default();
        count.calls += 1;
        count.bytes_out += bytes_out;
        count.chunks += chunks(bytes_out);
        SentRequest { bytes_out }
    }

    /// Counts the answer to an attempt: the larger of request and answer is billed.
    pub(crate) fn answered(&self, operation: &str, sent: SentRequest, bytes_in: u64) {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = requests.0.entry(operation.to_owned()).or_default();
        count.bytes_in += bytes_in;
        count.chunks += chunks(bytes_in).saturating_sub(chunks(sent.bytes_out));
    }
}

/// Rounded up; a request without a body is one chunk.
fn chunks(bytes: u64) -> u64 {
    bytes.div_ceil(CHUNK_BYTES).max(1)
}

#[dyn_dispatch_hint]
impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map(action).unwrap_or_default();
        let sent = self.sent(&operation, body_of_request(context.request()));
        config.interceptor_state().store_put(sent);
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (Some(metadata), Some(sent)) = (config.load::<Metadata>(), config.load::<SentRequest>()) else {
            return Ok(());
        };
        // The answer to a HEAD declares the length of a body that does not come.
        let is_head = metadata.name().starts_with("Head");
        let bytes_in = if is_head { 0 } else { body_of_response(context.response()) };
        self.answered(&action(metadata), *sent, bytes_in);
        if let Some(operation) = kms_call(metadata.name(), context.response()) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).count(operation);
        }
        Ok(())
    }
}

/// Calls of S3 to KMS for this answer: once for each object that is encrypted with SSE-KMS or DSSE-KMS,
/// unless a Bucket Key replaces the key (S3 User Guide, "Reducing the cost of SSE-KMS with Amazon S3 Bucket
/// Keys").
fn kms_call(operation: &str, response: &HttpResponse) -> Option<&'static str> {
    let action = match operation {
        "GetObject" => "kms:Decrypt",
        "PutObject" => "kms:GenerateDataKey",
        _ => return None,
    };
    let header = |name| response.headers().get(name);
    let is_of_kms = header("x-amz-server-side-encryption").is_some_and(|of| of.starts_with("aws:kms"));
    let has_bucket_key = header("x-amz-server-side-encryption-bucket-key-enabled") == Some("true");
    (response.status().is_success() && is_of_kms && !has_bucket_key).then_some(action)
}

/// The bytes of an attempt's body.
pub(crate) fn body_of_request(request: &HttpRequest) -> u64 {
    declared(request.headers().get("content-length")).or(request.body().content_length()).unwrap_or(0)
}

/// The bytes of an answer's body, as its headers declare them.
pub(crate) fn body_of_response(response: &HttpResponse) -> u64 {
    declared(response.headers().get("content-length")).or(response.body().content_length()).unwrap_or(0)
}

fn declared(length: Option<&str>) -> Option<u64> {
    length?.parse().ok()
}

/// `s3:GetObject`: what IAM calls an operation of the SDK.
fn action(metadata: &Metadata) -> String {
    let (service, operation) = (metadata.service(), metadata.name());
    let action = match (service, operation) {
        ("S3", "ListObjectsV2" | "HeadBucket") => "ListBucket",
        ("S3", "HeadObject") => "GetObject",
        ("S3", "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload") => "PutObject",
        ("S3", "GetBucketNotificationConfiguration") => "GetBucketNotification",
        ("S3", "GetBucketEncryption") => "GetEncryptionConfiguration",
        ("SQS", batch) => batch.strip_suffix("Batch").unwrap_or(batch),
        _ => operation,
    };
    let prefix = if service == "SFN" { "states".to_owned() } else { service.to_lowercase() };
    format!("{prefix}:{action}")
}

#[cfg(test)]
mod tests;
