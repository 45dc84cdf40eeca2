//! HTTP as the tests speak it: plain requests to the emulator, and what the servers of this crate share.
//!
//! Requests go past the AWS SDKs, so that a test sees what AWS returns. They carry the name of a role, and no
//! valid signature, because the emulator checks none.

use std::io::Cursor;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tiny_http::{Header, Response};
use ureq::Agent;
use ureq::http::Request;

/// The name under which the tests call. The emulator does not record its calls.
const PRINCIPAL: &str = "test";

/// What an object's key keeps in a path.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A service's answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a UTF-8 answer")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If the answer is an error or is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let text = self.text();
        assert!(self.status < 300, "{} {text}", self.status);
        serde_json::from_str(&text).expect("a JSON answer")
    }
}

/// Sends requests to one address, each over its own connection.
#[derive(Debug, Clone)]
pub struct Client {
    address: String,
    principal: String,
    agent: Agent,
}

impl Client {
    /// A client of `HOST:PORT`.
    #[must_use]
    pub fn new(address: &str) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None);
        let agent = config.max_idle_connections(0).build().into();
        Self { address: address.to_owned(), principal: PRINCIPAL.to_owned(), agent }
    }

    /// A client that calls as a role. The emulator records and judges the calls of roles.
    #[must_use]
    pub fn with_role(&self, role: &str) -> Self {
        Self { principal: role.to_owned(), ..self.clone() }
    }

    /// The address as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a request to a service; `line` is the method and the path: `GET /bucket/key`.
    ///
    /// # Panics
    /// If the request is not valid HTTP, nothing listens, or the answer is not HTTP.
    #[must_use]
    pub fn send(&self, service: &str, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let scope = format!("{}/20260101/us-east-1/{service}/aws4_request", self.principal);
        let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url()));
        for (name, value) in headers.iter().chain(&[("Authorization", signature.as_str())]) {
            request = request.header(*name, *value);
        }
        let answer = self.agent.run(request.body(body).expect("a valid request"));
        let mut answer = answer.expect("the service answers");
        let body = answer.body_mut().with_config().limit(u64::MAX).read_to_vec().expect("a whole answer");
        Answer { status: answer.status().as_u16(), body }
    }

    /// Calls an operation of a service that speaks JSON by target (`AmazonSQS.CreateQueue`).
    ///
    /// # Panics
    /// If the service refuses.
    #[must_use]
    pub fn call(&self, service: &str, target: &str, request: &Value) -> Value {
        let headers = [("X-Amz-Target", target), ("Content-Type", "application/x-amz-json-1.0")];
        self.send(service, "POST /", &headers, request.to_string().as_bytes()).json()
    }

    /// Posts JSON to a path.
    ///
    /// # Panics
    /// If the service refuses.
    #[must_use]
    pub fn post(&self, service: &str, path: &str, request: &Value) -> Value {
        let headers = [("Content-Type", "application/json")];
        self.send(service, &format!("POST {path}"), &headers, request.to_string().as_bytes()).json()
    }

    /// Gets JSON from a path.
    ///
    /// # Panics
    /// If the service refuses.
    #[must_use]
    pub fn get(&self, service: &str, path: &str) -> Value {
        self.send(service, &format!("GET {path}"), &[], b"").json()
    }
}

/// A value of a query or a form: everything but letters and digits is percent-encoded.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// An object's key as a path.
#[must_use]
pub fn encode_key(key: &str) -> String {
    utf8_percent_encode(key, KEY).to_string()
}

/// A response with a `Content-Length`, as S3 sends it. `tiny_http` would send a long body in chunks.
pub(crate) fn response(status: u16, body: impl Into<Vec<u8>>) -> Response<Cursor<Vec<u8>>> {
    Response::from_data(body).with_status_code(status).with_chunked_threshold(usize::MAX)
}

/// A header of a response.
pub(crate) fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("a header in ASCII")
}
