//! `tagfleet run`: split, infer and reduce in this process, over a folder and a queue in memory.
//!
//! It resolves everything once (model, engine, inputs), finds the run to go on with or begins one, and tells how it
//! went. What the stages do stands in the pipeline.

mod bar;
mod input;
mod stop;
mod unfinished;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tagfleet_model::tagger::TaggerFactory;
use tagfleet_pipeline::bucket::{DirBucket, KeyRange};
use tagfleet_pipeline::embedded::{self, Ended, RunError};
use tagfleet_pipeline::infer::{Stop, Worker};
use tagfleet_pipeline::progress::Progress;
use tagfleet_pipeline::queue::MemoryQueue;
use tagfleet_pipeline::reduce;
use tagfleet_pipeline::report::{SUMMARY_VERSION, State, Summary};
use tagfleet_pipeline::run::{
    EngineRecord, ModelRecord, REQUEST_VERSION, Ranges, RunKeys, RunRequest, Vector, VectorType,
};
use tagfleet_pipeline::split;
use tagfleet_pipeline::tagger::{Tagger, TaggerError};

use crate::args::{self, RunOptions};
use crate::exit::{Exit, Failure, bad_input, broken, printable};
use crate::loading::Loading;
use bar::Bar;
use input::Inputs;

/// Shards come again after this long if the process hangs; in memory this matters only to tests.
const VISIBILITY: Duration = Duration::from_secs(300);
/// Receipts of a shard before it is left to the next round.
const MAX_RECEIVE_COUNT: u32 = 20;

pub(crate) fn run(options: &RunOptions) -> Result<Exit, Failure> {
    let inputs = Inputs::new(options)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(broken)?;
    if options.dry_run {
        return runtime.block_on(dry_run(options, &inputs));
    }
    unfinished::check_out(&options.out, &inputs.folder)?;
    let loading =
        Loading::new(&options.model.model, &options.model.loading, &options.tags, options.output.as_deref())?;
    let factory = loading.load()?;
    runtime.block_on(tag(options, &inputs, &loading, &factory))
}

async fn dry_run(options: &RunOptions, inputs: &Inputs) -> Result<Exit, Failure> {
    let found = split::dry_run(&inputs.source, &KeyRange::default()).await.map_err(bad_input)?;
    let text = if options.json {
        serde_json::to_string_pretty(&found).map_err(broken)?
    } else {
        format!("{} images, {} bytes, {} shards", found.images, found.bytes, found.shards)
    };
    writeln!(io::stdout(), "{text}").map_err(broken)?;
    Ok(Exit::Finished)
}

async fn tag(
    options: &RunOptions,
    inputs: &Inputs,
    loading: &Loading,
    factory: &TaggerFactory,
) -> Result<Exit, Failure> {
    inputs.first().await?;
    let request = request(options, inputs, loading)?;
    let (run, is_new) = unfinished::find_or_begin(&options.out, &request, options.new)?;
    let output = Arc::new(DirBucket::new(&options.out));
    let worker = Worker {
        source: inputs.bucket.clone(),
        output: output.clone(),
        queue: Arc::new(MemoryQueue::new(VISIBILITY, MAX_RECEIVE_COUNT)),
        keys: RunKeys::new("", &run),
        run,
        vector: request.vector.as_ref().map(|vector| vector.stored),
        max_image_bytes: request.max_image_bytes,
        receive_wait: Duration::ZERO,
        retry_delay: Duration::ZERO,
        progress: Arc::new(Progress::default()),
    };
    if !options.quiet {
        announce(loading, &worker, is_new)?;
    }
    let threads = std::thread::available_parallelism().map_err(broken)?.get();
    let taggers = || taggers(factory, threads);
    let stop = Stop::default();
    let stopping = tokio::spawn(stop::on_signals(stop.clone(), options.quiet));
    let bar = Bar::start(&worker.progress, options.quiet);
    let began = Instant::now();
    let ranges = Ranges { version: 1, ranges: vec![KeyRange::default()] };
    let ended = embedded::run(&request, &ranges, &inputs.source, &worker, &taggers, &stop).await;
    bar.stop().await;
    stopping.abort();
    let ended = ended.map_err(|error| stopped_by(&error, &worker))?;
    let told = Told { worker: &worker, request: &request, threads, seconds: began.elapsed().as_secs_f64() };
    let summary = told.summary(&ended, &options.out).await?;
    finish(&output, &worker, &summary).await?;
    tell(&summary, options)
}

/// The request of a run that has not begun.
fn request(options: &RunOptions, inputs: &Inputs, loading: &Loading) -> Result<RunRequest, Failure> {
    let spec = &loading.model.spec;
    let stored = match options.vector {
        args::VectorType::F32 => VectorType::F32,
        args::VectorType::F16 => VectorType::F16,
    };
    let path = options.model.model.as_path();
    let name = std::fs::canonicalize(path)
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    Ok(RunRequest {
        version: REQUEST_VERSION,
        input: inputs.record.clone(),
        model: ModelRecord {
            name: name.unwrap_or_else(|| path.display().to_string()),
            sha256: spec.sha256.clone(),
            spec: serde_json::to_value(spec).map_err(broken)?,
        },
        engine: EngineRecord::from(&loading.engine.record),
        tags: loading.tags.clone(),
        vector: options.output.clone().map(|output| Vector { output, stored }),
        max_image_bytes: tagfleet_model::decode::Limits::default().max_bytes,
    })
}

fn taggers(factory: &TaggerFactory, threads: usize) -> Result<Vec<Box<dyn Tagger>>, TaggerError> {
    let mut taggers: Vec<Box<dyn Tagger>> = Vec::with_capacity(threads);
    for _ in 0..threads {
        taggers.push(Box::new(factory.tagger().map_err(|error| TaggerError(error.to_string()))?));
    }
    Ok(taggers)
}

/// What the user should know before the wait: which engine and why, every assumption, and which run goes on.
fn announce(loading: &Loading, worker: &Worker, is_new: bool) -> Result<(), Failure> {
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "engine: {}", printable(&loading.engine.why)).map_err(broken)?;
    for note in &loading.model.spec.notes {
        writeln!(stderr, "note: {}", printable(note)).map_err(broken)?;
    }
    let run = &worker.run;
    match is_new {
        true => writeln!(stderr, "run {run}"),
        false => writeln!(
            stderr,
            "run {run} goes on: what is done stays done, its list of inputs is closed, and files added since it \
             began are not in it (--new begins another)"
        ),
    }
    .map_err(broken)
}

fn stopped_by(error: &RunError, worker: &Worker) -> Failure {
    let done = worker.progress.counts().committed + worker.progress.counts().before;
    broken(format!(
        "{error}\nrun {}: {done} images are done and kept; the same command goes on from there",
        worker.run
    ))
}

struct Told<'a> {
    worker: &'a Worker,
    request: &'a RunRequest,
    threads: usize,
    seconds: f64,
}

impl Told<'_> {
    async fn summary(&self, ended: &Ended, out: &Path) -> Result<Summary, Failure> {
        let counts = self.worker.progress.counts();
        let (state, rows, missing_shards) = match ended {
            Ended::Complete(rows) => (State::Complete, rows.clone(), vec![]),
            Ended::Interrupted => (State::Interrupted, self.so_far().await?, vec![]),
            Ended::Incomplete(missing) => {
                (State::Incomplete, self.so_far().await?, missing.iter().map(ToString::to_string).collect())
            }
        };
        Ok(Summary {
            version: SUMMARY_VERSION,
            run: self.worker.run.clone(),
            state,
            images: counts.total,
            rows: rows.rows(),
            tagged: rows.tagged,
            second_decoder: rows.second_decoder,
            failed: rows.failed,
            missing_shards,
            model: self.request.model.name.clone(),
            model_sha256: self.request.model.sha256.clone(),
            engine: self.request.engine.to_string(),
            threads: self.threads,
            images_here: counts.done() - counts.before,
            seconds_here: self.seconds,
            results: out.join(self.worker.keys.results().trim_end_matches('/')).display().to_string(),
        })
    }

    async fn so_far(&self) -> Result<reduce::RowCounts, Failure> {
        reduce::counts_so_far(self.worker.output.as_ref(), &self.worker.keys).await.map_err(broken)
    }
}

/// A complete run gets its summary and `_SUCCESS`, and loses what only its stages needed.
async fn finish(output: &DirBucket, worker: &Worker, summary: &Summary) -> Result<(), Failure> {
    match summary.state {
        State::Complete => {
            reduce::finish(output, &worker.keys, summary).await.map_err(broken)?;
            output.remove_folder(&worker.keys.work()).map_err(broken)?;
            output.remove_unfinished().map_err(broken)
        }
        State::Incomplete => reduce::put_summary(output, &worker.keys, summary).await.map_err(broken),
        State::Interrupted => Ok(()),
    }
}

fn tell(summary: &Summary, options: &RunOptions) -> Result<Exit, Failure> {
    let text = match options.json {
        true => serde_json::to_string_pretty(summary).map_err(broken)? + "\n",
        false => printable(&summary.text()),
    };
    io::stdout().write_all(text.as_bytes()).map_err(broken)?;
    match summary.state {
        State::Complete if summary.all_failed() == 0 => Ok(Exit::Finished),
        State::Complete => Ok(Exit::FailedImages),
        State::Interrupted | State::Incomplete => {
            if !options.quiet {
                writeln!(io::stderr(), "to go on, run the same command again").map_err(broken)?;
            }
            Ok(Exit::Resumable)
        }
    }
}
