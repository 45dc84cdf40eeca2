//! Results of a run as compaction writes them, for whatever reads them.
//!
//! It never leaves a test.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use crate::bucket::Bucket;
use crate::run::{RunId, RunKeys};
use crate::tags::parquet::{RunColumns, TableWriter, batch};
use crate::tags::{Failure, Outcome, Reason, Row, Tag, Tagged};

/// A row with tags: label and score, best first. A label's index is its length.
#[must_use]
pub fn tagged(key: &str, etag: &str, tags: &[(&str, f32)]) -> Row {
    let tag = |(label, score): &(&str, f32)| Tag {
        label: (*label).to_owned(),
        index: u32::try_from(label.len()).unwrap_or(0),
        score: *score,
    };
    let tags = tags.iter().map(tag).collect();
    let tagged = Tagged { width: 1, height: 1, tags, vector: None, second_decoder: false };
    Row { key: key.to_owned(), bytes: Some(1), etag: Some(etag.to_owned()), outcome: Outcome::Tagged(tagged) }
}

/// A row without tags.
#[must_use]
pub fn failed(key: &str, reason: Reason) -> Row {
    let outcome = Outcome::Failed(Failure::new(reason, ""));
    Row { key: key.to_owned(), bytes: None, etag: None, outcome }
}

/// Writes one slice of a group; `rows` are in key order.
pub async fn put_slice(
    output: &dyn Bucket,
    (run, keys): (&RunId, &RunKeys),
    (group, slice): (u32, u32),
    rows: &[Row],
) {
    let columns = RunColumns { run: run.clone(), model: "m@00000000".to_owned(), vector: None };
    let mut writer = TableWriter::new(run, None).expect("a writer");
    for rows in rows.chunks(10_000) {
        writer.write(&batch(rows, &columns).expect("rows")).expect("rows");
    }
    let table = writer.finish(0).expect("a table");
    output.put(&keys.result(group, slice), table).await.expect("a bucket that writes");
}
