//! Entries of a Parquet file: only its columns that mean something, only the row groups that may have a key
//! of the range.
//!
//! Bounds that a file records are checked against every key that is read by them. A wrong one is an error,
//! because it would hide keys from other ranges.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::ManifestFile;
use super::columns::{Columns, KeyForm, Line, boolean, number};
use super::entry::Entry;
use super::failure;
use super::stream::Entries;
use crate::bucket::parquet::{Bounds, ParquetObject};
use crate::bucket::{Bucket, BucketError, KeyRange};

/// A Parquet file of a manifest, and which of its columns is what.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) object: ParquetObject,
    columns: Columns,
    names: Vec<String>,
}

impl Table {
    /// Reads the footer of a file.
    pub(super) async fn open(
        files: &Arc<dyn Bucket>,
        file: &ManifestFile,
        key_column: Option<&str>,
    ) -> Result<Self, BucketError> {
        let object = ParquetObject::open(files.clone(), &file.key, Some(&file.etag)).await?;
        let fail = |why: String| failure(files.as_ref(), &file.key, why);
        let fields = object.schema().fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let columns = Columns::new(&known, key_column).map_err(fail)?;
        let key = &fields[columns.key];
        if !matches!(key.data_type(), DataType::Utf8View | DataType::BinaryView) {
            return Err(fail(format!(
                "its column {:?} is of type {}, keys are text: name another with --key-column",
                key.name(),
                key.data_type()
            )));
        }
        Ok(Self { object, columns, names })
    }

    /// The bounds of the keys of a row group, if it has some that sort as keys do.
    pub(super) fn bounds(&self, group: usize, source: Option<&str>) -> Option<Bounds> {
        let bounds = self.object.bounds(group, self.key())?;
        let Some(source) = source.filter(|_| self.columns.form == KeyForm::Address) else {
            return Some(bounds);
        };
        // All that is between two addresses in a bucket is one, too.
        let start = format!("{source}/");
        let key = |bound: &[u8]| bound.strip_prefix(start.as_bytes()).map(<[u8]>::to_vec);
        Some(Bounds { min: key(&bounds.min)?, max: key(&bounds.max)? })
    }

    fn groups_within(&self, source: Option<&str>, range: &KeyRange) -> Vec<usize> {
        let groups = 0..self.object.group_rows().len();
        let may_have = |group: &usize| self.bounds(*group, source).is_none_or(|bounds| bounds.overlap(range));
        groups.filter(may_have).collect()
    }

    fn key(&self) -> &str {
        &self.names[self.columns.key]
    }

    fn batches(&self, group: usize) -> stream::BoxStream<'static, Result<RecordBatch, BucketError>> {
        let wanted: Vec<&str> =
            self.columns.all().into_iter().map(|column| self.names[column].as_str()).collect();
        self.object.batches(&wanted, vec![group])
    }

    fn entries(&self, batch: &RecordBatch, from: Origin<'_>) -> Result<Vec<Entry>, String> {
        let column = |position: Option<usize>| position.and_then(|at| batch.column_by_name(&self.names[at]));
        let columns = &self.columns;
        let key = column(Some(columns.key)).ok_or("it has no column of keys")?;
        let (size, etag, bucket) = (column(columns.size), column(columns.etag), column(columns.bucket));
        let (latest, deleted) = (column(columns.latest), column(columns.delete_marker));
        let class = column(columns.storage_class);
        let mut entries = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let in_row = |why: String| format!("row {} of row group {} {why}", from.row + row, from.group);
            let line = || -> Result<Line<'_>, String> {
                Ok(Line {
                    key: text(Some(key), row)?,
                    size: bytes(size, row)?,
                    etag: text(etag, row)?,
                    bucket: text(bucket, row)?,
                    is_latest: flag(latest, row)?,
                    is_delete_marker: flag(deleted, row)?,
                    storage_class: text(class, row)?,
                })
            };
            let line = line().map_err(in_row)?;
            if let (Some(bounds), Some(key)) = (from.bounds, line.key)
                && !bounds.contain(key)
            {
                return Err(in_row(format!(
                    "has the key {key:?}, which is outside the bounds that the file records"
                )));
            }
            entries.push(line.entry(columns.form, from.source).map_err(in_row)?);
        }
        Ok(entries)
    }
}

/// Where a batch is from.
#[derive(Clone, Copy)]
struct Origin<'a> {
    source: Option<&'a str>,
    group: usize,
    bounds: Option<&'a Bounds>,
    /// Rows of the group before it.
    row: usize,
}

/// The entries of a file whose keys are of `source`, of row groups that may have a key of `range`.
pub(super) fn entries(
    files: &Arc<dyn Bucket>,
    file: &ManifestFile,
    key_column: Option<&str>,
    (source, range): (Option<String>, KeyRange),
) -> Entries {
    let (files, file, key_column) = (files.clone(), file.clone(), key_column.map(str::to_owned));
    let opened =
        async move { Table::open(&files, &file, key_column.as_deref()).await.map(|table| (table, files)) };
    let of_groups = move |(table, files): (Table, Arc<dyn Bucket>)| {
        let groups = table.groups_within(source.as_deref(), &range);
        let source = source.clone();
        let of_group = move |group: usize| of_group(table.clone(), files.clone(), source.clone(), group);
        stream::iter(groups).flat_map(of_group)
    };
    stream::once(opened).map_ok(of_groups).try_flatten().boxed()
}

fn of_group(table: Table, files: Arc<dyn Bucket>, source: Option<String>, group: usize) -> Entries {
    let bounds = table.object.bounds(group, table.key());
    let mut row = 0;
    let entries = table.batches(group).map(move |batch| {
        let batch = batch?;
        let from = Origin { source: source.as_deref(), group, bounds: bounds.as_ref(), row };
        row += batch.num_rows();
        table.entries(&batch, from).map_err(|why| failure(files.as_ref(), table.object.key(), why))
    });
    entries.boxed()
}

fn text(column: Option<&Arc<dyn Array>>, row: usize) -> Result<Option<&str>, String> {
    let Some(column) = column.filter(|column| !column.is_null(row)) else { return Ok(None) };
    if let Some(texts) = column.as_string_view_opt() {
        return Ok(Some(texts.value(row)));
    }
    match column.as_binary_view_opt() {
        Some(bytes) => {
            let text = std::str::from_utf8(bytes.value(row));
            text.map(Some).map_err(|_| "is not UTF-8: keys are".to_owned())
        }
        None => Ok(None),
    }
}

fn bytes(column: Option<&Arc<dyn Array>>, row: usize) -> Result<Option<u64>, String> {
    let Some(found) = column.filter(|column| !column.is_null(row)) else { return Ok(None) };
    Ok(match found.data_type() {
        DataType::Int64 => u64::try_from(found.as_primitive::<Int64Type>().value(row)).ok(),
        DataType::Int32 => u64::try_from(found.as_primitive::<Int32Type>().value(row)).ok(),
        DataType::UInt64 => Some(found.as_primitive::<UInt64Type>().value(row)),
        DataType::UInt32 => Some(found.as_primitive::<UInt32Type>().value(row).into()),
        _ => text(column, row)?.map_or(Ok(None), number)?,
    })
}

fn flag(column: Option<&Arc<dyn Array>>, row: usize) -> Result<Option<bool>, String> {
    let Some(found) = column.filter(|column| !column.is_null(row)) else { return Ok(None) };
    match found.as_boolean_opt() {
        Some(flags) => Ok(Some(flags.value(row))),
        None => text(column, row)?.map_or(Ok(None), boolean),
    }
}
