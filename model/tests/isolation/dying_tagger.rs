//! A child process whose images name the way it dies: for tests of its parent's reaction.
//!
//! An image that is not one of its commands gets the outcome [`tagged`]; so does every image of an
//! undisturbed run.

#![expect(clippy::expect_used, reason = "a test's child fails by panicking")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use rustix::process::{Signal, getpid, kill_process};
use tagfleet_model::isolation::serve_with;
use tagfleet_pipeline::tagger::{DeviceTime, Tagger, TaggerError};
use tagfleet_pipeline::tags::{Outcome, Tag, Tagged};

fn main() {
    let mode = std::env::args().nth(1).expect("a mode");
    serve_with(move |setup| match mode.as_str() {
        "refuses" => Err("labels.txt: too few".to_owned()),
        "dies-loading" => std::process::exit(9),
        "hangs-loading" => hang(),
        "hangs-on-every-picture" => Ok(taggers(setup.threads, || Box::new(Endless))),
        "dies-on-every-picture" => Ok(taggers(setup.threads, || Box::new(Broken))),
        "wants-too-many" => Ok(taggers(setup.threads, || Box::new(Liar { batch_size: usize::MAX, more: 0 }))),
        "wants-none" => Ok(taggers(setup.threads, || Box::new(Liar { batch_size: 0, more: 0 }))),
        "tells-too-much" => Ok(taggers(setup.threads, || Box::new(Liar { batch_size: 4, more: 1 }))),
        "notes" => Ok(taggers(setup.threads, || Box::new(Talkative { notes: 1 }))),
        "notes-without-end" => Ok(taggers(setup.threads, || Box::new(Talkative { notes: 1000 }))),
        "counts" => Ok(taggers(setup.threads, || Box::new(Counting))),
        _ => Ok(taggers(setup.threads, || Box::new(Obedient))),
    })
    .expect("pipes");
}

fn taggers(count: usize, tagger: impl Fn() -> Box<dyn Tagger>) -> Vec<Box<dyn Tagger>> {
    (0..count).map(|_| tagger()).collect()
}

/// Whether an image has done damage that kills the process on the next one.
static POISONED: AtomicBool = AtomicBool::new(false);

struct Broken;

impl Tagger for Broken {
    fn batch_size(&self) -> usize {
        1
    }

    fn tag(&mut self, _: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        std::process::abort()
    }
}

struct Endless;

impl Tagger for Endless {
    fn batch_size(&self) -> usize {
        1
    }

    fn tag(&mut self, _: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        hang()
    }
}

/// What a picture that has taken the process over could answer.
struct Liar {
    batch_size: usize,
    /// Outcomes in addition to one for each image.
    more: usize,
}

impl Tagger for Liar {
    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        Ok(vec![tagged(b"lie"); images.len() + self.more])
    }
}

struct Obedient;

impl Tagger for Obedient {
    fn batch_size(&self) -> usize {
        4
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        images.iter().map(|image| obey(image)).collect()
    }
}

/// Obeys, and reports a device that takes a millisecond for each image.
struct Counting;

static IMAGES: AtomicU64 = AtomicU64::new(0);

impl Tagger for Counting {
    fn batch_size(&self) -> usize {
        4
    }

    fn device_time(&self) -> Option<DeviceTime> {
        Some(DeviceTime { compute_milliseconds: IMAGES.load(Relaxed), ..DeviceTime::default() })
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        IMAGES.fetch_add(images.len() as u64, Relaxed);
        Obedient.tag(images)
    }
}

/// Has notes on how its model runs.
struct Talkative {
    notes: usize,
}

impl Tagger for Talkative {
    fn batch_size(&self) -> usize {
        4
    }

    fn notes(&self) -> Vec<String> {
        vec!["TopK runs on the processor".to_owned(); self.notes]
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        Obedient.tag(images)
    }
}

fn obey(image: &[u8]) -> Result<Outcome, TaggerError> {
    let text = String::from_utf8_lossy(image);
    let (command, argument) = text.split_once(' ').unwrap_or((&text, ""));
    match command {
        "segv" => die(Signal::SEGV),
        "kill" => die(Signal::KILL),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(7),
        "panic" => std::panic::resume_unwind(Box::new("a bug")),
        "hang" => hang(),
        // Hangs until the process dies; the next one finds the file.
        "hang-once" if !is_marked(argument) => hang(),
        // The whole process is stopped: the pipe has no reader any more.
        "stop" => {
            is_marked(argument);
            die(Signal::STOP)
        }
        _ if POISONED.load(Relaxed) => die(Signal::BUS),
        "poison" => POISONED.store(true, Relaxed),
        "pid" => std::fs::write(argument, std::process::id().to_string()).expect("a file"),
        "fail" => return Err(TaggerError("no such operator".to_owned())),
        "print" => {
            rustix::io::write(rustix::stdio::stdout(), b"printed by an engine").map(drop).expect("stdout");
        }
        _ => {}
    }
    Ok(tagged(image))
}

fn tagged(image: &[u8]) -> Outcome {
    let sum = image.iter().fold(1.0_f32, |sum, &byte| sum / 3.0 + f32::from(byte));
    let tag = Tag { label: format!("{} bytes", image.len()), index: image.len() as u32, score: sum };
    let vector = Some(vec![sum, f32::NAN, -0.0]);
    Outcome::Tagged(Tagged { width: 3, height: 4, tags: vec![tag], vector, second_decoder: true })
}

/// Whether the file is there; it is from now on.
fn is_marked(path: &str) -> bool {
    let is_there = Path::new(path).exists();
    std::fs::write(path, "").expect("a mark");
    is_there
}

/// Rust catches the first SIGSEGV that no access caused, and lets the second through.
fn die(signal: Signal) -> ! {
    loop {
        kill_process(getpid(), signal).expect("a signal");
    }
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}
