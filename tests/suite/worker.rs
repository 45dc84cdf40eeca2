//! The real worker on the emulator's S3 and SQS. It tags the shards of a split run. Whatever stops it, every
//! shard is either done or back in the queue.

pub(crate) mod gate;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tagfleet_aws::client::Options;
use tagfleet_aws::{Aws, S3Bucket, SqsQueue};
use tagfleet_cost::usage;
use tagfleet_fleet::model::{PUBLISHED_MODEL_VERSION, PublishedModel};
use tagfleet_fleet::{FleetRun, Stack, plan, steps};
use tagfleet_model::engine::{self, EngineChoice, EngineOptions};
use tagfleet_model::folder::{Model, ModelOptions};
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::checkpoint::Checkpoints;
use tagfleet_pipeline::queue::Queue;
use tagfleet_pipeline::record;
use tagfleet_pipeline::run::{EngineRecord, ModelRecord, RunId, StackKeys, TagOptions};
use tagfleet_pipeline::shard::ShardId;
use tagfleet_tests::command::{Ran, built, run};
use tagfleet_tests::emulator::Emulator;
use tagfleet_tests::metadata::Metadata;
use tagfleet_tests::photos::files;
use tagfleet_tests::project;
use tokio_util::sync::CancellationToken;

use gate::{Gate, Rule};

/// The first shard has 256 of them, and the second shard the rest.
const IMAGES: usize = 270;
const MODEL: &str = "models/demo/";
/// An image of the second shard.
const HELD: &str = "/photos/00260.jpg";

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A planned and split run: its two shards are in the queue.
struct Split {
    emulator: Emulator,
    aws: Aws,
    queue_url: String,
    fleet: FleetRun,
}

impl Split {
    fn new() -> Self {
        Self::with_engine(|_| {})
    }

    /// A split run that was planned with this engine.
    fn with_engine(change: impl Fn(&mut EngineRecord)) -> Self {
        let emulator = Emulator::start();
        emulator.make_bucket("photos");
        emulator.make_bucket("stack");
        let queue_url = emulator.make_queue("shards");
        let fleet = block_on(async {
            let options = Options {
                region: Some("us-east-1".to_owned()),
                endpoint_url: Some(emulator.endpoint_url()),
                ..Options::default()
            };
            let aws = Aws::for_tests(&options).await;
            upload(&S3Bucket::new(&aws, "photos")).await;
            publish(&S3Bucket::new(&aws, "stack"), change).await;
            (split(&aws, &queue_url).await, aws)
        });
        let (fleet, aws) = fleet;
        Self { emulator, aws, queue_url, fleet }
    }

    fn queue(&self) -> SqsQueue {
        SqsQueue::new(&self.aws, &self.queue_url, Duration::from_secs(300))
    }

    /// The command of the worker, not started yet.
    fn worker(&self) -> Command {
        let mut command = Command::new(built("batch-worker"));
        command.env("TAGFLEET_RUN", "run-1").env("TAGFLEET_OUTPUT", "s3://stack/tags/");
        command.env("TAGFLEET_QUEUE_URL", &self.queue_url).env("TAGFLEET_VCPUS", "2");
        command.env("TAGFLEET_IDLE_SECONDS", "1").env("TAGFLEET_GRACE_SECONDS", "3");
        command.env("AWS_BATCH_JOB_ID", "0a1b:1").env("AWS_BATCH_JOB_ATTEMPT", "1");
        command.env("AWS_ENDPOINT_URL", self.emulator.endpoint_url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command.env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
        command
    }

    /// The numbers of the shards that have a part.
    fn parts(&self) -> Vec<u32> {
        block_on(async {
            let mut parts = Vec::new();
            for number in 0..2 {
                let part = self.fleet.keys.part(ShardId { range: 0, number });
                if self.fleet.output.exists(&part).await.unwrap() {
                    parts.push(number);
                }
            }
            parts
        })
    }

    /// The visible messages, which stay visible: each shard and its receive count.
    fn visible(&self) -> Vec<(String, u32)> {
        block_on(async {
            let (queue, mut found, mut receipts) = (self.queue(), Vec::new(), Vec::new());
            while let Some(message) = queue.receive(Duration::ZERO).await.unwrap() {
                let body: Value = serde_json::from_str(&message.body).unwrap();
                found.push((body["shard"].as_str().unwrap().to_owned(), message.receive_count));
                receipts.push(message.receipt);
            }
            for receipt in receipts {
                queue.change_visibility(&receipt, Duration::ZERO).await.unwrap();
            }
            found
        })
    }

    fn checkpoints(&self) -> Checkpoints<'_> {
        let FleetRun { output, run, keys, .. } = &self.fleet;
        Checkpoints { output: output.as_ref(), run, keys, vector: None }
    }

    /// The usage record of the worker.
    fn record(&self) -> Value {
        let key = self.fleet.keys.usage("worker-0a1b-1-1");
        block_on(async { record::read(self.fleet.output.as_ref(), &key).await.unwrap() })
    }

    fn usage(&self) -> usage::Usage {
        block_on(async { usage::total(self.fleet.output.as_ref(), &self.fleet.keys).await.unwrap() })
    }
}

async fn upload(bucket: &S3Bucket) {
    let mut demo = files(&project("demo/photos"));
    demo.sort();
    for number in 0..IMAGES {
        let bytes = fs::read(&demo[number % demo.len()]).unwrap();
        bucket.put(&format!("{number:05}.jpg"), bytes.into()).await.unwrap();
    }
}

/// Publishes the demo's model, to be run by tract.
async fn publish(bucket: &S3Bucket, change: impl Fn(&mut EngineRecord)) {
    let model = Model::open(&project("demo/model"), &ModelOptions::default()).unwrap();
    let engine = engine::resolve(&EngineOptions::of(EngineChoice::Tract), &model).unwrap();
    let mut engine = EngineRecord::from(&engine.record);
    change(&mut engine);
    let published = PublishedModel {
        version: PUBLISHED_MODEL_VERSION,
        model: ModelRecord {
            name: "demo".to_owned(),
            sha256: model.spec.sha256.clone(),
            location: None,
            multi_label: false,
            warning: None,
            spec: serde_json::to_value(&model.spec).unwrap(),
        },
        engine,
        tags: TagOptions::new(5, 0.1),
        labels: model.spec.labels.clone(),
        vector: None,
        max_image_bytes: 1 << 27,
    };
    let bytes = serde_json::to_vec(&published).unwrap();
    bucket.put(&StackKeys::model(MODEL), bytes.into()).await.unwrap();
    for file in &model.spec.files {
        let bytes = fs::read(model.root.join(&file.name)).unwrap();
        bucket.put(&format!("{MODEL}{}", file.name), bytes.into()).await.unwrap();
    }
}

/// Splits the run with the steps of the fleet, as the splitter does.
async fn split(aws: &Aws, queue_url: &str) -> FleetRun {
    let opened = aws.clone();
    let stack = Stack {
        bucket: Arc::new(S3Bucket::new(aws, "stack")),
        name: "stack".to_owned(),
        open: Arc::new(move |name| Arc::new(S3Bucket::new(&opened, name))),
    };
    let run = RunId::try_from("run-1".to_owned()).unwrap();
    let request = json!({"version": 1, "input": ["s3://photos/"], "model": format!("s3://stack/{MODEL}")});
    stack.bucket.put(&StackKeys::run(&run), request.to_string().into()).await.unwrap();
    let fleet = stack.find(&run).await.unwrap();
    assert_eq!(plan::plan(&stack, &fleet).await.unwrap().ranges, 1);
    let queue = SqsQueue::new(aws, queue_url, Duration::from_secs(300));
    let said = steps::split(&stack, &fleet, &queue, 0, &CancellationToken::new()).await.unwrap();
    assert_eq!((said.done, said.shards), (true, 2));
    fleet
}

/// The lines of a worker's log.
fn log(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn started(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn a_worker_works_until_the_queue_is_empty() {
    let split = Split::new();
    let ran = run(&mut split.worker());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(split.parts(), [0, 1]);
    assert_eq!(split.visible(), [], "every message is deleted");
    let log = log(&ran);
    let events: Vec<_> = log.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["started", "engine", "ended"]);
    let images = IMAGES as u64;
    assert_eq!((&log[2]["committed"], &log[2]["why"]), (&json!(images), &json!("queue_empty")));
    let usage = split.usage();
    assert_eq!((usage.workers(), usage.machines[0].images, usage.machines[0].vcpus), (1, images, 2));
    let ran = run(&mut split.worker());
    assert_eq!(ran.code, Some(0), "an empty queue is not an error: {ran:?}");
}

#[test]
fn a_worker_that_is_stopped_in_a_shard_returns_it() {
    let split = Split::new();
    let gate = Gate::before(&split.emulator.endpoint_url(), HELD, Rule::Hold);
    let child = started(split.worker().env("AWS_ENDPOINT_URL_S3", gate.endpoint_url()));
    gate.wait();
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let ran = ended(child);
    assert_eq!(ran.code, Some(75), "AWS Batch replaces it: {ran:?}");
    assert_eq!(log(&ran).last().unwrap()["why"], "signal");
    assert_nothing_is_lost(&split);
}

#[test]
fn a_worker_with_a_spot_notice_returns_its_shard() {
    let split = Split::new();
    let (gate, metadata) =
        (Gate::before(&split.emulator.endpoint_url(), HELD, Rule::Hold), Metadata::start());
    let mut worker = split.worker();
    worker.env("AWS_ENDPOINT_URL_S3", gate.endpoint_url()).env_remove("AWS_EC2_METADATA_DISABLED");
    worker.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint());
    let child = started(&mut worker);
    gate.wait();
    metadata.interrupt_at(&(jiff::Timestamp::now() + Duration::from_secs(28)).to_string());
    let ran = ended(child);
    assert_eq!(ran.code, Some(75), "AWS Batch replaces it: {ran:?}");
    assert_eq!(log(&ran).last().unwrap()["why"], "spot_interruption");
    let machine = &split.usage().machines[0].machine;
    assert_eq!(machine.instance_type.as_deref(), Some("c7g.xlarge"));
    assert_eq!((machine.zone.as_deref(), machine.life_cycle.as_deref()), (Some("us-east-1a"), Some("spot")));
    let record = split.record();
    assert_eq!((&record["reclaimed"], &record["instance"]), (&json!(true), &json!("i-0a1b2c3d")), "{record}");
    assert!(record["machine_vcpus"].as_u64().is_some_and(|vcpus| vcpus > 0), "{record}");
    assert_nothing_is_lost(&split);
}

/// A worker with a share of a run's budget, on an instance type that has a price.
fn limited(split: &Split, metadata: &Metadata, max_usd: &str) -> Ran {
    run(&mut limited_worker(split, metadata, max_usd))
}

fn limited_worker(split: &Split, metadata: &Metadata, max_usd: &str) -> Command {
    let mut worker = split.worker();
    worker.env("TAGFLEET_MAX_USD", max_usd).env("TAGFLEET_BUCKET", "stack");
    worker.env_remove("AWS_EC2_METADATA_DISABLED");
    worker.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint());
    worker
}

#[test]
fn a_replacement_worker_has_the_rest_of_the_share() {
    let (split, metadata) = (Split::new(), Metadata::start_on("c7a.2xlarge"));
    let first = limited(&split, &metadata, "0.000001");
    let line = log(&first).into_iter().find(|line| line["event"] == "limited").unwrap();
    let minute = line["spent_usd"].as_f64().unwrap();
    // The share pays for the first minute of one instance, and not of two.
    let share = (minute * 1.5).to_string();
    let second = run(limited_worker(&split, &metadata, &share).env("AWS_BATCH_JOB_ATTEMPT", "2"));
    assert_eq!((second.code, split.parts()), (Some(0), Vec::new()), "{second:?}");
    assert_eq!(log(&second).last().unwrap()["why"], "budget_share_spent");
    let other = run(limited_worker(&split, &metadata, &share).env("AWS_BATCH_JOB_ID", "0a1b:2"));
    assert_eq!(other.code, Some(0), "{other:?}");
    assert_ne!(split.parts(), Vec::<u32>::new(), "{other:?}");
}

#[test]
fn no_shard_is_taken_past_the_share_of_the_budget() {
    let (split, metadata) = (Split::new(), Metadata::start_on("c7a.2xlarge"));
    // The first minute of the instance costs more.
    let ran = limited(&split, &metadata, "0.000001");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(log(&ran).last().unwrap()["why"], "budget_share_spent");
    assert_eq!(split.record()["ended"], "budget_share_spent");
    assert_eq!((split.visible().len(), split.parts()), (2, Vec::new()), "no message was received");
    let ran = limited(&split, &metadata, "5");
    assert_eq!((ran.code, split.parts()), (Some(0), vec![0, 1]), "{ran:?}");
}

#[test]
fn a_limit_on_a_machine_without_a_price_ends_the_worker() {
    let (split, metadata) = (Split::new(), Metadata::start_on("x9z.large"));
    let ran = limited(&split, &metadata, "5");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let log = log(&ran);
    let error = log.last().unwrap()["error"].as_str().unwrap();
    assert!(error.contains("its share of the budget cannot be kept: no price of EC2 x9z.large"), "{error}");
    assert_eq!(split.visible().len(), 2, "no message was received");
}

/// Checks that the shard in progress is visible at once, and that another worker completes the run with the
/// images that have no row.
fn assert_nothing_is_lost(split: &Split) {
    let (done, visible) = (split.parts(), split.visible());
    let images = |record: &Value| record["tagged"].as_u64().unwrap() + record["failed"].as_u64().unwrap();
    let before = images(&split.record());
    let is_kept = block_on(async { !split.checkpoints().shards().await.unwrap().is_empty() });
    assert_eq!(is_kept, before > 256 * done.len() as u64, "a checkpoint of the shard without a part");
    assert!(!done.contains(&1), "the GET of one of its images was never answered");
    assert!(visible.contains(&("00000-0000001".to_owned(), 2)), "{visible:?}");
    assert_eq!(visible.len() + done.len(), 2, "{visible:?}");
    let ran = run(&mut split.worker());
    assert_eq!((ran.code, split.parts()), (Some(0), vec![0, 1]), "{ran:?}");
    assert_eq!(before + images(&split.record()), IMAGES as u64, "each image is tagged and counted once");
}

#[test]
fn a_worker_that_is_denied_repeatedly_stops_and_names_the_image() {
    let split = Split::new();
    let gate = Gate::before(&split.emulator.endpoint_url(), "/photos/", Rule::Deny);
    let ran = run(split.worker().env("AWS_ENDPOINT_URL_S3", gate.endpoint_url()));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let log = log(&ran);
    let error = log.last().unwrap()["error"].as_str().unwrap();
    let begins = "run run-1: 3 shards in a row could not be tagged; the last one: s3://photos: \"00";
    assert!(error.starts_with(begins) && error.ends_with("AccessDenied: Access Denied"), "{error}");
    assert_eq!(split.parts(), [0_u32; 0]);
}

#[test]
fn an_outage_before_its_first_shard_is_waited_out() {
    let split = Split::new();
    // As many failures as a client retries.
    split.emulator.be_unavailable(&format!("stack/{MODEL}model.onnx"), 5);
    let ran = run(&mut split.worker());
    assert_eq!((ran.code, split.parts()), (Some(0), vec![0, 1]), "{ran:?}");
    assert!(log(&ran).iter().any(|line| line["event"] == "prepares again"), "{ran:?}");
}

#[test]
fn a_model_other_than_that_of_the_run_is_refused() {
    let split = Split::new();
    block_on(async {
        let bucket = S3Bucket::new(&split.aws, "stack");
        let model = bucket.get(&format!("{MODEL}model.onnx"), None, 1 << 30).await.unwrap();
        let mut bytes = model.bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        bucket.put(&format!("{MODEL}model.onnx"), bytes.into()).await.unwrap();
    });
    let ran = run(&mut split.worker());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let log = log(&ran);
    let error = log.last().unwrap()["error"].as_str().unwrap();
    assert!(
        error.starts_with("run run-1: the model at s3://stack/models/demo/: its files are not those"),
        "{error}"
    );
    assert!(error.contains("model.onnx is not the file that this run started with"), "{error}");
    assert_eq!(split.visible().len(), 2, "no message was received");
}

#[test]
fn an_engine_other_than_that_of_the_run_is_refused() {
    let split = Split::with_engine(|engine| engine.version = "0.0.1".to_owned());
    let ran = run(&mut split.worker());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let log = log(&ran);
    let error = log.last().unwrap()["error"].as_str().unwrap();
    let expected = "the run started with tract 0.0.1 (fp32), but this machine has tract ";
    assert!(error.contains(expected), "{error}");
    assert_eq!(split.visible().len(), 2, "no message was received");
}

#[test]
fn bad_configuration_is_reported_before_anything_is_done() {
    let ran = run(Command::new(built("batch-worker")).env_clear());
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_eq!(log(&ran)[0]["error"], "the environment variable TAGFLEET_RUN is not set");
}
