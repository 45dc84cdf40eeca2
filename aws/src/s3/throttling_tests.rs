//! 503 SlowDown: a throttled client lowers its request rate, and raises it afterwards.
//!
//! A fake S3 answers by a clock that only the test moves, so an hour takes no time and nothing depends on the
//! machine.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use tagfleet_pipeline::bucket::{Bucket, Kind};
use tokio::time::Instant;

use crate::transport::MAX_ATTEMPTS;
use crate::{Aws, S3Bucket};

const LATENCY: Duration = Duration::from_millis(100);
const FETCHERS: u32 = 8;
const SLOW_DOWN: &str =
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

/// S3 that takes this many requests a second, and counts.
#[derive(Clone, Debug)]
struct FakeS3 {
    began: Instant,
    limit: Arc<AtomicU64>,
    /// Requests of the second, and which it is.
    second: Arc<Mutex<(u64, u64)>>,
    asked: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl FakeS3 {
    fn new(limit: u64) -> Self {
        Self {
            began: Instant::now(),
            limit: Arc::new(AtomicU64::new(limit)),
            second: Arc::default(),
            asked: Arc::default(),
            refused: Arc::default(),
        }
    }

    /// The clock of the test as a time of day.
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.began.elapsed()
    }

    fn takes(&self) -> bool {
        let mut second = self.second.lock().unwrap();
        let now = self.began.elapsed().as_secs();
        if second.0 != now {
            *second = (now, 0);
        }
        second.1 += 1;
        second.1 <= self.limit.load(Relaxed)
    }

    async fn answer(self) -> HttpResponse {
        self.asked.fetch_add(1, Relaxed);
        let takes = self.takes();
        // The answer takes its time on the test's clock.
        let _ = tokio::time::timeout(LATENCY, std::future::pending::<()>()).await;
        if !takes {
            self.refused.fetch_add(1, Relaxed);
            return response(503, SLOW_DOWN);
        }
        response(200, "image")
    }

    fn aws(&self) -> Aws {
        let (s3, clock) = (self.clone(), Clock(self.clone()));
        let client: SharedHttpClient = http_client_fn(move |_, _| SharedHttpConnector::new(s3.clone()));
        Aws::with_fake_http(client, clock)
    }

    /// What the next `seconds` bring.
    async fn watch(&self, seconds: u32) -> Watched {
        self.asked.store(0, Relaxed);
        self.refused.store(0, Relaxed);
        let time = Duration::from_secs(seconds.into());
        let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
        let (asked, refused) = (self.asked.load(Relaxed), self.refused.load(Relaxed));
        let in_flight = asked as f64 * LATENCY.as_secs_f64() / f64::from(seconds);
        Watched { asked, refused, in_flight }
    }
}

#[derive(Debug)]
struct Watched {
    asked: u64,
    refused: u64,
    /// Requests at a time, on average.
    in_flight: f64,
}

fn response(status: u16, body: &str) -> HttpResponse {
    let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
    response.headers_mut().insert("content-length", body.len().to_string());
    response.headers_mut().insert("etag", "\"e\"");
    response
}

impl HttpConnector for FakeS3 {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let s3 = self.clone();
        HttpConnectorFuture::new(async move { Ok(s3.answer().await) })
    }
}

#[derive(Debug)]
struct Clock(FakeS3);

impl aws_smithy_async::time::TimeSource for Clock {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

/// Get one object after the other, each of them, as a worker's fetchers do.
fn get_all_the_time(bucket: &S3Bucket) {
    for _ in 0..FETCHERS {
        let bucket = bucket.clone();
        tokio::spawn(async move {
            loop {
                // What failed comes again with its shard.
                let _ = bucket.get("key", None, 100).await;
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_client_asks_less_at_a_time_and_recovers() {
    let s3 = FakeS3::new(u64::MAX);
    get_all_the_time(&S3Bucket::new(&s3.aws(), "photos"));
    let free = s3.watch(5).await;
    assert_eq!((free.in_flight.round(), free.refused), (f64::from(FETCHERS), 0));
    s3.limit.store(20, Relaxed);
    s3.watch(10).await;
    // Twenty a second, a tenth of a second each, are two at a time.
    let throttled = s3.watch(20).await;
    assert!(throttled.in_flight < 2.5, "{throttled:?}");
    assert!(throttled.refused * 5 < throttled.asked, "{throttled:?}");
    s3.limit.store(u64::MAX, Relaxed);
    s3.watch(25).await;
    let recovered = s3.watch(5).await;
    assert!(recovered.in_flight > free.in_flight * 0.9, "{recovered:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_stays_is_temporary() {
    let s3 = FakeS3::new(0);
    let error = S3Bucket::new(&s3.aws(), "photos").get("key", None, 100).await.unwrap_err();
    assert_eq!(error.kind, Kind::Temporary);
    assert!(error.detail.contains("SlowDown"), "{error}");
    assert_eq!(s3.asked.load(Relaxed), u64::from(MAX_ATTEMPTS));
}
