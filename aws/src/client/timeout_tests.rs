//! Time limits of requests, as set on their connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::queue::Queue;

use super::{ANSWER_TIME, timeouts};
use crate::{Aws, S3Bucket, SqsQueue};

/// Seconds to connect and to the answer's first byte, of every request so far.
type Seen = Arc<Mutex<Vec<[Option<u64>; 2]>>>;

/// Answers every request with success.
#[derive(Debug)]
struct AlwaysOk;

impl HttpConnector for AlwaysOk {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let response = HttpResponse::new(200.try_into().unwrap(), SdkBody::empty());
        HttpConnectorFuture::ready(Ok(response))
    }
}

fn aws(seen: &Seen, answer_time: Duration) -> Aws {
    let seen = seen.clone();
    let client: SharedHttpClient = http_client_fn(move |settings, _| {
        let seconds = [settings.connect_timeout(), settings.read_timeout()];
        seen.lock().unwrap().push(seconds.map(|time| time.as_ref().map(Duration::as_secs)));
        SharedHttpConnector::new(AlwaysOk)
    });
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .timeout_config(timeouts(answer_time))
        .http_client(client)
        .build();
    Aws::over(&config)
}

#[tokio::test]
async fn an_answer_has_to_begin_in_time_and_an_upload_has_longer() {
    let seen = Seen::default();
    let bucket = S3Bucket::new(&aws(&seen, ANSWER_TIME), "photos");
    bucket.get("key", None, 100).await.unwrap();
    bucket.exists("key").await.unwrap();
    bucket.put("key", "picture".into()).await.unwrap();
    bucket.put_if_absent("key", "picture".into()).await.unwrap();
    bucket.in_region("eu-west-1").get("key", None, 100).await.unwrap();
    let (answer, upload) = ([Some(5), Some(30)], [Some(5), Some(300)]);
    assert_eq!(*seen.lock().unwrap(), [answer, answer, upload, upload, answer]);
}

#[tokio::test]
async fn a_queue_that_never_answers_is_given_up_after_its_long_poll() {
    let seen = Seen::default();
    let queue = SqsQueue::new(&aws(&seen, Duration::from_secs(7)), "q", Duration::from_secs(300));
    assert_eq!(queue.receive(Duration::from_secs(60)).await.unwrap(), None);
    queue.delete("receipt").await.unwrap();
    queue.change_visibility("receipt", Duration::ZERO).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [[Some(5), Some(27)], [Some(5), Some(7)], [Some(5), Some(7)]]);
}
