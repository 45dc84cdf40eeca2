//! Rows of several files in key order: a merge, of which only the files are open that have the next keys.
//!
//! What is not in key order is an error, because every reader relies on the order.

use std::collections::VecDeque;

use arrow_array::{Array, RecordBatch};
use futures::stream::{BoxStream, TryStreamExt};

use super::{EarlierFiles, KEY};
use crate::bucket::parquet::{ParquetObject, text};
use crate::bucket::{BucketError, KeyRange, Kind};

/// Rows of a range, batch by batch.
pub struct EarlierRows {
    bucket: String,
    results: String,
    range: KeyRange,
    columns: Vec<String>,
    /// Files of which no row was read, in the order of their first keys.
    waiting: VecDeque<WaitingFile>,
    open: Vec<OpenFile>,
    last_key: Option<String>,
}

struct WaitingFile {
    /// No row in the range has a lesser key.
    first_key: Vec<u8>,
    object: ParquetObject,
    groups: Vec<usize>,
}

struct OpenFile {
    object: ParquetObject,
    batches: BoxStream<'static, Result<RecordBatch, BucketError>>,
    /// At least one row, all of the range.
    batch: RecordBatch,
}

impl EarlierRows {
    pub(super) fn new(of: &EarlierFiles, range: &KeyRange, columns: &[&str]) -> Self {
        let mut waiting: Vec<WaitingFile> = Vec::new();
        for object in &of.files {
            let groups = object.groups_within(KEY, range);
            let Some(first) = groups.first() else { continue };
            let first_key = object.bounds(*first, KEY).map(|bounds| bounds.min).unwrap_or_default();
            waiting.push(WaitingFile { first_key, object: object.clone(), groups });
        }
        waiting.sort_by(|a, b| a.first_key.cmp(&b.first_key));
        let mut columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        if !columns.is_empty() {
            columns.push(KEY.to_owned());
        }
        Self {
            bucket: of.bucket.clone(),
            results: of.results.clone(),
            range: range.clone(),
            columns,
            waiting: waiting.into(),
            open: Vec::new(),
            last_key: None,
        }
    }

    /// The next rows; `None` behind the last one.
    ///
    /// # Errors
    /// Of the bucket, or if the rows are not in key order ([`Kind::Other`]).
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, BucketError> {
        while self.is_file_due() {
            self.open_file().await?;
        }
        let Some(lowest) = self.lowest() else { return Ok(None) };
        let rows = self.rows_below_others(lowest);
        let file = &mut self.open[lowest];
        let batch = file.batch.slice(0, rows);
        file.batch = file.batch.slice(rows, file.batch.num_rows() - rows);
        self.check_order(lowest, &batch)?;
        if self.open[lowest].batch.num_rows() == 0 {
            self.read_on(lowest).await?;
        }
        Ok(Some(batch))
    }

    /// An error about the results as a whole.
    #[must_use]
    pub fn failure(&self, detail: String) -> BucketError {
        let (bucket, key) = (self.bucket.clone(), self.results.clone());
        BucketError { kind: Kind::Other, bucket, key, detail }
    }

    /// Whether the next row may be in a file that is not open.
    fn is_file_due(&self) -> bool {
        let Some(waiting) = self.waiting.front() else { return false };
        self.lowest().is_none_or(|open| waiting.first_key.as_slice() <= self.open[open].key(0).as_bytes())
    }

    async fn open_file(&mut self) -> Result<(), BucketError> {
        let Some(WaitingFile { object, groups, .. }) = self.waiting.pop_front() else { return Ok(()) };
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let batches = object.batches(&columns, groups);
        let batch = RecordBatch::new_empty(object.schema().clone());
        self.open.push(OpenFile { object, batches, batch });
        self.read_on(self.open.len() - 1).await
    }

    /// Reads until there is a row of the range, or closes the file.
    async fn read_on(&mut self, number: usize) -> Result<(), BucketError> {
        let file = &mut self.open[number];
        while let Some(batch) = file.batches.try_next().await? {
            let batch = within(&self.range, &batch).map_err(|detail| file.object.fail(detail))?;
            if batch.num_rows() > 0 {
                file.batch = batch;
                return Ok(());
            }
        }
        self.open.swap_remove(number);
        Ok(())
    }

    fn lowest(&self) -> Option<usize> {
        (0..self.open.len()).min_by(|a, b| self.open[*a].key(0).cmp(self.open[*b].key(0)))
    }

    /// How many rows of an open file come before every row of the others; at least one.
    fn rows_below_others(&self, number: usize) -> usize {
        let file = &self.open[number];
        let others = self.open.iter().enumerate().filter(|(other, _)| *other != number);
        let limits = others.map(|(_, other)| other.key(0).as_bytes());
        let waiting = self.waiting.front().map(|waiting| waiting.first_key.as_slice());
        match limits.chain(waiting).min() {
            None => file.batch.num_rows(),
            Some(limit) => {
                let is_below = |row: &usize| file.key(*row).as_bytes() < limit;
                (0..file.batch.num_rows()).take_while(is_below).count().max(1)
            }
        }
    }

    fn check_order(&mut self, number: usize, batch: &RecordBatch) -> Result<(), BucketError> {
        let object = &self.open[number].object;
        let keys = text(batch, KEY).map_err(|detail| object.fail(detail))?;
        let before = self.last_key.take();
        let mut last = before.as_deref();
        for key in keys.iter().flatten() {
            if last.is_some_and(|last| last >= key) {
                return Err(object.fail(format!("its rows are not in key order at {key:?}")));
            }
            last = Some(key);
        }
        self.last_key = last.map(str::to_owned);
        Ok(())
    }
}

impl OpenFile {
    /// The key of a row of the batch. A column without text was refused when the batch was read.
    fn key(&self, row: usize) -> &str {
        text(&self.batch, KEY).map_or("", |keys| keys.value(row))
    }
}

/// The rows of `range`: neighbours, because the batch is in key order.
fn within(range: &KeyRange, batch: &RecordBatch) -> Result<RecordBatch, String> {
    let keys = text(batch, KEY)?;
    if keys.null_count() > 0 {
        return Err("a row has no key".to_owned());
    }
    let is_inside = |row: &usize| range.contains(keys.value(*row));
    let first = (0..keys.len()).find(is_inside).unwrap_or(keys.len());
    let count = (first..keys.len()).take_while(is_inside).count();
    Ok(batch.slice(first, count))
}
