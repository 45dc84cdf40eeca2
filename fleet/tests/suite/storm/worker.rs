//! One worker's process, as AWS Batch would run it: its usage records, its signals, its taggers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tagfleet_cost::testing::usage_of_a_worker;
use tagfleet_cost::usage::{self, RECORD_SECONDS, UsageRecord, WorkerEnd, WorkerUsage};
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::infer::{InferError, RETRY_TIME, Stop, Worker, infer};
use tagfleet_pipeline::progress::Progress;
use tagfleet_pipeline::queue::Queue;
use tagfleet_pipeline::record;
use tagfleet_pipeline::run::{RunKeys, RunRequest};
use tagfleet_pipeline::tagger::Tagger;
use tagfleet_pipeline::testing::TaskTagger;
use tagfleet_pipeline::testing::faults::{Process, Random, Storm};
use tagfleet_pipeline::testing::faulty_queue::FaultyQueue;
use tokio::time::{Instant, sleep_until};

use super::world::World;

/// How a worker's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    LocalOutcome,
    Failed,
    Killed,
}

/// When it truly lived, in seconds of the storm.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) began: u64,
    pub(super) ended: u64,
}

/// Seconds since the clock started; it starts at 1,000 so that no time is 0.
pub(super) fn now(clock: Instant) -> u64 {
    1000 + clock.elapsed().as_secs()
}

pub(super) struct Job {
    pub(super) world: Arc<World>,
    pub(super) storm: Storm,
    pub(super) clock: Instant,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) name: String,
}

/// Taggers for one process: how many, how large their batches are, and when one breaks.
pub(super) fn taggers(storm: &Storm, name: &str) -> Vec<Box<dyn Tagger>> {
    let mut random = Random::of(("taggers", storm.seed, name));
    let breaks = random.one_in(12) && !storm.is_over();
    let lasts = if breaks { random.below(100) as usize } else { usize::MAX };
    let (threads, batch_size) = (1 + random.below(3), 1 + random.below(5) as usize);
    (0..threads).map(|_| Box::new(TaskTagger { batch_size, lasts }) as Box<dyn Tagger>).collect()
}

/// Asks it to stop when the process is asked to, and to give back all that it has some time later.
pub(super) async fn obey(process: &Process, stop: &Stop, seed: &str) {
    process.told.cancelled().await;
    let grace = Random::of(("grace", process.storm().seed, seed)).below(150);
    stop.drain.cancel();
    sleep_until(Instant::now() + Duration::from_secs(grace)).await;
    stop.now.cancel();
    std::future::pending::<()>().await;
}

impl Job {
    /// Lives until it ends or is killed.
    pub(super) async fn live(self) -> (Life, Death) {
        let process = Arc::new(Process::new(&self.storm, &self.name, 400));
        let began = now(self.clock);
        let death = tokio::select! {
            biased;
            () = process.killed.cancelled() => Death::Killed,
            death = self.work(&process, began) => death,
        };
        (Life { began, ended: now(self.clock) }, death)
    }

    async fn work(&self, process: &Arc<Process>, began: u64) -> Death {
        let output = (self.world.stack(process).open)("stack");
        let progress = Arc::new(Progress::default());
        let stop = Stop::default();
        let ended = tokio::select! {
            biased;
            ended = self.infer(process, &output, &progress, &stop) => ended,
            () = self.report(output.as_ref(), &progress, began) => return Death::Failed,
            () = obey(process, &stop, &self.name) => return Death::Failed,
        };
        let (end, death) = match ended {
            Ok(()) => (WorkerEnd::QueueEmpty, Death::LocalOutcome),
            Err(end) => (end, Death::Failed),
        };
        self.put(output.as_ref(), &progress, (began, Some(end))).await;
        death
    }

    async fn infer(
        &self,
        process: &Arc<Process>,
        output: &Arc<dyn Bucket>,
        progress: &Arc<Progress>,
        stop: &Stop,
    ) -> Result<(), WorkerEnd> {
        let keys = &self.world.keys;
        let failed = |error: &dyn ToString| WorkerEnd::Failed(error.to_string());
        let request: RunRequest =
            record::read(output.as_ref(), &keys.request()).await.map_err(|error| failed(&error))?;
        let worker = Worker {
            source: (self.world.stack(process).open)("shop"),
            output: output.clone(),
            queue: Arc::new(FaultyQueue::new(self.queue.clone(), process.clone())),
            run: self.world.run.clone(),
            keys: keys.clone(),
            model: request.model.id(),
            vector: request.vector,
            max_image_bytes: request.max_image_bytes,
            receive_wait: Duration::from_secs(20),
            retry_delay: Duration::from_secs(10),
            retry_time: RETRY_TIME,
            progress: progress.clone(),
        };
        let ended = infer(worker, taggers(&self.storm, &self.name), stop).await;
        ended.map(|_| ()).map_err(|error| match error {
            InferError::Denied(denied) => WorkerEnd::TooManyDenied(denied.to_string()),
            error => failed(&error),
        })
    }

    async fn report(&self, output: &dyn Bucket, progress: &Progress, began: u64) {
        loop {
            let next = Instant::now() + Duration::from_secs(RECORD_SECONDS);
            self.put(output, progress, (began, None)).await;
            sleep_until(next).await;
        }
    }

    /// One that cannot be written costs nothing.
    async fn put(&self, output: &dyn Bucket, progress: &Progress, (began, ended): (u64, Option<WorkerEnd>)) {
        let counts = progress.counts();
        let record = UsageRecord::Worker(WorkerUsage {
            began,
            updated: now(self.clock),
            ended,
            tagged: counts.tagged,
            failed: counts.failed,
            ..usage_of_a_worker()
        });
        let _ = usage::put(output, &self.world.keys, &self.name, &record).await;
    }
}

/// The workers that have left a record, by name.
pub(super) async fn recorded(world: &World) -> BTreeMap<String, WorkerUsage> {
    let usages = RunKeys::usages(&world.keys);
    let range = tagfleet_pipeline::bucket::KeyRange::prefix(&usages);
    let mut workers = BTreeMap::new();
    for (key, bytes) in world.objects(&range).await {
        if let UsageRecord::Worker(worker) = serde_json::from_slice(&bytes).unwrap() {
            let name = key.strip_prefix(&usages).and_then(|name| name.strip_suffix(".json")).unwrap();
            workers.insert(name.to_owned(), worker);
        }
    }
    workers
}
