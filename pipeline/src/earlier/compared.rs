//! What is compared of an earlier run's row with an input: its key, its etag, why it failed.

use std::collections::VecDeque;

use arrow_array::RecordBatch;

use super::{EarlierFiles, EarlierRows, KEY};
use crate::bucket::parquet::text;
use crate::bucket::{BucketError, KeyRange};

/// A row of the earlier run.
pub(crate) struct EarlierRow {
    pub(crate) key: String,
    pub(crate) etag: Option<String>,
    /// Why it failed; `None` if it has tags.
    pub(crate) error_code: Option<String>,
}

/// The rows of a range, some thousand at a time.
pub(crate) struct ComparedRows(EarlierRows);

impl ComparedRows {
    pub(crate) fn new(files: &EarlierFiles, range: &KeyRange) -> Self {
        Self(files.rows(range, &["etag", "error_code"]))
    }

    /// The next rows; none behind the last one.
    pub(crate) async fn next(&mut self) -> Result<VecDeque<EarlierRow>, BucketError> {
        let Some(batch) = self.0.next().await? else { return Ok(VecDeque::new()) };
        rows(&batch).map_err(|detail| self.0.failure(detail))
    }
}

fn rows(batch: &RecordBatch) -> Result<VecDeque<EarlierRow>, String> {
    let (keys, etags, codes) = (text(batch, KEY)?, text(batch, "etag")?, text(batch, "error_code")?);
    let mut rows = VecDeque::with_capacity(batch.num_rows());
    for ((key, etag), code) in keys.iter().zip(etags).zip(codes) {
        rows.push_back(EarlierRow {
            key: key.unwrap_or_default().to_owned(),
            etag: etag.map(str::to_owned),
            error_code: code.map(str::to_owned),
        });
    }
    Ok(rows)
}
