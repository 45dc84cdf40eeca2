//! A stand-in for services of AWS, over HTTP on this machine: a test says what each request is answered, and reads later
//! what was asked.
//!
//! It checks no signature. A request without an answer gets a 404, so that a test which forgot one fails.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
}

impl Asked {
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

/// What a request is answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers besides the length, unless it is a false one.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// A body that is not text, in its place if it is not empty.
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

type Answers = dyn Fn(&Asked) -> Option<Reply> + Send + Sync;

/// A service that listens until the test ends.
pub struct StandIn {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl StandIn {
    /// Starts it on a free port.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(answers: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answers, record): (Arc<Answers>, _) = (Arc::new(answers), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, record) = (answers.clone(), record.clone());
                // A client that goes away is not a fault of the stand-in.
                thread::spawn(move || serve(&stream, &*answers, &record));
            }
        });
        Self { address, asked }
    }

    /// Where it listens, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(stream: &TcpStream, answers: &Answers, record: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(asked) = read(&mut reader)? {
        let reply = answers(&asked).unwrap_or(Reply { status: 404, ..Reply::default() });
        let is_head = asked.method == "HEAD";
        record.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        write(stream, &reply, is_head)?;
        if reply.headers.contains(&("Connection", "close".to_owned())) {
            return Ok(());
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, path) =
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Asked { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() }))
}

fn write(mut stream: &TcpStream, reply: &Reply, is_head: bool) -> std::io::Result<()> {
    let body = if reply.file.is_empty() { reply.body.as_bytes() } else { reply.file.as_slice() };
    let mut head = format!("HTTP/1.1 {} it\r\n", reply.status);
    if !reply.headers.iter().any(|(name, _)| *name == "Content-Length") {
        let _ = write!(head, "Content-Length: {}\r\n", body.len());
    }
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let body = if is_head { &[] } else { body };
    stream.write_all(&[head.as_bytes(), b"\r\n", body].concat())
}
