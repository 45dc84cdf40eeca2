//! An instance metadata service (IMDSv2) on this machine: a spot instance, and its interruption when a test
//! wants it.
//!
//! It answers what a worker asks about its host and nothing else. No request reaches EC2.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use tiny_http::{Method, Request, Server};

use crate::http::{header, response};

const IDENTITY: &str = r#"{"instanceId": "i-0a1b2c3d", "instanceType": "TYPE", "availabilityZone": "us-east-1a", "pendingTime": "2026-01-31T08:20:00Z"}"#;

/// A running service.
#[derive(Debug)]
pub struct Metadata {
    url: String,
    notice: Arc<Mutex<Option<Notice>>>,
}

/// A notice of a spot interruption.
#[derive(Debug)]
struct Notice {
    body: String,
    /// Receives a message when the first worker has read the notice, which then ends. `None` if it is for
    /// all.
    was_read: Option<Sender<()>>,
}

impl Metadata {
    /// The service of an instance of type c7g.xlarge, without a notice.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on("c7g.xlarge")
    }

    /// The service of an instance of any type, without a notice.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start_on(instance_type: &str) -> Self {
        let identity = IDENTITY.replace("TYPE", instance_type);
        let server = Server::http("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", server.server_addr());
        let notice: Arc<Mutex<Option<Notice>>> = Arc::default();
        let notices = notice.clone();
        std::thread::spawn(move || {
            for request in server.incoming_requests() {
                let body = body(&request, &identity, &notices);
                let response = body.map_or_else(|| response(404, ""), |body| response(200, body));
                let lifetime = header("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600");
                // A client that closes its connection sends another request.
                let _ = request.respond(response.with_header(lifetime));
            }
        });
        Self { url, notice }
    }

    /// Its URL, for `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.url.clone()
    }

    /// From now on every worker reads that its instance ends at `time`, `2026-01-31T08:22:00Z`.
    ///
    /// # Panics
    /// If an answer panicked.
    pub fn interrupt_at(&self, time: &str) {
        self.announce(time, None);
    }

    /// Only the next worker that asks reads that its instance ends at `time`; the receiver gets a message
    /// when it has.
    ///
    /// # Panics
    /// If an answer panicked.
    pub fn interrupt_one_at(&self, time: &str) -> Receiver<()> {
        let (was_read, receiver) = channel();
        self.announce(time, Some(was_read));
        receiver
    }

    fn announce(&self, time: &str, was_read: Option<Sender<()>>) {
        let body = format!("{{\"action\": \"terminate\", \"time\": \"{time}\"}}");
        *self.notice.lock().expect("no answer panicked") = Some(Notice { body, was_read });
    }
}

/// The body of the answer; `None` if it is a 404.
fn body(request: &Request, identity: &str, notices: &Mutex<Option<Notice>>) -> Option<String> {
    if *request.method() == Method::Put {
        return Some("token".to_owned());
    }
    let mut headers = request.headers().iter();
    if !headers.any(|header| header.field.equiv("X-Aws-Ec2-Metadata-Token") && header.value == "token") {
        return None;
    }
    match request.url().strip_prefix("/latest/")? {
        "dynamic/instance-identity/document" => Some(identity.to_owned()),
        "meta-data/instance-life-cycle" => Some("spot".to_owned()),
        "meta-data/spot/instance-action" => read_notice(notices),
        _ => None,
    }
}

fn read_notice(notices: &Mutex<Option<Notice>>) -> Option<String> {
    let mut notice = notices.lock().expect("no answer panicked");
    let body = notice.as_ref()?.body.clone();
    if let Some(was_read) = notice.as_ref().and_then(|notice| notice.was_read.clone()) {
        // The test may have stopped listening.
        let _ = was_read.send(());
        *notice = None;
    }
    Some(body)
}
