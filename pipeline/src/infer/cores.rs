//! The cores that tag: a thread per tagger, running its images to completion with its own session. Only a
//! tagger that answers at once has a task instead, so that a test can pause the worker's clock, which stops
//! while a thread runs.
//!
//! They never fetch and never wait for one another: a free core takes the next fetched image, of any shard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio::task::JoinSet;

use super::heartbeat::Liveness;
use super::shard_in_progress::{ShardInProgress, WaitGuard};
use crate::bucket::Fetched;
use crate::progress::Progress;
use crate::run::VectorType;
use crate::tagger::{Seen, Tagger, TaggerError, Wanted};

/// A fetched image on its way to a core; its bytes count as in flight until this is dropped.
pub(super) struct Job {
    pub(super) shard: Arc<ShardInProgress>,
    pub(super) index: usize,
    pub(super) fetched: Fetched,
    /// Until it has its row.
    pub(super) _turn: WaitGuard,
    pub(super) _in_flight: OwnedSemaphorePermit,
}

/// Starts one core per tagger; each ends when `waiting` is closed and empty, or with its engine's error.
pub(super) fn start(
    taggers: Vec<Box<dyn Tagger>>,
    waiting: Receiver<Job>,
    liveness: &Arc<Liveness>,
    progress: &Arc<Progress>,
    vector: Option<VectorType>,
) -> JoinSet<Result<(), TaggerError>> {
    let waiting = Arc::new(Mutex::new(waiting));
    let mut cores = JoinSet::new();
    for tagger in taggers {
        let needs_thread = tagger.needs_thread();
        let core = run(tagger, waiting.clone(), liveness.clone(), progress.clone(), vector);
        if needs_thread {
            let runtime = Handle::current();
            cores.spawn_blocking(move || runtime.block_on(core));
        } else {
            cores.spawn(core);
        }
    }
    cores
}

async fn run(
    mut tagger: Box<dyn Tagger>,
    waiting: Arc<Mutex<Receiver<Job>>>,
    liveness: Arc<Liveness>,
    progress: Arc<Progress>,
    vector: Option<VectorType>,
) -> Result<(), TaggerError> {
    loop {
        let free = Instant::now();
        let jobs = next(&waiting, tagger.batch_size()).await;
        if jobs.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let images: Vec<&[u8]> = jobs.iter().map(|job| job.fetched.bytes.as_ref()).collect();
        let wanted: Vec<Wanted> = jobs.iter().map(|job| job.shard.wanted(job.index)).collect();
        let seen = liveness.tagging(|| tagger.tag_with_thumbnails(&images, &wanted))?;
        let took = began.elapsed();
        progress.add_thread_time(began.duration_since(free), took);
        progress.set_batch_size(tagger.inference_batch_size());
        if let Some(told) = tagger.device_time() {
            progress.set_device_time(told);
        }
        if seen.len() != jobs.len() {
            return Err(TaggerError(format!("{} outcomes for {} images", seen.len(), jobs.len())));
        }
        for (job, seen) in jobs.into_iter().zip(measured(seen, took)) {
            let read = (job.fetched.bytes.len() as u64, job.fetched.etag);
            job.shard.set(job.index, Some(read), checked(seen, vector));
        }
    }
}

/// Waits for an image, and takes what else is there up to `limit`; none once the worker is done.
async fn next(waiting: &Mutex<Receiver<Job>>, limit: usize) -> Vec<Job> {
    let mut waiting = waiting.lock().await;
    let mut jobs = Vec::with_capacity(limit);
    while jobs.is_empty() {
        let Some(job) = waiting.recv().await else { return jobs };
        jobs.extend(useful(job));
    }
    while jobs.len() < limit {
        let Ok(job) = waiting.try_recv() else { break };
        jobs.extend(useful(job));
    }
    jobs
}

fn useful(job: Job) -> Option<Job> {
    job.shard.is_open().then_some(job)
}

/// Gives each image of a call its time: the one that the tagger measured, but no more than the call took.
/// Images without a measured time share the rest.
fn measured(mut seen: Vec<Seen>, took: Duration) -> Vec<Seen> {
    let all = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let said = seen.iter().filter_map(|seen| seen.milliseconds).fold(0, u64::saturating_add);
    let unsaid = seen.iter().filter(|seen| seen.milliseconds.is_none()).count() as u64;
    let rest = all.saturating_sub(said) / unsaid.max(1);
    for seen in &mut seen {
        seen.milliseconds = Some(seen.milliseconds.map_or(rest, |said| said.min(all)));
    }
    seen
}

/// A vector that cannot be stored makes the image a failed one.
fn checked(mut seen: Seen, vector: Option<VectorType>) -> Seen {
    seen.outcome = seen.outcome.checked(vector);
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags::{Cause, Failure, Outcome};

    fn said(milliseconds: &[Option<u64>], took: u64) -> Vec<u64> {
        let seen = |milliseconds: &Option<u64>| {
            let outcome = Outcome::Failed(Failure::new(Cause::Crashed, String::new()));
            Seen { milliseconds: *milliseconds, ..outcome.into() }
        };
        let seen = milliseconds.iter().map(seen).collect();
        measured(seen, Duration::from_millis(took)).into_iter().filter_map(|seen| seen.milliseconds).collect()
    }

    #[test]
    fn an_image_of_which_nothing_is_said_took_what_is_left_of_the_call() {
        assert_eq!(said(&[None], 60_123), [60_123]);
        // It killed the process, and the others were tagged after that.
        assert_eq!(said(&[Some(20), None, Some(30)], 60_050), [20, 60_000, 30]);
        assert_eq!(said(&[None, None], 9), [4, 4]);
        assert_eq!(said(&[], 9), [0_u64; 0]);
    }

    #[test]
    fn no_tagger_can_say_that_an_image_took_longer_than_its_call() {
        assert_eq!(said(&[Some(u64::MAX), Some(u64::MAX), None], 70), [70, 70, 0]);
    }
}
