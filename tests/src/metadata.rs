//! An instance metadata service (IMDSv2) on the loopback: a spot instance that is taken away when the test says so.
//!
//! It answers what a worker asks of its machine and nothing else; EC2 is never asked.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::http::read_head;

const IDENTITY: &str = r#"{"instanceId": "i-0a1b2c3d", "instanceType": "TYPE", "availabilityZone": "us-east-1a", "pendingTime": "2026-01-31T08:20:00Z"}"#;

/// A running service.
#[derive(Debug)]
pub struct Metadata {
    address: String,
    notice: Arc<Mutex<Option<Notice>>>,
}

/// That an instance is taken away.
#[derive(Debug)]
struct Notice {
    body: String,
    /// Told once it was given: then it holds no more. None where it is for everybody.
    given: Option<Sender<()>>,
}

impl Metadata {
    /// Starts one that has no notice yet.
    ///
    /// # Panics
    /// If there is no free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on("c7g.xlarge")
    }

    /// The same for an instance of this type.
    ///
    /// # Panics
    /// If there is no free port.
    #[must_use]
    pub fn start_on(instance_type: &str) -> Self {
        let identity = IDENTITY.replace("TYPE", instance_type);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let notice: Arc<Mutex<Option<Notice>>> = Arc::default();
        let notices = notice.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away asks again.
                let _ = answer(stream?, &identity, &notices);
            }
            io::Result::Ok(())
        });
        Self { address, notice }
    }

    /// Where it is, for `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// From now on it says that the instance is taken away at `time`, `2026-01-31T08:22:00Z`.
    ///
    /// # Panics
    /// If an answer panicked.
    pub fn take_away_at(&self, time: &str) {
        *self.notice.lock().expect("nobody panicked") = Some(Notice { body: body(time), given: None });
    }

    /// The same to one worker only, whichever asks next; the receiver hears when it has.
    ///
    /// # Panics
    /// If an answer panicked.
    pub fn take_one_away_at(&self, time: &str) -> Receiver<()> {
        let (given, receiver) = channel();
        *self.notice.lock().expect("nobody panicked") = Some(Notice { body: body(time), given: Some(given) });
        receiver
    }
}

fn body(time: &str) -> String {
    format!("{{\"action\": \"terminate\", \"time\": \"{time}\"}}")
}

/// The notice that is given to who asks now.
fn next(notices: &Mutex<Option<Notice>>) -> Option<String> {
    let mut notice = notices.lock().expect("nobody panicked");
    let body = notice.as_ref()?.body.clone();
    if let Some(given) = notice.as_ref().and_then(|notice| notice.given.clone()) {
        // Nobody may listen any more.
        let _ = given.send(());
        *notice = None;
    }
    Some(body)
}

fn answer(mut stream: TcpStream, identity: &str, notices: &Mutex<Option<Notice>>) -> io::Result<()> {
    let (head, _) = read_head(&mut stream)?;
    let is_for = |path: &str| head.contains(&format!(" /latest/{path} "));
    let notice;
    let body = if head.starts_with("PUT ") {
        Some("token")
    } else if !head.to_ascii_lowercase().contains("x-aws-ec2-metadata-token: token") {
        None
    } else if is_for("dynamic/instance-identity/document") {
        Some(identity)
    } else if is_for("meta-data/instance-life-cycle") {
        Some("spot")
    } else if is_for("meta-data/spot/instance-action") {
        notice = next(notices);
        notice.as_deref()
    } else {
        None
    };
    let (status, body) = body.map_or(("404 Not Found", ""), |body| ("200 OK", body));
    write!(
        stream,
        "HTTP/1.1 {status}\r\nX-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21600\r\nConnection: close\r\n"
    )?;
    write!(stream, "Content-Length: {}\r\n\r\n{body}", body.len())
}
