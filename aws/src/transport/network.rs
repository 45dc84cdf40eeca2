//! The way to AWS: whose certificates are trusted, and through which proxy a request goes.
//!
//! As in the AWS CLI: `AWS_CA_BUNDLE`, `ca_bundle` or `REQUESTS_CA_BUNDLE` replaces the system's
//! certificates; `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` choose the proxy. The addresses at which a
//! machine gives out credentials are link-local, so no proxy is asked for them. It makes no request by
//! itself.

use std::fs;
use std::sync::Arc;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject};

use super::profile::Profiles;
use super::proxies::Proxies;
use super::setup::SetupError;

/// The settings that name a file of certificates, as in the AWS CLI; the profile's `ca_bundle` comes after
/// the first.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
const REQUESTS_CA_BUNDLE: &str = "REQUESTS_CA_BUNDLE";
/// More than any bundle of certificates: Mozilla's has 0.2 MB.
const MAX_BUNDLE_BYTES: u64 = 16 << 20;

/// How requests leave this machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    tls: TlsContext,
    proxies: Arc<Proxies>,
}

impl Network {
    /// Reads the environment, and the bundle if one is named there or in the profile.
    ///
    /// # Errors
    /// If the bundle or a proxy's address cannot be used.
    pub(crate) fn new(profiles: Option<&Profiles>) -> Result<Self, SetupError> {
        let mut context = TlsContext::builder();
        if let Some(bundle) = bundle(profiles) {
            context =
                context.with_trust_store(TrustStore::empty().with_pem_certificate(certificates(&bundle)?));
        }
        let tls = context.build().map_err(|error| SetupError::new("TLS cannot be set up").because(&error))?;
        Ok(Self { tls, proxies: Arc::new(Proxies::from_environment()?) })
    }

    /// The system's certificates and no proxy, for an emulator.
    pub(crate) fn direct() -> Self {
        Self::default()
    }

    /// A client for the SDK, which keeps connections.
    pub(crate) fn client(&self) -> SharedHttpClient {
        let (direct, proxied) = (self.clone(), self.clone());
        let direct = Builder::new()
            .build_with_connector_fn(move |settings, _| direct.plain(settings, ProxyConfig::disabled()));
        let proxied = Builder::new()
            .build_with_connector_fn(move |settings, _| proxied.plain(settings, ProxyConfig::from_env()));
        SharedHttpClient::new(RoutedClient { direct, proxied, proxies: Arc::clone(&self.proxies) })
    }

    /// A connector for requests that are signed here.
    pub(crate) fn connector(&self, settings: &HttpConnectorSettings) -> SharedHttpConnector {
        let direct = SharedHttpConnector::new(self.plain(Some(settings), ProxyConfig::disabled()));
        let proxied = SharedHttpConnector::new(self.plain(Some(settings), ProxyConfig::from_env()));
        SharedHttpConnector::new(Routed { direct, proxied, proxies: Arc::clone(&self.proxies) })
    }

    fn plain(&self, settings: Option<&HttpConnectorSettings>, proxy: ProxyConfig) -> Connector {
        let mut builder = Connector::builder().proxy_config(proxy);
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(aws_smithy_async::rt::sleep::default_async_sleep());
        builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(self.tls.clone()).build()
    }
}

/// Two clients, of which each request takes one.
#[derive(Clone, Debug)]
struct RoutedClient {
    direct: SharedHttpClient,
    proxied: SharedHttpClient,
    proxies: Arc<Proxies>,
}

impl HttpClient for RoutedClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Routed {
            direct: self.direct.http_connector(settings, components),
            proxied: self.proxied.http_connector(settings, components),
            proxies: Arc::clone(&self.proxies),
        })
    }
}

/// Two connectors, of which each request takes one.
#[derive(Clone, Debug)]
struct Routed {
    direct: SharedHttpConnector,
    proxied: SharedHttpConnector,
    proxies: Arc<Proxies>,
}

impl HttpConnector for Routed {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if self.proxies.are_asked_for(request.uri()) {
            self.proxied.call(request)
        } else {
            self.direct.call(request)
        }
    }
}

fn bundle(profiles: Option<&Profiles>) -> Option<CaBundle> {
    let variable = |name: &'static str| {
        let path = std::env::var(name).ok().filter(|path| !path.is_empty())?;
        Some(CaBundle { setting: name, path })
    };
    let profile = || Some(CaBundle { setting: "ca_bundle", path: profiles?.get("ca_bundle")?.to_owned() });
    variable(CA_BUNDLE).or_else(profile).or_else(|| variable(REQUESTS_CA_BUNDLE))
}

/// A file and the setting that names it.
struct CaBundle {
    setting: &'static str,
    path: String,
}

/// The certificates of a bundle, in PEM.
fn certificates(bundle: &CaBundle) -> Result<Vec<u8>, SetupError> {
    let CaBundle { setting, path } = bundle;
    let unreadable = |error: &dyn std::error::Error| {
        SetupError::new(format!("{setting}: {path} cannot be read: name a file of PEM certificates"))
            .because(error)
    };
    let size = fs::metadata(path).map_err(|error| unreadable(&error))?.len();
    if size > MAX_BUNDLE_BYTES {
        return Err(SetupError::new(format!(
            "{setting}: {path} has {size} bytes: name a file of PEM certificates"
        )));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(&error))?;
    let pem = usable(&bytes).map_err(|error| unreadable(&error))?;
    if pem.is_empty() {
        return Err(SetupError::new(format!(
            "{setting}: {path} has no certificate that can be used: name a file of PEM certificates"
        )));
    }
    Ok(pem)
}

/// The certificates that rustls can use, in PEM. It reads X.509 of version 3 only, and old bundles also hold
/// others.
fn usable(bundle: &[u8]) -> Result<Vec<u8>, pem::Error> {
    let mut roots = RootCertStore::empty();
    let mut text = String::new();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        let certificate = certificate?;
        if roots.add(certificate.clone()).is_ok() {
            let encoded = BASE64_STANDARD.encode(&certificate);
            text.push_str(&format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n"));
        }
    }
    Ok(text.into_bytes())
}
