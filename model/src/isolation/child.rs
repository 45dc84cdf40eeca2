//! The child: loads its setup, then tags requests, one thread per tagger, until its stdin ends.
//!
//! A free thread reads the next request itself, so that there is no queue between a request and the thread
//! that tags it. It decides nothing about images: if it dies, its parent does. It ends with its parent, even
//! if every thread hangs.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use tagfleet_pipeline::tagger::Tagger;

use super::probe;
use super::protocol::{self, Answer, Body, ChildStatus, Request};
use super::sandbox;
use super::setup::Setup;

/// Is the child of an [`Isolation`](super::Isolation): reads requests from stdin and writes answers to
/// stdout, until the parent closes stdin or ends. Everything else that the process prints to stdout from now
/// on goes to stderr.
///
/// # Errors
/// If the pipes cannot be used. A load error goes to the parent.
pub fn serve() -> io::Result<()> {
    serve_sandboxed_with(Setup::load)
}

/// Serves like [`serve`] with other taggers, one per thread, which `load` makes within the sandbox.
///
/// # Errors
/// Those of [`serve`].
#[doc(hidden)]
pub fn serve_sandboxed_with(
    load: impl FnOnce(&Setup) -> Result<Vec<Box<dyn Tagger>>, String>,
) -> io::Result<()> {
    guarded(&Guard { enter: sandbox::enter, narrow: sandbox::narrow }, load)
}

/// Serves like [`serve`] with other taggers, one per thread, which `load` makes with all rights of the
/// user. The parent gets its error.
///
/// # Errors
/// Those of [`serve`].
pub fn serve_with(load: impl FnOnce(&Setup) -> Result<Vec<Box<dyn Tagger>>, String>) -> io::Result<()> {
    guarded(&Guard { enter: |_| Ok(Vec::new()), narrow: |_| Ok(()) }, load)
}

/// What takes rights from the process: before anything is loaded, and once the model is.
struct Guard {
    /// Returns notes for people.
    enter: fn(&Setup) -> Result<Vec<String>, String>,
    narrow: fn(&Setup) -> Result<(), String>,
}

fn guarded(
    guard: &Guard,
    load: impl FnOnce(&Setup) -> Result<Vec<Box<dyn Tagger>>, String>,
) -> io::Result<()> {
    let mut output = take_stdout()?;
    let mut input = io::stdin();
    let Some(message) = protocol::read_setup(&mut input)? else { return Ok(()) };
    let loaded = match loaded(guard, &message, load) {
        Ok(loaded) => loaded,
        Err(reason) => return refuse(&mut output, protocol::SETUP, reason),
    };
    protocol::write_answer(&mut output, &Answer { number: protocol::SETUP, body: Body::Loaded })?;
    // Loading a large model takes minutes, a picture of ours does not: the parent times the two apart.
    let mut first = Request::default();
    if !first.read(&mut input)? {
        return Ok(());
    }
    let taggers = match ready(guard, loaded) {
        Ok((taggers, body)) => {
            protocol::write_answer(&mut output, &Answer { number: first.number, body })?;
            taggers
        }
        Err(reason) => return refuse(&mut output, first.number, reason),
    };
    let pipes = Pipes { input: Mutex::new(input), output: Mutex::new(output) };
    thread::scope(|scope| {
        for tagger in taggers {
            let pipes = &pipes;
            scope.spawn(move || pipes.work(tagger));
        }
    });
    Ok(())
}

/// A model that is loaded, before it has run.
struct Loaded {
    setup: Setup,
    taggers: Vec<Box<dyn Tagger>>,
    /// What people should know of the sandbox.
    notes: Vec<String>,
}

fn refuse(output: &mut File, number: u64, reason: String) -> io::Result<()> {
    protocol::write_answer(output, &Answer { number, body: Body::Refused(reason) })
}

/// Runs the model on a picture of ours and gives up what only loading took.
fn ready(guard: &Guard, loaded: Loaded) -> Result<(Vec<Box<dyn Tagger>>, Body), String> {
    let Loaded { setup, taggers, mut notes } = loaded;
    let taggers = tried(taggers)?;
    (guard.narrow)(&setup)?;
    let first = taggers.first();
    let pace = first.map_or_else(ChildStatus::default, |tagger| ChildStatus::of(tagger.as_ref()));
    notes.extend(first.map_or_else(Vec::new, |tagger| tagger.notes()));
    Ok((taggers, Body::Ready { pace, notes }))
}

/// Loads within the sandbox. It is entered on the only thread there is, because a thread inherits what its
/// parent gave up.
fn loaded(
    guard: &Guard,
    message: &[u8],
    load: impl FnOnce(&Setup) -> Result<Vec<Box<dyn Tagger>>, String>,
) -> Result<Loaded, String> {
    let setup = Setup::decode(message).map_err(|error| error.to_string())?;
    let notes = (guard.enter)(&setup)?;
    end_with_parent().map_err(|error| error.to_string())?;
    let taggers = load(&setup)?;
    Ok(Loaded { setup, taggers, notes })
}

/// Engines may print; on the pipe that would be a broken answer.
fn take_stdout() -> io::Result<File> {
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(output.into())
}

/// Ends the process once the other end of stdin is closed: the parent has let go of it, or has ended.
fn end_with_parent() -> io::Result<()> {
    let wait = || {
        let input = io::stdin();
        // Asked for nothing, `poll` returns only once the pipe is broken.
        while poll(&mut [PollFd::new(&input, PollFlags::empty())], None)
            .is_err_and(|error| error == rustix::io::Errno::INTR)
        {}
        std::process::exit(0)
    };
    thread::Builder::new().name("end-with-parent".to_owned()).spawn(wait)?;
    Ok(())
}

/// The taggers, once one of them has tagged a picture that is not to blame for anything.
fn tried(mut taggers: Vec<Box<dyn Tagger>>) -> Result<Vec<Box<dyn Tagger>>, String> {
    let picture = probe::picture().map_err(|error| error.to_string())?;
    if let Some(tagger) = taggers.first_mut() {
        let _ = tagger.tag(&[&picture]);
    }
    Ok(taggers)
}

struct Pipes<R, W> {
    input: Mutex<R>,
    output: Mutex<W>,
}

impl<R: Read, W: Write> Pipes<R, W> {
    /// Tags one request after another until the parent is gone.
    fn work(&self, mut tagger: Box<dyn Tagger>) {
        let mut request = Request::default();
        while self.next(&mut request) {
            let body = tagged(tagger.as_mut(), &request);
            let answer = Answer { number: request.number, body };
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            if protocol::write_answer(&mut *output, &answer).is_err() {
                return;
            }
        }
    }

    /// Reads the next request; false if the pipe ends, if need be in the middle of one.
    fn next(&self, request: &mut Request) -> bool {
        match request.read(&mut *self.input.lock().unwrap_or_else(PoisonError::into_inner)) {
            Ok(is_there) => is_there,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => false,
            // A bug of the parent: the start of the next request is unknown.
            Err(_) => std::process::abort(),
        }
    }
}

/// A panic is a crash like any other: the hook has printed it, and the parent finds out on which image.
fn tagged(tagger: &mut dyn Tagger, request: &Request) -> Body {
    match catch_unwind(AssertUnwindSafe(|| tagger.tag_with_thumbnails(&request.images(), &request.wanted))) {
        Ok(Ok(seen)) => Body::Seen { seen, pace: ChildStatus::of(tagger) },
        Ok(Err(error)) => Body::Failed(error.0),
        Err(_) => std::process::abort(),
    }
}
