//! `tagfleet run`: split, infer and reduce in this process, over a folder or a bucket and a queue in memory.
//!
//! It resolves everything once (model, engine, inputs), finds the run to resume or starts one, and prints the
//! outcome. The stages are in the pipeline.

mod announce;
mod cost;
mod earlier;
mod out;
mod speed;
mod stop;
mod unfinished;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tagfleet_aws::Aws;
use tagfleet_cost::usage::DeviceUse;
use tagfleet_fleet::page;
use tagfleet_model::decode::Limits;
use tagfleet_model::isolation::Isolation;
use tagfleet_pipeline::denied;
use tagfleet_pipeline::filter::Skipped;
use tagfleet_pipeline::format::{self, size};
use tagfleet_pipeline::infer::{InferError, RETRY_TIME, Stop, Worker};
use tagfleet_pipeline::local::{self, LocalOutcome, RunError};
use tagfleet_pipeline::progress::Progress;
use tagfleet_pipeline::queue::{MAX_RECEIVE_COUNT, MemoryQueue, VISIBILITY_TIMEOUT};
use tagfleet_pipeline::record;
use tagfleet_pipeline::reduce::{self, Counted, ReduceError, RowCounts, TagCounts};
use tagfleet_pipeline::run::{DECODER_VERSION, EngineRecord, REQUEST_VERSION, Ranges, RunId, RunRequest};
use tagfleet_pipeline::split::{self, Source};
use tagfleet_report::binding::Binding;
use tagfleet_report::html::Report;
use tagfleet_report::throughput::Throughput;
use tagfleet_report::{SUMMARY_VERSION, State, Summary, TAGFLEET_VERSION, TopTags};

use crate::args::RunOptions;
use crate::bar::Bar;
use crate::command_line;
use crate::connection;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json, tell};
use crate::inputs::Inputs;
use crate::loading::{Loading, warn};
use crate::model_source::{Fetching, ModelSource};
use crate::place::Place;
use crate::run_id::now;
use crate::summary_output;
use out::{Out, RunChoice};
use speed::Recording;

/// How long a thread that hangs in a read may hold the process up once all else is done.
const LAST_GRACE: Duration = Duration::from_secs(1);

pub(crate) fn run(options: &RunOptions) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(broken)?;
    let outcome = runtime.block_on(run_async(options));
    runtime.shutdown_timeout(LAST_GRACE);
    outcome
}

async fn run_async(options: &RunOptions) -> Result<Exit, Failure> {
    let (input, out) = (Place::parse_all(&options.input)?, Place::parse(&options.out)?);
    let is_on_aws = out.is_s3() || input.iter().any(Place::is_s3) || options.select.is_on_s3();
    let aws =
        if is_on_aws { Some(connection::to_buckets(&options.aws, &options.buckets).await?) } else { None };
    let inputs = Inputs::new(&input, aws.as_ref(), &options.select).await?;
    if options.retry.is_none() {
        inputs.first().await?;
    }
    if options.dry_run && !earlier::is_wanted(options) {
        return dry_run(options, &inputs.source, &inputs).await;
    }
    for listed in inputs.listed() {
        out::check_apart(&out, listed)?;
    }
    let fetching = Fetching::new(&options.model.loading, &options.aws).with_buckets(&options.buckets);
    let source = ModelSource::resolve(&options.model.model, &fetching.quiet(options.quiet)).await?;
    let (tags, vector) = (options.tags.overrides(), options.output.as_deref());
    let loading = Loading::new(source, &options.model.loading, options.device, &tags, vector)?;
    let loading = loading.with_image_timeout(Duration::from_secs(options.image_timeout));
    let threads = std::thread::available_parallelism().map_err(broken)?.get();
    let isolation = loading.isolate(threads)?;
    let out = Out::open(&out, aws.as_ref())?;
    let model = LoadedModel { loading: &loading, isolation: &isolation, threads };
    tag(options, &inputs, &model, &out, aws.as_ref()).await
}

/// A model, the child process that runs it, and the threads of that.
struct LoadedModel<'a> {
    loading: &'a Loading,
    isolation: &'a Isolation,
    threads: usize,
}

/// `source` gives the inputs that would be tagged.
async fn dry_run(options: &RunOptions, source: &Source, inputs: &Inputs) -> Result<Exit, Failure> {
    let found = split::dry_run(source, &inputs.range).await.map_err(bad_input)?;
    if options.json {
        print_json(&serde_json::to_string_pretty(&found).map_err(broken)?)?;
    } else {
        // Keys that are named are not looked at before they are read.
        let has_sizes = inputs.has_sizes() || found.split.bytes > 0;
        let bytes = has_sizes.then_some(found.split.bytes);
        print(&dry_run_text(found.split.images, bytes))?;
        if let Some(difference) = found.split.difference {
            print(&format!("since the earlier run: {difference}\n"))?;
        }
        if let Some(copies) = split::copies_in_words(found.duplicates.share_of(found.split.images)) {
            print(&format!("copies: {copies}\n"))?;
        }
        if !found.split.skipped.is_empty() {
            print(&format!("skipped: {}\n", found.split.skipped.in_words()))?;
        }
    }
    Ok(Exit::Finished)
}

/// `2 images, 138 kB`
fn dry_run_text(images: u64, bytes: Option<u64>) -> String {
    format!("{}, {}\n", format::images(images), bytes.map_or("size unknown".to_owned(), size))
}

async fn tag(
    options: &RunOptions,
    inputs: &Inputs,
    model: &LoadedModel<'_>,
    out: &Out,
    aws: Option<&Aws>,
) -> Result<Exit, Failure> {
    let LoadedModel { loading, isolation, threads } = *model;
    let mut request = request(options, inputs, loading)?;
    request.since = earlier::since(options, &request, out).await?;
    if options.dry_run {
        return dry_run(options, &earlier::source(&request, inputs, out)?, inputs).await;
    }
    let RunChoice { run, is_new, left } = out.find_or_start(&request, options.new).await?;
    let worker = worker(run, &request, inputs, out);
    if options.accept_denied {
        denied::accept(out.bucket.as_ref(), &worker.keys).await.map_err(broken)?;
    }
    if !options.quiet {
        let loaded: Vec<&String> = isolation.notes().iter().chain(&left).collect();
        announce::before(loading, inputs, &loaded);
        announce::run(&worker.run, is_new, request.since.as_ref());
    }
    warn(&loading.model.spec);
    let taggers = || Ok(isolation.taggers());
    let stop = Stop::default();
    let stopping = tokio::spawn(stop::on_signals(stop.clone(), options.quiet));
    let bar = Bar::start(&worker.progress, options.quiet);
    let recording = Recording::start(&worker.progress);
    let began = Instant::now();
    let ranges = Ranges { version: 1, ranges: vec![inputs.range.clone()] };
    let ended = local::run(&request, &ranges, &inputs.source, &worker, &taggers, &stop).await;
    let throughput = recording.stop().await?;
    bar.stop().await;
    stopping.abort();
    if !options.quiet {
        announce::troubles(&worker);
    }
    let outcome = RunOutcome {
        worker: &worker,
        request: &request,
        threads,
        seconds: began.elapsed().as_secs_f64(),
        end: ended.map_err(|error| stopped_by(&error, &worker, out))?,
        throughput,
    };
    conclude(options, &outcome, out, aws).await
}

/// Writes and prints the result of the run.
async fn conclude(
    options: &RunOptions,
    outcome: &RunOutcome<'_>,
    out: &Out,
    aws: Option<&Aws>,
) -> Result<Exit, Failure> {
    let worker = outcome.worker;
    let rows = outcome.rows().await?;
    let mut summary = outcome.summary(&rows, out.results(&worker.keys));
    outcome.add_splits(&mut summary).await?;
    summary.max_flips = options.max_flips;
    cost::add(&mut summary, aws);
    outcome.report(&summary, &rows.tags).await?;
    finish(out, worker, &summary).await?;
    let exit = summary_output::report(&summary, options.json)?;
    if !options.quiet && summary.state != State::Interrupted {
        tell(&format!("report: {}", out.report(&worker.keys)));
    }
    if exit == Exit::Resumable && !options.quiet {
        tell("to resume, run the same command again");
    }
    Ok(exit)
}

fn worker(run: RunId, request: &RunRequest, inputs: &Inputs, out: &Out) -> Worker {
    Worker {
        source: inputs.bucket.clone(),
        output: out.bucket.clone(),
        queue: Arc::new(MemoryQueue::new(VISIBILITY_TIMEOUT, MAX_RECEIVE_COUNT)),
        keys: out.keys(&run),
        run,
        model: request.model.id(),
        vector: request.vector.clone(),
        max_image_bytes: request.max_image_bytes,
        receive_wait: Duration::ZERO,
        retry_delay: Duration::ZERO,
        retry_time: RETRY_TIME,
        progress: Arc::new(Progress::default()),
    }
}

/// The request of a run that has not started.
fn request(options: &RunOptions, inputs: &Inputs, loading: &Loading) -> Result<RunRequest, Failure> {
    Ok(RunRequest {
        version: REQUEST_VERSION,
        input: inputs.record.clone(),
        model: loading.record()?,
        engine: EngineRecord::from(&loading.engine.record),
        tags: loading.tags.clone(),
        vector: loading.vector(options.vector),
        max_image_bytes: Limits::default().max_bytes,
        decoder: DECODER_VERSION,
        since: None,
    })
}

fn stopped_by(error: &RunError, worker: &Worker, out: &Out) -> Failure {
    let (counts, run) = (worker.progress.counts(), &worker.run);
    let done = match counts.total {
        // It ended before it had counted.
        0 => "finished work is kept".to_owned(),
        total => format!("{} of {total} images are done and kept", counts.done()),
    };
    if error.is_disk_full() {
        let place = out.bucket.name();
        return broken(format!(
            "--out {place}: the disk is full: {done}; free some space and run the same command again (run {run})"
        ));
    }
    if let RunError::Infer(InferError::Denied(denied)) = error {
        return broken(format!(
            "{denied}\nrun {run}: {done}; permit reading them and run the same command again, or accept them as failed rows \
             with --accept-denied"
        ));
    }
    broken(format!(
        "{error}\nrun {run}: {done}; fix the cause, or leave it out with --exclude, which starts another run, and run \
         the same command again"
    ))
}

struct RunOutcome<'a> {
    worker: &'a Worker,
    request: &'a RunRequest,
    threads: usize,
    seconds: f64,
    end: LocalOutcome,
    throughput: Throughput,
}

impl RunOutcome<'_> {
    /// The rows that there are, counted.
    async fn rows(&self) -> Result<RowCounts, Failure> {
        match &self.end {
            LocalOutcome::Complete(rows) => Ok(rows.clone()),
            LocalOutcome::Interrupted => {
                reduce::counts_kept(&self.worker.checkpoints()).await.map_err(broken)
            }
            LocalOutcome::Incomplete(_) => {
                let (output, keys) = (self.worker.output.as_ref(), &self.worker.keys);
                reduce::counts_so_far(output, keys).await.map_err(broken)
            }
        }
    }

    /// Adds the skipped files and the kept rows, which are known once all inputs are listed.
    async fn add_splits(&self, summary: &mut Summary) -> Result<(), Failure> {
        let splits = match reduce::range_splits(self.worker.output.as_ref(), &self.worker.keys).await {
            Ok(splits) => splits,
            Err(ReduceError::NotSplit(_)) => return Ok(()),
            Err(error) => return Err(broken(error)),
        };
        summary.skipped = split::skipped(&splits);
        summary.difference = split::difference(&splits);
        if summary.state == State::Complete {
            // Until then the kept rows are in no result.
            summary.images = split::inputs(&splits);
        }
        Ok(())
    }

    fn summary(&self, rows: &RowCounts, results: String) -> Summary {
        let counts = self.worker.progress.counts();
        let images_here = counts.done() - counts.before;
        let retry =
            || command_line::retry(&command_line::variables(), &command_line::arguments(), &self.worker.run);
        let (state, missing_shards) = match &self.end {
            LocalOutcome::Complete(_) => (State::Complete, vec![]),
            LocalOutcome::Interrupted => (State::Interrupted, vec![]),
            LocalOutcome::Incomplete(missing) => {
                (State::Incomplete, missing.iter().map(ToString::to_string).collect())
            }
        };
        Summary {
            version: SUMMARY_VERSION,
            run: self.worker.run.clone(),
            state,
            images: counts.total,
            rows: rows.rows(),
            tagged: rows.tagged,
            tags: TopTags::new(&rows.tags, Counted::of_run(self.request)),
            since: self.request.since.clone(),
            difference: None,
            flips: (state == State::Complete && self.request.since.is_some()).then_some(rows.flips),
            max_flips: None,
            skipped: Skipped::default(),
            second_decoder: rows.second_decoder,
            slowest: rows.slowest.clone(),
            failed: rows.failed.clone(),
            missing_shards,
            model: self.request.model.name.clone(),
            model_sha256: self.request.model.sha256.clone(),
            warning: self.request.model.warning.clone(),
            engine: self.request.engine.to_string(),
            threads: self.threads,
            batch_size: self.worker.progress.batch_size(),
            images_here,
            seconds_here: self.seconds,
            retry: (rows.all_failed() > 0).then(retry),
            results,
            ended: now(),
            tagfleet: TAGFLEET_VERSION.to_owned(),
            command: Some(command_line::this()),
            working_folder: command_line::folder(),
            device: self.device(images_here),
            usage: None,
            cost: None,
            cost_problem: None,
            problem: None,
        }
    }

    /// The bottleneck, if a device ran the model: every vCPU of this machine decodes.
    fn device(&self, images: u64) -> Option<Binding> {
        let time = self.worker.progress.device_time()?;
        Binding::new(&DeviceUse::new(time, self.threads as u64, images))
    }

    /// Writes the page of a run that has ended.
    async fn report(&self, summary: &Summary, tags: &TagCounts) -> Result<(), Failure> {
        if summary.state == State::Interrupted {
            return Ok(());
        }
        let report = Report { summary, request: self.request, tags, throughput: &self.throughput };
        page::store(self.worker.output.as_ref(), &self.worker.keys, &report).await.map_err(broken)
    }
}

/// A complete run gets its summary and `_SUCCESS`, and loses what only its stages needed.
async fn finish(out: &Out, worker: &Worker, summary: &Summary) -> Result<(), Failure> {
    let output = out.bucket.as_ref();
    if let Some(cost) = &summary.cost {
        // Written each time: as the summary, it describes the process that ended last.
        let bytes = serde_json::to_vec_pretty(cost).map_err(broken)?;
        output.put(&worker.keys.cost(), bytes.into()).await.map_err(broken)?;
    }
    match summary.state {
        State::Complete => {
            reduce::finish(output, &worker.keys, summary).await.map_err(broken)?;
            if let Err(error) = out.remove_work(&worker.keys) {
                tell(&format!(
                    "note: intermediate files could not be removed; the next run tries again: {error}"
                ));
            }
            Ok(())
        }
        State::Incomplete | State::StoppedAtBudget => {
            record::replace(output, &worker.keys.summary(), summary).await.map_err(broken)
        }
        State::Interrupted => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_prints_its_counts_as_sentences() {
        assert_eq!(dry_run_text(2, Some(137_555)), "2 images, 138 kB\n");
        assert_eq!(dry_run_text(1, Some(999)), "1 image, 999 bytes\n");
        assert_eq!(dry_run_text(300_000, None), "300,000 images, size unknown\n");
    }
}
