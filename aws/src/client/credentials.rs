//! One identity for all requests of a process: found once, kept, and renewed before it expires.
//!
//! The SDK's chain finds it, as in the AWS CLI: a profile that an option names comes before keys in the
//! environment. If it finds none, the error is one sentence with the remedy for this kind of profile. It
//! never logs a credential.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tokio::sync::Mutex as AsyncMutex;

use crate::transport::{Login, Profiles, SetupError, layers};

/// Credentials are renewed this long before they expire; the SDK's own clients ask 10 seconds before.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// The region for assuming a role if none is set, as in the AWS CLI: STS answers for all regions there.
const STS_REGION: &str = "us-east-1";

/// The identity of this process.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    source: SharedCredentialsProvider,
    profiles: Arc<Profiles>,
    kept: Arc<AsyncMutex<Option<Credentials>>>,
    /// Why the last try failed, for [`Identity::check`].
    failure: Arc<Mutex<Option<SetupError>>>,
}

/// What a chain of credentials is made of.
pub(crate) struct Source<'a> {
    /// The profile that an option names.
    pub(crate) profile: Option<&'a str>,
    pub(crate) http: &'a SharedHttpClient,
    pub(crate) region: Option<&'a Region>,
}

impl Source<'_> {
    /// The SDK's chain. A profile that an option names comes first and then the machine, as in the AWS CLI;
    /// keys in the environment are then not looked at.
    pub(crate) async fn chain(&self) -> SharedCredentialsProvider {
        let region = self.region.cloned().unwrap_or(Region::from_static(STS_REGION));
        let config = ProviderConfig::without_region()
            .with_region(Some(region.clone()))
            .with_http_client(self.http.clone());
        let Some(name) = self.profile else {
            let chain = DefaultCredentialsChain::builder().configure(config).region(region).build().await;
            return SharedCredentialsProvider::new(chain);
        };
        let profile = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(name).build();
        let container = EcsCredentialsProvider::builder().configure(&config).build();
        let instance = ImdsCredentialsProvider::builder().configure(&config).build();
        SharedCredentialsProvider::new(
            CredentialsProviderChain::first_try("Profile", profile)
                .or_else("EcsContainer", container)
                .or_else("Ec2InstanceMetadata", instance),
        )
    }
}

impl Identity {
    pub(crate) fn new(source: SharedCredentialsProvider, profiles: Profiles) -> Self {
        Self { source, profiles: Arc::new(profiles), kept: Arc::default(), failure: Arc::default() }
    }

    /// Finds credentials now.
    ///
    /// # Errors
    /// If there are none; the sentence explains how to log in.
    pub(crate) async fn check(&self) -> Result<(), SetupError> {
        let Err(error) = self.credentials().await else { return Ok(()) };
        let known = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(known.unwrap_or_else(|| SetupError::new("no AWS credentials were found").because(&error)))
    }

    async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let mut kept = self.kept.lock().await;
        if let Some(credentials) = kept.as_ref().filter(|credentials| is_fresh(credentials)) {
            return Ok(credentials.clone());
        }
        match self.find().await {
            Ok(credentials) => {
                *kept = Some(credentials.clone());
                Ok(credentials)
            }
            Err(why) => {
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
                Err(CredentialsError::provider_error(why))
            }
        }
    }

    async fn find(&self) -> Result<Credentials, SetupError> {
        if let Some(profile) = self.profiles.asking_for_mfa().filter(|_| self.is_by_profile()) {
            return Err(mfa_needed(profile, self.profiles.name()));
        }
        self.source.provide_credentials().await.map_err(|error| self.explain(&error))
    }

    /// True if the profile gives the credentials, and not keys in the environment.
    fn is_by_profile(&self) -> bool {
        let has_keys = std::env::var_os("AWS_ACCESS_KEY_ID").is_some_and(|key| !key.is_empty());
        self.profiles.is_explicit || !has_keys
    }

    fn explain(&self, error: &CredentialsError) -> SetupError {
        let messages = layers(error).join(": ");
        let source = self.profiles.source();
        let name = source.name();
        let login = if self.is_by_profile() { source.login() } else { Login::Other };
        let message = match (login, outage(&messages)) {
            (Login::Sso | Login::Console, Some(outage)) => {
                format!(
                    "the login service of profile {name:?} cannot be reached ({outage}): check the network and its region"
                )
            }
            (Login::Sso, None) if messages.contains("Forbidden") || messages.contains("No access") => {
                format!(
                    "the SSO login of profile {name:?} may not use its role: check sso_account_id and sso_role_name"
                )
            }
            (Login::Sso, None) => {
                format!(
                    "the SSO login of profile {name:?} is missing or has expired: run `aws sso login --profile {name}`"
                )
            }
            (Login::Console, None) => {
                format!(
                    "the login of profile {name:?} is missing or has expired: run `aws login --profile {name}`"
                )
            }
            (Login::Process, _) => {
                format!(
                    "the credential_process of profile {name:?} gave no credentials: run it yourself to see why"
                )
            }
            (Login::Role(role), _) => {
                format!("the role {role} of profile {name:?} could not be assumed: {}", innermost(error))
            }
            (Login::Other, _) => self.without_login(error),
        };
        SetupError::new(message).because(error)
    }

    fn without_login(&self, error: &CredentialsError) -> String {
        if let Login::Role(role) = self.profiles.login() {
            let name = self.profiles.name();
            return format!("the role {role} of profile {name:?} could not be assumed: {}", innermost(error));
        }
        match error {
            CredentialsError::CredentialsNotLoaded(_) => {
                "no AWS credentials: run `aws configure` or `aws sso login`, pass --profile, or read a public bucket with --no-sign-request".to_owned()
            }
            _ => format!("the AWS credentials cannot be read: {}", innermost(error)),
        }
    }
}

impl ProvideCredentials for Identity {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

fn is_fresh(credentials: &Credentials) -> bool {
    credentials.expiry().is_none_or(|expiry| SystemTime::now() + RENEWED_BEFORE < expiry)
}

fn mfa_needed(profile: &str, selected: &str) -> SetupError {
    SetupError::new(format!(
        "profile {profile:?} wants an MFA code (mfa_serial), and tagfleet cannot ask for one: run `eval \"$(aws configure export-credentials --profile {selected} --format env)\"`, then run this again without --profile"
    ))
}

fn innermost(error: &CredentialsError) -> String {
    layers(error).pop().unwrap_or_default()
}

/// Why no answer came, if none came.
fn outage(messages: &str) -> Option<&'static str> {
    let known = [
        ("failed to lookup address", "its host name is unknown"),
        ("Connection refused", "connection refused"),
        ("timed out", "timeout"),
        ("timeout", "timeout"),
        ("UnknownIssuer", "its certificate is not trusted"),
        ("dispatch failure", "no connection"),
    ];
    known.into_iter().find_map(|(text, why)| messages.contains(text).then_some(why))
}
