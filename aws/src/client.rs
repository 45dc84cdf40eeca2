//! Configuration as in the AWS CLI: credentials, profile, region, endpoints, certificates, proxies.
//!
//! Requests are retried in the SDK's adaptive mode: throttling (503 SlowDown) lowers this process's request
//! rate, and success raises it again. Every attempt is counted. Every service has to answer in time, because
//! a connection may be lost silently. The SDK's stalled-stream protection ends a body that stops coming.
//! Nothing in it makes a request.

mod credentials;
mod payer;
mod regions;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use tagfleet_cost::usage::Requests;

use crate::meter::Meter;
use crate::signed::RawClient;
pub use crate::transport::SetupError;
use crate::transport::{CONNECT_TIMEOUT, Endpoints, MAX_ATTEMPTS, Network, Profiles};
use credentials::{Identity, Source};
use payer::RequesterPays;

/// Attempts of a request about messages; their pauses, which double up to 20 s, take [`OUTAGE`] together.
const MAX_QUEUE_ATTEMPTS: u32 = 36;
/// How long a queue may be out of reach.
const OUTAGE: Duration = Duration::from_secs(300);
/// Default time limit of a service from a request to its answer's first byte; S3 takes a tenth of a second.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// S3's first region if none is set: its answer names the region of the bucket.
const ANY_REGION: &str = "us-east-1";
/// The factor on [`ANSWER_TIME`] for an upload, whose bytes go out first: 64 MiB in 300 s are 1.8 Mbit/s.
const UPLOAD_FACTOR: u32 = 10;

/// Options of a user that override the environment.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A profile of the AWS configuration files.
    pub profile: Option<String>,
    /// A region, `eu-central-1`.
    pub region: Option<String>,
    /// The address of every service, instead of AWS's own endpoints; buckets are then addressed by path.
    pub endpoint_url: Option<String>,
    /// Time limit of a service for the start of its answer, a queue's long poll not counted; 30 s by default.
    pub answer_time: Option<Duration>,
    /// Send requests without a signature, for public buckets.
    pub is_anonymous: bool,
    /// Accept the cost of requests to buckets whose owner makes the requester pay.
    pub requester_pays: bool,
}

/// Clients of the services that a run needs, with one configuration.
#[derive(Clone, Debug)]
pub struct Aws {
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) states: aws_sdk_sfn::Client,
    pub(crate) batch: aws_sdk_batch::Client,
    pub(crate) signed: RawClient,
    /// None for requests without a signature.
    identity: Option<Identity>,
    meter: Meter,
    region: Option<String>,
}

/// A client for requests about the messages of a queue. They outlast disturbances of minutes, as a shard's
/// requests to S3 do, because no caller repeats them, and a worker without its queue ends.
pub(crate) fn of_messages(client: &aws_sdk_sqs::Client) -> aws_sdk_sqs::Client {
    let retries = RetryConfig::adaptive().with_max_attempts(MAX_QUEUE_ATTEMPTS);
    let timeouts =
        client.config().timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
    let timeouts = timeouts.operation_timeout(OUTAGE).build();
    let config = client.config().to_builder().retry_config(retries).timeout_config(timeouts).build();
    aws_sdk_sqs::Client::from_conf(config)
}

/// Overrides for a request to S3 that carries an object.
pub(crate) fn of_upload(client: &aws_sdk_s3::Client) -> aws_sdk_s3::config::Builder {
    let time = answer_time(client.config().timeout_config()) * UPLOAD_FACTOR;
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts(time))
}

/// Overrides for a request to SQS that is answered late on purpose.
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
    /// Reads the configuration: `options` first, then the environment, then the configuration files, then the
    /// machine. Credentials are found with the first request that needs them; see [`Aws::log_in`].
    ///
    /// # Errors
    /// If the configuration cannot be used: a profile that does not exist, a bundle of certificates that
    /// cannot be read.
    pub async fn new(options: &Options) -> Result<Self, SetupError> {
        let profiles = Profiles::load(options.profile.as_deref()).await?;
        let network = Network::new(Some(&profiles))?;
        let http = network.client();
        // The loader's own chain would take keys of the environment before a profile that an option names.
        let config = Self::loader(options).http_client(http.clone()).no_credentials().load().await;
        check_region(&config)?;
        let source = Source { profile: options.profile.as_deref(), http: &http, region: config.region() };
        let source = if options.is_anonymous { None } else { Some(source.chain().await) };
        let style = profiles.s3_setting("addressing_style").map(str::to_owned);
        let identity = source.map(|source| Identity::new(source, profiles));
        let config = match &identity {
            Some(identity) => {
                let shared = SharedCredentialsProvider::new(identity.clone());
                config.into_builder().credentials_provider(shared).build()
            }
            None => config,
        };
        let parts = Parts { network, identity, style, requester_pays: options.requester_pays };
        Ok(Self::from_parts(&config, parts))
    }

    /// Finds the credentials of all later requests.
    ///
    /// # Errors
    /// If there are none: one sentence that explains how to log in.
    pub async fn log_in(&self) -> Result<(), SetupError> {
        match &self.identity {
            Some(identity) => identity.check().await,
            None => Ok(()),
        }
    }

    fn loader(options: &Options) -> ConfigLoader {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
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

    /// Clients with credentials that open nothing, for an emulator.
    #[doc(hidden)]
    pub async fn for_tests(options: &Options) -> Self {
        let credentials = aws_sdk_s3::config::Credentials::for_tests();
        let network = Network::direct();
        let loader = Self::loader(options).http_client(network.client()).credentials_provider(credentials);
        let parts = Parts { network, identity: None, style: None, requester_pays: options.requester_pays };
        Self::from_parts(&loader.load().await, parts)
    }

    /// Clients over a fake HTTP client, with a clock of their own.
    #[cfg(test)]
    pub(crate) fn with_fake_http(
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
        Self::over(&config)
    }

    /// Clients with the configuration of a test.
    #[cfg(test)]
    pub(crate) fn over(config: &SdkConfig) -> Self {
        Self::from_parts(config, Parts::default())
    }

    /// The region of every request; `None` if none is set.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// What these clients have sent so far, and all that are clones of them.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.meter.requests()
    }

    fn from_parts(config: &SdkConfig, parts: Parts) -> Self {
        let meter = Meter::default();
        let endpoints = Endpoints::new(config);
        let mut s3 = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(endpoints.are_buckets_in_paths(parts.style.as_deref()))
            .use_arn_region(true)
            .interceptor(meter.clone());
        if config.region().is_none() {
            s3 = s3.region(Region::new(ANY_REGION));
        }
        if parts.requester_pays {
            s3 = s3.interceptor(RequesterPays);
        }
        let sqs = aws_sdk_sqs::config::Builder::from(config).interceptor(meter.clone()).build();
        let states = aws_sdk_sfn::config::Builder::from(config).interceptor(meter.clone()).build();
        let batch = aws_sdk_batch::config::Builder::from(config).interceptor(meter.clone()).build();
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            states: aws_sdk_sfn::Client::from_conf(states),
            batch: aws_sdk_batch::Client::from_conf(batch),
            signed: RawClient::new(config, endpoints, parts.network, meter.clone()),
            identity: parts.identity,
            meter,
            region: config.region().map(ToString::to_string),
        }
    }
}

/// What clients are made of besides the SDK's configuration.
#[derive(Default)]
struct Parts {
    network: Network,
    identity: Option<Identity>,
    /// The profile's `addressing_style` for S3.
    style: Option<String>,
    requester_pays: bool,
}

/// Refuses a region that becomes part of host names and is not one.
fn check_region(config: &SdkConfig) -> Result<(), SetupError> {
    let Some(region) = config.region().map(Region::as_ref).filter(|_| config.endpoint_url().is_none()) else {
        return Ok(());
    };
    let parts: Vec<&str> = region.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match parts.split_last() {
        Some((last, words)) if words.len() >= 2 && words.iter().all(is_word) && is_number(last) => Ok(()),
        _ => {
            let meant = regions::of_place(region).map(|meant| format!("did you mean {meant}?"));
            let meant = meant.unwrap_or("regions look like eu-central-1 or us-east-1".to_owned());
            Err(SetupError::new(format!(
                "{region:?} is not an AWS region: {meant} (--region, AWS_REGION, or the profile's region)"
            )))
        }
    }
}

#[cfg(test)]
mod timeout_tests;
