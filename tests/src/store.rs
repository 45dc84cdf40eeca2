//! A small store that speaks as much of S3 as reading a bucket takes: listings, GET and HEAD, over HTTP on this machine.
//!
//! It can be unkind in ways that the emulator is not: it lists in any order that the test asks for, in pages of any size. It
//! writes nothing and checks no signature.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use crate::http::encode;

/// Objects in the order in which they are listed.
pub type Objects = Vec<(String, Vec<u8>)>;

/// A store with one bucket, which any name is good for.
pub struct Store {
    url: String,
}

struct Served {
    objects: Objects,
    page: usize,
    /// Whether it knows `start-after`.
    starts_after: bool,
}

impl Store {
    /// A store that lists these objects in this order, in pages of so many; only one that lists in key order knows
    /// `start-after`, as S3's directory buckets do not.
    ///
    /// # Panics
    /// Where no port is free.
    #[must_use]
    pub fn start(objects: Objects, page: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let starts_after = objects.is_sorted_by(|a, b| a.0 < b.0);
        let served = Arc::new(Served { objects, page, starts_after });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                // A client that goes away is no fault of the store.
                thread::spawn(move || served.answer(&stream));
            }
        });
        Self { url }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Served {
    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream).lines();
        let line = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let key = decoded(path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key));
        let (status, body) = if query.contains("list-type=2") {
            self.list(query)
        } else {
            match self.objects.iter().find(|(name, _)| *name == key) {
                Some((_, bytes)) => ("200 OK", bytes.clone()),
                None => ("404 Not Found", error("NoSuchKey")),
            }
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"e\"\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        if method == "HEAD" { Ok(()) } else { stream.write_all(&body) }
    }

    fn list(&self, query: &str) -> (&'static str, Vec<u8>) {
        let value = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)).next()
        };
        let (prefix, after) = (value("prefix").unwrap_or_default(), value("start-after"));
        if after.is_some() && !self.starts_after {
            return ("400 Bad Request", error("InvalidRequest"));
        }
        let is_listed = |key: &String| key.starts_with(&prefix) && Some(key) > after.as_ref();
        let listed: Vec<_> = self.objects.iter().filter(|(key, _)| is_listed(key)).collect();
        let start: usize = value("continuation-token").and_then(|token| token.parse().ok()).unwrap_or(0);
        let end = listed.len().min(start + self.page);
        let mut xml = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
        for (key, bytes) in &listed[start.min(end)..end] {
            let (key, size) = (encode(key, "/.-_~"), bytes.len());
            let _ = write!(xml, "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>\"e\"</ETag></Contents>");
        }
        if end < listed.len() {
            let _ = write!(xml, "<NextContinuationToken>{end}</NextContinuationToken>");
        }
        let _ = write!(xml, "<IsTruncated>{}</IsTruncated></ListBucketResult>", end < listed.len());
        ("200 OK", xml.into_bytes())
    }
}

fn error(code: &str) -> Vec<u8> {
    format!("<Error><Code>{code}</Code><Message>as a test wants it</Message></Error>").into_bytes()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digits = || [rest.clone().next(), rest.clone().nth(1)];
        match (byte, digits()) {
            (b'%', [Some(high), Some(low)]) => {
                let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
                bytes.push(digit(high) * 16 + digit(low));
                rest.nth(1);
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
