//! The rows of a run, read from its Parquet files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use tagfleet_pipeline::tags::parquet;

/// One row, without its run and model, so that the rows of two runs can be compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The key.
    pub key: String,
    /// `tagged` or `failed`.
    pub status: String,
    /// The reason of a failure, as a code.
    pub error_code: Option<String>,
    /// The cause of a failure, from a closed list of sentences.
    pub error_message: Option<String>,
    /// The details of a failure, which differ from image to image.
    pub error_detail: Option<String>,
    /// Width and height, in pixels.
    pub size: Option<(i32, i32)>,
    /// The size of the stored image, in bytes.
    pub bytes: Option<i64>,
    /// Label, index and score, best first.
    pub tags: Vec<(String, i32, f32)>,
}

/// The folders of the runs below an output folder, oldest first.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn runs(out: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(out).expect("the output folder");
    let mut runs: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    runs.retain(|path| path.join("request.json").exists());
    runs.sort();
    runs
}

/// The rows of the only run below `out`.
///
/// # Panics
/// If there is not exactly one run, or it is not complete.
#[must_use]
pub fn rows(out: &Path) -> Vec<Row> {
    let runs = runs(out);
    assert_eq!(runs.len(), 1, "one run below {}", out.display());
    rows_of(&runs[0])
}

/// The rows of a complete run.
///
/// # Panics
/// If it is not complete.
#[must_use]
pub fn rows_of(run: &Path) -> Vec<Row> {
    assert!(run.join("_SUCCESS").exists(), "{} is complete", run.display());
    let mut rows = Vec::new();
    for batch in batches(&run.join("results")) {
        rows.extend((0..batch.num_rows()).map(|row| self::row(&batch, row)));
    }
    rows
}

/// The run and the model that the rows of a complete run name.
///
/// # Panics
/// If the rows cannot be read.
#[must_use]
pub fn runs_and_models(run: &Path) -> BTreeSet<[String; 2]> {
    let mut found = BTreeSet::new();
    for batch in batches(&run.join("results")) {
        let columns = ["run", "model"].map(|name| batch.column_by_name(name).expect("a column"));
        for row in 0..batch.num_rows() {
            found.insert(columns.map(|column| column.as_string::<i32>().value(row).to_owned()));
        }
    }
    found
}

/// The record batches of all Parquet files in a folder, in the order of their names.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn batches(folder: &Path) -> Vec<RecordBatch> {
    let mut files = crate::photos::files(folder);
    files.sort();
    let mut batches = Vec::new();
    for file in files {
        let bytes = fs::read(&file).expect("a result");
        let table = parquet::open(bytes.into()).expect("a Parquet file");
        batches.extend(table.batches.map(|batch| batch.expect("a batch")));
    }
    batches
}

fn row(batch: &RecordBatch, row: usize) -> Row {
    let column = |name: &str| batch.column_by_name(name).expect("a column");
    let text = |name: &str| {
        let column = column(name).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let number = |name: &str| {
        let column = column(name).as_primitive::<Int32Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let bytes = column("bytes").as_primitive::<Int64Type>();
    let tags = column("tags").as_list::<i32>().value(row);
    let tags = tags.as_struct();
    let labels = tags.column_by_name("label").expect("label").as_string::<i32>();
    let indices = tags.column_by_name("index").expect("index").as_primitive::<Int32Type>();
    let scores = tags.column_by_name("score").expect("score").as_primitive::<Float32Type>();
    let tag = |tag| (labels.value(tag).to_owned(), indices.value(tag), scores.value(tag));
    Row {
        key: text("key").expect("a key"),
        status: text("status").expect("a status"),
        error_code: text("error_code"),
        error_message: text("error_message"),
        error_detail: text("error_detail"),
        size: number("width").zip(number("height")),
        bytes: bytes.is_valid(row).then(|| bytes.value(row)),
        tags: (0..tags.len()).map(tag).collect(),
    }
}
