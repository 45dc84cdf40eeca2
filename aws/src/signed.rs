//! Signed requests to services of which a run needs a call or two, so that no SDK crate of hundreds of
//! operations is built for them.
//!
//! Credentials, region, endpoint, TLS and signature are the SDK's own; calls follow the services' documented
//! protocols. Every attempt is counted. An answer is read up to a limit. It never logs, and an error repeats
//! only the service's message.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sqs::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tagfleet_pipeline::bucket::Kind;

use crate::Aws;
use crate::cause::cause;
use crate::error::{NO_CREDENTIALS, NO_REGION, ServiceError, describe, kind, plain_code};
use crate::meter::{Meter, body_of_request, body_of_response};
use crate::transport::{CONNECT_TIMEOUT, Endpoints, MAX_ATTEMPTS, Network};
use crate::xml::Element;

/// The most bytes of an answer: 4 MiB.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// How long an answer may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The wait before the second attempt; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The characters that a form and a path hold unencoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A service of AWS.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// What people call it.
    pub title: &'static str,
    /// Its `serviceId` in AWS's models, by which settings name it.
    pub id: &'static str,
    /// The first part of its host name.
    pub endpoint: &'static str,
    /// What requests are signed for.
    pub signing_name: &'static str,
    /// The version of a query service, or the prefix of a JSON service's targets; empty for a REST service.
    pub version: &'static str,
}

impl Service {
    /// Amazon SES, version 2: a REST service.
    pub const SES: Self =
        Self { title: "SES", id: "SESv2", endpoint: "email", signing_name: "ses", version: "" };
    /// AWS CloudFormation: a query service.
    pub const CLOUDFORMATION: Self = Self {
        title: "CloudFormation",
        id: "CloudFormation",
        endpoint: "cloudformation",
        signing_name: "cloudformation",
        version: "2010-05-15",
    };
    /// AWS Batch: a REST service.
    pub const BATCH: Self =
        Self { title: "Batch", id: "Batch", endpoint: "batch", signing_name: "batch", version: "" };
    /// Amazon EC2: a query service.
    pub const EC2: Self =
        Self { title: "EC2", id: "EC2", endpoint: "ec2", signing_name: "ec2", version: "2016-11-15" };
    /// Service Quotas: a JSON service.
    pub const SERVICE_QUOTAS: Self = Self {
        title: "Service Quotas",
        id: "Service Quotas",
        endpoint: "servicequotas",
        signing_name: "servicequotas",
        version: "ServiceQuotasV20190624",
    };
}

/// A call, as an error names it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The service.
    pub service: Service,
    /// The action as IAM spells it.
    pub action: &'a str,
    /// The resource that it is about.
    pub resource: &'a str,
}

impl Call<'_> {
    /// `ses:SendEmail`
    fn permission(&self) -> String {
        format!("{}:{}", self.service.signing_name, self.action)
    }

    pub(crate) fn fail(&self, kind: Kind, code: &str, detail: impl Into<String>) -> ServiceError {
        ServiceError {
            kind,
            service: self.service.title,
            action: self.action.to_owned(),
            resource: self.resource.to_owned(),
            code: code.to_owned(),
            detail: detail.into(),
        }
    }
}

/// Text as one piece of a path.
#[must_use]
pub fn path_piece(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// What signed requests need of a configuration.
#[derive(Clone, Debug)]
pub(crate) struct RawClient {
    credentials: Option<SharedCredentialsProvider>,
    region: Option<String>,
    endpoints: Endpoints,
    network: Network,
    meter: Meter,
    /// Made with the first request, because it reads the system's certificates.
    connector: Arc<OnceLock<SharedHttpConnector>>,
}

/// A request before it is signed: each try is signed again.
struct RawRequest {
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Aws {
    /// Calls a JSON service.
    ///
    /// # Errors
    /// See [`ServiceError`]; throttling and server errors were tried again.
    pub async fn json(&self, call: Call<'_>, body: &Value) -> Result<Value, ServiceError> {
        let target = format!("{}.{}", call.service.version, call.action);
        let headers =
            vec![("content-type", "application/x-amz-json-1.1".to_owned()), ("x-amz-target", target)];
        let url = self.signed.url(call, "/")?;
        let answer = self
            .signed
            .send(call, &RawRequest { method: "POST", url, headers, body: body.to_string() })
            .await?;
        json(call, &answer)
    }

    /// Calls a REST service that speaks JSON; `path` starts with `/`, see [`path_piece`].
    ///
    /// # Errors
    /// See [`ServiceError`]; throttling and server errors were tried again.
    pub async fn rest(
        &self,
        call: Call<'_>,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ServiceError> {
        let headers = vec![("content-type", "application/json".to_owned())];
        let url = self.signed.url(call, path)?;
        let body = body.map_or_else(String::new, Value::to_string);
        let answer = self.signed.send(call, &RawRequest { method, url, headers, body }).await?;
        if answer.is_empty() { Ok(Value::Null) } else { json(call, &answer) }
    }

    /// Calls a query service, which answers in XML.
    ///
    /// # Errors
    /// See [`ServiceError`]; throttling and server errors were tried again.
    pub async fn query(&self, call: Call<'_>, parameters: &[(&str, &str)]) -> Result<Element, ServiceError> {
        let mut body = format!("Action={}&Version={}", call.action, call.service.version);
        for (name, value) in parameters {
            body.push_str(&format!("&{}={}", path_piece(name), path_piece(value)));
        }
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        let url = self.signed.url(call, "/")?;
        let answer = self.signed.send(call, &RawRequest { method: "POST", url, headers, body }).await?;
        Element::parse(&answer)
            .map_err(|why| call.fail(Kind::Other, "", format!("invalid XML in the response: {why}")))
    }
}

fn json(call: Call<'_>, answer: &str) -> Result<Value, ServiceError> {
    serde_json::from_str(answer)
        .map_err(|error| call.fail(Kind::Other, "", format!("invalid JSON in the response: {error}")))
}

impl RawClient {
    pub(crate) fn new(config: &SdkConfig, endpoints: Endpoints, network: Network, meter: Meter) -> Self {
        Self {
            credentials: config.credentials_provider(),
            region: config.region().map(ToString::to_string),
            endpoints,
            network,
            meter,
            connector: Arc::default(),
        }
    }

    fn region(&self, call: Call<'_>) -> Result<&str, ServiceError> {
        let none = || call.fail(Kind::Denied, NO_REGION, "no AWS region: pass --region or set AWS_REGION");
        self.region.as_deref().ok_or_else(none)
    }

    fn url(&self, call: Call<'_>, path: &str) -> Result<String, ServiceError> {
        if let Some(endpoint) = self.endpoints.of(call.service.id) {
            return Ok(format!("{}{path}", endpoint.trim_end_matches('/')));
        }
        let region = self.region(call)?;
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        Ok(format!("https://{}.{region}.{domain}{path}", call.service.endpoint))
    }

    fn connector(&self) -> &SharedHttpConnector {
        self.connector.get_or_init(|| {
            let settings = HttpConnectorSettings::builder();
            let settings = settings.connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build();
            self.network.connector(&settings)
        })
    }

    /// Sends the request until it is answered, at most [`MAX_ATTEMPTS`] times.
    async fn send(&self, call: Call<'_>, unsigned: &RawRequest) -> Result<String, ServiceError> {
        let mut wait = FIRST_WAIT;
        let mut tries = 1;
        loop {
            match self.send_once(call, unsigned).await {
                Err(error) if error.kind == Kind::Temporary && tries < MAX_ATTEMPTS => {}
                answered => return answered,
            }
            tokio::time::sleep(wait).await;
            (tries, wait) = (tries + 1, wait * 2);
        }
    }

    async fn send_once(&self, call: Call<'_>, unsigned: &RawRequest) -> Result<String, ServiceError> {
        let request = self.sign(call, unsigned).await?;
        let counted = self.meter.sent(&call.permission(), body_of_request(&request));
        let sent = self.connector().call(request).await;
        let response = sent.map_err(|error| call.fail(Kind::Temporary, "", cause(&error)))?;
        self.meter.answered(&call.permission(), counted, body_of_response(&response));
        let status = response.status().as_u16();
        let error_type = response.headers().get("x-amzn-errortype").map(str::to_owned);
        let answer = read(call, response).await?;
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        Err(refused(call, status, error_type.as_deref(), &answer))
    }

    async fn sign(&self, call: Call<'_>, unsigned: &RawRequest) -> Result<HttpRequest, ServiceError> {
        let identity = self.credentials(call).await?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region(call)?)
            .name(call.service.signing_name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| call.fail(Kind::Other, "", cause(&error)))?;
        let headers = unsigned.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let body = SignableBody::Bytes(unsigned.body.as_bytes());
        let signable = SignableRequest::new(unsigned.method, &unsigned.url, headers, body);
        let signed = signable.and_then(|signable| sign(signable, &parameters.into()));
        let (instructions, _) =
            signed.map_err(|error| call.fail(Kind::Other, "", cause(&error)))?.into_parts();
        let mut request = HttpRequest::new(unsigned.body.as_str().into());
        let invalid = |error: &dyn std::error::Error| call.fail(Kind::Other, "", cause(error));
        request.set_method(unsigned.method).map_err(|error| invalid(&error))?;
        request.set_uri(unsigned.url.as_str()).map_err(|error| invalid(&error))?;
        for (name, value) in &unsigned.headers {
            request.headers_mut().insert(*name, value.clone());
        }
        for (name, value) in instructions.headers() {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        Ok(request)
    }

    async fn credentials(&self, call: Call<'_>) -> Result<Credentials, ServiceError> {
        let Some(provider) = &self.credentials else {
            return Err(call.fail(
                Kind::Denied,
                NO_CREDENTIALS,
                "this request needs credentials, and none are set",
            ));
        };
        let found = provider.provide_credentials().await;
        found.map_err(|error| call.fail(Kind::Denied, NO_CREDENTIALS, cause(&error)))
    }
}

async fn read(call: Call<'_>, response: HttpResponse) -> Result<String, ServiceError> {
    let mut body = ByteStream::new(response.into_body());
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| call.fail(Kind::Temporary, "", cause(&error)))?;
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            let detail = format!("the answer has more than {MAX_ANSWER_BYTES} bytes");
            return Err(call.fail(Kind::Other, "", detail));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| call.fail(Kind::Other, "", "the answer is not UTF-8"))
}

/// The error of a failed request: its code by header, JSON or XML, and its message.
fn refused(call: Call<'_>, status: u16, error_type: Option<&str>, answer: &str) -> ServiceError {
    let text = |value: &Value, names: [&str; 2]| {
        names.iter().find_map(|name| Some(value.get(name)?.as_str()?.to_owned()))
    };
    let (code, message) = match serde_json::from_str::<Value>(answer) {
        Ok(value) => (text(&value, ["__type", "code"]), text(&value, ["message", "Message"])),
        Err(_) => match Element::parse(answer) {
            Ok(root) => (Some(root.text_of("Code").to_owned()), Some(root.text_of("Message").to_owned())),
            Err(_) => (None, None),
        },
    };
    let code = plain_code(error_type.or(code.as_deref()).unwrap_or_default());
    call.fail(kind(Some(status), &code), &code, describe(Some(status), &code, message.as_deref()))
}

#[cfg(test)]
mod tests;
