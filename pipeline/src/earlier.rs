//! The rows of an earlier run that a run continues, in key order: a few columns, or all of them.
//!
//! Result files are in key order, except for groups that were compacted in several slices: these are merged.
//! Row groups outside the wanted range are not read, and at most one row group of a file is in memory. It
//! never decides which rows are kept.

mod compared;
mod rows;
mod run_rows;
mod search;

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

pub(crate) use self::compared::{ComparedRows, EarlierRow};
pub use self::rows::EarlierRows;
pub use self::run_rows::{RowColumns, RowView, RunRows};
pub use self::search::{EarlierChoice, Search, SearchFor};
use crate::bucket::parquet::ParquetObject;
use crate::bucket::{Bucket, BucketError, KeyRange, Object};
use crate::run::{RunId, RunKeys, RunRequest, max_kept_rows};
use crate::tags::parquet::{RunColumns, SCHEMA_VERSION, VERSION};

/// Footers that are read at once.
const FOOTERS_AT_ONCE: usize = 16;
/// The column that everything is ordered by.
const KEY: &str = "key";

/// An earlier run, and the run that keeps its rows.
#[derive(Clone)]
pub struct EarlierRun {
    /// Where both have their objects.
    pub output: Arc<dyn Bucket>,
    /// The keys of the earlier run.
    pub keys: RunKeys,
    /// What the rows of the run have in common that keeps them.
    pub columns: RunColumns,
    /// Whether its failed rows are the only ones that are not kept.
    pub only_failed: bool,
    /// How many rows a shard may keep.
    pub max_kept: u64,
}

impl EarlierRun {
    /// The run that `request` continues; `None` if it continues none. `keys` are those of the run that was
    /// requested.
    #[must_use]
    pub fn new(request: &RunRequest, output: &Arc<dyn Bucket>, run: &RunId, keys: &RunKeys) -> Option<Self> {
        let since = request.since.as_ref()?;
        let columns = RunColumns {
            run: run.clone(),
            model: request.model.id(),
            vector: request.vector.as_ref().map(|vector| vector.stored),
        };
        Some(Self {
            output: output.clone(),
            keys: keys.of_run(&since.run),
            columns,
            only_failed: since.only_failed,
            max_kept: max_kept_rows(request.vector.as_ref()),
        })
    }

    /// The run of these keys, to be compared with and not to keep rows of.
    #[must_use]
    pub fn to_compare(output: &Arc<dyn Bucket>, keys: RunKeys, run: RunId) -> Self {
        let columns = RunColumns { run, model: String::new(), vector: None };
        Self { output: output.clone(), keys, columns, only_failed: false, max_kept: u64::MAX }
    }

    /// Reads the footers of its results: one or two requests for each file.
    ///
    /// # Errors
    /// If they cannot be read, or another version of tagfleet wrote them.
    pub async fn open(&self) -> Result<EarlierFiles, BucketError> {
        let mut found: Vec<Object> = Vec::new();
        let mut pages = self.output.list(&KeyRange::prefix(&self.keys.results()));
        while let Some(page) = pages.try_next().await? {
            found.extend(page.into_iter().filter(|object| self.keys.result_place(&object.key).is_some()));
        }
        let files = EarlierFiles::open(&self.output, self.keys.results(), found).await?;
        for file in &files.files {
            check_version(file)?;
        }
        Ok(files)
    }
}

fn check_version(file: &ParquetObject) -> Result<(), BucketError> {
    let version = file.value(VERSION);
    if version.is_some_and(|version| version == SCHEMA_VERSION.to_string()) {
        return Ok(());
    }
    let found = version.unwrap_or("none");
    Err(file.fail(format!(
        "its rows have schema {found}, this tagfleet writes {SCHEMA_VERSION}: start a run that continues no other"
    )))
}

/// The result files of an earlier run, with their footers.
#[derive(Clone)]
pub struct EarlierFiles {
    bucket: String,
    results: String,
    files: Vec<ParquetObject>,
}

impl EarlierFiles {
    /// Reads the footers of these files of a run whose results are below `results`.
    async fn open(
        output: &Arc<dyn Bucket>,
        results: String,
        objects: Vec<Object>,
    ) -> Result<Self, BucketError> {
        let open = |object: Object| async move {
            ParquetObject::open(output.clone(), &object.key, Some(&object.etag)).await
        };
        let files = stream::iter(objects.into_iter().map(open)).buffered(FOOTERS_AT_ONCE);
        Ok(Self { bucket: output.name().to_owned(), results, files: files.try_collect().await? })
    }

    /// Ranges of about equally many rows, which together hold every key: one for each file, `most` at most.
    #[must_use]
    pub fn ranges(&self, most: usize) -> Vec<KeyRange> {
        let first_key = |file: &ParquetObject| {
            let bounds = file.bounds(0, KEY)?;
            String::from_utf8(bounds.min).ok()
        };
        let mut cuts: Vec<String> = self.files.iter().filter_map(first_key).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let step = self.files.len().div_ceil(most.max(1)).max(1);
        let mut ranges = Vec::new();
        let mut after = None;
        for cut in cuts.into_iter().step_by(step).skip(1) {
            let up_to = Some(cut);
            ranges.push(KeyRange { prefix: String::new(), after: after.take(), up_to: up_to.clone() });
            after = up_to;
        }
        ranges.push(KeyRange { after, ..KeyRange::default() });
        ranges
    }

    /// The rows of `range` in key order, with these columns and `key`; all columns if there are none named.
    #[must_use]
    pub fn rows(&self, range: &KeyRange, columns: &[&str]) -> EarlierRows {
        EarlierRows::new(self, range, columns)
    }
}

#[cfg(test)]
mod tests;
