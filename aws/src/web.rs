//! Downloads over HTTPS without a signature: a model's files from a hub or a web server.
//!
//! They are part of this crate because it has the way out of the machine: the same certificates, proxies and
//! TLS hold for every request. It sends one only if a caller asks for an address. It follows redirects, but
//! never from HTTPS to HTTP, and gives a token to the first host only. It never tries again.

mod url;

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use thiserror::Error;

use crate::cause::cause;
use crate::transport::{CONNECT_TIMEOUT, Network, SetupError};
pub use url::{InvalidUrl, Url};

/// How long the start of an answer, or the next piece of its body, may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Redirects of one download: hubs need two.
const MOST_REDIRECTS: usize = 8;
const USER_AGENT: &str = concat!("tagfleet/", env!("CARGO_PKG_VERSION"));

/// A client for downloads.
#[derive(Clone, Debug)]
pub struct Web {
    connector: SharedHttpConnector,
}

/// A download that failed. It shows no query, which may be a signature.
#[derive(Clone, Debug, Error)]
#[error("{address}: {detail}")]
pub struct WebError {
    address: String,
    detail: String,
}

/// An answer, of which the body is still to be read.
#[derive(Debug)]
pub struct WebAnswer {
    /// The status code of the last answer.
    pub status: u16,
    /// The length of the body, if it is known.
    pub length: Option<u64>,
    address: Url,
    /// Of each answer of the host that was asked first, in order.
    headers: Vec<Headers>,
    body: ByteStream,
}

impl Web {
    /// Reads the environment's proxies and certificates.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn new() -> Result<Self, SetupError> {
        let settings = HttpConnectorSettings::builder();
        let settings = settings.connect_timeout(CONNECT_TIMEOUT).read_timeout(PATIENCE).build();
        Ok(Self { connector: Network::new(None)?.connector(&settings) })
    }

    /// Asks for an address and follows redirects; `token` is sent to its own host only.
    ///
    /// # Errors
    /// If no answer comes, or a redirect leads nowhere. A status of 400 or more is an answer.
    pub async fn get(&self, address: &Url, token: Option<&str>) -> Result<WebAnswer, WebError> {
        let (mut at, mut headers) = (address.clone(), Vec::new());
        for _ in 0..=MOST_REDIRECTS {
            let is_first_host = at.origin() == address.origin();
            let response = self.send(&at, token.filter(|_| is_first_host)).await?;
            if is_first_host {
                headers.push(response.headers().clone());
            }
            let Some(location) = redirect(&response) else {
                let status = response.status().as_u16();
                let length = response.headers().get("content-length").and_then(|length| length.parse().ok());
                let body = ByteStream::new(response.into_body());
                return Ok(WebAnswer { status, length, address: address.clone(), headers, body });
            };
            let refused = || failed(address, "it redirects to what is not an HTTPS address");
            at = at.join(&location).ok_or_else(refused)?;
        }
        Err(failed(address, "it redirects too often"))
    }

    async fn send(&self, at: &Url, token: Option<&str>) -> Result<HttpResponse, WebError> {
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(at.to_string()).map_err(|error| failed(at, cause(&error)))?;
        let headers = request.headers_mut();
        headers.insert("user-agent", USER_AGENT);
        // The length and the hash are those of the file, so it must come as it is.
        headers.insert("accept-encoding", "identity");
        if let Some(token) = token {
            let value = format!("Bearer {token}");
            headers
                .try_insert("authorization", value)
                .map_err(|_| failed(at, "the token has characters that a header cannot have"))?;
        }
        self.connector.call(request).await.map_err(|error| failed(at, cause(&error)))
    }
}

impl WebAnswer {
    /// A header of the host that was asked; of several answers the first that has it. What other hosts send
    /// does not count.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|headers| headers.get(name))
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// If the connection breaks, or nothing comes for a while.
    pub async fn next(&mut self) -> Result<Option<Bytes>, WebError> {
        match tokio::time::timeout(PATIENCE, self.body.next()).await {
            Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
            Ok(Some(Err(error))) => Err(failed(&self.address, cause(&error))),
            Ok(None) => Ok(None),
            Err(_) => Err(failed(&self.address, "the download has stalled")),
        }
    }

    /// The whole body, of at most `most` bytes.
    ///
    /// # Errors
    /// Those of [`WebAnswer::next`]; if it is longer.
    pub async fn bytes(mut self, most: u64) -> Result<Vec<u8>, WebError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            if whole.len() as u64 + piece.len() as u64 > most {
                return Err(failed(&self.address, format!("it has more than {most} bytes")));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

/// Where an answer leads to.
fn redirect(response: &HttpResponse) -> Option<String> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    response.headers().get("location").filter(|_| is_redirect).map(str::to_owned)
}

fn failed(address: &Url, detail: impl Into<String>) -> WebError {
    WebError { address: address.without_query(), detail: detail.into() }
}
