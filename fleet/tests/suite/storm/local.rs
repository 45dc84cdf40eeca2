//! The chaos test of local runs: one process after the other resumes the run, until one finishes it.

use std::sync::Arc;
use std::time::Duration;

use tagfleet_pipeline::bucket::{Bucket, KeyRange};
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::infer::{RETRY_TIME, Stop, Worker};
use tagfleet_pipeline::local::{LocalOutcome, run};
use tagfleet_pipeline::progress::Progress;
use tagfleet_pipeline::queue::MemoryQueue;
use tagfleet_pipeline::reduce::{self, RowCounts};
use tagfleet_pipeline::run::{Ranges, RunRequest};
use tagfleet_pipeline::shard::ShardId;
use tagfleet_pipeline::split::Source;
use tagfleet_pipeline::testing::faults::{Process, Storm};
use tagfleet_pipeline::testing::faulty_queue::FaultyQueue;
use tagfleet_pipeline::testing::request;
use tokio::time::{Instant, sleep_until};

use tagfleet_pipeline::testing::rows::{Rows, assert_same};

use super::check;
use super::fixture::{Fixture, VISIBILITY, vector};
use super::worker::{obey, taggers};

/// The most processes that a chaos phase leaves behind.
const MOST_PROCESSES: u32 = 500;

/// One whole run in the storm of `seed`: how many processes it took.
pub(super) async fn storm(seed: u64) -> u32 {
    let (_, quiet) = run_to_its_end(seed, &Storm::calm(), true).await;
    let (processes, rows) = run_to_its_end(seed, &Storm::of(seed), false).await;
    assert_same(&rows, &quiet);
    processes
}

async fn run_to_its_end(seed: u64, storm: &Storm, is_full: bool) -> (u32, Rows) {
    let fixture = Arc::new(Fixture::new(seed, is_full).await);
    fixture.accept_denied().await;
    for number in 0..MOST_PROCESSES {
        let is_calm = storm.is_over();
        let name = format!("process-{number}");
        let process = Arc::new(Process::new(storm, &name, 600));
        let ended = tokio::select! {
            biased;
            () = process.killed.cancelled() => None,
            ended = live(&fixture, &process, &name) => Some(ended),
        };
        if let Some(Ok(LocalOutcome::Complete(counts))) = &ended {
            return (number + 1, complete(&fixture, counts).await);
        }
        assert!(!is_calm, "an undisturbed run did not finish: {ended:?}");
        if let Some(Ok(LocalOutcome::Incomplete(missing))) = ended {
            incomplete(&fixture, missing).await;
        }
        sleep_until(Instant::now() + Duration::from_secs(60)).await;
    }
    panic!("it comes to no end");
}

/// What is missing is named, and all else can be read.
async fn incomplete(fixture: &Fixture, missing: Vec<ShardId>) {
    assert_eq!(reduce::missing(&fixture.own, &fixture.keys).await.unwrap(), missing);
    check::assert_nothing_done_is_withheld(fixture).await;
}

async fn live(fixture: &Fixture, process: &Arc<Process>, name: &str) -> Result<LocalOutcome, String> {
    let stack = fixture.stack(process);
    let (source, output): (Arc<dyn Bucket>, _) = ((stack.open)("shop"), (stack.open)("stack"));
    let (progress, queue) = (Arc::new(Progress::default()), Arc::new(MemoryQueue::new(VISIBILITY, 20)));
    let request = RunRequest { vector: Some(vector()), since: fixture.since.clone(), ..request() };
    let worker = Worker {
        source: source.clone(),
        output,
        queue: Arc::new(FaultyQueue::new(queue, process.clone())),
        run: fixture.run.clone(),
        keys: fixture.keys.clone(),
        model: request.model.id(),
        vector: request.vector.clone(),
        max_image_bytes: request.max_image_bytes,
        receive_wait: Duration::ZERO,
        retry_delay: Duration::ZERO,
        retry_time: RETRY_TIME,
        progress,
    };
    let ranges = fixture.prefixes.iter().map(|prefix| KeyRange::prefix(prefix)).collect();
    let (ranges, stop) = (Ranges { version: 1, ranges }, Stop::default());
    let listed = Source::Listed(source, Filter::default());
    let (storm, name) = (process.storm(), name.to_owned());
    let taggers = || Ok(taggers(storm, &name));
    tokio::select! {
        biased;
        ended = run(&request, &ranges, &listed, &worker, &taggers, &stop) => ended.map_err(|error| error.to_string()),
        () = obey(process, &stop, &name) => Err("unreachable".to_owned()),
    }
}

/// The run is complete, and its counts are exact; returns its rows.
async fn complete(fixture: &Fixture, counts: &RowCounts) -> Rows {
    let rows: Rows = check::results(fixture).await;
    let keys: Vec<&String> = rows.iter().map(|row| &row.key).collect();
    assert_eq!(
        keys,
        fixture.inputs().await.iter().collect::<Vec<_>>(),
        "one row for each input, in key order"
    );
    let failed = rows.iter().filter(|row| row.texts[1].is_some()).count();
    assert_eq!((counts.rows(), counts.all_failed()), (rows.len() as u64, failed as u64));
    fixture.assert_nothing_else_was_touched().await;
    check::assert_checkpoints(fixture, &rows).await;
    check::assert_denied(fixture, &rows).await;
    rows
}
