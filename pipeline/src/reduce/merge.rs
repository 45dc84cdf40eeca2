//! The rows of a result file: those of a part, merged with those that the shard keeps of an earlier run.
//!
//! Both are in key order and have no key in common, so a merge holds a part and one batch of kept rows. It
//! changes nothing of a kept row but its run.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use arrow_select::interleave::interleave_record_batch;
use bytes::Bytes;

use super::count::count;
use super::flips::TaggedRows;
use super::{Counted, ReduceError, RowCounts, blocking};
use crate::bucket::Bucket;
use crate::earlier::{EarlierFiles, EarlierRun};
use crate::record;
use crate::run::RunKeys;
use crate::shard::ShardId;
use crate::tags::parquet::stored::text;
use crate::tags::parquet::{self, RunColumns, StoredTable, TableError, TableWriter, schema};

/// A result file that is being written, and the counts of its rows.
pub(super) struct ResultFile {
    pub(super) writer: TableWriter,
    pub(super) counts: RowCounts,
}

impl ResultFile {
    pub(super) fn new(writer: TableWriter) -> Self {
        Self { writer, counts: RowCounts::default() }
    }

    /// Adds the rows of a part.
    pub(super) fn copy(mut self, part: Bytes) -> Result<Self, TableError> {
        let table = parquet::open(part)?.of_this_version()?;
        self.add_facts(&table);
        for batch in table.batches {
            self.write(&batch?)?;
        }
        Ok(self)
    }

    /// What a part's metadata carries.
    fn add_facts(&mut self, part: &StoredTable) {
        self.counts.second_decoder += part.second_decoder;
        self.counts.slowest.add(&part.slowest);
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        self.counts.add(&count(batch)?);
        self.writer.write(batch)
    }
}

/// The results of the earlier run, for the shards of a slice.
pub(super) struct KeptFiles<'a> {
    pub(super) output: &'a dyn Bucket,
    pub(super) keys: &'a RunKeys,
    pub(super) earlier: &'a EarlierRun,
    pub(super) files: EarlierFiles,
    pub(super) counted: Counted,
}

impl KeptFiles<'_> {
    /// Adds the rows of a shard: those of its part, and those that it keeps.
    pub(super) async fn merge(
        &self,
        result: ResultFile,
        id: ShardId,
        part: Bytes,
    ) -> Result<ResultFile, ReduceError> {
        let (output, keys) = (self.output, self.keys);
        let of_part = |error| ReduceError::Table(keys.part(id), error);
        let shard = record::read_shard(output, keys, id).await?;
        let kept = shard.kept.unwrap_or_default();
        let (columns, counted) = (self.earlier.columns.clone(), self.counted);
        let merged = blocking(move || Merge::start(result, part, &columns, counted)).await;
        let mut merge = merged.map_err(of_part)?;
        let mut mask = kept.mask();
        let mut rows = self.files.rows(&kept.range, &[]);
        let mut read = 0;
        while let Some(batch) = rows.next().await? {
            read += batch.num_rows() as u64;
            let kept_rows: BooleanArray = mask.by_ref().take(batch.num_rows()).map(Some).collect();
            if kept_rows.len() < batch.num_rows() {
                return Err(self.changed(id));
            }
            let columns = self.earlier.columns.clone();
            let added = blocking(move || merge.add(&batch, &kept_rows, &columns)).await;
            merge = added.map_err(|error| ReduceError::Table(self.earlier.keys.results(), error))?;
        }
        if read != kept.rows() {
            return Err(self.changed(id));
        }
        blocking(move || merge.finish()).await.map_err(of_part)
    }

    fn changed(&self, shard: ShardId) -> ReduceError {
        ReduceError::EarlierChanged { results: self.earlier.keys.results(), shard }
    }
}

/// A part whose rows are merged with kept ones.
struct Merge {
    result: ResultFile,
    /// The rows of the part that are not written yet.
    part: RecordBatch,
    counted: Counted,
}

impl Merge {
    fn start(
        mut result: ResultFile,
        part: Bytes,
        of: &RunColumns,
        counted: Counted,
    ) -> Result<Self, TableError> {
        let table = parquet::open(part)?.of_this_version()?;
        result.add_facts(&table);
        let batches = table.batches.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { result, part: concat_batches(&schema(of.vector), &batches)?, counted })
    }

    /// Adds those rows of `earlier` for which `is_kept` is set, and the part's rows before them.
    fn add(
        mut self,
        earlier: &RecordBatch,
        is_kept: &BooleanArray,
        of: &RunColumns,
    ) -> Result<Self, TableError> {
        let earlier = with_columns_of(earlier, of)?;
        let kept = filter_record_batch(&earlier, is_kept)?;
        let dropped: BooleanArray = is_kept.values().iter().map(|is_kept| Some(!is_kept)).collect();
        self.count_flips(&kept, &filter_record_batch(&earlier, &dropped)?)?;
        let order = order(text(&kept, "key")?, text(&self.part, "key")?);
        if !order.is_empty() {
            self.result.write(&interleave_record_batch(&[&kept, &self.part], &order)?)?;
        }
        let written = order.len() - kept.num_rows();
        self.part = self.part.slice(written, self.part.num_rows() - written);
        Ok(self)
    }

    /// A row that is not kept may have another one in the part, which is not written before it is compared.
    fn count_flips(&mut self, kept: &RecordBatch, dropped: &RecordBatch) -> Result<(), TableError> {
        let flips = &mut self.result.counts.flips;
        flips.same += TaggedRows::new(kept)?.tagged();
        flips.add(&TaggedRows::new(dropped)?.compare(&TaggedRows::new(&self.part)?, self.counted));
        Ok(())
    }

    fn finish(mut self) -> Result<ResultFile, TableError> {
        if self.part.num_rows() > 0 {
            self.result.write(&self.part)?;
        }
        Ok(self.result)
    }
}

/// All kept rows and the part's rows before the last of them, in key order: which of the two, and which row.
fn order(kept: &StringArray, part: &StringArray) -> Vec<(usize, usize)> {
    let mut order = Vec::with_capacity(kept.len());
    let mut next = 0;
    for row in 0..kept.len() {
        while next < part.len() && part.value(next) < kept.value(row) {
            order.push((1, next));
            next += 1;
        }
        order.push((0, row));
    }
    order
}

/// The rows as those of this run, in the columns of its schema.
fn with_columns_of(earlier: &RecordBatch, of: &RunColumns) -> Result<RecordBatch, TableError> {
    let schema: SchemaRef = schema(of.vector);
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let found = earlier.column_by_name(field.name());
        let column = found.ok_or_else(|| TableError::missing_column(field.name()))?;
        columns.push(match field.name().as_str() {
            "run" => Arc::new(StringArray::from_iter_values(vec![of.run.as_str(); earlier.num_rows()])),
            _ => plain(column),
        });
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Text that was read as views, as plain text.
fn plain(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(StringArray::from_iter(column.as_string_view().iter())),
        _ => column.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_part_come_between_kept_ones() {
        let (kept, part) = (StringArray::from(vec!["b", "d"]), StringArray::from(vec!["a", "c", "e"]));
        assert_eq!(order(&kept, &part), [(1, 0), (0, 0), (1, 1), (0, 1)]);
        assert_eq!(order(&StringArray::from(Vec::<&str>::new()), &part), []);
    }
}
