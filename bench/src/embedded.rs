//! Runs inside this process, over the pipeline's ports: from a slow bucket, and with taggers that take no
//! time.
//!
//! A run that tags nothing costs what a run costs besides tagging.

mod constant;
mod delayed;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tagfleet_model::decode::Limits;
use tagfleet_model::engine::EngineName;
use tagfleet_model::isolation::{Isolation, Patience, Program, Setup};
use tagfleet_model::tagger::TaggerFactory;
use tagfleet_pipeline::bucket::{Bucket, DirBucket, KeyRange};
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::infer::{RETRY_TIME, Stop, Worker};
use tagfleet_pipeline::local::{self, LocalOutcome, Taggers};
use tagfleet_pipeline::progress::Progress;
use tagfleet_pipeline::queue::MemoryQueue;
use tagfleet_pipeline::run::{
    DECODER_VERSION, EngineRecord, Input, ModelRecord, REQUEST_VERSION, Ranges, RunId, RunKeys, RunRequest,
    TagOptions,
};
use tagfleet_pipeline::split::Source;
use tagfleet_pipeline::tagger::{Tagger, TaggerError};

use crate::child::children_cpu_seconds;
use crate::context::Bench;
use crate::engines::EngineConfig;
use crate::measure::{Timing, cpu_time, slope};
use crate::models::Network;
use crate::output::progress;
use crate::pictures::{Folder, Pair};
use crate::results::{Quantity, Rows};
use crate::rows::{NO_MODEL, NO_MODEL_ISOLATED};
use constant::Constant;
use delayed::Delayed;

/// The time of a GET from S3 to the first byte.
pub(crate) const LATENCY: Duration = Duration::from_millis(30);
/// More than any run of the benchmark takes.
const VISIBILITY: Duration = Duration::from_secs(3600);

/// The same pictures from a folder, and from a bucket with latency.
pub(crate) fn latency(bench: &Bench) -> Result<Rows> {
    let mut rows = Rows::default();
    let configs = [EngineConfig::usual(Network::MobileNetV2), EngineConfig::int8(Network::MobileNetV2)];
    for repetition in 1..=bench.repetitions {
        for config in configs {
            let name = config.name();
            if rows.has_failed(&name) {
                continue;
            }
            progress(format!("latency, {name}, repetition {repetition} of {}", bench.repetitions));
            if let Err(problem) = with_and_without(bench, config, &mut rows) {
                rows.fail(&name, bench.publishable(&format!("{problem:#}")));
            }
        }
    }
    Ok(rows)
}

fn with_and_without(bench: &Bench, config: EngineConfig, rows: &mut Rows) -> Result<()> {
    let model = bench.models.open(config.network, config.is_int8(), false)?;
    let record = config.resolve(&model)?;
    let factory = TaggerFactory::new(model, &record, &options(), Limits::default())?;
    let pictures = &bench.pictures.ordinary.long;
    let folder: Arc<dyn Bucket> = Arc::new(DirBucket::new(&pictures.path));
    let delayed: Arc<dyn Bucket> = Arc::new(Delayed::new(folder.clone(), LATENCY));
    for (bucket, rate, cpu) in [
        (folder, Quantity::ImagesPerSecond, Quantity::CpuMs),
        (delayed, Quantity::DelayedImagesPerSecond, Quantity::DelayedCpuMs),
    ] {
        // Loaded before the clock runs.
        let mut taggers: Vec<Box<dyn Tagger>> = Vec::new();
        for _ in 0..bench.machine.cores {
            taggers.push(Box::new(factory.tagger()?));
        }
        let took = run(bench, bucket, taggers, pictures)?;
        rows.add(&config.name(), rate, took.images as f64 / took.wall);
        rows.add(&config.name(), cpu, took.cpu * 1e3 / took.images as f64);
    }
    Ok(())
}

/// Everything but tagging: in this process, and with a child process, as in the command.
pub(crate) fn overhead(bench: &Bench) -> Result<Rows> {
    let mut rows = Rows::default();
    let Pair { short, long } = &bench.pictures.ordinary;
    for repetition in 1..=bench.repetitions {
        progress(format!("overhead, repetition {repetition} of {}", bench.repetitions));
        let slope_here = slope(nothing_tagged(bench, short)?, nothing_tagged(bench, long)?);
        rows.add_slope(NO_MODEL, slope_here);
        let slope_isolated =
            slope(nothing_tagged_isolated(bench, short)?, nothing_tagged_isolated(bench, long)?);
        rows.add_slope(NO_MODEL_ISOLATED, slope_isolated);
    }
    Ok(rows)
}

fn nothing_tagged(bench: &Bench, pictures: &Folder) -> Result<Timing> {
    let source = Arc::new(DirBucket::new(&pictures.path));
    run(bench, source, Constant::threads(bench.machine.cores), pictures)
}

fn nothing_tagged_isolated(bench: &Bench, pictures: &Folder) -> Result<Timing> {
    // The child loads no model, but its setup names one.
    let model = bench.models.open(Network::MobileNetV2, false, false)?;
    let config = EngineConfig { engine: EngineName::Tract, ..EngineConfig::usual(Network::MobileNetV2) };
    let engine = config.resolve(&model)?;
    let (limits, threads) = (Limits::default(), bench.machine.cores);
    let setup = Setup { model, engine, options: options(), limits, threads };
    let path = std::env::current_exe().context("this program's own path")?;
    let program = Program { path, arguments: vec!["constant-tagger-process".into()] };
    let before = children_cpu_seconds()?;
    let isolation = Isolation::start(program, &setup, Patience::default())?;
    let took = run(bench, Arc::new(DirBucket::new(&pictures.path)), isolation.taggers(), pictures)?;
    // Its CPU time counts once it has ended.
    drop(isolation);
    Ok(Timing { cpu: took.cpu + children_cpu_seconds()? - before, ..took })
}

/// Is the child process of [`overhead`].
pub(crate) fn serve_constant() -> Result<()> {
    Ok(constant::serve()?)
}

fn options() -> TagOptions {
    TagOptions::new(5, 0.0)
}

/// A whole run of `pictures` from `source`.
fn run(
    bench: &Bench,
    source: Arc<dyn Bucket>,
    taggers: Vec<Box<dyn Tagger>>,
    pictures: &Folder,
) -> Result<Timing> {
    let out = bench.place.generated("out/embedded");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| out.display().to_string())?;
    }
    let worker = worker(source, &out)?;
    // One thread for everything that waits, as in the command.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (began, cpu_before) = (Instant::now(), cpu_time());
    let ended = runtime.block_on(tag(&worker, taggers))?;
    let (wall, cpu) = (began.elapsed().as_secs_f64(), (cpu_time() - cpu_before).as_secs_f64());
    match ended {
        LocalOutcome::Complete(rows) if rows.rows() == pictures.images as u64 => {
            Ok(Timing { images: pictures.images, wall, cpu })
        }
        other => bail!("{}: the run ended in an unexpected way: {other:?}", pictures.path.display()),
    }
}

async fn tag(worker: &Worker, taggers: Vec<Box<dyn Tagger>>) -> Result<LocalOutcome> {
    let source = Source::Listed(worker.source.clone(), Filter::default());
    let ranges = Ranges { version: 1, ranges: vec![KeyRange::default()] };
    let once = std::sync::Mutex::new(Some(taggers));
    let taken = || once.lock().ok().and_then(|mut taggers| taggers.take());
    let taggers: &Taggers<'_> =
        &|| taken().ok_or_else(|| TaggerError("a second round was needed".to_owned()));
    Ok(local::run(&request(), &ranges, &source, worker, taggers, &Stop::default()).await?)
}

fn worker(source: Arc<dyn Bucket>, out: &Path) -> Result<Worker> {
    let run = RunId::try_from("bench".to_owned())?;
    Ok(Worker {
        source,
        output: Arc::new(DirBucket::new(out)),
        queue: Arc::new(MemoryQueue::new(VISIBILITY, 1)),
        keys: RunKeys::new("", &run),
        run,
        model: request().model.id(),
        vector: None,
        max_image_bytes: Limits::default().max_bytes,
        receive_wait: Duration::ZERO,
        retry_delay: Duration::ZERO,
        retry_time: RETRY_TIME,
        progress: Arc::new(Progress::default()),
    })
}

/// Stored with the run and never read.
fn request() -> RunRequest {
    let engine = EngineRecord {
        name: "bench".to_owned(),
        version: "1".to_owned(),
        precision: "fp32".to_owned(),
        instructions: None,
        device: None,
    };
    let input = Input {
        location: "bench".to_owned(),
        prefixes: vec![],
        keys_sha256: None,
        manifest: None,
        include: vec![],
        exclude: vec![],
        all_files: false,
    };
    RunRequest {
        version: REQUEST_VERSION,
        input,
        model: ModelRecord {
            name: "bench".to_owned(),
            sha256: "0".repeat(64),
            location: None,
            multi_label: false,
            warning: None,
            spec: serde_json::Value::Null,
        },
        engine,
        tags: options(),
        vector: None,
        max_image_bytes: Limits::default().max_bytes,
        decoder: DECODER_VERSION,
        since: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_delayed_bucket_tagged_by_a_constant_gives_every_row() {
        let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for number in 0..5 {
            fs::write(source.path().join(format!("{number}.jpg")), "bytes").unwrap();
        }
        let folder: Arc<dyn Bucket> = Arc::new(DirBucket::new(source.path()));
        let delayed = Arc::new(Delayed::new(folder, Duration::from_millis(1)));
        let worker = worker(delayed, out.path()).unwrap();
        let ended = tag(&worker, vec![Box::new(Constant)]).await.unwrap();
        let LocalOutcome::Complete(rows) = ended else { panic!("{ended:?}") };
        assert_eq!((rows.rows(), rows.tagged), (5, 5));
    }
}
