//! The counts of requests to a fake AWS, which answers some of them only at the second try.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use bytes::Bytes;
use tagfleet_cost::usage::RequestCount;
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::queue::Queue;

use super::*;
use crate::{Aws, S3Bucket, SqsQueue};

/// Gives these answers, one after the other.
#[derive(Clone, Debug)]
struct Answers(Arc<Mutex<VecDeque<(u16, String)>>>);

impl HttpConnector for Answers {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = self.0.lock().unwrap().pop_front().unwrap();
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.as_str()));
        response.headers_mut().insert("content-length", body.len().to_string());
        HttpConnectorFuture::ready(Ok(response))
    }
}

fn aws(answers: &[(u16, &str)]) -> Aws {
    let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
    let connector = Answers(Arc::new(Mutex::new(answers)));
    let client: SharedHttpClient = http_client_fn(move |_, _| SharedHttpConnector::new(connector.clone()));
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1));
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .retry_config(retries)
        .http_client(client)
        .build();
    Aws::over(&config)
}

fn count(aws: &Aws, operation: &str) -> RequestCount {
    aws.requests().0.get(operation).copied().unwrap_or_default()
}

const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code></Error>";

#[tokio::test]
async fn every_attempt_counts() {
    let aws = aws(&[(503, SLOW_DOWN), (503, SLOW_DOWN), (200, "picture")]);
    S3Bucket::new(&aws, "photos").get("key", None, 100).await.unwrap();
    let expected = RequestCount {
        calls: 3,
        bytes_out: 0,
        bytes_in: 2 * SLOW_DOWN.len() as u64 + "picture".len() as u64,
        chunks: 3,
    };
    assert_eq!(count(&aws, "s3:GetObject"), expected);
    assert_eq!(aws.requests().0.len(), 1);
}

#[tokio::test]
async fn a_client_of_another_region_and_an_upload_are_counted_too() {
    let aws = aws(&[(200, "picture"), (200, ""), (200, "")]);
    let bucket = S3Bucket::new(&aws, "photos").in_region("eu-west-1");
    bucket.get("key", None, 100).await.unwrap();
    bucket.put("key", Bytes::from_static(b"picture")).await.unwrap();
    bucket.exists("key").await.unwrap();
    assert_eq!(count(&aws, "s3:GetObject").calls, 2, "a GET and a HEAD");
    let put = count(&aws, "s3:PutObject");
    assert_eq!(put.calls, 1);
    assert!(put.bytes_out >= 7, "the body and its checksum: {put:?}");
}

#[tokio::test]
async fn messages_count_in_chunks_of_64_kib() {
    let message = "m".repeat(100_000);
    let received = serde_json::json!({"Messages": [{"Body": message, "ReceiptHandle": "r", "MessageId": "m",
        "MD5OfBody": "", "Attributes": {"ApproximateReceiveCount": "1"}}]});
    let received = received.to_string();
    let aws = aws(&[(200, &received), (200, "{}")]);
    let queue = SqsQueue::new(&aws, "https://sqs.eu-central-1.amazonaws.com/1/q", Duration::from_secs(1));
    // Whether the message is taken for good is not what is asked here.
    let _ = queue.receive(Duration::ZERO).await;
    assert_eq!(count(&aws, "sqs:ReceiveMessage").chunks, 2);
    queue.delete("r").await.unwrap();
    let deleted = count(&aws, "sqs:DeleteMessage");
    assert_eq!((deleted.calls, deleted.chunks, deleted.bytes_in), (1, 1, 2));
}

#[test]
fn operations_have_the_names_of_their_permissions() {
    let named = |service: &'static str, operation: &'static str| action(&Metadata::new(operation, service));
    assert_eq!(named("S3", "ListObjectsV2"), "s3:ListBucket");
    assert_eq!(named("S3", "UploadPart"), "s3:PutObject");
    assert_eq!(named("SQS", "SendMessageBatch"), "sqs:SendMessage");
    assert_eq!(named("SQS", "CreateQueue"), "sqs:CreateQueue");
    assert_eq!(named("SFN", "StartExecution"), "states:StartExecution");
}

#[test]
fn the_larger_of_request_and_answer_is_billed() {
    let meter = Meter::default();
    let sent = meter.sent("sqs:SendMessage", 3 * CHUNK_BYTES);
    meter.answered("sqs:SendMessage", sent, 2 * CHUNK_BYTES);
    let sent = meter.sent("sqs:SendMessage", 10);
    meter.answered("sqs:SendMessage", sent, CHUNK_BYTES + 1);
    let count = meter.requests().0["sqs:SendMessage"];
    assert_eq!((count.calls, count.chunks), (2, 5));
}

#[test]
fn kms_is_asked_for_objects_of_its_keys_without_a_bucket_key() {
    let asked = |operation, status: u16, headers: &[(&'static str, &'static str)]| {
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        for (name, value) in headers {
            response.headers_mut().insert(*name, *value);
        }
        kms_call(operation, &response)
    };
    let of = |value| ("x-amz-server-side-encryption", value);
    let bucket_key = |value| ("x-amz-server-side-encryption-bucket-key-enabled", value);
    assert_eq!(asked("GetObject", 200, &[of("aws:kms")]), Some("kms:Decrypt"));
    assert_eq!(asked("GetObject", 200, &[of("aws:kms:dsse")]), Some("kms:Decrypt"));
    assert_eq!(asked("GetObject", 200, &[of("aws:kms"), bucket_key("false")]), Some("kms:Decrypt"));
    assert_eq!(asked("PutObject", 200, &[of("aws:kms")]), Some("kms:GenerateDataKey"));
    assert_eq!(asked("GetObject", 200, &[of("aws:kms"), bucket_key("true")]), None);
    assert_eq!(asked("GetObject", 200, &[of("AES256")]), None);
    assert_eq!(asked("GetObject", 200, &[]), None);
    assert_eq!(asked("GetObject", 403, &[of("aws:kms")]), None);
    assert_eq!(asked("HeadObject", 200, &[of("aws:kms")]), None, "no key is needed for it");
}
