//! The way from workers and functions to S3 and SQS, on which a storm's faults happen.
//!
//! Every request comes over a connection of its own and passes as it is, unless its number is that of a fault. All faults
//! are of the way or of the caller: what the emulator performs, it performs as always.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;
use tagfleet_tests::http::Client;
use tagfleet_tests::metadata::Metadata;

use super::process::{peer, signal};
use super::schedule::{Caller, Census, Fault, Kind, What};
use crate::worker::gate::read_head;

/// A worker asks for notices every five seconds.
const ASKED_WITHIN: Duration = Duration::from_secs(6);

/// A way to an emulator.
pub(super) struct Proxy {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    target: OnceLock<String>,
    metadata: Metadata,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    census: Census,
    faults: Vec<Fault>,
    happened: Vec<String>,
}

/// A request as it came.
struct Request {
    client: TcpStream,
    head: String,
    body: Vec<u8>,
}

impl Proxy {
    /// A way that leads nowhere yet; workers learn from `metadata` that their machine is taken away.
    pub(super) fn new(metadata: Metadata) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared { target: OnceLock::new(), metadata, state: Mutex::default() });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, shared) = (client?, serving.clone());
                // Where a caller goes away in the middle there is nobody to answer.
                std::thread::spawn(move || _ = shared.serve(client));
            }
            io::Result::Ok(())
        });
        Self { address, shared }
    }

    /// Where the services are, through it.
    pub(super) fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Now it leads to the emulator at this URL.
    pub(super) fn lead_to(&self, url: &str) {
        let _ = self.shared.target.set(url.trim_start_matches("http://").to_owned());
    }

    /// Begins to count anew; from now on these faults happen.
    pub(super) fn begin(&self, faults: Vec<Fault>) {
        *self.shared.state() = State { faults, ..State::default() };
    }

    /// The calls since it began.
    pub(super) fn census(&self) -> Census {
        self.shared.state().census.clone()
    }

    /// What happened since it began, in order.
    pub(super) fn happened(&self) -> Vec<String> {
        self.shared.state().happened.clone()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn emulator(&self) -> Client {
        Client::new(self.target.get().unwrap())
    }

    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let (head, mut body) = read_head(&mut client)?;
        let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut rest = vec![0; usize::saturating_sub(length, body.len())];
        client.read_exact(&mut rest)?;
        body.append(&mut rest);
        let request = Request { client, head, body };
        match kind(&request.head).and_then(|kind| self.meets(&kind, &request)) {
            Some(what) => self.disturb(request, what),
            None => self.pass(request),
        }
    }

    /// Counts a call and tells what it meets.
    fn meets(&self, kind: &Kind, request: &Request) -> Option<What> {
        let mut state = self.state();
        let count = state.census.entry(kind.clone()).or_default();
        let nth = *count;
        *count += 1;
        let hit = |fault: &&Fault| {
            let last = match fault.what {
                What::InternalError(many) => fault.nth + many - 1,
                _ => fault.nth,
            };
            fault.of == *kind && (fault.nth..=last).contains(&nth)
        };
        let (what, first) = state.faults.iter().find(hit).map(|fault| (fault.what, fault.nth))?;
        if nth == first {
            let line = request.head.lines().next().unwrap_or_default();
            state.happened.push(format!("{kind:?} {nth}: {what:?}: {line}"));
        }
        Some(what)
    }

    fn pass(&self, request: Request) -> io::Result<()> {
        let answer = self.perform(&request)?;
        give(request.client, &answer)
    }

    /// What the emulator answers, to the last byte.
    fn perform(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(self.target.get().unwrap())?;
        let (line, headers) = request.head.split_once("\r\n").unwrap();
        server.write_all(format!("{line}\r\nConnection: close\r\n{headers}").as_bytes())?;
        server.write_all(&request.body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn disturb(&self, request: Request, what: What) -> io::Result<()> {
        match what {
            What::InternalError(_) => give(request.client, &error(&request.head, 500, "InternalError")),
            What::SlowDown => give(request.client, &error(&request.head, 503, "SlowDown")),
            What::ResetBefore => reset(request.client),
            What::LoseAnswer => {
                self.perform(&request)?;
                reset(request.client)
            }
            What::ResetInside | What::Truncate => {
                let answer = self.perform(&request)?;
                cut(request.client, &answer, what)
            }
            What::Silence => {
                self.perform(&request)?;
                let mut client = request.client;
                io::copy(&mut client, &mut io::sink()).map(|_| ())
            }
            What::Swallow => give(request.client, &with_body("200 OK", "application/x-amz-json-1.0", "{}")),
            What::DeliverAgain => {
                let answer = self.perform(&request)?;
                self.tell("expire", &json!({}));
                give(request.client, &answer)
            }
            What::Bury => {
                self.tell("bury", &json!({}));
                self.pass(request)
            }
            _ => self.strike(request, what),
        }
    }

    /// Does something to the caller.
    fn strike(&self, request: Request, what: What) -> io::Result<()> {
        let Some(caller) = peer(&request.client) else { return self.pass(request) };
        match what {
            What::KillAfter => {
                self.perform(&request)?;
                signal(caller, "KILL");
                Ok(())
            }
            What::Reclaim => {
                self.reclaim(caller);
                Ok(())
            }
            What::Terminate => {
                signal(caller, "TERM");
                self.pass(request)
            }
            What::Notice(seconds) => {
                let end = jiff::Timestamp::now() + Duration::from_secs(seconds);
                // Nobody asks who has been told already.
                let _ = self.metadata.interrupt_one_at(&end.to_string()).recv_timeout(ASKED_WITHIN);
                self.pass(request)
            }
            What::FreezeBefore => {
                self.freeze(caller);
                self.pass(request)
            }
            What::FreezeAfter => {
                let answer = self.perform(&request)?;
                self.freeze(caller);
                give(request.client, &answer)
            }
            _ => {
                signal(caller, "KILL");
                Ok(())
            }
        }
    }

    /// The instance under the caller's job goes away.
    fn reclaim(&self, caller: u32) {
        let jobs = self.emulator().get("tagfleet", "/_tagfleet/jobs");
        let jobs = jobs.as_array().cloned().unwrap_or_default();
        let Some(job) = jobs.iter().find(|job| job["pid"] == json!(caller)) else { return };
        let reason = "Host EC2 (instance i-00000000000000000) terminated.";
        self.tell("kill", &json!({"job": job["jobId"], "signal": 9, "reason": reason}));
    }

    /// Freezes a worker for longer than its messages are hidden from others; returns once it is awake again.
    fn freeze(&self, caller: u32) {
        signal(caller, "STOP");
        self.tell("expire", &json!({}));
        self.tell("wait", &json!({"alone": caller}));
        signal(caller, "CONT");
    }

    fn tell(&self, operation: &str, request: &Value) {
        let _ = self.emulator().post("tagfleet", &format!("/_tagfleet/{operation}"), request);
    }
}

fn give(mut client: TcpStream, answer: &[u8]) -> io::Result<()> {
    client.write_all(answer)?;
    client.shutdown(Shutdown::Both)
}

/// Ends a connection without the courtesy of saying so.
fn reset(client: TcpStream) -> io::Result<()> {
    SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
    drop(client);
    Ok(())
}

/// Gives the head and half of the body.
fn cut(mut client: TcpStream, answer: &[u8], what: What) -> io::Result<()> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
    client.write_all(&answer[..head + (answer.len() - head) / 2])?;
    if what == What::Truncate { client.shutdown(Shutdown::Both) } else { reset(client) }
}

fn error(head: &str, status: u16, code: &str) -> Vec<u8> {
    let status = format!("{status} {code}");
    if header(head, "x-amz-target").is_some() {
        let code = if code == "SlowDown" { "ThrottlingException" } else { code };
        let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "a storm"}).to_string();
        return with_body(&status, "application/x-amz-json-1.0", &body);
    }
    let body = format!("<Error><Code>{code}</Code><Message>a storm</Message></Error>");
    // The answer to a HEAD has no body.
    with_body(&status, "application/xml", if head.starts_with("HEAD ") { "" } else { &body })
}

fn with_body(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nConnection: close\r\n");
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// The value of a header; `name` in lower case.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

/// Who calls what; none where no fault is for it.
fn kind(head: &str) -> Option<Kind> {
    let scope = head.split_once("Credential=")?.1.split(',').next()?;
    let mut scope = scope.split('/');
    let (role, service) = (scope.next()?, scope.nth(2)?);
    let callers = BTreeMap::from([
        ("WorkerRole", Caller::Worker),
        ("SplitterRole", Caller::Splitter),
        ("ReducerRole", Caller::Reducer),
    ]);
    let caller = *callers.iter().find(|(name, _)| role.contains(**name))?.1;
    match service {
        "sqs" => {
            let target = header(head, "x-amz-target")?;
            Some((caller, format!("sqs:{}", target.rsplit('.').next()?)))
        }
        "s3" => Some((caller, of_s3(head.lines().next()?)?)),
        _ => None,
    }
}

/// What a request line asks of S3, whose buckets are addressed by path, and of what: a part is another call than an image.
fn of_s3(line: &str) -> Option<String> {
    let mut parts = line.split(' ');
    let (method, target) = (parts.next()?, parts.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (_, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    let operation = match (method, key.is_empty()) {
        ("GET", true) if query.contains("list-type=2") => "ListBucket",
        ("GET", false) => "GetObject",
        ("HEAD", false) => "HeadObject",
        ("HEAD", true) => "HeadBucket",
        ("PUT", false) => "PutObject",
        _ => return None,
    };
    let listed = query.split('&').find_map(|field| field.strip_prefix("prefix="));
    let key = listed.map_or_else(|| key.to_owned(), |prefix| prefix.replace("%2F", "/"));
    Some(format!("s3:{operation} {}", of_what(&key)))
}

/// The sort of an object: the folder of a run's working objects, the name of what people read, else the first folder.
fn of_what(key: &str) -> &str {
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        ["tags", "work", _, sort, ..] | ["tags", _, sort, ..] | [sort, ..] => sort,
        [] => "",
    }
}
