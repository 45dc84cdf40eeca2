//! One child process, as its parent sees it: the requests in its hands, its answers, and its exit.
//!
//! A thread reads its answers, another kills it if an answer is overdue. It never restarts a child and never
//! invents an outcome: the caller learns that the child died, and decides.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, BufReader, ErrorKind};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tagfleet_pipeline::tagger::Wanted;

use super::child_exit::ChildExit;
use super::messages;
use super::protocol::{self, Answer, Body, ChildStatus};
use super::sandbox;
use super::{Patience, Program, StartError};
use crate::engine::telemetry;

/// Pipes hold a picture of this size whole, so that writer and reader seldom wait for each other: 1 MiB.
#[cfg(target_os = "linux")]
const PIPE: usize = 1 << 20;

/// A child that has loaded the model. Dropping it kills and reaps the process.
pub(super) struct ChildHandle {
    input: Mutex<ChildStdin>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    patience: Duration,
}

/// The child's message once it has loaded the model.
pub(super) struct Ready {
    pub(super) pace: ChildStatus,
    /// What people should know of how the model runs.
    pub(super) notes: Vec<String>,
}

/// The outcome of a request.
pub(super) enum Reply {
    /// The child's answer.
    Answer(Body),
    /// The child was dead already and has not seen the request.
    NotSent,
    /// It died with the request in its hands.
    Died(ChildExit),
}

/// What the threads of one link share.
struct Shared {
    process: Mutex<Child>,
    traffic: Mutex<Traffic>,
    ended: Condvar,
}

#[derive(Default)]
struct Traffic {
    next: u64,
    /// The requests in the child's hands, by number: the oldest first.
    pending: BTreeMap<u64, Pending>,
    has_tagged: bool,
    overdue: Option<Duration>,
    end: Option<End>,
}

struct Pending {
    since: Instant,
    patience: Duration,
    reply: Sender<Reply>,
}

/// How a child ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) child_exit: ChildExit,
    /// Whether a request was in its hands.
    pub(super) had_work: bool,
}

impl ChildHandle {
    /// Starts a child, lets it load `setup`, and returns it with its message.
    pub(super) fn start(
        program: &Program,
        setup: &[u8],
        patience: Patience,
    ) -> Result<Result<(Self, Ready), ChildExit>, StartError> {
        let mut child_handle = Self::spawn(program, patience.tagging)?;
        let shared = child_handle.shared.clone();
        let tick = patience.tagging.min(patience.loading).min(patience.probe) / 10;
        child_handle.threads.push(thread::Builder::new().spawn(move || shared.watch(tick))?);
        let loaded = child_handle.ask(patience.loading, |input, _| protocol::write_setup(input, setup));
        match loaded {
            Reply::Answer(Body::Loaded) => {}
            other => return child_handle.unready(other),
        }
        let tried = child_handle
            .ask(patience.probe, |input, number| protocol::write_request(input, number, &[], &[]));
        match tried {
            Reply::Answer(Body::Ready { pace, notes }) => Ok(Ok((child_handle, Ready { pace, notes }))),
            // The next child would hang as long.
            Reply::Died(ChildExit::Hung(patience)) => Err(StartError::Stuck(patience)),
            other => child_handle.unready(other),
        }
    }

    /// What it means if a child that starts gives another answer than the one that is wanted, or none.
    fn unready(&self, reply: Reply) -> Result<Result<(Self, Ready), ChildExit>, StartError> {
        match reply {
            Reply::Answer(Body::Refused(reason)) => Err(StartError::Refused(reason)),
            Reply::Answer(_) => Ok(Err(ChildExit::Lost("an answer to nothing".to_owned()))),
            Reply::Died(child_exit) => Ok(Err(child_exit)),
            Reply::NotSent => {
                Ok(Err(self.end().map_or(ChildExit::Lost("no answer".to_owned()), |end| end.child_exit)))
            }
        }
    }

    fn spawn(program: &Program, patience: Duration) -> io::Result<Self> {
        let mut command = Command::new(&program.path);
        // A process group of its own, so that Ctrl-C reaches the parent only, which knows what to finish.
        command.args(&program.arguments).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // No credential, no proxy's password.
        let kept = env::vars_os().filter(|(name, _)| name.to_str().is_some_and(sandbox::is_kept));
        command.env_clear().envs(kept).env(telemetry::VARIABLE, telemetry::OFF);
        let mut process = command.spawn()?;
        let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(input), Some(output), Some(messages)) = pipes else {
            return Err(io::Error::other("it has no pipes"));
        };
        widen(&input);
        let shared = Arc::new(Shared {
            process: Mutex::new(process),
            traffic: Mutex::default(),
            ended: Condvar::new(),
        });
        let mut child_handle =
            Self { input: Mutex::new(input), shared: shared.clone(), threads: Vec::new(), patience };
        child_handle.threads.push(thread::Builder::new().spawn(move || shared.read(BufReader::new(output)))?);
        child_handle.threads.push(thread::Builder::new().spawn(move || messages::forward(messages))?);
        Ok(child_handle)
    }

    /// Lets the child tag `images`, with the thumbnails that are wanted, and waits for what comes of it.
    pub(super) fn tag(&self, images: &[&[u8]], wanted: &[Wanted]) -> Reply {
        self.ask(self.patience, |input, number| protocol::write_request(input, number, images, wanted))
    }

    fn ask(&self, patience: Duration, write: impl Fn(&mut ChildStdin, u64) -> io::Result<()>) -> Reply {
        let Some((number, reply)) = self.shared.expect_answer(patience) else { return Reply::NotSent };
        let written = write(&mut self.input.lock().unwrap_or_else(PoisonError::into_inner), number);
        if written.is_err() {
            // Whatever the reason, the pipe cannot be used after half a request.
            self.shared.kill();
        }
        reply.recv().unwrap_or(Reply::NotSent)
    }

    /// How the child ended, if it did.
    pub(super) fn end(&self) -> Option<End> {
        self.shared.traffic().end.clone()
    }

    /// Whether it has tagged any image of a run.
    pub(super) fn has_tagged(&self) -> bool {
        self.shared.traffic().has_tagged
    }
}

impl Drop for ChildHandle {
    fn drop(&mut self) {
        self.shared.kill();
        for thread in self.threads.drain(..) {
            // A panic of theirs was printed when it happened.
            let _ = thread.join();
        }
        // If there is no reader yet, the child is not reaped.
        let _ = self.shared.process.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

impl Shared {
    /// No code panics while it holds the lock, so a poisoned one guards sound state.
    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request, before it is written; `None` if the child has ended.
    fn expect_answer(&self, patience: Duration) -> Option<(u64, Receiver<Reply>)> {
        let mut traffic = self.traffic();
        if traffic.end.is_some() {
            return None;
        }
        let number = traffic.next;
        traffic.next += 1;
        let (reply, receiver) = channel();
        traffic.pending.insert(number, Pending { since: Instant::now(), patience, reply });
        Some((number, receiver))
    }

    /// Distributes answers until the pipe ends, then makes sure that the child is dead.
    fn read(&self, mut output: BufReader<ChildStdout>) {
        let lost = loop {
            match protocol::read_answer(&mut output) {
                Ok(Some(answer)) => {
                    if !self.deliver(answer) {
                        break Some("an answer to nothing".to_owned());
                    }
                }
                Err(error) if error.kind() == ErrorKind::InvalidData => break Some(error.to_string()),
                Ok(None) | Err(_) => break None,
            }
        };
        self.kill();
        let status = self.process.lock().unwrap_or_else(PoisonError::into_inner).wait();
        let child_exit = match (lost, status) {
            (Some(what), _) => ChildExit::Lost(what),
            (None, Ok(status)) => ChildExit::of(status),
            (None, Err(error)) => ChildExit::Lost(error.to_string()),
        };
        self.record_exit(child_exit);
    }

    /// Gives an answer to the thread that waits for it; false if there is none.
    fn deliver(&self, answer: Answer) -> bool {
        let mut traffic = self.traffic();
        let Some(pending) = traffic.pending.remove(&answer.number) else { return false };
        traffic.has_tagged |= matches!(answer.body, Body::Seen { .. } | Body::Failed(_));
        drop(traffic);
        pending.reply.send(Reply::Answer(answer.body)).is_ok()
    }

    fn record_exit(&self, child_exit: ChildExit) {
        let mut traffic = self.traffic();
        let child_exit = traffic.overdue.map_or(child_exit, ChildExit::Hung);
        let pending = std::mem::take(&mut traffic.pending);
        traffic.end = Some(End { child_exit: child_exit.clone(), had_work: !pending.is_empty() });
        self.ended.notify_all();
        for pending in pending.into_values() {
            // Who asked waits for this.
            let _ = pending.reply.send(Reply::Died(child_exit.clone()));
        }
    }

    /// Kills the child if an answer is overdue. It looks every `tick`, so that a request costs it nothing.
    fn watch(&self, tick: Duration) {
        let mut traffic = self.traffic();
        while traffic.end.is_none() {
            let overdue =
                traffic.pending.values().find(|pending| pending.since.elapsed() >= pending.patience);
            if let Some(pending) = overdue {
                traffic.overdue = Some(pending.patience);
                drop(traffic);
                return self.kill();
            }
            traffic = self.ended.wait_timeout(traffic, tick).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn kill(&self) {
        // It fails only if the process has ended, which is the goal.
        let _ = self.process.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}

/// If the system grants no larger pipe, the usual one is only slower.
#[cfg(target_os = "linux")]
fn widen(pipe: &ChildStdin) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
}

#[cfg(not(target_os = "linux"))]
fn widen(_: &ChildStdin) {}
