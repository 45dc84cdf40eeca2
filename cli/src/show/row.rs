//! Rows as `show` reads and prints them, of this version's schema and of the first one.
//!
//! It knows no run and no model; columns are found by name.

use std::fs;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, RecordBatch, StructArray};
use serde::Serialize;
use serde_json::json;
use tagfleet_pipeline::tags::parquet;

use crate::exit::{Failure, bad_input, broken};

/// Tags with a smaller score than this print as 0.00 and are left out, but for the best one.
const SHOWN: f32 = 0.005;

/// The rows of a run, read again for each pass.
pub(super) struct Rows(Vec<PathBuf>);

impl Rows {
    pub(super) fn of(results: &Path) -> Result<Self, Failure> {
        let unreadable = |error: io::Error| bad_input(format!("{}: {error}", results.display()));
        let mut files = Vec::new();
        for entry in fs::read_dir(results).map_err(unreadable)? {
            files.push(entry.map_err(unreadable)?.path());
        }
        files.sort();
        Ok(Self(files))
    }

    /// In key order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Result<Row, Failure>> {
        self.0.iter().flat_map(|file| of_file(file))
    }
}

fn of_file(file: &Path) -> Box<dyn Iterator<Item = Result<Row, Failure>>> {
    let unreadable = |error: &dyn std::fmt::Display| bad_input(format!("{}: {error}", file.display()));
    let table = match fs::read(file) {
        Ok(bytes) => parquet::open(bytes.into()).map_err(|error| unreadable(&error)),
        Err(error) => Err(unreadable(&error)),
    };
    match table {
        Ok(table) => Box::new(table.batches.flat_map(|batch| of_batch(batch.map_err(broken)))),
        Err(failure) => Box::new(iter::once(Err(failure))),
    }
}

fn of_batch(batch: Result<RecordBatch, Failure>) -> Vec<Result<Row, Failure>> {
    match batch.and_then(|batch| rows(&batch)) {
        Ok(rows) => rows.into_iter().map(Ok).collect(),
        Err(failure) => vec![Err(failure)],
    }
}

/// One row.
pub(super) struct Row {
    pub(super) key: String,
    pub(super) failed: Option<RowFailure>,
    /// Best first.
    pub(super) tags: Vec<ShownTag>,
}

/// A label and its score.
#[derive(Serialize)]
pub(super) struct ShownTag {
    pub(super) label: String,
    pub(super) score: f32,
}

/// Why it has no tags.
pub(super) struct RowFailure {
    code: String,
    message: String,
    detail: Option<String>,
}

impl Row {
    pub(super) fn text(&self) -> String {
        if let Some(RowFailure { code, message, detail }) = &self.failed {
            let detail = detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            return format!("{}  failed: {code}: {message}{detail}", self.key);
        }
        let mut tags = Vec::new();
        for (place, ShownTag { label, score }) in self.tags.iter().enumerate() {
            if score.abs() >= SHOWN || score.is_nan() {
                tags.push(format!("{label} {score:.2}"));
            } else if place == 0 {
                tags.push(format!("{label} <0.01"));
            }
        }
        let tags = if tags.is_empty() { "no tags".to_owned() } else { tags.join(" | ") };
        format!("{}  {tags}", self.key)
    }

    pub(super) fn json(&self) -> String {
        let error = self
            .failed
            .as_ref()
            .map(|failed| json!({"code": failed.code, "message": failed.message, "detail": failed.detail}));
        json!({"key": self.key, "error": error, "tags": self.tags}).to_string()
    }
}

fn rows(batch: &RecordBatch) -> Result<Vec<Row>, Failure> {
    let text = |name: &str| batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let (Some(keys), Some(codes), Some(messages)) = (text("key"), text("error_code"), text("error_message"))
    else {
        return Err(bad_input("not a results table of tagfleet"));
    };
    let details = text("error_detail");
    let tags = batch.column_by_name("tags").and_then(|column| column.as_list_opt::<i32>());
    let tags = tags.ok_or_else(|| bad_input("not a results table of tagfleet: no tags"))?;
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let detail =
            details.filter(|details| details.is_valid(row)).map(|details| details.value(row).to_owned());
        let failed = codes.is_valid(row).then(|| RowFailure {
            code: codes.value(row).to_owned(),
            message: messages.value(row).to_owned(),
            detail,
        });
        let tags = tags.value(row);
        rows.push(Row { key: keys.value(row).to_owned(), failed, tags: row_tags(tags.as_struct()) });
    }
    Ok(rows)
}

fn row_tags(tags: &StructArray) -> Vec<ShownTag> {
    let labels = tags.column(0).as_string::<i32>();
    let scores = tags.column(2).as_primitive::<Float32Type>();
    let tag = |at| ShownTag { label: labels.value(at).to_owned(), score: scores.value(at) };
    (0..tags.len()).map(tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tags: &[(&str, f32)]) -> String {
        let tag = |(label, score): &(&str, f32)| ShownTag { label: (*label).to_owned(), score: *score };
        Row { key: "a.jpg".to_owned(), failed: None, tags: tags.iter().map(tag).collect() }.text()
    }

    #[test]
    fn labels_with_commas_are_told_apart_and_no_score_of_nothing_is_shown() {
        let tags = [("tench, Tinca tinca", 0.92), ("barracouta, snoek", 0.03), ("puffer, pufferfish", 0.004)];
        assert_eq!(text(&tags), "a.jpg  tench, Tinca tinca 0.92 | barracouta, snoek 0.03");
        assert_eq!(text(&[("tench", 0.001), ("snoek", 0.0)]), "a.jpg  tench <0.01");
        assert_eq!(text(&[("age", -3.2), ("height", -0.1)]), "a.jpg  age -3.20 | height -0.10");
        assert_eq!(text(&[]), "a.jpg  no tags");
    }
}
