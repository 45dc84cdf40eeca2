//! `tagfleet show`: the first rows of a run, for a look without other tools.
//!
//! It reads results only; anything more is for DuckDB, pandas or Athena.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, RecordBatch, StructArray};
use serde_json::json;
use tagfleet_pipeline::run::{RunId, RunKeys};
use tagfleet_pipeline::tags::parquet;

use crate::args::ShowOptions;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json};

pub(crate) fn show(options: &ShowOptions) -> Result<Exit, Failure> {
    let mut left = options.rows;
    for file in files(&options.run)? {
        let bytes = fs::read(&file).map_err(|error| bad_input(format!("{}: {error}", file.display())))?;
        let table =
            parquet::open(bytes.into()).map_err(|error| bad_input(format!("{}: {error}", file.display())))?;
        for batch in table.batches {
            for row in rows(&batch.map_err(broken)?)? {
                if left == 0 {
                    return Ok(Exit::Finished);
                }
                if options.failed && row.failed.is_none() {
                    continue;
                }
                left -= 1;
                match options.json {
                    true => print_json(&row.json())?,
                    false => print(&format!("{}\n", row.text().replace('\n', "\\n")))?,
                }
            }
        }
    }
    Ok(Exit::Finished)
}

/// The result files of a run, or of the latest complete run of an output folder, in key order.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: io::Error| bad_input(format!("{}: {error}", path.display()));
    let path = path.canonicalize().map_err(unreadable)?;
    let results = match complete(&path) {
        Some(results) => results,
        None => {
            let entries = fs::read_dir(&path).map_err(unreadable)?;
            let runs = entries.flatten().map(|entry| entry.path());
            let latest = runs.filter_map(|run| complete(&run)).max();
            latest.ok_or_else(|| bad_input(format!("{}: no complete run is here", path.display())))?
        }
    };
    let entries = fs::read_dir(&results).map_err(unreadable)?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

/// The results of the run in this folder, if it is one and complete.
fn complete(folder: &Path) -> Option<PathBuf> {
    let id = RunId::try_from(folder.file_name()?.to_str()?.to_owned()).ok()?;
    let (out, keys) = (folder.parent()?, RunKeys::new("", &id));
    out.join(keys.success()).exists().then(|| out.join(keys.results()))
}

struct Row {
    key: String,
    failed: Option<(String, String)>,
    tags: Vec<(String, f32)>,
}

impl Row {
    fn text(&self) -> String {
        if let Some((code, message)) = &self.failed {
            return format!("{}  failed: {code}: {message}", self.key);
        }
        let tags: Vec<String> =
            self.tags.iter().map(|(label, score)| format!("{label} {score:.2}")).collect();
        format!("{}  {}", self.key, tags.join(", "))
    }

    fn json(&self) -> String {
        let tag = |(label, score): &(String, f32)| json!({"label": label, "score": score});
        let error = self.failed.as_ref().map(|(code, message)| json!({"code": code, "message": message}));
        json!({"key": self.key, "error": error, "tags": self.tags.iter().map(tag).collect::<Vec<_>>()})
            .to_string()
    }
}

fn rows(batch: &RecordBatch) -> Result<Vec<Row>, Failure> {
    let text = |name: &str| batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let (Some(keys), Some(codes), Some(messages)) = (text("key"), text("error_code"), text("error_message"))
    else {
        return Err(bad_input("not a results table of tagfleet"));
    };
    let tags = batch.column_by_name("tags").and_then(|column| column.as_list_opt::<i32>());
    let tags = tags.ok_or_else(|| bad_input("not a results table of tagfleet: no tags"))?;
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let is_failed = codes.is_valid(row);
        let failed = is_failed.then(|| (codes.value(row).to_owned(), messages.value(row).to_owned()));
        let tags = tags.value(row);
        rows.push(Row { key: keys.value(row).to_owned(), failed, tags: row_tags(tags.as_struct()) });
    }
    Ok(rows)
}

fn row_tags(tags: &StructArray) -> Vec<(String, f32)> {
    let labels = tags.column(0).as_string::<i32>();
    let scores = tags.column(2).as_primitive::<Float32Type>();
    (0..tags.len()).map(|tag| (labels.value(tag).to_owned(), scores.value(tag))).collect()
}
