//! A fake of any service that speaks HTTP, on this machine: a test gives the reply to each request, and reads
//! the requests afterwards.
//!
//! It checks no signature. A request without a reply gets a 404, so that a test fails if it forgot one.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tiny_http::Server;

use crate::http::{header, response};

/// A request that the server received.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// The path with its query; a whole URL if the server is used as a proxy.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
}

impl Request {
    /// A header's value; empty if the request has none of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// The access key that signed it; empty for a request without a signature.
    #[must_use]
    pub fn access_key(&self) -> &str {
        let credential = self.header("authorization").split("Credential=").nth(1).unwrap_or_default();
        credential.split('/').next().unwrap_or_default()
    }
}

/// The reply to a request.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers. A `Content-Length` among them replaces the true one.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// A body that is not text; replaces `body` if it is not empty.
    pub file: Vec<u8>,
}

impl Reply {
    /// 200 with a body.
    #[must_use]
    pub fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    /// An error in S3's form.
    #[must_use]
    pub fn s3_error(status: u16, code: &str) -> Self {
        let body =
            format!("<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} it is</Message></Error>");
        Self { status, body, ..Self::default() }
    }
}

type Answers = dyn Fn(&Request) -> Option<Reply> + Send + Sync;

/// A service that listens until the test ends.
pub struct FakeServer {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeServer {
    /// Starts it on a free port.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(answers: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let server = Server::http("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", server.server_addr());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (answers, record): (Arc<Answers>, _) = (Arc::new(answers), requests.clone());
        thread::spawn(move || {
            for request in server.incoming_requests() {
                let (answers, record) = (answers.clone(), record.clone());
                // A client may close its connection: that is not a fault of the server.
                thread::spawn(move || serve(request, &*answers, &record));
            }
        });
        Self { url, requests }
    }

    /// Its address as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// All requests so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    mut incoming: tiny_http::Request,
    answers: &Answers,
    record: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let request = read(&mut incoming)?;
    let reply = answers(&request).unwrap_or(Reply { status: 404, ..Reply::default() });
    record.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let body = if reply.file.is_empty() { reply.body.into_bytes() } else { reply.file };
    let mut response = response(reply.status, body);
    for (name, value) in &reply.headers {
        response.add_header(header(name, value));
    }
    incoming.respond(response)
}

fn read(incoming: &mut tiny_http::Request) -> std::io::Result<Request> {
    let mut body = Vec::new();
    incoming.as_reader().read_to_end(&mut body)?;
    let headers = incoming.headers().iter();
    let headers = headers.map(|header| {
        (header.field.as_str().as_str().to_ascii_lowercase(), header.value.as_str().to_owned())
    });
    Ok(Request {
        method: incoming.method().to_string(),
        path: incoming.url().to_owned(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
