//! A queue that cannot be reached: requests wait for it, but not for ever.
//!
//! A fake SQS answers by a clock that only the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use tagfleet_pipeline::queue::Queue;
use tokio::time::Instant;

use crate::transport::MAX_ATTEMPTS;
use crate::{Aws, SqsQueue};

/// SQS that answers 503 until this long after its start.
#[derive(Clone, Debug)]
struct MadeUpSqs {
    began: Instant,
    outage: Duration,
    asked: Arc<AtomicU64>,
}

impl MadeUpSqs {
    fn queue(outage: Duration) -> (Self, SqsQueue) {
        let sqs = Self { began: Instant::now(), outage, asked: Arc::default() };
        let connector = sqs.clone();
        let client: SharedHttpClient =
            http_client_fn(move |_, _| SharedHttpConnector::new(connector.clone()));
        let aws = Aws::with_fake_http(client, sqs.clone());
        (sqs, SqsQueue::new(&aws, "q", Duration::from_secs(300)))
    }
}

impl HttpConnector for MadeUpSqs {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        self.asked.fetch_add(1, Relaxed);
        let status: u16 = if self.began.elapsed() < self.outage { 503 } else { 200 };
        let response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from("{}"));
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl aws_smithy_async::time::TimeSource for MadeUpSqs {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.began.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn two_minutes_are_waited_out() {
    let (sqs, queue) = MadeUpSqs::queue(Duration::from_secs(120));
    assert_eq!(queue.receive(Duration::ZERO).await.unwrap(), None);
    assert!(sqs.asked.load(Relaxed) > u64::from(MAX_ATTEMPTS), "{sqs:?}");
    let (sqs, queue) = MadeUpSqs::queue(Duration::from_secs(120));
    queue.delete("receipt").await.unwrap();
    assert!(sqs.began.elapsed() >= sqs.outage, "{sqs:?}");
}

#[tokio::test(start_paused = true)]
async fn an_hour_is_not() {
    let (sqs, queue) = MadeUpSqs::queue(Duration::from_secs(3600));
    queue.receive(Duration::ZERO).await.unwrap_err();
    let waited = sqs.began.elapsed().as_secs();
    assert!((120..=300).contains(&waited), "{waited} s, {sqs:?}");
}
