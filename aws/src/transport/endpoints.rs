//! Where each service is: AWS's own endpoint, or the one that the user configured.
//!
//! The SDK's clients find `AWS_ENDPOINT_URL_S3` and a profile's `services` section by themselves. Requests
//! that this crate signs, and the way buckets are addressed, need the same answer. It makes no request.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

/// S3's id in the settings of services.
const S3: &str = "S3";

/// The configured endpoints.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    /// Given by an option, or for all services.
    url: Option<String>,
    /// An option comes before what is configured for one service.
    is_option: bool,
    services: Option<Arc<Configured>>,
}

/// The environment and the profile, as the SDK read them.
#[derive(Debug)]
struct Configured(SdkConfig);

impl Endpoints {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self {
            url: config.endpoint_url().map(str::to_owned),
            is_option: config.get_origin("endpoint_url").is_client_config(),
            services: Some(Arc::new(Configured(config.clone()))),
        }
    }

    /// The configured URL of a service, by its id in AWS's models: `CloudFormation`, `SESv2`.
    pub(crate) fn of(&self, service: &str) -> Option<String> {
        if self.is_option {
            return self.url.clone();
        }
        let key =
            ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url");
        let configured =
            key.build().ok().and_then(|key| self.services.as_ref()?.0.service_config()?.load_config(key));
        configured.or_else(|| self.url.clone())
    }

    /// True if a bucket's name is in the path of a URL, not in the host's name: as in the AWS CLI, for
    /// endpoints other than AWS's own, unless the profile's `addressing_style` overrides it.
    pub(crate) fn are_buckets_in_paths(&self, style: Option<&str>) -> bool {
        match style {
            Some("path") => true,
            Some("virtual") => false,
            _ => self.of(S3).is_some(),
        }
    }
}
