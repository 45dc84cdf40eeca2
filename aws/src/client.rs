//! Configuration as the AWS command line has it: the usual chain of credentials, profile, region, endpoint.
//!
//! Requests are retried in the SDK's adaptive mode: throttling (503 SlowDown) lowers this process's request rate, and
//! success raises it again. Every attempt is counted. Every service has to answer in time, for a connection may be lost without
//! a word; a body that stops coming is the SDK's stalled-stream protection's to end. Nothing here makes a request.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::time::Duration;
use tagfleet_pipeline::usage::Requests;

use crate::meter::Meter;
use crate::signed::Signed;

/// Tries of one request in all; at most five, for a shard that fails comes again anyway.
pub(crate) const MAX_ATTEMPTS: u32 = 5;
/// Tries of a request about messages; their pauses, which double up to 20 s, take [`OUTAGE`] together.
const MAX_QUEUE_ATTEMPTS: u32 = 36;
/// How long a queue may be out of reach.
const OUTAGE: Duration = Duration::from_secs(300);
/// How long a connection may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a service may take from a request to its answer's first byte, unless it is told otherwise; S3 takes a tenth
/// of a second.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// So many times longer where the request is an upload, whose bytes have to go out first: 64 MiB in 300 s are 1.8 Mbit/s.
const OF_UPLOAD: u32 = 10;

/// What a user may say instead of what the environment says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A profile of the AWS configuration files.
    pub profile: Option<String>,
    /// A region, `eu-central-1`.
    pub region: Option<String>,
    /// Where every service is, instead of AWS's own endpoints; buckets are then addressed by path.
    pub endpoint_url: Option<String>,
    /// How long a service may take to begin its answer, a queue's long poll not counted; 30 s where nothing is said.
    pub answer_time: Option<Duration>,
}

/// Clients of the services that a run needs, with one configuration.
#[derive(Clone, Debug)]
pub struct Aws {
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) states: aws_sdk_sfn::Client,
    pub(crate) signed: Signed,
    meter: Meter,
    region: Option<String>,
}

/// TLS of every connection.
pub(crate) fn tls_provider() -> Provider {
    Provider::Rustls(CryptoMode::Ring)
}

/// What differs in requests about the messages of a queue: nobody makes them again, and a worker without its queue ends. So
/// they outlast what takes minutes, as a shard's requests to S3 do.
pub(crate) fn of_messages(client: &aws_sdk_sqs::Client) -> aws_sdk_sqs::Client {
    let retries = RetryConfig::adaptive().with_max_attempts(MAX_QUEUE_ATTEMPTS);
    let timeouts =
        client.config().timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
    let timeouts = timeouts.operation_timeout(OUTAGE).build();
    let config = client.config().to_builder().retry_config(retries).timeout_config(timeouts).build();
    aws_sdk_sqs::Client::from_conf(config)
}

/// What differs in a request to S3 that carries an object.
pub(crate) fn of_upload(client: &aws_sdk_s3::Client) -> aws_sdk_s3::config::Builder {
    let time = answer_time(client.config().timeout_config()) * OF_UPLOAD;
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts(time))
}

/// What differs in a request to SQS that is answered late on purpose.
pub(crate) fn of_long_poll(client: &aws_sdk_sqs::Client, wait: Duration) -> aws_sdk_sqs::config::Builder {
    let time = answer_time(client.config().timeout_config()) + wait;
    aws_sdk_sqs::config::Builder::new().timeout_config(timeouts(time))
}

fn answer_time(timeouts: Option<&TimeoutConfig>) -> Duration {
    timeouts.and_then(TimeoutConfig::read_timeout).unwrap_or(ANSWER_TIME)
}

fn timeouts(answer_time: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(answer_time).build()
}

impl Aws {
    /// Reads the configuration: `options` first, then the environment, then the configuration files, then the machine.
    pub async fn new(options: &Options) -> Self {
        Self::from_config(&Self::loader(options).load().await)
    }

    fn loader(options: &Options) -> ConfigLoader {
        let client = aws_smithy_http_client::Builder::new().tls_provider(tls_provider()).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(client)
            .retry_config(RetryConfig::adaptive().with_max_attempts(MAX_ATTEMPTS))
            .timeout_config(timeouts(options.answer_time.unwrap_or(ANSWER_TIME)));
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint_url) = &options.endpoint_url {
            loader = loader.endpoint_url(endpoint_url);
        }
        loader
    }

    /// The same with credentials that open nothing, for an emulator.
    #[doc(hidden)]
    pub async fn for_tests(options: &Options) -> Self {
        let credentials = aws_sdk_s3::config::Credentials::for_tests();
        let loader = Self::loader(options).credentials_provider(credentials);
        Self::from_config(&loader.load().await)
    }

    /// The same over a client whose answers are made up, by a clock of its own.
    #[cfg(test)]
    pub(crate) fn made_up(
        client: impl aws_smithy_runtime_api::client::http::HttpClient + 'static,
        clock: impl aws_smithy_async::time::TimeSource + 'static,
    ) -> Self {
        let credentials = aws_sdk_s3::config::Credentials::for_tests();
        let config = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::adaptive().with_max_attempts(MAX_ATTEMPTS))
            .http_client(client)
            .time_source(clock)
            .build();
        Self::from_config(&config)
    }

    /// The region of every request; none where nothing says one.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// What these clients have sent so far, and all that are clones of them.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.meter.requests()
    }

    pub(crate) fn from_config(config: &SdkConfig) -> Self {
        // Buckets have host names of their own on AWS only.
        let by_path = config.endpoint_url().is_some();
        let meter = Meter::default();
        let s3 = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(by_path)
            .interceptor(meter.clone())
            .build();
        let sqs = aws_sdk_sqs::config::Builder::from(config).interceptor(meter.clone()).build();
        let states = aws_sdk_sfn::config::Builder::from(config).interceptor(meter.clone()).build();
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            states: aws_sdk_sfn::Client::from_conf(states),
            signed: Signed::new(config, meter.clone()),
            meter,
            region: config.region().map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod timeout_tests;
