//! The EC2 instance that this process runs on, as its metadata service reports it: its type, and its spot
//! interruption.
//!
//! IMDSv2 only, at the address of the service or `AWS_EC2_METADATA_SERVICE_ENDPOINT`; with
//! `AWS_EC2_METADATA_DISABLED` set to `true` it sends no request. It never decides what a notice means for a
//! worker.

use std::time::{Duration, SystemTime};

use aws_config::imds::client::error::ImdsError;
use aws_config::imds::client::{Client, SensitiveString};
use aws_config::provider_config::ProviderConfig;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use serde::Deserialize;
use tagfleet_cost::usage::Machine;
use thiserror::Error;

use crate::cause::cause;

const IDENTITY: &str = "/latest/dynamic/instance-identity/document";
const LIFE_CYCLE: &str = "/latest/meta-data/instance-life-cycle";
const INTERRUPTION: &str = "/latest/meta-data/spot/instance-action";
/// Tries of one request, of a second each if there is no answer.
const MAX_ATTEMPTS: u32 = 3;

/// The metadata service of this machine.
#[derive(Clone, Debug)]
pub struct MetadataService {
    client: Client,
}

/// What an instance is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// Its id, `i-0abc`.
    pub id: Option<String>,
    /// Its type, zone and life cycle.
    pub machine: Machine,
    /// When it was launched.
    pub launched: Option<SystemTime>,
}

/// The metadata service gave no answer, or one that cannot be read.
#[derive(Debug, Error)]
#[error("instance metadata: {path}: {detail}")]
pub struct MetadataError {
    path: &'static str,
    detail: String,
}

/// The fields of the identity document that are used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    instance_id: String,
    instance_type: String,
    availability_zone: String,
    pending_time: String,
}

#[derive(Deserialize)]
struct Action {
    time: String,
}

impl MetadataService {
    /// The service of this machine; `None` if `is_disabled`, the value of `AWS_EC2_METADATA_DISABLED`, is
    /// `true`. The first request shows whether it answers.
    #[must_use]
    pub fn new(is_disabled: Option<&str>) -> Option<Self> {
        if is_disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = ProviderConfig::without_region().with_http_client(http);
        Some(Self { client: Client::builder().configure(&config).max_attempts(MAX_ATTEMPTS).build() })
    }

    /// The instance of this process.
    ///
    /// # Errors
    /// If no metadata service answers: this is not an EC2 instance.
    pub async fn instance(&self) -> Result<Instance, MetadataError> {
        let document = self.get(IDENTITY).await?;
        let identity: Identity = parse(IDENTITY, document.as_ref())?;
        let life_cycle = self.get(LIFE_CYCLE).await?;
        let machine = Machine {
            instance_type: Some(identity.instance_type),
            zone: Some(identity.availability_zone),
            life_cycle: Some(life_cycle.as_ref().to_owned()),
        };
        let launched = Some(time(IDENTITY, &identity.pending_time)?);
        Ok(Instance { id: Some(identity.instance_id), machine, launched })
    }

    /// The time at which EC2 reclaims this machine; `None` without a spot interruption notice.
    ///
    /// # Errors
    /// If the service does not answer.
    pub async fn interruption(&self) -> Result<Option<SystemTime>, MetadataError> {
        let notice = match self.client.get(INTERRUPTION).await {
            Ok(notice) => notice,
            // There is no notice.
            Err(ImdsError::ErrorResponse(answer)) if answer.response().status().as_u16() == 404 => {
                return Ok(None);
            }
            Err(error) => return Err(failed(INTERRUPTION, &error)),
        };
        let action: Action = parse(INTERRUPTION, notice.as_ref())?;
        time(INTERRUPTION, &action.time).map(Some)
    }

    async fn get(&self, path: &'static str) -> Result<SensitiveString, MetadataError> {
        self.client.get(path).await.map_err(|error| failed(path, &error))
    }
}

fn failed(path: &'static str, error: &ImdsError) -> MetadataError {
    let detail = match error {
        ImdsError::ErrorResponse(answer) => format!("HTTP {}", answer.response().status().as_u16()),
        error => cause(error),
    };
    MetadataError { path, detail }
}

fn parse<'a, T: Deserialize<'a>>(path: &'static str, text: &'a str) -> Result<T, MetadataError> {
    serde_json::from_str(text).map_err(|error| MetadataError { path, detail: error.to_string() })
}

/// The time that `text` names, `2026-01-31T08:22:00Z`.
fn time(path: &'static str, text: &str) -> Result<SystemTime, MetadataError> {
    let invalid = || MetadataError { path, detail: format!("{text:?} is not a time") };
    let time = DateTime::from_str(text, DateTimeFormat::DateTime).map_err(|_| invalid())?;
    let seconds = u64::try_from(time.secs()).map_err(|_| invalid())?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_says_is_understood() {
        let text = r#"{"instanceId": "i-0a1", "instanceType": "c7g.xlarge", "availabilityZone": "eu-central-1a", "accountId": "1",
            "pendingTime": "2026-01-31T08:20:00Z"}"#;
        let identity: Identity = parse(IDENTITY, text).unwrap();
        assert_eq!(identity.instance_type, "c7g.xlarge");
        let launched = time(IDENTITY, &identity.pending_time).unwrap();
        let action: Action =
            parse(INTERRUPTION, r#"{"action":"terminate","time":"2026-01-31T08:22:00Z"}"#).unwrap();
        let taken = time(INTERRUPTION, &action.time).unwrap();
        assert_eq!(taken.duration_since(launched).unwrap(), Duration::from_secs(120));
        let error = time(INTERRUPTION, "soon").unwrap_err().to_string();
        assert_eq!(
            error,
            "instance metadata: /latest/meta-data/spot/instance-action: \"soon\" is not a time"
        );
    }

    #[test]
    fn a_disabled_service_is_none() {
        assert!(MetadataService::new(Some("True")).is_none());
        assert!(MetadataService::new(None).is_some());
    }
}
