//! Fetches the images of a shard, bounded by requests and by bytes in flight, process-wide.
//!
//! An error about one image (missing, changed, archived, too large) becomes its row. A denial may be about
//! one image or about access to all: it is noted, and judged once the shard has no other image left. Any
//! other error fails the shard, which is then delivered again. Temporary errors (throttling, timeouts, broken
//! connections) do so only after a long time of retries. It never decodes.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::cores::Job;
use super::denials::{DOUBTFUL, Denials};
use super::retry::Retries;
use super::shard_in_progress::{ShardInProgress, WaitGuard};
use super::{ShardFailure, Worker};
use crate::bucket::{Access, Bucket, BucketError, Fetched, Kind};
use crate::shard::Image;
use crate::tags::{Cause, Failure, Outcome};

/// Requests at once per thread that tags: at 100 ms each, enough for 160 images a second and thread.
const REQUESTS_PER_THREAD: usize = 16;
/// The least number of requests at once, for few threads on a small model: at 100 ms each, enough for 640
/// images a second.
const MIN_REQUESTS: usize = 64;
/// Bytes of images fetched or being fetched and not yet tagged, per request and in KiB. Above the mean size
/// of pictures on the web, so that requests are what runs out first.
const KIB_PER_REQUEST: u32 = 256;
/// The same of all requests at least, in KiB: 64 MiB.
const MIN_KIB_IN_FLIGHT: u32 = 64 << 10;
/// Images whose size was not listed are first asked for with this limit: 1 MiB.
const UNKNOWN_BYTES: u64 = 1 << 20;

pub(super) struct Fetcher {
    jobs: Mutex<Option<Sender<Job>>>,
    requests: Arc<Semaphore>,
    in_flight: Arc<Semaphore>,
    kib_in_flight: u32,
    retries: Arc<Retries>,
    denials: Arc<Denials>,
}

impl Fetcher {
    /// For this many threads that tag what goes to `jobs`.
    pub(super) fn new(
        jobs: Sender<Job>,
        threads: usize,
        retries: Arc<Retries>,
        denials: Arc<Denials>,
    ) -> Self {
        let requests = requests(threads);
        let kib_in_flight = kib_in_flight(requests);
        Self {
            jobs: Mutex::new(Some(jobs)),
            requests: Arc::new(Semaphore::new(requests)),
            in_flight: Arc::new(Semaphore::new(kib_in_flight as usize)),
            kib_in_flight,
            retries,
            denials,
        }
    }

    /// Nothing more will be fetched: the cores end once they have tagged what is waiting.
    pub(super) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Starts fetching every image of `shard` that has no row yet and is not noted as denied; returns when
    /// the last one is under way.
    pub(super) async fn start(
        &self,
        worker: &Worker,
        shard: &Arc<ShardInProgress>,
    ) -> Result<JoinSet<Result<(), BucketError>>, ShardFailure> {
        let mut fetches = JoinSet::new();
        let Some(jobs) = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
            return Ok(fetches);
        };
        let _turn = WaitGuard::of(shard);
        for (index, image) in shard.shard.images.iter().enumerate() {
            while let Some(fetched) = fetches.try_join_next() {
                fetched??;
            }
            if shard.is_done(index) {
                continue;
            }
            if let Some(failure) = known_failure(image, worker.max_image_bytes) {
                shard.set(index, None, Outcome::Failed(failure).into());
                continue;
            }
            let bytes = image.size.unwrap_or(UNKNOWN_BYTES.min(worker.max_image_bytes));
            let Ok(request) = self.requests.clone().acquire_owned().await else { break };
            let kib = kib(bytes, self.kib_in_flight);
            let Ok(in_flight) = self.in_flight.clone().acquire_many_owned(kib).await else { break };
            let fetch = Fetch {
                source: worker.source.clone(),
                shard: shard.clone(),
                index,
                max_image_bytes: worker.max_image_bytes,
                jobs: jobs.clone(),
                budget: self.in_flight.clone(),
                budget_kib: self.kib_in_flight,
                retries: self.retries.clone(),
                denials: self.denials.clone(),
            };
            fetches.spawn(fetch.run(request, in_flight));
        }
        Ok(fetches)
    }
}

fn requests(threads: usize) -> usize {
    threads.saturating_mul(REQUESTS_PER_THREAD).clamp(MIN_REQUESTS, Semaphore::MAX_PERMITS)
}

fn kib_in_flight(requests: usize) -> u32 {
    u32::try_from(requests).unwrap_or(u32::MAX).saturating_mul(KIB_PER_REQUEST).max(MIN_KIB_IN_FLIGHT)
}

/// A single image may be larger than the whole budget: then it is fetched alone.
fn kib(bytes: u64, budget_kib: u32) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, budget_kib)
}

/// Failures that are known from the listing, so that no request is needed.
fn known_failure(image: &Image, max_image_bytes: u64) -> Option<Failure> {
    match image.access {
        Access::Archived => Some(Failure::new(Cause::Archived, "")),
        Access::Readable => {
            let size = image.size.filter(|size| *size > max_image_bytes)?;
            let detail = format!("{size} bytes, the limit is {max_image_bytes}");
            Some(Failure::new(Cause::TooLarge, detail))
        }
    }
}

struct Fetch {
    source: Arc<dyn Bucket>,
    shard: Arc<ShardInProgress>,
    index: usize,
    max_image_bytes: u64,
    jobs: Sender<Job>,
    budget: Arc<Semaphore>,
    budget_kib: u32,
    retries: Arc<Retries>,
    denials: Arc<Denials>,
}

impl Fetch {
    async fn get(&self, limit: u64) -> Result<Fetched, BucketError> {
        let image = &self.shard.shard.images[self.index];
        let get = || self.source.get(&image.key, image.etag.as_deref(), limit);
        self.retries.call(&self.shard, get).await
    }

    async fn run(
        self,
        request: OwnedSemaphorePermit,
        in_flight: OwnedSemaphorePermit,
    ) -> Result<(), BucketError> {
        let image = &self.shard.shard.images[self.index];
        let limit = match image.size {
            Some(_) => self.max_image_bytes,
            None => UNKNOWN_BYTES.min(self.max_image_bytes),
        };
        let mut in_flight = in_flight;
        let mut outcome = self.get(limit).await;
        let is_larger_than_thought = outcome.as_ref().is_err_and(|error| error.kind == Kind::TooLarge);
        if is_larger_than_thought && limit < self.max_image_bytes {
            // Given back before more is asked for, else two of these could wait for each other.
            drop(in_flight);
            let turn = WaitGuard::of(&self.shard);
            let kib = kib(self.max_image_bytes, self.budget_kib);
            let Ok(larger) = self.budget.clone().acquire_many_owned(kib).await else { return Ok(()) };
            in_flight = larger;
            drop(turn);
            outcome = self.get(self.max_image_bytes).await;
        }
        // The request's permit is held until a core has room, so that no more images are read ahead than
        // that.
        let _request = request;
        match outcome {
            Ok(fetched) => {
                self.denials.saw(&image.key);
                let turn = WaitGuard::of(&self.shard);
                let (shard, index) = (self.shard.clone(), self.index);
                let job = Job { shard, index, fetched, _turn: turn, _in_flight: in_flight };
                // The cores are gone only if the worker ends, and then the shard is given back.
                let _ = self.jobs.send(job).await;
                Ok(())
            }
            Err(error) if error.kind == Kind::Denied => {
                let denied = self.shard.deny(self.index, error.clone());
                if denied > DOUBTFUL && !self.denials.has_seen() { Err(error) } else { Ok(()) }
            }
            Err(error) => {
                let cause = cause(&error).ok_or_else(|| error.clone())?;
                let failure = Failure::new(cause, error.detail);
                self.shard.set(self.index, None, Outcome::Failed(failure).into());
                Ok(())
            }
        }
    }
}

/// The cause that an error gives for the image itself; `None` if it is about something else.
fn cause(error: &BucketError) -> Option<Cause> {
    match error.kind {
        Kind::Missing => Some(Cause::Missing),
        Kind::Changed => Some(Cause::Changed),
        Kind::Archived => Some(Cause::Archived),
        Kind::TooLarge => Some(Cause::TooLarge),
        Kind::OutOfRange | Kind::Denied | Kind::Temporary | Kind::Full | Kind::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_bytes_in_flight_grow_with_the_threads() {
        assert_eq!([0, 1, 4, 5, 64].map(requests), [64, 64, 64, 80, 1024]);
        assert_eq!([64, 256, 1024].map(|requests| kib_in_flight(requests) >> 10), [64, 64, 256]);
        let budget = kib_in_flight(64);
        assert_eq!([0, 1, 2048, 1 << 40].map(|bytes| kib(bytes, budget)), [1, 1, 2, budget]);
    }
}
