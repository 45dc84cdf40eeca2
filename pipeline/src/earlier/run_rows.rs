//! The rows of a whole run, one after the other in key order, of the columns asked for.
//!
//! It exists for what compares runs: evaluation and diff are merges of such streams. Groups follow one
//! another in key order, so the files of one group are open at a time, and memory follows neither from the
//! number of rows nor from that of files. It reads results of any version and changes no row.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, StringViewArray};
use futures::stream::TryStreamExt;

use super::{EarlierFiles, EarlierRows, KEY};
use crate::bucket::parquet::text;
use crate::bucket::{Bucket, BucketError, KeyRange, Object};
use crate::run::RunKeys;
use crate::tags::parquet::stored::TagColumn;

/// The columns to read besides `key` and `error_code`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowColumns {
    /// `etag`.
    pub etag: bool,
    /// `tags`.
    pub tags: bool,
}

impl RowColumns {
    fn names(self) -> Vec<&'static str> {
        let mut names = vec!["error_code"];
        names.extend(self.etag.then_some("etag"));
        names.extend(self.tags.then_some("tags"));
        names
    }
}

/// The rows of a run, one after the other.
pub struct RunRows {
    output: Arc<dyn Bucket>,
    results: String,
    columns: RowColumns,
    range: KeyRange,
    /// The files of each group of which no row was read, in key order of groups.
    groups: VecDeque<Vec<Object>>,
    group: Option<EarlierRows>,
    batch: Option<RowBatch>,
    row: usize,
    last_key: Option<String>,
}

impl RunRows {
    /// The rows of a run whose keys are in `range`, before the first of them. Only row groups that can hold
    /// such a key are read.
    ///
    /// # Errors
    /// If the result files cannot be listed.
    pub async fn open(
        output: Arc<dyn Bucket>,
        keys: &RunKeys,
        columns: RowColumns,
        range: KeyRange,
    ) -> Result<Self, BucketError> {
        let mut groups: BTreeMap<u32, Vec<Object>> = BTreeMap::new();
        let mut pages = output.list(&KeyRange::prefix(&keys.results()));
        while let Some(page) = pages.try_next().await? {
            for object in page {
                if let Some((group, _)) = keys.result_place(&object.key) {
                    groups.entry(group).or_default().push(object);
                }
            }
        }
        drop(pages);
        Ok(Self {
            output,
            results: keys.results(),
            columns,
            range,
            groups: groups.into_values().collect(),
            group: None,
            batch: None,
            row: 0,
            last_key: None,
        })
    }

    /// Goes to the next row; false if there is none.
    ///
    /// # Errors
    /// If a file cannot be read, is not of tagfleet, or its rows are not in key order.
    pub async fn advance(&mut self) -> Result<bool, BucketError> {
        self.row += 1;
        if self.batch.as_ref().is_some_and(|batch| self.row < batch.keys.len()) {
            return Ok(true);
        }
        (self.batch, self.row) = (None, 0);
        loop {
            if let Some(rows) = &mut self.group {
                if let Some(batch) = rows.next().await? {
                    let batch = RowBatch::new(&batch, self.columns).map_err(|why| rows.failure(why))?;
                    self.check_order(&batch)?;
                    self.batch = Some(batch);
                    return Ok(true);
                }
                self.group = None;
            }
            let Some(files) = self.groups.pop_front() else { return Ok(false) };
            let files = EarlierFiles::open(&self.output, self.results.clone(), files).await?;
            self.group = Some(files.rows(&self.range, &self.columns.names()));
        }
    }

    /// The row in hand; none before the first and after the last.
    #[must_use]
    pub fn row(&self) -> Option<RowView<'_>> {
        Some(RowView { batch: self.batch.as_ref()?, row: self.row })
    }

    /// Groups are in key order as well. Within a group the merge checks it.
    fn check_order(&mut self, batch: &RowBatch) -> Result<(), BucketError> {
        let rows = batch.keys.len();
        let (Some(first), Some(last)) = (batch.keys.iter().next().flatten(), rows.checked_sub(1)) else {
            return Ok(());
        };
        let is_behind = self.last_key.as_deref().is_none_or(|before| before < first);
        if let Some(group) = self.group.as_ref().filter(|_| !is_behind) {
            return Err(group.failure(format!("its rows are not in key order at {first:?}")));
        }
        self.last_key = Some(batch.keys.value(last).to_owned());
        Ok(())
    }
}

/// One row, as far as its columns were asked for.
#[derive(Clone, Copy)]
pub struct RowView<'a> {
    batch: &'a RowBatch,
    row: usize,
}

impl<'a> RowView<'a> {
    /// The key.
    #[must_use]
    pub fn key(self) -> &'a str {
        self.batch.keys.value(self.row)
    }

    /// Why it failed; none if it is tagged.
    #[must_use]
    pub fn error_code(self) -> Option<&'a str> {
        value(&self.batch.codes, self.row)
    }

    /// The etag, if it is known and was asked for.
    #[must_use]
    pub fn etag(self) -> Option<&'a str> {
        value(self.batch.etags.as_ref()?, self.row)
    }

    /// Labels and scores, best first; none if they were not asked for.
    pub fn tags(self) -> impl Iterator<Item = (&'a str, f32)> {
        let tags = self.batch.tags.as_ref();
        let of_row =
            move |tags: &'a TagColumn| tags.places(self.row).map(|tag| (tags.label(tag), tags.score(tag)));
        tags.into_iter().flat_map(of_row)
    }
}

fn value(column: &StringViewArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

/// Some rows, by column; at least one.
struct RowBatch {
    keys: StringViewArray,
    codes: StringViewArray,
    etags: Option<StringViewArray>,
    tags: Option<TagColumn>,
}

impl RowBatch {
    fn new(batch: &RecordBatch, columns: RowColumns) -> Result<Self, String> {
        Ok(Self {
            keys: text(batch, KEY)?.clone(),
            codes: text(batch, "error_code")?.clone(),
            etags: columns.etag.then(|| text(batch, "etag").cloned()).transpose()?,
            tags: columns
                .tags
                .then(|| TagColumn::new(batch).map_err(|error| error.to_string()))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests;
