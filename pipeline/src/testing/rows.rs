//! Rows as they are stored, in a form that can be compared: every column, scores to the bit.
//!
//! It never leaves a test.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;

use crate::tags::parquet;

const TEXTS: [&str; 7] = ["status", "error_code", "error_message", "error_detail", "etag", "run", "model"];

/// Every column of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlatRow {
    /// The image.
    pub key: String,
    /// Status, code, message, detail, etag, run, model.
    pub texts: Vec<Option<String>>,
    /// Width, height, bytes.
    pub numbers: Vec<Option<i64>>,
    /// Label, index, bits of the score.
    pub tags: Vec<(String, i32, u32)>,
}

/// The rows of a run, in key order.
pub type Rows = Vec<FlatRow>;

/// The rows of one stored table.
#[must_use]
pub fn rows_of(bytes: Bytes) -> Rows {
    let batches = parquet::open(bytes).expect("a stored table").batches;
    batches.flat_map(|batch| flat(&batch.expect("a stored table"))).collect()
}

fn flat(batch: &RecordBatch) -> Rows {
    let text = |name: &str| batch.column_by_name(name).expect("a stored table").as_string::<i32>().clone();
    let optional = |name: &str, row| text(name).is_valid(row).then(|| text(name).value(row).to_owned());
    let int = |name: &str, row| {
        let column = batch.column_by_name(name).expect("a stored table").as_primitive::<Int32Type>();
        column.is_valid(row).then(|| i64::from(column.value(row)))
    };
    let sizes = batch.column_by_name("bytes").expect("a stored table").as_primitive::<Int64Type>();
    let tags = batch.column_by_name("tags").expect("a stored table").as_list::<i32>();
    let mut rows = Vec::new();
    for row in 0..batch.num_rows() {
        let list = tags.value(row);
        let list = list.as_struct();
        let (labels, indices) =
            (list.column(0).as_string::<i32>(), list.column(1).as_primitive::<Int32Type>());
        let scores = list.column(2).as_primitive::<Float32Type>();
        let tag = |at| (labels.value(at).to_owned(), indices.value(at), scores.value(at).to_bits());
        rows.push(FlatRow {
            key: text("key").value(row).to_owned(),
            texts: TEXTS.map(|name| optional(name, row)).to_vec(),
            numbers: vec![
                int("width", row),
                int("height", row),
                sizes.is_valid(row).then(|| sizes.value(row)),
            ],
            tags: (0..labels.len()).map(tag).collect(),
        });
    }
    rows
}

/// Panics at the first row that differs.
pub fn assert_same(rows: &Rows, quiet: &Rows) {
    for (row, other) in rows.iter().zip(quiet) {
        assert_eq!(row, other, "not as in a quiet run");
    }
    assert_eq!(rows.len(), quiet.len());
}
