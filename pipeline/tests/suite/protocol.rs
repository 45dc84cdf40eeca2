//! The protocol between queue, workers and rounds, as a property: whatever the interleaving, the real ports
//! agree with a small model of what a shard's life is.
//!
//! Workers take one step at a time (receive, look for the part and the checkpoint, tag an image, put the
//! part, delete the message), in any order among each other, and may stop for good or for long between any
//! two. The model knows messages, checkpoints and parts only.

mod model;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::bucket::{Bucket, KeyRange, Put};
use tagfleet_pipeline::checkpoint::{Checkpoints, Rows};
use tagfleet_pipeline::queue::{MemoryQueue, Message, Queue};
use tagfleet_pipeline::record;
use tagfleet_pipeline::reduce;
use tagfleet_pipeline::run::{Ranges, RunId, RunKeys};
use tagfleet_pipeline::shard::ShardId;
use tagfleet_pipeline::split::{RangeTask, ShardMessage, Source, send_shards, split_range};
use tagfleet_pipeline::tags::{Failure, Outcome, Reason, Row};
use tokio::time::advance;
use tokio_util::sync::CancellationToken;

use model::{Model, VISIBILITY};

const WORKERS: usize = 3;
const MOST_RECEIPTS: u32 = 4;
const ROUNDS: u32 = 3;
/// Images of a shard.
const IMAGES: usize = 3;

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A worker does its next step.
    Step(usize),
    /// A worker keeps its message for longer.
    Extend(usize),
    /// A worker stops: it leaves a checkpoint and gives its message back.
    GiveBack(usize),
    /// A worker stops while another one stops too: it replaces a newer checkpoint than the one that it read.
    Race(usize),
    /// A worker is killed: its message is delivered again.
    Kill(usize),
    /// Seconds pass.
    Pass(u64),
    /// A message of this shard is delivered a second time.
    Duplicate(u32),
    /// The round is over: what is missing is sent again, or the run ends.
    Check,
}

fn event() -> impl Strategy<Value = Event> {
    let worker = 0..WORKERS;
    prop_oneof![
        12 => worker.clone().prop_map(Event::Step),
        1 => worker.clone().prop_map(Event::Extend),
        2 => worker.clone().prop_map(Event::GiveBack),
        1 => worker.clone().prop_map(Event::Race),
        1 => worker.prop_map(Event::Kill),
        3 => (1..90_u64).prop_map(Event::Pass),
        1 => (0..6_u32).prop_map(Event::Duplicate),
        1 => Just(Event::Check),
    ]
}

/// The progress of a worker with its message.
#[derive(Clone, Debug)]
enum Worker {
    Idle,
    Received(Message, ShardId),
    /// It has found no part, and these rows are there, from a checkpoint or its own.
    Tagging(Message, ShardId, Rows),
    /// Its part is there, or another's.
    Done(Message),
}

struct Real {
    output: MemoryBucket,
    queue: Arc<MemoryQueue>,
    run: RunId,
    keys: RunKeys,
    workers: Vec<Worker>,
    round: u32,
    model: Model,
}

impl Real {
    /// A run that is split into this many shards.
    async fn new(shards: u32) -> Self {
        let run = RunId::try_from("run".to_owned()).unwrap();
        let (output, keys) = (MemoryBucket::default(), RunKeys::new("", &run));
        let queue = Arc::new(MemoryQueue::new(VISIBILITY, MOST_RECEIPTS));
        let ranges = Ranges { version: 1, ranges: vec![KeyRange::default()] };
        record::create(&output, &keys.ranges(), &ranges).await.unwrap();
        let source = Source::Named(Arc::new(inputs(shards)));
        let (number, range, queue_port) = (0, &ranges.ranges[0], queue.as_ref());
        let task = RangeTask { number, range, run: &run, output: &output, keys: &keys, queue: queue_port };
        split_range(&source, task, IMAGES, &CancellationToken::new()).await.unwrap();
        let model = Model::new(shards, MOST_RECEIPTS);
        Self { output, queue, run, keys, workers: vec![Worker::Idle; WORKERS], round: 1, model }
    }

    async fn happens(&mut self, event: Event) {
        match event {
            Event::Step(worker) => self.step(worker).await,
            Event::Extend(worker) => self.change(worker, 2 * VISIBILITY).await,
            Event::GiveBack(worker) => self.give_back(worker, false).await,
            Event::Race(worker) => self.give_back(worker, true).await,
            Event::Kill(worker) => self.workers[worker] = Worker::Idle,
            Event::Pass(seconds) => advance(Duration::from_secs(seconds)).await,
            Event::Duplicate(number) if number < self.model.shards() => {
                let shard = ShardId { range: 0, number };
                send_shards(self.queue.as_ref(), &self.run, &[shard]).await.unwrap();
                self.model.sent(shard);
            }
            Event::Duplicate(_) => {}
            Event::Check => self.check().await,
        }
        self.agrees().await;
    }

    /// One step of `infer`.
    async fn step(&mut self, number: usize) {
        let next = match self.workers[number].clone() {
            Worker::Idle => self.receive().await,
            Worker::Received(message, shard) => {
                if self.output.exists(&self.keys.part(shard)).await.unwrap() {
                    Worker::Done(message)
                } else {
                    let inputs = record::read_shard(&self.output, &self.keys, shard).await.unwrap();
                    let rows = self.checkpoints().read(&inputs).await.unwrap();
                    self.model.continues(shard, rows.keys());
                    Worker::Tagging(message, shard, rows)
                }
            }
            Worker::Tagging(message, shard, mut rows) if rows.len() < IMAGES => {
                let image = (0..IMAGES).find(|image| !rows.contains_key(image)).unwrap();
                rows.insert(image, row(shard, image));
                self.model.tagged(shard, image);
                Worker::Tagging(message, shard, rows)
            }
            Worker::Tagging(message, shard, _) => {
                let rows = Bytes::from(format!("of worker {number}, {}", message.receipt));
                let put = self.output.put_if_absent(&self.keys.part(shard), rows.clone()).await.unwrap();
                assert_eq!(
                    put == Put::Created,
                    self.model.committed(shard, rows),
                    "only the first part counts"
                );
                Worker::Done(message)
            }
            Worker::Done(message) => {
                self.queue.delete(&message.receipt).await.unwrap();
                self.model.deleted(&message.receipt);
                Worker::Idle
            }
        };
        self.workers[number] = next;
    }

    async fn receive(&mut self) -> Worker {
        let Some(message) = self.queue.receive(Duration::ZERO).await.unwrap() else {
            self.model.received_nothing();
            return Worker::Idle;
        };
        let shard = serde_json::from_str::<ShardMessage>(&message.body).unwrap().shard;
        self.model.received(shard, &message);
        Worker::Received(message, shard)
    }

    async fn change(&mut self, worker: usize, timeout: Duration) {
        let (Worker::Received(message, _) | Worker::Tagging(message, ..) | Worker::Done(message)) =
            &self.workers[worker]
        else {
            return;
        };
        self.queue.change_visibility(&message.receipt, timeout).await.unwrap();
        self.model.changed(&message.receipt, timeout);
    }

    fn checkpoints(&self) -> Checkpoints<'_> {
        Checkpoints { output: &self.output, run: &self.run, keys: &self.keys, vector: None }
    }

    async fn give_back(&mut self, worker: usize, is_race: bool) {
        if let Worker::Tagging(_, shard, rows) = self.workers[worker].clone() {
            if is_race {
                self.output.delete(&self.keys.checkpoint(shard));
                self.model.checkpoint_lost(shard);
            }
            let inputs = record::read_shard(&self.output, &self.keys, shard).await.unwrap();
            self.model.kept(shard, rows.keys());
            self.checkpoints().save(&inputs, rows).await.unwrap();
        }
        self.change(worker, Duration::ZERO).await;
        self.workers[worker] = Worker::Idle;
    }

    /// After a round what is missing is sent again; after the last one the run ends, and is taken up again.
    async fn check(&mut self) {
        let missing = reduce::missing(&self.output, &self.keys).await.unwrap();
        assert_eq!(missing, self.model.missing(), "it names exactly what has no part");
        if self.round == ROUNDS {
            // A worker that still has a message of it continues: its part counts if it comes before
            // another's.
            self.queue = Arc::new(MemoryQueue::new(VISIBILITY, MOST_RECEIPTS));
            self.workers.iter_mut().for_each(forget);
            self.model.begins_anew();
            self.round = 0;
        }
        self.round += 1;
        send_shards(self.queue.as_ref(), &self.run, &missing).await.unwrap();
        missing.into_iter().for_each(|shard| self.model.sent(shard));
    }

    async fn agrees(&self) {
        let missing = reduce::missing(&self.output, &self.keys).await.unwrap();
        assert_eq!(missing, self.model.missing());
        self.model.holds();
    }

    /// From now on no process fails: the run finishes in one more round.
    async fn comes_to_its_end(&mut self) {
        self.round = 1;
        self.check().await;
        for _ in 0..100 {
            advance(3 * VISIBILITY).await;
            for _ in 0..4 + IMAGES {
                self.step(0).await;
            }
        }
        assert_eq!(reduce::missing(&self.output, &self.keys).await.unwrap(), []);
        for (shard, rows) in self.model.parts() {
            let part = self.output.get(&self.keys.part(*shard), None, 100).await.unwrap();
            assert_eq!(part.bytes, rows, "the first part of {shard} is the one that stays");
        }
    }
}

/// The keys of this many shards, in order.
fn inputs(shards: u32) -> Vec<String> {
    (0..shards).flat_map(|number| (0..IMAGES).map(move |image| format!("{number}-{image}.jpg"))).collect()
}

fn row(shard: ShardId, image: usize) -> Row {
    let outcome = Outcome::Failed(Failure::new(Reason::Missing, ""));
    Row { key: format!("{}-{image}.jpg", shard.number), bytes: None, etag: None, outcome }
}

/// A deleted queue: a worker can still put its part, and cannot delete its message.
fn forget(worker: &mut Worker) {
    if let Worker::Received(message, _) | Worker::Tagging(message, ..) | Worker::Done(message) = worker {
        message.receipt = u64::MAX.to_string();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_interleaving_agrees_with_the_model(
        shards in 1..6_u32,
        events in prop::collection::vec(event(), 0..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut real = Real::new(shards).await;
            for event in events {
                real.happens(event).await;
            }
            real.comes_to_its_end().await;
        });
    }
}
