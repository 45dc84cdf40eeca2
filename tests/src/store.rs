//! A small store that reads like S3: listings, GET and HEAD, over HTTP on this machine.
//!
//! It can do what the emulator cannot: it lists in any order that a test gives, in pages of any size. It
//! writes nothing and checks no signature.

use std::fmt::Write as _;
use std::sync::Arc;
use std::thread;

use percent_encoding::percent_decode_str;
use tiny_http::{Request, Server};

use crate::http::{encode_key, header, response};

/// Keys and contents, in the order in which they are listed.
pub type Objects = Vec<(String, Vec<u8>)>;

/// A store with one bucket, which has every name.
pub struct Store {
    url: String,
}

struct Bucket {
    objects: Objects,
    /// The number of keys in a page of a listing.
    page: usize,
    /// Whether a listing may have `start-after`.
    starts_after: bool,
}

impl Store {
    /// A store that lists these objects in this order, `page` keys at a time.
    ///
    /// It refuses `start-after` if the order is not that of the keys, as S3's directory buckets do.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(objects: Objects, page: usize) -> Self {
        let server = Server::http("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", server.server_addr());
        let starts_after = objects.is_sorted_by(|a, b| a.0 < b.0);
        let bucket = Arc::new(Bucket { objects, page, starts_after });
        thread::spawn(move || {
            for request in server.incoming_requests() {
                let bucket = bucket.clone();
                // A client may close its connection: that is not a fault of the store.
                thread::spawn(move || bucket.answer(request));
            }
        });
        Self { url }
    }

    /// Its address as a URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Bucket {
    fn answer(&self, request: Request) -> std::io::Result<()> {
        let (path, query) = request.url().split_once('?').unwrap_or((request.url(), ""));
        let key = decoded(path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key));
        let (status, body) = if query.contains("list-type=2") {
            self.list(query)
        } else {
            match self.objects.iter().find(|(name, _)| *name == key) {
                Some((_, bytes)) => (200, bytes.clone()),
                None => (404, error("NoSuchKey")),
            }
        };
        request.respond(response(status, body).with_header(header("ETag", "\"e\"")))
    }

    fn list(&self, query: &str) -> (u16, Vec<u8>) {
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
        };
        let (prefix, after) = (value("prefix").unwrap_or_default(), value("start-after"));
        if after.is_some() && !self.starts_after {
            return (400, error("InvalidRequest"));
        }
        let is_listed = |key: &String| key.starts_with(&prefix) && Some(key) > after.as_ref();
        let listed: Vec<_> = self.objects.iter().filter(|(key, _)| is_listed(key)).collect();
        let start: usize = value("continuation-token").and_then(|token| token.parse().ok()).unwrap_or(0);
        let end = listed.len().min(start + self.page);
        let mut xml = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
        for (key, bytes) in &listed[start.min(end)..end] {
            let (key, size) = (encode_key(key), bytes.len());
            let _ = write!(xml, "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>\"e\"</ETag></Contents>");
        }
        if end < listed.len() {
            let _ = write!(xml, "<NextContinuationToken>{end}</NextContinuationToken>");
        }
        let _ = write!(xml, "<IsTruncated>{}</IsTruncated></ListBucketResult>", end < listed.len());
        (200, xml.into_bytes())
    }
}

fn error(code: &str) -> Vec<u8> {
    format!("<Error><Code>{code}</Code><Message>as the test wants</Message></Error>").into_bytes()
}

/// A path or a value of a query, where `+` may be a space.
fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}
