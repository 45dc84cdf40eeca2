//! Infer: receive a message -> tag its shard -> put its part -> delete the message; until the queue is empty.
//!
//! A thread per core runs each image to completion. Fetching is asynchronous, bounded by bytes in flight, and
//! continues across shard borders so that the cores never wait for a shard to end. A message is deleted only
//! once the part exists, and a part is written only if it does not exist: any delivery may come twice, late,
//! or after a crash. A shard that is left before it is done leaves a checkpoint of its rows, from which it
//! continues. Simultaneous events are handled in a fixed order, so that a run can be repeated. It never lists
//! the source and never decides whether a run is complete.

mod cores;
mod denials;
mod fetch;
mod heartbeat;
mod one_shard;
mod retry;
#[cfg(test)]
mod retry_tests;
mod shard_in_progress;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::bucket::{Bucket, BucketError, Kind};
use crate::checkpoint::Checkpoints;
use crate::denied::TooManyDenied;
use crate::progress::Progress;
use crate::queue::{Queue, QueueError};
use crate::record::RecordError;
use crate::reduce::ReduceError;
use crate::run::{RunId, RunKeys, Vector};
use crate::shard::ShardId;
use crate::tagger::{Tagger, TaggerError};
use crate::tags::parquet::TableError;
use denials::Denials;
use fetch::Fetcher;
use heartbeat::Liveness;
use one_shard::work;
use retry::Retries;
use state::WorkerState;

/// Rounds of infer, on a laptop and in a fleet: the first, and two for what is missing after it.
pub const ROUNDS: u32 = 3;
/// How long requests that are throttled, time out or break are made again before their shard goes back: most
/// disturbances of S3 are shorter, and a shard is up to 10,000 images' work.
pub const RETRY_TIME: Duration = Duration::from_secs(300);

/// This many failed shards in a row mean that the next cannot be tagged either: a denied bucket, a full disk.
/// Temporary failures do not count.
const MAX_FAILURES_IN_A_ROW: u32 = 3;
/// Time that a stopping worker gives its cores to finish the images in hand: most models need less for an
/// image.
const IN_FLIGHT_GRACE: Duration = Duration::from_secs(2);
/// Time that a stuck core may hold up a worker's exit after everything else is given back.
const CORE_GRACE: Duration = Duration::from_secs(10);
/// Fetched images that wait for a core: enough that no core waits for a fetch, few enough that a stopping
/// worker has little in hand.
const WAITING_IMAGES: usize = 64;

/// What a worker works on and with.
#[derive(Clone)]
pub struct Worker {
    /// The bucket of the images.
    pub source: Arc<dyn Bucket>,
    /// The bucket of shards and parts.
    pub output: Arc<dyn Bucket>,
    /// The queue of messages.
    pub queue: Arc<dyn Queue>,
    /// The run.
    pub run: RunId,
    /// The run's objects.
    pub keys: RunKeys,
    /// The model in each row: [`ModelRecord::id`](crate::run::ModelRecord::id).
    pub model: String,
    /// The vector of each row, in runs that have one.
    pub vector: Option<Vector>,
    /// Images of more bytes than this are failed rows.
    pub max_image_bytes: u64,
    /// How long to wait for a message before the queue counts as empty.
    pub receive_wait: Duration,
    /// How long a shard that could not be tagged stays away before it comes again.
    pub retry_delay: Duration,
    /// How long a request that fails for a while only is made again before its shard goes back:
    /// [`RETRY_TIME`].
    pub retry_time: Duration,
    /// Counts for people.
    pub progress: Arc<Progress>,
}

impl Worker {
    /// The checkpoints of its run.
    #[must_use]
    pub fn checkpoints(&self) -> Checkpoints<'_> {
        Checkpoints {
            output: self.output.as_ref(),
            run: &self.run,
            keys: &self.keys,
            vector: self.vector.as_ref(),
        }
    }
}

/// How to stop a worker. Cancelling `drain` lets it finish the shards in hand and take no new one; cancelling
/// `now` gives those back, with a checkpoint of what is tagged. Nothing is lost either way.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Take no new shard.
    pub drain: CancellationToken,
    /// Give back the shards in hand.
    pub now: CancellationToken,
}

impl Stop {
    pub(crate) fn is_asked_for(&self) -> bool {
        self.drain.is_cancelled() || self.now.is_cancelled()
    }

    pub(crate) async fn asked_for(&self) {
        tokio::select! {
            biased;
            () = self.drain.cancelled() => {}
            () = self.now.cancelled() => {}
        }
    }
}

/// Why a worker ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerExit {
    /// The queue had no more messages.
    Idle,
    /// It was asked to stop.
    Stopped,
}

/// Why a worker gave up. Its shards are back in the queue.
#[derive(Debug, Error)]
pub enum InferError {
    /// The engine failed.
    #[error(transparent)]
    Tagger(#[from] TaggerError),
    /// A thread of this worker panicked: a bug.
    #[error("a worker thread panicked: {0}")]
    Panicked(String),
    /// The queue could not be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The output has no room for a part, and so for no other.
    #[error(transparent)]
    Full(BucketError),
    /// More images are denied than the run takes.
    #[error(transparent)]
    Denied(TooManyDenied),
    /// Shard after shard failed.
    #[error("{MAX_FAILURES_IN_A_ROW} shards in a row could not be tagged; the last one: {0}")]
    Stuck(ShardFailure),
}

/// Why one shard could not be tagged; it comes again.
#[derive(Debug, Error)]
pub enum ShardFailure {
    /// The message is none of this run.
    #[error("not a message of run {run}: {body:?}")]
    Message {
        /// The run.
        run: RunId,
        /// What came.
        body: String,
    },
    /// Source or output failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The shard, or another record of the run, cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// More images of the run are denied than it takes, its own among them.
    #[error(transparent)]
    Denied(#[from] TooManyDenied),
    /// What the run has so far cannot be found out.
    #[error(transparent)]
    Run(#[from] ReduceError),
    /// Its rows could not be stored.
    #[error("shard {0}: {1}")]
    Part(ShardId, TableError),
    /// None of its images got done for a whole visibility timeout, and none had to wait: something hangs.
    #[error("shard message {body}: no image got done for {} s, though none had to wait: something hangs", .silence.as_secs())]
    Stalled {
        /// The message.
        body: String,
        /// The visibility timeout.
        silence: Duration,
    },
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A task of it panicked or was cancelled.
    #[error("shard task: {0}")]
    Task(#[from] JoinError),
}

impl ShardFailure {
    /// Whether it predicts nothing about the next shard: throttling, a server error, a broken connection.
    fn is_temporary(&self) -> bool {
        self.bucket_error().is_some_and(|error| error.kind == Kind::Temporary)
    }

    fn bucket_error(&self) -> Option<&BucketError> {
        match self {
            Self::Bucket(error) => Some(error),
            Self::Record(error) => error.bucket_error(),
            Self::Run(error) => error.bucket_error(),
            _ => None,
        }
    }
}

/// Works until the queue is empty or `stop` is set, with one thread per tagger.
///
/// # Errors
/// If the engine fails, the queue cannot be used, or shard after shard fails. What was committed stays.
pub async fn infer(
    worker: Worker,
    taggers: Vec<Box<dyn Tagger>>,
    stop: &Stop,
) -> Result<WorkerExit, InferError> {
    let (jobs, waiting) = mpsc::channel(WAITING_IMAGES);
    let liveness = Arc::new(Liveness::default());
    let retries = Arc::new(Retries { time: worker.retry_time, liveness: liveness.clone() });
    let denials = Arc::new(Denials::default());
    let fetcher = Fetcher::new(jobs, taggers.len(), retries.clone(), denials.clone());
    let vector = worker.vector.as_ref().map(|vector| vector.stored);
    let mut cores = cores::start(taggers, waiting, &liveness, &worker.progress, vector);
    let state =
        Arc::new(WorkerState { worker, fetcher, retries, denials, liveness, in_hand: Mutex::default() });
    let mut shards = JoinSet::new();
    let end = drive(&state, &mut cores, &mut shards, stop).await;
    shards.shutdown().await;
    state.close_all();
    state.fetcher.close();
    let in_flight = timeout(IN_FLIGHT_GRACE, last_words(&mut cores)).await;
    state.give_back_all().await;
    let ended = match in_flight {
        Ok(ended) => Ok(ended),
        Err(_) => timeout(CORE_GRACE, last_words(&mut cores)).await,
    };
    match ended {
        Ok(ended) => ended.and(end),
        // Its thread ends with the process; what it had in hand is given back.
        Err(_) => end,
    }
}

async fn last_words(cores: &mut Cores) -> Result<(), InferError> {
    while let Some(core) = cores.join_next().await {
        core_ended(core)?;
    }
    Ok(())
}

type Cores = JoinSet<Result<(), TaggerError>>;
type Shards = JoinSet<Result<(), ShardFailure>>;

/// Takes shards one after the other; the next one is received as soon as the last one's fetches are all under
/// way.
async fn drive(
    state: &Arc<WorkerState>,
    cores: &mut Cores,
    shards: &mut Shards,
    stop: &Stop,
) -> Result<WorkerExit, InferError> {
    let feeding = Arc::new(Semaphore::new(1));
    let mut failures = 0;
    // Once the queue was empty it is asked again when a shard in hand has ended: that one may have come back.
    let mut is_empty = false;
    while !stop.is_asked_for() {
        tokio::select! {
            biased;
            () = stop.asked_for() => {}
            Some(core) = cores.join_next() => core_ended(core)?,
            Some(ended) = shards.join_next() => {
                is_empty = false;
                note(&state.worker.progress, ended, &mut failures)?;
            }
            Ok(permit) = feeding.clone().acquire_owned(), if !is_empty => match state.receive(stop).await? {
                Some(message) => _ = shards.spawn(work(state.clone(), message, permit)),
                None if shards.is_empty() && !stop.is_asked_for() => return Ok(WorkerExit::Idle),
                None => is_empty = true,
            },
        }
    }
    drain(cores, shards, stop).await
}

/// Waits for the shards in hand, unless asked to stop now.
async fn drain(cores: &mut Cores, shards: &mut Shards, stop: &Stop) -> Result<WorkerExit, InferError> {
    loop {
        tokio::select! {
            biased;
            () = stop.now.cancelled() => return Ok(WorkerExit::Stopped),
            Some(core) = cores.join_next() => core_ended(core)?,
            ended = shards.join_next() => if ended.is_none() { return Ok(WorkerExit::Stopped) },
        }
    }
}

fn note(
    progress: &Progress,
    ended: Result<Result<(), ShardFailure>, JoinError>,
    failures: &mut u32,
) -> Result<(), InferError> {
    let Err(failure) = ended.map_err(ShardFailure::from).flatten() else {
        *failures = 0;
        return Ok(());
    };
    progress.shard_failed(failure.to_string());
    if failure.is_temporary() {
        return Ok(());
    }
    match failure {
        ShardFailure::Bucket(error) if error.kind == Kind::Full => return Err(InferError::Full(error)),
        ShardFailure::Denied(denied) => return Err(InferError::Denied(denied)),
        _ => *failures += 1,
    }
    if *failures >= MAX_FAILURES_IN_A_ROW { Err(InferError::Stuck(failure)) } else { Ok(()) }
}

fn core_ended(ended: Result<Result<(), TaggerError>, JoinError>) -> Result<(), InferError> {
    match ended {
        Ok(outcome) => Ok(outcome?),
        Err(panic) => Err(InferError::Panicked(panic.to_string())),
    }
}
