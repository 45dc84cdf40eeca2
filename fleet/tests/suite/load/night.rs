//! A night over very many keys, half a per cent of them changed: the difference, the merge, and their memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tagfleet_pipeline::bucket::{Bucket, KeyRange};
use tagfleet_pipeline::earlier::EarlierRun;
use tagfleet_pipeline::filter::Filter;
use tagfleet_pipeline::infer::{Stop, infer};
use tagfleet_pipeline::record;
use tagfleet_pipeline::reduce::{self, Compaction, Counted};
use tagfleet_pipeline::run::{Ranges, RunId, RunKeys, RunRequest, Since};
use tagfleet_pipeline::split::{RangeTask, Source, split_range};
use tagfleet_pipeline::tags::parquet::{RunColumns, TableWriter, batch};
use tagfleet_pipeline::tags::{Outcome, Row, Tag, Tagged};
use tagfleet_pipeline::testing::{self, LengthTagger};
use tokio_util::sync::CancellationToken;

use super::synthetic_bucket::{ETAG, SyntheticBucket};
use super::{Laps, worker};

/// One of this many rows is of another object.
const CHANGED: u64 = 200;
/// Rows of a result file, as compaction makes them.
const ROWS_PER_FILE: u64 = 2_000_000;
/// Rows that are made at once.
const ROWS_PER_BATCH: u64 = 10_000;

/// The results of an earlier run over `source`.
async fn put_earlier(output: &dyn Bucket, keys: &RunKeys, run: &RunId, source: SyntheticBucket) {
    let of = RunColumns { run: run.clone(), model: testing::request().model.id(), vector: None };
    for (file, first) in (0..).zip((0..source.len()).step_by(ROWS_PER_FILE as usize)) {
        let mut writer = TableWriter::new(run, None).unwrap();
        let end = source.len().min(first + ROWS_PER_FILE);
        for start in (first..end).step_by(ROWS_PER_BATCH as usize) {
            let numbers = start..end.min(start + ROWS_PER_BATCH);
            let rows: Vec<Row> = numbers.map(|number| row(source, number)).collect();
            writer.write(&batch(&rows, &of).unwrap()).unwrap();
        }
        output.put(&keys.result(file, 0), writer.finish(0).unwrap()).await.unwrap();
    }
    output.put(&keys.success(), Bytes::new()).await.unwrap();
}

fn row(source: SyntheticBucket, number: u64) -> Row {
    let etag = if number.is_multiple_of(CHANGED) { "replaced" } else { ETAG };
    let tags = vec![Tag { label: "length 5".to_owned(), index: 5, score: 0.5 }];
    let outcome = Outcome::Tagged(Tagged { width: 5, height: 1, tags, vector: None, second_decoder: false });
    Row { key: source.key(number), bytes: Some(5), etag: Some(etag.to_owned()), outcome }
}

/// The stages of a night over this many keys; making the earlier run is not measured.
pub(super) async fn night(keys: usize) -> Vec<(&'static str, Duration)> {
    let source = SyntheticBucket::of(keys);
    let (worker, _folder) = worker(Arc::new(source));
    let earlier_run = RunId::try_from("earlier".to_owned()).unwrap();
    let (output, run_keys) = (worker.output.as_ref(), &worker.keys);
    put_earlier(output, &run_keys.of_run(&earlier_run), &earlier_run, source).await;
    let since = Some(Since { run: earlier_run, only_failed: false });
    let request = RunRequest { since, ..testing::request() };
    let run = (&worker.run, run_keys);
    let earlier = EarlierRun::new(&request, &worker.output, run.0, run.1);
    let listed = Source::Listed(Arc::new(source), Filter::default()).since(earlier.clone());
    let ranges = Ranges { version: 1, ranges: vec![KeyRange::default()] };
    record::create(output, &run_keys.ranges(), &ranges).await.unwrap();
    let mut laps = Laps::begin();
    let (range, queue) = (&ranges.ranges[0], worker.queue.as_ref());
    let task = RangeTask { number: 0, range, run: run.0, output, keys: run.1, queue };
    split_range(&listed, task, usize::MAX, &CancellationToken::new()).await.unwrap();
    let difference = laps.lap();
    infer(worker.clone(), LengthTagger::threads(1, 8), &Stop::default()).await.unwrap();
    let inferred = laps.lap();
    let groups = reduce::groups(output, run_keys, None).await.unwrap();
    let compaction = Compaction {
        output,
        run: run.0,
        keys: run_keys,
        vector: None,
        earlier: earlier.as_ref(),
        counted: Counted::Best,
    };
    compaction.all(&groups, &[]).await.unwrap();
    assert_eq!(reduce::total(output, run_keys, &groups).await.unwrap().rows(), keys as u64);
    vec![("difference", difference), ("infer", inferred), ("merge", laps.lap())]
}
