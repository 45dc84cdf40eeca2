//! Plain HTTP requests to the emulator, signed well enough for it: no SDK stands between a test and what it asks.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// Who the tests are to the emulator, which records no call of theirs.
const PRINCIPAL: &str = "test";

/// An answer.
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
    /// Where it is no UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a UTF-8 answer")
    }

    /// The body as JSON, of an answer that is no error.
    ///
    /// # Panics
    /// Where it is an error or no JSON.
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
}

impl Client {
    /// A client of `HOST:PORT`.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), principal: PRINCIPAL.to_owned() }
    }

    /// The same in the name of a role, whose calls the emulator records and judges.
    #[must_use]
    pub fn in_the_name_of(&self, role: &str) -> Self {
        Self { principal: role.to_owned(), ..self.clone() }
    }

    /// Where it sends to, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a request to a service; `line` is method and path.
    ///
    /// # Panics
    /// Where nobody listens or the answer is no HTTP.
    #[must_use]
    pub fn send(&self, service: &str, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let scope = format!("20260101/us-east-1/{service}/aws4_request");
        let mut head = format!("{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        let credential = format!("{}/{scope}", self.principal);
        let signed = format!("Credential={credential}, SignedHeaders=host, Signature=0");
        let _ =
            write!(head, "Authorization: AWS4-HMAC-SHA256 {signed}\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(&self.address).expect("the emulator listens");
        stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        parse(&answer)
    }

    /// Calls an operation of a service that speaks JSON by target (`AmazonSQS.CreateQueue`).
    ///
    /// # Panics
    /// Where the service refuses.
    #[must_use]
    pub fn call(&self, service: &str, target: &str, request: &Value) -> Value {
        let headers = [("X-Amz-Target", target), ("Content-Type", "application/x-amz-json-1.0")];
        self.send(service, "POST /", &headers, request.to_string().as_bytes()).json()
    }

    /// Posts JSON to a path.
    ///
    /// # Panics
    /// Where the service refuses.
    #[must_use]
    pub fn post(&self, service: &str, path: &str, request: &Value) -> Value {
        let headers = [("Content-Type", "application/json")];
        self.send(service, &format!("POST {path}"), &headers, request.to_string().as_bytes()).json()
    }

    /// Gets JSON from a path.
    ///
    /// # Panics
    /// Where the service refuses.
    #[must_use]
    pub fn get(&self, service: &str, path: &str) -> Value {
        self.send(service, &format!("GET {path}"), &[], b"").json()
    }
}

fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = &answer[end + 4..];
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Answer { status, body: if chunked { joined(body) } else { body.to_vec() } }
}

/// The chunks of a body, joined.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|window| window == b"\r\n").expect("a chunk's size");
        let size = String::from_utf8_lossy(&body[..line]).into_owned();
        let size = usize::from_str_radix(&size, 16).expect("a chunk's size");
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[line + 2..line + 2 + size]);
        body = &body[line + 2 + size + 2..];
    }
}

/// Text with everything but letters, digits and `keep` percent-encoded.
#[must_use]
pub fn encode(text: &str, keep: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let character = char::from(byte);
        if character.is_ascii_alphanumeric() || keep.contains(character) {
            encoded.push(character);
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A request's head, its empty line included, and what came of the body with it.
///
/// # Errors
/// If the client closes the connection before the empty line, or it breaks.
pub fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}
