//! The taggers of a worker whose model runs in a child, and what happens to images in the hands of a child
//! that died.
//!
//! Usually every thread calls the child at the same time. After a death, each thread that had a request in it
//! tags its images one by one while all others wait. An image is failed only if it kills a child that has
//! tagged nothing else, so that damage by another image is never blamed on it. No shard, no file and no
//! request is known in this module.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tagfleet_pipeline::tagger::{DeviceTime, Seen, Tagger, TaggerError, Wanted};
use tagfleet_pipeline::tags::Outcome;

use super::child_handle::{ChildHandle, Ready, Reply};
use super::protocol::{Body, ChildStatus, MAX_IMAGES};
use super::sandbox;
use super::{ChildExit, Patience, Program, Setup, StartError};
use crate::graph::LARGEST_BATCH;

/// This many deaths in a row without an image in hand mean that the next child dies too.
const MAX_IDLE_DEATHS: u32 = 3;

/// A model that is loaded in a child process. The child ends when this and every tagger is dropped.
pub struct Isolation {
    supervisor: Arc<Supervisor>,
    taggers: usize,
    notes: Vec<String>,
}

impl Isolation {
    /// Starts the child and waits until it has loaded the model.
    ///
    /// # Errors
    /// If the model cannot be loaded, or the child cannot be started or dies without an image to blame.
    pub fn start(program: Program, setup: &Setup, patience: Patience) -> Result<Self, StartError> {
        sandbox::close_parent()?;
        let launch = Launch { program, setup: setup.encode()?, patience };
        let (child_handle, ready) = launch.start(&mut 0)?;
        let refused = |error: TaggerError| StartError::Refused(error.to_string());
        let pace = checked(ready.pace).map_err(refused)?;
        let notes = checked_notes(ready.notes).map_err(refused)?;
        let child =
            Mutex::new(Current { child_handle: Arc::new(child_handle), idle_deaths: 0, given_up: None });
        let pace = Mutex::new(pace);
        let supervisor = Arc::new(Supervisor {
            launch,
            pace,
            ended: Mutex::default(),
            together: RwLock::default(),
            child,
        });
        Ok(Self { supervisor, taggers: setup.taggers(), notes })
    }

    /// What people should know of how the model runs, a sentence each. A child that takes the place of this
    /// one finds the same, and is not asked.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// One tagger for each of the child's threads. Taggers of an earlier call must no longer be in use.
    #[must_use]
    pub fn taggers(&self) -> Vec<Box<dyn Tagger>> {
        let mut taggers: Vec<Box<dyn Tagger>> = Vec::with_capacity(self.taggers);
        for _ in 0..self.taggers {
            taggers.push(Box::new(IsolatedTagger { supervisor: self.supervisor.clone(), at_once: 1 }));
        }
        taggers
    }
}

/// How to start the child, again and again.
struct Launch {
    program: Program,
    setup: Vec<u8>,
    patience: Patience,
}

impl Launch {
    /// Starts a child and returns it with its message; a death while it loads is an idle one.
    fn start(&self, idle_deaths: &mut u32) -> Result<(ChildHandle, Ready), StartError> {
        loop {
            let child_exit = match ChildHandle::start(&self.program, &self.setup, self.patience)? {
                Ok(started) => return Ok(started),
                Err(child_exit) => child_exit,
            };
            *idle_deaths += 1;
            check(*idle_deaths, &child_exit)?;
        }
    }
}

fn check(idle_deaths: u32, child_exit: &ChildExit) -> Result<(), StartError> {
    if idle_deaths < MAX_IDLE_DEATHS {
        Ok(())
    } else {
        Err(StartError::Died { times: idle_deaths, child_exit: child_exit.clone() })
    }
}

/// The child's message that it works, if it does.
fn checked(pace: ChildStatus) -> Result<ChildStatus, TaggerError> {
    if !(1..=LARGEST_BATCH).contains(&pace.batch_size) {
        return Err(TaggerError(format!("the model's process asks for {} images at once", pace.batch_size)));
    }
    Ok(pace)
}

/// More notes than this, or longer ones (in bytes), are not sentences for people.
const MAX_NOTES: usize = 16;
const MAX_NOTE: usize = 4096;

/// A child's notes on how the model runs, if people can read them.
fn checked_notes(notes: Vec<String>) -> Result<Vec<String>, TaggerError> {
    let longest = notes.iter().map(String::len).max().unwrap_or(0);
    if notes.len() <= MAX_NOTES && longest <= MAX_NOTE {
        Ok(notes)
    } else {
        Err(TaggerError(format!(
            "the model's process sent {} notes of up to {longest} bytes, which is too many",
            notes.len()
        )))
    }
}

/// What all taggers share.
struct Supervisor {
    launch: Launch,
    /// The latest value from the child.
    pace: Mutex<ChildStatus>,
    /// What the devices of earlier children did.
    ended: Mutex<Option<DeviceTime>>,
    /// Read by who asks among others, written by who asks alone.
    together: RwLock<()>,
    child: Mutex<Current>,
}

struct Current {
    child_handle: Arc<ChildHandle>,
    /// Deaths with no image in hand since the last answer.
    idle_deaths: u32,
    given_up: Option<String>,
}

impl Current {
    /// The child, started again if it has died.
    fn living(&mut self, launch: &Launch) -> Result<Arc<ChildHandle>, StartError> {
        let Some(end) = self.child_handle.end() else { return Ok(self.child_handle.clone()) };
        if self.child_handle.has_tagged() {
            self.idle_deaths = 0;
        }
        if !end.had_work {
            self.idle_deaths += 1;
            check(self.idle_deaths, &end.child_exit)?;
        }
        let (child_handle, _) = launch.start(&mut self.idle_deaths)?;
        self.child_handle = Arc::new(child_handle);
        Ok(self.child_handle.clone())
    }
}

impl Supervisor {
    fn child(&self) -> Result<Arc<ChildHandle>, TaggerError> {
        let mut current = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = &current.given_up {
            return Err(TaggerError(reason.clone()));
        }
        let before = current.child_handle.clone();
        let living = current.living(&self.launch).map_err(|error| {
            let reason = error.to_string();
            current.given_up = Some(reason.clone());
            TaggerError(reason)
        })?;
        if !Arc::ptr_eq(&before, &living) {
            self.begin_anew();
        }
        Ok(living)
    }

    /// Tags `images` in parallel with the requests of other threads; `None` if the child died in the
    /// meantime.
    fn among_others(&self, images: &[&[u8]], wanted: &[Wanted]) -> Result<Option<Vec<Seen>>, TaggerError> {
        let _beside_others = self.together.read().unwrap_or_else(PoisonError::into_inner);
        loop {
            match self.child()?.tag(images, wanted) {
                Reply::Answer(body) => return self.seen(body, images.len()).map(Some),
                Reply::Died(_) => return Ok(None),
                Reply::NotSent => {}
            }
        }
    }

    /// Tags `images` one after the other, each alone in the child and without a thumbnail.
    fn one_by_one(&self, images: &[&[u8]]) -> Result<Vec<Seen>, TaggerError> {
        let _alone = self.together.write().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::with_capacity(images.len());
        for image in images {
            found.extend(self.alone(image)?);
        }
        Ok(found)
    }

    fn alone(&self, image: &[u8]) -> Result<Vec<Seen>, TaggerError> {
        loop {
            let child = self.child()?;
            let is_fresh = !child.has_tagged();
            match child.tag(&[image], &[]) {
                Reply::Answer(body) => return self.seen(body, 1),
                Reply::Died(child_exit) if is_fresh => return Ok(vec![child_exit.outcome().into()]),
                // Damage by another image may have killed it: a new child will show.
                Reply::Died(_) | Reply::NotSent => {}
            }
        }
    }

    /// The outcomes of this many images. The child decodes hostile bytes, so its messages are checked like
    /// them.
    fn seen(&self, body: Body, images: usize) -> Result<Vec<Seen>, TaggerError> {
        match body {
            Body::Seen { seen, pace } => {
                if seen.len() != images {
                    let found = seen.len();
                    let answer = format!("the model's process gave {found} outcomes for {images} images");
                    return Err(TaggerError(answer));
                }
                self.keep(checked(pace)?);
                Ok(seen)
            }
            Body::Failed(reason) => Err(TaggerError(reason)),
            Body::Loaded | Body::Ready { .. } | Body::Refused(_) => {
                Err(TaggerError("an answer of another kind than was asked for".to_owned()))
            }
        }
    }
}

impl Supervisor {
    fn pace(&self) -> ChildStatus {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the device did, those of earlier children included.
    fn device_time(&self) -> Option<DeviceTime> {
        sum(*self.ended.lock().unwrap_or_else(PoisonError::into_inner), self.pace().device)
    }

    /// Another child has started, whose device counts from zero.
    fn begin_anew(&self) {
        let device = self.pace.lock().unwrap_or_else(PoisonError::into_inner).device.take();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended = sum(*ended, device);
    }

    /// As the last answer has it.
    fn keep(&self, pace: ChildStatus) {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace;
    }
}

fn sum(left: Option<DeviceTime>, right: Option<DeviceTime>) -> Option<DeviceTime> {
    let (Some(mut left), Some(right)) = (left, right) else { return left.or(right) };
    left.add(right);
    Some(left)
}

/// One thread's way to the child.
struct IsolatedTagger {
    supervisor: Arc<Supervisor>,
    /// Images that go to the child in one request, whatever its batch: each request costs some changes of
    /// threads.
    at_once: usize,
}

/// As many images as take this long go to the child at once: the last ones of a run are not shared out more
/// finely.
const REQUEST_TIME: Duration = Duration::from_millis(30);
/// And never more than this, however fast the model is.
const MAX_AT_ONCE: usize = 8;

/// How many images should go at once, after this many took this long.
fn at_once(images: usize, time: Duration) -> usize {
    let fit = REQUEST_TIME.as_nanos() * images as u128 / time.as_nanos().max(1);
    usize::try_from(fit).unwrap_or(MAX_AT_ONCE).clamp(1, MAX_AT_ONCE)
}

impl Tagger for IsolatedTagger {
    fn batch_size(&self) -> usize {
        self.supervisor.pace().batch_size.max(self.at_once)
    }

    fn inference_batch_size(&self) -> usize {
        self.supervisor.pace().inference_batch_size
    }

    fn device_time(&self) -> Option<DeviceTime> {
        self.supervisor.device_time()
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        Ok(self.tag_with_thumbnails(images, &[])?.into_iter().map(|seen| seen.outcome).collect())
    }

    fn tag_with_thumbnails(&mut self, images: &[&[u8]], wanted: &[Wanted]) -> Result<Vec<Seen>, TaggerError> {
        let bytes: usize = images.iter().map(|image| image.len()).sum();
        if bytes > MAX_IMAGES {
            return Err(TaggerError(format!(
                "{} images of {bytes} bytes are more than the {MAX_IMAGES} that go to the model's process at once",
                images.len()
            )));
        }
        let began = Instant::now();
        match self.supervisor.among_others(images, wanted)? {
            Some(seen) => {
                self.at_once = at_once(images.len(), began.elapsed());
                Ok(seen)
            }
            None => self.supervisor.one_by_one(images),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_models_get_several_images_at_once_and_slow_ones_get_one() {
        let after = |images, milliseconds| at_once(images, Duration::from_millis(milliseconds));
        assert_eq!([after(1, 4), after(8, 32), after(1, 9), after(1, 80), after(8, 4000)], [7, 7, 3, 1, 1]);
        assert_eq!((after(1, 0), after(0, 5)), (MAX_AT_ONCE, 1));
    }
}
