//! The steps in the order of the state machine, over buckets and a queue in memory and a tagger without a
//! model.

mod again;
mod apart;
mod denied;
mod device;
mod late;
mod limits;
mod names;
mod nights;
mod partial;
mod planned;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::finish::{Finished, Priced, finish, read_summary};
use super::model::{PUBLISHED_MODEL_VERSION, PublishedModel};
use super::plan::{Plan, plan};
use super::pricing::Pricing;
use super::problem::{NO_CAPACITY, Problem, TIMEOUT};
use super::steps::{CheckInput, CheckResult, check, compact, split};
use super::*;
use tagfleet_cost::testing::usage_of_a_worker;
use tagfleet_cost::usage::{self, Machine, Requests, USAGE_VERSION, UsageRecord, WorkerEnd, WorkerUsage};
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::infer::{Stop, Worker, infer};
use tagfleet_pipeline::progress::Progress;
use tagfleet_pipeline::queue::{MemoryQueue, Queue};
use tagfleet_pipeline::testing::{LengthTagger, request};
use tagfleet_report::State;

/// The first check of a run without a limit.
const ASKED: CheckInput<'_> = CheckInput {
    round: 0,
    resumed: false,
    before: None,
    problem: None,
    most_workers: 100,
    vcpus: 8,
    now: 0,
    limit: None,
    used: None,
    sent: None,
    stop: None,
};

struct World {
    source: MemoryBucket,
    own: MemoryBucket,
    stack: Stack,
    queue: Arc<MemoryQueue>,
    run: RunId,
}

impl World {
    /// A stack with a published model and a source of this many images, one in ten of them bad.
    async fn new(images: usize) -> Self {
        let (source, own) = (MemoryBucket::default(), MemoryBucket::default());
        for number in 0..images {
            let kind = if number % 10 == 9 { "bad" } else { "image" };
            source
                .put(&format!("photos/{number:06}.jpg"), Bytes::from(format!("{kind} {number}")))
                .await
                .unwrap();
        }
        let of_length = request();
        let published = PublishedModel {
            version: PUBLISHED_MODEL_VERSION,
            model: of_length.model,
            engine: of_length.engine,
            tags: of_length.tags,
            labels: vec!["length 7".to_owned()],
            vector: None,
            max_image_bytes: 1000,
        };
        own.put("models/m/model.json", serde_json::to_vec(&published).unwrap().into()).await.unwrap();
        let (shop, stack) = (source.clone(), own.clone());
        let open: OpenBucket = Arc::new(move |name| match name {
            "shop" => Arc::new(shop.clone()),
            _ => Arc::new(stack.clone()),
        });
        let stack = Stack { bucket: Arc::new(own.clone()), name: "stack".to_owned(), open };
        let queue = Arc::new(MemoryQueue::new(Duration::from_secs(60), 20));
        Self { source, own, stack, queue, run: RunId::try_from("nightly-1".to_owned()).unwrap() }
    }

    async fn ask(&self, more: Value) {
        let mut asked = json!({"version": 1, "input": ["s3://shop/photos/"], "model": "s3://stack/models/m"});
        for (field, value) in more.as_object().unwrap() {
            asked[field] = value.clone();
        }
        let bytes = serde_json::to_vec(&asked).unwrap();
        self.stack.bucket.put(&StackKeys::run(&self.run), bytes.into()).await.unwrap();
    }

    async fn fleet(&self) -> FleetRun {
        self.stack.find(&self.run).await.unwrap()
    }

    async fn planned(&self) -> Plan {
        plan(&self.stack, &self.fleet().await).await.unwrap()
    }

    /// Splits every range, a page a call.
    async fn split(&self) {
        let fleet = self.fleet().await;
        let stop = CancellationToken::new();
        stop.cancel();
        for range in 0..self.planned().await.ranges {
            while !split(&self.stack, &fleet, self.queue.as_ref(), range, &stop).await.unwrap().done {}
        }
    }

    async fn check(&self, round: u32, resumed: bool, problem: Option<&Problem>) -> CheckResult {
        let before = if round > 0 { Some(u64::MAX) } else { None };
        self.check_with(CheckInput { round, resumed, before, problem, ..ASKED }).await
    }

    async fn check_with(&self, asked: CheckInput<'_>) -> CheckResult {
        check(&self.fleet().await, self.queue.as_ref(), asked).await.unwrap()
    }

    async fn infer(&self) {
        let fleet = self.fleet().await;
        let request = fleet.request().await.unwrap();
        let worker = Worker {
            source: (self.stack.open)(&fleet.valid.source),
            output: fleet.output.clone(),
            queue: self.queue.clone(),
            run: fleet.run.clone(),
            keys: fleet.keys.clone(),
            model: request.model.id(),
            vector: request.vector,
            max_image_bytes: request.max_image_bytes,
            receive_wait: Duration::ZERO,
            retry_delay: Duration::ZERO,
            retry_time: Duration::ZERO,
            progress: Arc::new(Progress::default()),
        };
        infer(worker, LengthTagger::threads(2, 3), &Stop::default()).await.unwrap();
    }

    async fn finish(&self, groups: u32, problem: Option<&Problem>) -> Finished {
        let fleet = self.fleet().await;
        for group in 0..groups {
            compact(&fleet, group).await.unwrap();
        }
        let pricing = Pricing::load_or_why(self.stack.bucket.as_ref(), "us-east-1").await.unwrap();
        finish(&fleet, problem, &Priced { pricing, now: 1_795_392_000 }).await.unwrap()
    }

    async fn lose_messages(&self) {
        while let Some(message) = self.queue.receive(Duration::ZERO).await.unwrap() {
            self.queue.delete(&message.receipt).await.unwrap();
        }
    }

    async fn error(&self) -> (ErrorType, String) {
        let fleet = match self.stack.find(&self.run).await {
            Ok(fleet) => fleet,
            Err(error) => return (error.error_type(), error.to_string()),
        };
        let error = plan(&self.stack, &fleet).await.unwrap_err();
        assert!(!fleet.output.exists(&fleet.keys.request()).await.unwrap(), "nothing is half begun");
        (error.error_type(), error.to_string())
    }
}

#[tokio::test]
async fn from_a_request_to_a_complete_run() {
    let world = World::new(2500).await;
    world.ask(json!({"workers": 4, "notify": ["a@example.com"]})).await;
    let planned = world.planned().await;
    assert!(planned.ranges > 1 && !planned.resumed, "{planned:?}");
    assert_eq!(world.planned().await, Plan { resumed: true, ..planned }, "planned once");
    world.split().await;
    let checked = world.check(0, false, None).await;
    assert!(checked.again && checked.missing == checked.shards && checked.workers == 4, "{checked:?}");
    world.infer().await;
    let checked = world.check(1, false, None).await;
    assert_eq!((checked.again, checked.missing, checked.groups), (false, 0, 1));
    let finished = world.finish(checked.groups, None).await;
    assert_eq!(
        finished,
        Finished { state: State::Complete, images: 2500, tagged: 2250, failed: 250, missing: 0 }
    );
    let fleet = world.fleet().await;
    assert!(fleet.output.exists(&fleet.keys.success()).await.unwrap());
    assert_eq!(read_summary(&fleet).await.unwrap().results, "s3://stack/tags/nightly-1/results/");
    assert_eq!(world.finish(checked.groups, None).await, finished, "a retry is harmless");
}

#[tokio::test]
async fn missing_shards_are_sent_again_for_three_rounds() {
    let world = World::new(300).await;
    world.ask(json!({})).await;
    world.split().await;
    for round in 0..3 {
        assert!(world.check(round, false, None).await.again);
        world.lose_messages().await;
    }
    let problem = Problem { error: "States.TaskFailed".to_owned(), cause: "killed".to_owned() };
    let checked = world.check(3, false, Some(&problem)).await;
    assert!(!checked.again);
    let finished = world.finish(checked.groups, Some(&problem)).await;
    assert_eq!((finished.state, finished.missing), (State::Incomplete, 2));
    let fleet = world.fleet().await;
    assert!(!fleet.output.exists(&fleet.keys.success()).await.unwrap());
    let summary = read_summary(&fleet).await.unwrap();
    assert_eq!(summary.problem.as_deref(), Some("States.TaskFailed: killed"));
    assert!(world.planned().await.resumed);
    world.split().await;
    assert!(world.check(0, true, None).await.again, "a resumed run begins with what is missing");
    world.infer().await;
    let checked = world.check(1, true, None).await;
    assert_eq!(world.finish(checked.groups, None).await.state, State::Complete);
}

#[tokio::test]
async fn files_that_are_not_images_are_skipped_and_counted_in_the_summary() {
    let world = World::new(20).await;
    for key in ["photos/.DS_Store", "photos/labels.csv", "photos/zz/._a.jpg"] {
        world.source.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    world.ask(json!({})).await;
    world.split().await;
    world.infer().await;
    let checked = world.check(0, false, None).await;
    world.finish(checked.groups, None).await;
    let summary = read_summary(&world.fleet().await).await.unwrap();
    assert_eq!((summary.images, summary.rows), (20, 20));
    insta::assert_snapshot!(summary.skipped.in_words(), @"2 left behind by a system (photos/.DS_Store, photos/zz/._a.jpg), 1 text file (photos/labels.csv); --all-files reads them");
}

#[tokio::test]
async fn a_job_that_got_no_machine_ends_the_rounds() {
    let world = World::new(20).await;
    world.ask(json!({})).await;
    world.split().await;
    let cause = format!("{{\"StatusReason\":\"{NO_CAPACITY} in 30 minutes\"}}");
    let problem = Problem { error: "States.TaskFailed".to_owned(), cause };
    assert!(!world.check(1, false, Some(&problem)).await.again);
}

#[tokio::test]
async fn a_round_that_timed_out_is_repeated_only_if_it_made_progress() {
    let world = World::new(600).await;
    world.ask(json!({})).await;
    world.split().await;
    let first = world.check(0, false, None).await;
    let problem = Problem { error: TIMEOUT.to_owned(), cause: String::new() };
    let asked = |before| CheckInput { before: Some(before), problem: Some(&problem), ..ASKED };
    assert!(!world.check_with(asked(first.missing)).await.again);
    assert!(world.check_with(asked(first.missing + 1)).await.again);
}

#[tokio::test]
async fn a_run_is_priced_by_what_it_used() {
    let world = World::new(20).await;
    world.ask(json!({"notify": ["a@example.com"]})).await;
    world.split().await;
    world.infer().await;
    let fleet = world.fleet().await;
    let used = |instance_type: Option<&str>| {
        UsageRecord::Worker(WorkerUsage {
            version: USAGE_VERSION,
            machine: Machine {
                instance_type: instance_type.map(str::to_owned),
                zone: Some("us-east-1a".to_owned()),
                life_cycle: Some("spot".to_owned()),
            },
            instance: Some("i-1".to_owned()),
            machine_vcpus: Some(8),
            reclaimed: false,
            launched: Some(10),
            began: 100,
            updated: 3610,
            ended: Some(WorkerEnd::QueueEmpty),
            vcpus: 8,
            tagged: 18,
            failed: 2,
            requests: usage::Requests::default(),
            threads: usage::ThreadTime::default(),
            gpu: None,
            device: None,
        })
    };
    let checked = world.check(1, false, None).await;
    for (kind, is_known) in [(None, false), (Some("c7a.2xlarge"), true)] {
        usage::put(fleet.output.as_ref(), &fleet.keys, "worker-a", &used(kind)).await.unwrap();
        world.finish(checked.groups, None).await;
        let summary = read_summary(&fleet).await.unwrap();
        assert_eq!(
            (summary.cost.is_some(), summary.cost_problem.is_none()),
            (is_known, is_known),
            "{kind:?}"
        );
        assert_eq!(fleet.output.exists(&fleet.keys.cost()).await.unwrap(), is_known);
    }
    let cost = read_summary(&fleet).await.unwrap().cost.unwrap();
    // An hour of the dearest zone, 50 GB of gp3 for an hour, an address for an hour, a mail.
    let expected = 0.2919 + 0.08 * 50.0 / 730.0 + 0.005 + 0.0001;
    assert!((cost.total_usd - expected).abs() < 1e-9, "{cost:#?}");
    let stored: tagfleet_cost::Cost =
        tagfleet_pipeline::record::read(fleet.output.as_ref(), &fleet.keys.cost()).await.unwrap();
    assert_eq!(stored, cost);
}

#[tokio::test]
async fn a_problem_of_a_worker_ends_the_rounds_and_is_reported() {
    let world = World::new(20).await;
    world.ask(json!({})).await;
    world.split().await;
    let fleet = world.fleet().await;
    let ended = Some(WorkerEnd::Failed("s3://shop: denied".to_owned()));
    let worker = WorkerUsage { ended, ..usage_of_a_worker() };
    let record = UsageRecord::Worker(worker);
    usage::put(fleet.output.as_ref(), &fleet.keys, "worker-a", &record).await.unwrap();
    let problem = Problem { error: "States.TaskFailed".to_owned(), cause: "it ended".to_owned() };
    let missing = world.check(0, false, None).await.missing;
    let asked = CheckInput { round: 1, before: Some(missing), problem: Some(&problem), ..ASKED };
    let checked = world.check_with(asked).await;
    assert!(!checked.again);
    world.finish(checked.groups, Some(&problem)).await;
    let told = read_summary(&fleet).await.unwrap().problem;
    assert_eq!(told.as_deref(), Some("1 workers failed: s3://shop: denied"));
}

#[tokio::test]
async fn a_run_whose_working_objects_have_expired_is_not_mixed_with_new_ones() {
    let world = World::new(20).await;
    world.ask(json!({})).await;
    world.planned().await;
    let fleet = world.fleet().await;
    world.own.delete(&fleet.keys.ranges());
    let error = plan(&world.stack, &fleet).await.unwrap_err();
    assert_eq!(error.error_type(), ErrorType::BadRequest);
    assert!(error.to_string().contains("have expired: submit it again"), "{error}");
}

#[tokio::test]
async fn a_request_whose_globs_leave_nothing_is_wrong() {
    let world = World::new(20).await;
    world.ask(json!({"include": ["*.png"]})).await;
    world.split().await;
    let error = check(&world.fleet().await, world.queue.as_ref(), ASKED).await.unwrap_err();
    assert!(error.to_string().contains("no object passes include and exclude"), "{error}");
}

#[tokio::test]
async fn a_request_for_absent_objects_starts_nothing() {
    let world = World::new(20).await;
    assert_eq!(world.error().await.0, ErrorType::BadRequest);
    let wrong = [
        json!({"input": ["s3://shop/phots/"]}),
        json!({"model": "s3://stack/models/other/"}),
        json!({"tags": {"labels": ["mug"]}}),
        json!({"tags": {"thresholds": {"cup": 0.5}}}),
        json!({"output": "s3://shop/photos/tags/"}),
        json!({"colour": "red"}),
    ];
    let mut said = Vec::new();
    for request in wrong {
        world.ask(request).await;
        let (error_type, message) = world.error().await;
        assert_eq!(error_type, ErrorType::BadRequest, "{message}");
        said.push(message);
    }
    insta::assert_snapshot!(said.join("\n"));
}

#[tokio::test]
async fn the_recipients_of_a_wrong_request_are_known() {
    let world = World::new(1).await;
    world.ask(json!({"colour": "red", "notify": ["a@example.com", "no address"]})).await;
    assert_eq!(world.stack.recipients(&world.run).await.unwrap(), ["a@example.com"]);
    world.ask(json!({"notify": "a@example.com"})).await;
    assert_eq!(world.stack.recipients(&world.run).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_object_that_comes_after_plan_is_still_listed_by_split() {
    let world = World::new(1).await;
    world.ask(json!({})).await;
    world.planned().await;
    world.source.put("photos/zzz.jpg", Bytes::from_static(b"image")).await.unwrap();
    world.split().await;
    world.infer().await;
    assert_eq!(world.finish(world.check(1, false, None).await.groups, None).await.images, 2);
}
