//! The proxy between workers or functions and S3 or SQS, which injects the faults of a schedule.
//!
//! It passes a request on unchanged, unless the schedule has a fault for it. All faults concern the
//! connection or the caller: the emulator itself always works. Every request has its own connection. The
//! proxy is not built on an HTTP library, because no library cuts a connection at a chosen byte.

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
use super::schedule::{Caller, Census, Effect, Fault, Kind};
use crate::worker::gate::read_head;

/// A worker polls for notices every five seconds.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(6);

/// A proxy in front of an emulator.
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

/// A request with its connection.
struct Request {
    client: TcpStream,
    head: String,
    body: Vec<u8>,
}

impl Proxy {
    /// A proxy without an emulator yet. Workers read spot notices from `metadata`.
    pub(super) fn new(metadata: Metadata) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared { target: OnceLock::new(), metadata, state: Mutex::default() });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, shared) = (client?, serving.clone());
                // A caller may close its connection: then there is nothing to answer.
                std::thread::spawn(move || _ = shared.serve(client));
            }
            io::Result::Ok(())
        });
        Self { address, shared }
    }

    /// The URL of the services, through the proxy.
    pub(super) fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the URL of the emulator.
    pub(super) fn connect_to(&self, url: &str) {
        let _ = self.shared.target.set(url.trim_start_matches("http://").to_owned());
    }

    /// Sets the counts to zero and injects these faults from now on.
    pub(super) fn restart(&self, faults: Vec<Fault>) {
        *self.shared.state() = State { faults, ..State::default() };
    }

    /// The calls since the last restart.
    pub(super) fn census(&self) -> Census {
        self.shared.state().census.clone()
    }

    /// The faults since the last restart, in order.
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
        match kind(&request.head).and_then(|kind| self.fault_for(&kind, &request)) {
            Some(effect) => self.disturb(request, effect),
            None => self.pass(request),
        }
    }

    /// Counts a call and returns the effect of its fault, if it has one.
    fn fault_for(&self, kind: &Kind, request: &Request) -> Option<Effect> {
        let mut state = self.state();
        let count = state.census.entry(kind.clone()).or_default();
        let nth = *count;
        *count += 1;
        let hit = |fault: &&Fault| {
            let last = match fault.effect {
                Effect::InternalError(many) => fault.nth + many - 1,
                _ => fault.nth,
            };
            fault.kind == *kind && (fault.nth..=last).contains(&nth)
        };
        let (effect, first) = state.faults.iter().find(hit).map(|fault| (fault.effect, fault.nth))?;
        if nth == first {
            let line = request.head.lines().next().unwrap_or_default();
            state.happened.push(format!("{kind:?} {nth}: {effect:?}: {line}"));
        }
        Some(effect)
    }

    fn pass(&self, request: Request) -> io::Result<()> {
        let answer = self.perform(&request)?;
        respond(request.client, &answer)
    }

    /// The whole answer of the emulator, as bytes.
    fn perform(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(self.target.get().unwrap())?;
        let (line, headers) = request.head.split_once("\r\n").unwrap();
        server.write_all(format!("{line}\r\nConnection: close\r\n{headers}").as_bytes())?;
        server.write_all(&request.body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn disturb(&self, request: Request, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::InternalError(_) => respond(request.client, &error(&request.head, 500, "InternalError")),
            Effect::SlowDown => respond(request.client, &error(&request.head, 503, "SlowDown")),
            Effect::ResetBefore => reset(request.client),
            Effect::LoseAnswer => {
                self.perform(&request)?;
                reset(request.client)
            }
            Effect::ResetInside | Effect::Truncate => {
                let answer = self.perform(&request)?;
                cut(request.client, &answer, effect)
            }
            Effect::NoAnswer => {
                self.perform(&request)?;
                let mut client = request.client;
                io::copy(&mut client, &mut io::sink()).map(|_| ())
            }
            Effect::FalseSuccess => {
                respond(request.client, &with_body("200 OK", "application/x-amz-json-1.0", "{}"))
            }
            Effect::DeliverAgain => {
                let answer = self.perform(&request)?;
                self.control("expire", &json!({}));
                respond(request.client, &answer)
            }
            Effect::ExceedReceiveCount => {
                self.control("bury", &json!({}));
                self.pass(request)
            }
            _ => self.disturb_caller(request, effect),
        }
    }

    /// Applies an effect to the process of the caller.
    fn disturb_caller(&self, request: Request, effect: Effect) -> io::Result<()> {
        let Some(caller) = peer(&request.client) else { return self.pass(request) };
        match effect {
            Effect::KillAfter => {
                self.perform(&request)?;
                signal(caller, "KILL");
                Ok(())
            }
            Effect::Reclaim => {
                self.reclaim(caller);
                Ok(())
            }
            Effect::Terminate => {
                signal(caller, "TERM");
                self.pass(request)
            }
            Effect::Notice(seconds) => {
                let end = jiff::Timestamp::now() + Duration::from_secs(seconds);
                // A worker that has read a notice stops polling.
                let _ = self.metadata.interrupt_one_at(&end.to_string()).recv_timeout(NOTICE_TIMEOUT);
                self.pass(request)
            }
            Effect::FreezeBefore => {
                self.freeze(caller);
                self.pass(request)
            }
            Effect::FreezeAfter => {
                let answer = self.perform(&request)?;
                self.freeze(caller);
                respond(request.client, &answer)
            }
            _ => {
                signal(caller, "KILL");
                Ok(())
            }
        }
    }

    /// Ends the instance of the caller's job.
    fn reclaim(&self, caller: u32) {
        let jobs = self.emulator().get("tagfleet", "/_tagfleet/jobs");
        let jobs = jobs.as_array().cloned().unwrap_or_default();
        let Some(job) = jobs.iter().find(|job| job["pid"] == json!(caller)) else { return };
        let reason = "Host EC2 (instance i-00000000000000000) terminated.";
        self.control("kill", &json!({"job": job["jobId"], "signal": 9, "reason": reason}));
    }

    /// Freezes a worker for longer than the visibility timeout of its messages, and returns once it runs
    /// again.
    fn freeze(&self, caller: u32) {
        signal(caller, "STOP");
        self.control("expire", &json!({}));
        self.control("wait", &json!({"alone": caller}));
        signal(caller, "CONT");
    }

    fn control(&self, operation: &str, request: &Value) {
        let _ = self.emulator().post("tagfleet", &format!("/_tagfleet/{operation}"), request);
    }
}

fn respond(mut client: TcpStream, answer: &[u8]) -> io::Result<()> {
    client.write_all(answer)?;
    client.shutdown(Shutdown::Both)
}

/// Resets a connection instead of closing it.
fn reset(client: TcpStream) -> io::Result<()> {
    SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
    drop(client);
    Ok(())
}

/// Sends the head and half of the body.
fn cut(mut client: TcpStream, answer: &[u8], effect: Effect) -> io::Result<()> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
    client.write_all(&answer[..head + (answer.len() - head) / 2])?;
    if effect == Effect::Truncate { client.shutdown(Shutdown::Both) } else { reset(client) }
}

fn error(head: &str, status: u16, code: &str) -> Vec<u8> {
    let status = format!("{status} {code}");
    if header(head, "x-amz-target").is_some() {
        let code = if code == "SlowDown" { "ThrottlingException" } else { code };
        let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "an injected fault"})
            .to_string();
        return with_body(&status, "application/x-amz-json-1.0", &body);
    }
    let body = format!("<Error><Code>{code}</Code><Message>an injected fault</Message></Error>");
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

/// The kind of a call; `None` if it never has a fault.
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
        "s3" => Some((caller, s3_operation(head.lines().next()?)?)),
        _ => None,
    }
}

/// The operation of an S3 request line with the bucket in the path, and the kind of its object: a part is not
/// an image.
fn s3_operation(line: &str) -> Option<String> {
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
    Some(format!("s3:{operation} {}", object_kind(&key)))
}

/// The kind of an object: the folder of an intermediate object, the name of a result, otherwise the first
/// folder.
fn object_kind(key: &str) -> &str {
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        ["tags", "work", _, kind, ..] | ["tags", _, kind, ..] | [kind, ..] => kind,
        [] => "",
    }
}
