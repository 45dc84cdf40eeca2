//! One job: read the run's request, load its model, tag shards until the queue is empty or a notice comes,
//! record the usage.
//!
//! It decides nothing about the run: what is left when it ends is found by comparing listings, not by how it
//! ended.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use serde_json::json;
use tagfleet_aws::client::Options;
use tagfleet_aws::machine::{Instance, MetadataService};
use tagfleet_aws::{Aws, S3Bucket, SqsQueue};
use tagfleet_cost::usage::{Gpu, WorkerEnd};
use tagfleet_fleet::address::Address;
use tagfleet_fleet::{ErrorType, FleetError};
use tagfleet_model::isolation::Isolation;
use tagfleet_pipeline::bucket::{BucketError, Kind};
use tagfleet_pipeline::infer::{InferError, RETRY_TIME, Worker, WorkerExit, infer};
use tagfleet_pipeline::progress::Progress;
use tagfleet_pipeline::queue::{Queue, VISIBILITY_TIMEOUT};
use tagfleet_pipeline::record::{self, RecordError};
use tagfleet_pipeline::run::{REQUEST_VERSION, RunKeys, RunRequest};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::configuration::Configuration;
use crate::shutdown::Shutdown;
use crate::usage::Reporter;
use crate::{budgeted_queue, gpu, log, published_model, tagger_process};

/// Between two tries to prepare; the clients have tried a few times in each.
const PREPARE_PAUSE: Duration = Duration::from_secs(2);

/// How long a record that is being written may hold the last one up: a spot machine leaves ten seconds for
/// both.
const RECORD_GRACE: Duration = Duration::from_secs(4);

/// How long a thread that hangs may hold the process up once all else is done.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// How a worker ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is nothing more to do for a worker like it.
    Done,
    /// It was asked to stop before the queue was empty: another worker would find work.
    Interrupted,
}

/// `EX_TEMPFAIL` of sysexits.h.
const INTERRUPTED: u8 = 75;

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Interrupted => Self::from(INTERRUPTED),
        }
    }
}

/// Works until the queue is empty or it is asked to stop.
pub(crate) fn run(configuration: &Configuration) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let outcome = runtime.block_on(report_and_work(configuration));
    runtime.shutdown_timeout(LAST_GRACE);
    outcome
}

async fn report_and_work(configuration: &Configuration) -> anyhow::Result<Outcome> {
    let began = SystemTime::now();
    let Host { service, instance } = Host::find(configuration.metadata_disabled.as_deref()).await;
    let gpu = gpu::find(Path::new(gpu::DRIVER));
    log::event("started", started(configuration, &instance, gpu.as_ref()));
    let shutdown = Shutdown::listen(service, configuration.grace)?;
    let aws = Aws::new(&Options { answer_time: configuration.answer_time, ..Options::default() }).await?;
    let reporter = Reporter {
        output: Arc::new(S3Bucket::new(&aws, &configuration.output.bucket)),
        keys: RunKeys::in_bucket(&configuration.output.prefix, &configuration.run),
        name: configuration.name.clone(),
        vcpus: u32::try_from(configuration.vcpus).unwrap_or(u32::MAX),
        instance,
        gpu,
        reclaimed: shutdown.reclaimed(),
        aws: aws.clone(),
        began,
        progress: Arc::new(Progress::default()),
    };
    let ending = Arc::new(Notify::new());
    let mut reporting = tokio::spawn(reporter.clone().each_minute(ending.clone()));
    let ended = work(configuration, &aws, &reporter, &shutdown).await;
    ending.notify_one();
    // A record that is being written must not come after the last one.
    if timeout(RECORD_GRACE, &mut reporting).await.is_err() {
        reporting.abort();
        let _ = reporting.await;
    }
    let end = match &ended {
        Ok(WorkerExit::Idle) => WorkerEnd::QueueEmpty,
        Ok(WorkerExit::Stopped) => shutdown.reason(),
        Err(error) => failure(error),
    };
    reporter.end(&end).await;
    Ok(match ended? {
        WorkerExit::Stopped if shutdown.is_interrupted() => Outcome::Interrupted,
        WorkerExit::Stopped | WorkerExit::Idle => Outcome::Done,
    })
}

fn failure(error: &anyhow::Error) -> WorkerEnd {
    match error.downcast_ref() {
        Some(InferError::Denied(denied)) => WorkerEnd::TooManyDenied(denied.to_string()),
        _ => WorkerEnd::Failed(format!("{error:#}")),
    }
}

/// The machine that the worker runs on.
#[derive(Default)]
struct Host {
    /// `None` if it is not an EC2 instance.
    service: Option<MetadataService>,
    instance: Instance,
}

impl Host {
    /// Asks the metadata service once whether there is one.
    async fn find(disabled: Option<&str>) -> Self {
        let Some(service) = MetadataService::new(disabled) else { return Self::default() };
        match service.instance().await {
            Ok(instance) => Self { service: Some(service), instance },
            Err(error) => {
                let error = error.to_string();
                log::event("no EC2 instance, so no spot notices are asked for", json!({"error": error}));
                Self::default()
            }
        }
    }
}

fn started(configuration: &Configuration, instance: &Instance, gpu: Option<&Gpu>) -> serde_json::Value {
    let mut fields = json!({
        "run": configuration.run,
        "output": configuration.output.to_string(),
        "worker": configuration.name,
        "vcpus": configuration.vcpus,
        "machine": instance.machine,
        "version": env!("CARGO_PKG_VERSION"),
    });
    if let Some(gpu) = gpu {
        fields["gpu"] = json!(gpu);
    }
    fields
}

async fn work(
    configuration: &Configuration,
    aws: &Aws,
    reporter: &Reporter,
    shutdown: &Shutdown,
) -> anyhow::Result<WorkerExit> {
    let prepared = tokio::select! {
        prepared = prepare_in_time(configuration, aws, reporter, shutdown) => prepared?,
        () = shutdown.stop.drain.cancelled() => return Ok(WorkerExit::Stopped),
    };
    let Prepared { worker, model } = prepared;
    Ok(infer(worker, model.isolation.taggers(), &shutdown.stop).await?)
}

/// All that a worker needs to start.
struct Prepared {
    worker: Worker,
    model: LoadedModel,
}

/// The run's model in its engine.
struct LoadedModel {
    isolation: Isolation,
    /// The folder of its files: the process that runs it reads them again if it is restarted.
    _files: TempDir,
}

/// Retries preparation during disturbances of S3, for as long as a shard's requests are retried: Batch does
/// not restart a worker that failed.
async fn prepare_in_time(
    configuration: &Configuration,
    aws: &Aws,
    reporter: &Reporter,
    shutdown: &Shutdown,
) -> anyhow::Result<Prepared> {
    let end = Instant::now() + RETRY_TIME;
    loop {
        match prepare(configuration, aws, reporter, shutdown).await {
            Err(error) if is_temporary(&error) && Instant::now() + PREPARE_PAUSE < end => {
                log::event("prepares again", json!({"error": format!("{error:#}")}));
                sleep(PREPARE_PAUSE).await;
            }
            prepared => return prepared,
        }
    }
}

/// Throttling, a server error, a broken connection.
fn is_temporary(error: &anyhow::Error) -> bool {
    let of_bucket = |error: &BucketError| error.kind == Kind::Temporary;
    error.downcast_ref().is_some_and(of_bucket)
        || error.downcast_ref().and_then(RecordError::bucket_error).is_some_and(of_bucket)
        || error.downcast_ref::<FleetError>().is_some_and(|error| error.error_type() == ErrorType::Temporary)
}

/// Opens the run's source, queue and model, as its request names them.
async fn prepare(
    configuration: &Configuration,
    aws: &Aws,
    reporter: &Reporter,
    shutdown: &Shutdown,
) -> anyhow::Result<Prepared> {
    let request: RunRequest = record::read(reporter.output.as_ref(), &reporter.keys.request()).await?;
    ensure!(
        request.version == REQUEST_VERSION,
        "its request has version {}, this worker reads {REQUEST_VERSION}: deploy workers of the same tagfleet",
        request.version
    );
    let source = Address::parse(&request.input.location)?;
    let source = S3Bucket::new(aws, &source.bucket);
    // It may be in another region than the stack if the request allows that.
    let region = source.region().await?;
    let queue: Arc<dyn Queue> = Arc::new(SqsQueue::new(aws, &configuration.queue_url, VISIBILITY_TIMEOUT));
    let queue = match &configuration.budget {
        Some(budget) => budgeted_queue::queue(queue, budget, reporter, shutdown.drain()).await?,
        None => queue,
    };
    let model = load(aws, &request, configuration).await?;
    let worker = Worker {
        source: Arc::new(source.in_region(&region)),
        output: reporter.output.clone(),
        queue,
        run: configuration.run.clone(),
        keys: reporter.keys.clone(),
        model: request.model.id(),
        vector: request.vector.clone(),
        max_image_bytes: request.max_image_bytes,
        receive_wait: configuration.receive_wait,
        // Shorter than the wait: a worker that failed the last shards sees them again, and reports that
        // before it ends.
        retry_delay: configuration.receive_wait / 2,
        retry_time: RETRY_TIME,
        progress: reporter.progress.clone(),
    };
    Ok(Prepared { worker, model })
}

async fn load(aws: &Aws, request: &RunRequest, configuration: &Configuration) -> anyhow::Result<LoadedModel> {
    let location = request.model.location.as_deref();
    let location =
        location.context("its request names no place of the model's files: publish the model first")?;
    let folder = Address::parse(location)?.folder();
    let about = || format!("the model at {folder}");
    let files = tempfile::tempdir().context("the model's files need a temporary folder")?;
    let bucket = S3Bucket::new(aws, &folder.bucket);
    let model = published_model::fetch(&bucket, &folder.prefix, &request.model, files.path()).await;
    let model = model.with_context(about)?;
    let owned = request.clone();
    let (threads, image_time) = (configuration.vcpus, configuration.image_time);
    let start =
        tokio::task::spawn_blocking(move || tagger_process::start(model, &owned, threads, image_time));
    let isolation = start.await?.with_context(about)?;
    let engine = request.engine.to_string();
    let (model, notes) = (&request.model.name, isolation.notes());
    log::event("engine", json!({"engine": engine, "model": model, "threads": threads, "notes": notes}));
    Ok(LoadedModel { isolation, _files: files })
}
