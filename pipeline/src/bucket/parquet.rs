//! Reads some columns and row groups of a Parquet object without reading the rest of it.
//!
//! The footer and the chosen columns are read by ranges, one row group at a time, and decoded away from the
//! async threads. Every read is of the object that was opened: one that changes in between is an error. It
//! trusts no number of the file before memory is taken, and never reads a page index or a bloom filter.

mod footer;

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{RecordBatch, StringViewArray};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader};
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::basic::SortOrder;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

use super::{Bucket, BucketError, ByteRange, KeyRange, Kind};

/// The chosen columns of one row group, compressed and decompressed, have at most this many bytes: 512 MiB.
const MAX_GROUP_BYTES: i64 = 512 << 20;
/// A larger range is read in pieces of this many bytes: 8 MiB.
const PIECE_BYTES: u64 = 8 << 20;
/// Pieces of a row group that are read at once.
const PIECES_AT_ONCE: usize = 8;
/// Rows of one batch.
const BATCH_ROWS: usize = 8192;

/// A Parquet object whose footer was read.
#[derive(Clone)]
pub struct ParquetObject {
    bucket: Arc<dyn Bucket>,
    key: Arc<str>,
    etag: Arc<str>,
    /// Text is read as views, so that a value that many rows share is in memory once.
    metadata: ArrowReaderMetadata,
}

/// The least and the greatest value of a column in a row group, as its writer recorded them. Either may be
/// shortened: then it is less, or greater, than every value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At most the least value.
    pub min: Vec<u8>,
    /// At least the greatest value.
    pub max: Vec<u8>,
}

impl Bounds {
    /// Whether a value within these bounds may be in `range`.
    #[must_use]
    pub fn overlap(&self, range: &KeyRange) -> bool {
        let prefix = range.prefix.as_bytes();
        let is_before = |bound: &String| self.max.as_slice() <= bound.as_bytes();
        let is_behind = |bound: &String| self.min.as_slice() > bound.as_bytes();
        let is_before_prefix = self.max.as_slice() < prefix;
        let is_behind_prefix = self.min.as_slice() > prefix && !self.min.starts_with(prefix);
        !range.after.as_ref().is_some_and(is_before)
            && !range.up_to.as_ref().is_some_and(is_behind)
            && !is_before_prefix
            && !is_behind_prefix
    }

    /// Whether `value` is within these bounds.
    #[must_use]
    pub fn contain(&self, value: &str) -> bool {
        self.min.as_slice() <= value.as_bytes() && value.as_bytes() <= self.max.as_slice()
    }
}

impl ParquetObject {
    /// Reads the footer of the object under `key`: one request, or two if it is larger than 64 KiB.
    ///
    /// # Errors
    /// Those of the bucket; [`Kind::Other`] if the object is not a Parquet file, or its footer has more than
    /// 64 MiB.
    pub async fn open(
        bucket: Arc<dyn Bucket>,
        key: &str,
        if_match: Option<&str>,
    ) -> Result<Self, BucketError> {
        let (metadata, etag) = footer::read(bucket.as_ref(), key, if_match).await?;
        Ok(Self { key: key.into(), etag: etag.into(), metadata, bucket })
    }

    /// The columns, by name and type. Text of any encoding is a view: `Utf8View`, or `BinaryView` if the file
    /// does not declare it as text.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// The key of the object.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The etag that the object had when it was opened.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// A text of the file's own metadata.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let pairs = self.metadata.metadata().file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == name)?.value.as_deref()
    }

    /// Rows of each row group, in the order of the file.
    #[must_use]
    pub fn group_rows(&self) -> Vec<u64> {
        let groups = self.metadata.metadata().row_groups();
        groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).collect()
    }

    /// The bounds of a text column in a row group; `None` if the file has none that can be relied on.
    #[must_use]
    pub fn bounds(&self, group: usize, column: &str) -> Option<Bounds> {
        let metadata = self.metadata.metadata();
        let leaf = leaf(metadata, column)?;
        if metadata.file_metadata().column_orders()?.get(leaf)?.sort_order() != SortOrder::UNSIGNED {
            return None;
        }
        let statistics = metadata.row_groups().get(group)?.columns().get(leaf)?.statistics()?;
        // Writers of deprecated bounds compared bytes as signed numbers.
        match statistics {
            Statistics::ByteArray(found) if !statistics.is_min_max_deprecated() => {
                let (min, max) = (found.min_bytes_opt()?.to_vec(), found.max_bytes_opt()?.to_vec());
                Some(Bounds { min, max })
            }
            _ => None,
        }
    }

    /// The row groups in which a value of `column` may be in `range`, in the order of the file: all without
    /// bounds, and those whose bounds overlap it.
    #[must_use]
    pub fn groups_within(&self, column: &str, range: &KeyRange) -> Vec<usize> {
        let groups = 0..self.metadata.metadata().num_row_groups();
        let may_have = |group: &usize| self.bounds(*group, column).is_none_or(|bounds| bounds.overlap(range));
        groups.filter(may_have).collect()
    }

    /// The rows of these row groups in the order of the file, some thousand at a time, with these columns
    /// only, or with all if none is named. Columns that the file does not have are left out. At most one row
    /// group is in memory.
    ///
    /// # Errors
    /// The stream ends with the first error: of the bucket, or of damaged bytes ([`Kind::Other`]).
    #[must_use]
    pub fn batches(
        &self,
        columns: &[&str],
        groups: Vec<usize>,
    ) -> BoxStream<'static, Result<RecordBatch, BucketError>> {
        let reading = self.check(columns, &groups).and_then(|()| self.decoder(columns, groups));
        let object = self.clone();
        match reading {
            Err(error) => stream::iter([Err(error)]).boxed(),
            Ok(decoder) => {
                stream::try_unfold(Reading { decoder: Some(decoder), rows: None }, move |reading| {
                    let object = object.clone();
                    async move { object.next(reading).await }
                })
                .boxed()
            }
        }
    }

    fn decoder(&self, columns: &[&str], groups: Vec<usize>) -> Result<ParquetPushDecoder, BucketError> {
        let builder = ParquetPushDecoderBuilder::new_with_metadata(self.metadata.clone());
        let mask = ProjectionMask::leaves(builder.parquet_schema(), self.leaves(columns));
        let builder = builder.with_projection(mask).with_row_groups(groups).with_batch_size(BATCH_ROWS);
        builder.build().map_err(|error| self.fail(error.to_string()))
    }

    /// The leaves of these columns, nested or not; all leaves if no column is named.
    fn leaves(&self, columns: &[&str]) -> Vec<usize> {
        let schema = self.metadata.metadata().file_metadata().schema_descr();
        let is_named = |root: &str| columns.is_empty() || columns.contains(&root);
        let leaves = schema.columns().iter().enumerate();
        let named = leaves.filter(|(_, leaf)| leaf.path().parts().first().is_some_and(|root| is_named(root)));
        named.map(|(leaf, _)| leaf).collect()
    }

    /// Refuses groups that are too large before anything is read of them.
    fn check(&self, columns: &[&str], groups: &[usize]) -> Result<(), BucketError> {
        let leaves = self.leaves(columns);
        for number in groups {
            let Some(group) = self.metadata.metadata().row_groups().get(*number) else {
                return Err(self.fail(format!("it has no row group {number}")));
            };
            let chunks = leaves.iter().filter_map(|leaf| group.columns().get(*leaf));
            let sizes = chunks.flat_map(|chunk| [chunk.compressed_size(), chunk.uncompressed_size()]);
            let bytes = sizes.fold(0i64, |sum, size| sum.saturating_add(size.max(0)));
            if bytes > MAX_GROUP_BYTES {
                return Err(self.fail(format!(
                    "row group {number} has {bytes} bytes in these columns, more than {MAX_GROUP_BYTES}: \
                     write smaller row groups"
                )));
            }
        }
        Ok(())
    }

    /// The next batch, and what is left behind it.
    async fn next(&self, mut reading: Reading) -> Result<Option<(RecordBatch, Reading)>, BucketError> {
        loop {
            let (returned, step) = self.decode(move || reading.step()).await?;
            reading = returned;
            match step {
                Step::Batch(batch) => return Ok(Some((batch, reading))),
                Step::Needs(ranges) => {
                    let bytes = self.fetch(&ranges).await?;
                    let Some(decoder) = &mut reading.decoder else { return Ok(None) };
                    decoder.push_ranges(ranges, bytes).map_err(|error| self.fail(error.to_string()))?;
                }
                Step::End => return Ok(None),
            }
        }
    }

    async fn decode<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ParquetError> + Send + 'static,
    ) -> Result<T, BucketError> {
        decode(work).await.map_err(|detail| self.fail(detail))
    }

    async fn fetch(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, BucketError> {
        let mut fetched = Vec::with_capacity(ranges.len());
        for range in ranges {
            let starts = (range.start..range.end).step_by(usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX));
            let piece = |start: u64| self.piece(start..range.end.min(start.saturating_add(PIECE_BYTES)));
            let mut pieces = stream::iter(starts.map(piece)).buffered(PIECES_AT_ONCE);
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.try_next().await? {
                bytes.extend_from_slice(&piece);
            }
            if bytes.len() as u64 != range.end.saturating_sub(range.start) {
                return Err(self.fail("it is shorter than its footer claims".to_owned()));
            }
            fetched.push(bytes.into());
        }
        Ok(fetched)
    }

    async fn piece(&self, range: Range<u64>) -> Result<Bytes, BucketError> {
        let piece = self.bucket.get_range(&self.key, Some(&self.etag), ByteRange::Between(range)).await?;
        Ok(piece.bytes)
    }

    /// An error about this object.
    #[must_use]
    pub fn fail(&self, detail: String) -> BucketError {
        failure(self.bucket.as_ref(), &self.key, detail)
    }
}

/// The values of a text column of a batch.
///
/// # Errors
/// If there is no such column, or it is not text: in words, for a [`BucketError`]'s detail.
pub fn text<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a StringViewArray, String> {
    let Some(found) = batch.column_by_name(column) else { return Err(format!("no column {column}")) };
    found.as_string_view_opt().ok_or_else(|| format!("column {column} is not text"))
}

fn failure(bucket: &dyn Bucket, key: &str, detail: String) -> BucketError {
    BucketError { kind: Kind::Other, bucket: bucket.name().to_owned(), key: key.to_owned(), detail }
}

/// The position of a column among the leaves of the schema, if it is not nested.
fn leaf(metadata: &ParquetMetaData, column: &str) -> Option<usize> {
    let schema = metadata.file_metadata().schema_descr();
    schema.columns().iter().position(|found| found.path().parts() == [column])
}

/// Decodes on a thread that may block. A decoder that panics over damaged bytes is an error like any other.
async fn decode<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ParquetError> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(decoded) => decoded.map_err(|error| format!("a damaged Parquet file: {error}")),
        Err(error) if error.is_panic() => {
            let why = panic_text(error.into_panic().as_ref());
            Err(format!("a damaged Parquet file: {why}"))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Row groups that are being read.
struct Reading {
    /// `None` once there are no more.
    decoder: Option<ParquetPushDecoder>,
    /// The rows that are left of the current group.
    rows: Option<ParquetRecordBatchReader>,
}

enum Step {
    Batch(RecordBatch),
    Needs(Vec<Range<u64>>),
    End,
}

impl Reading {
    fn step(mut self) -> Result<(Self, Step), ParquetError> {
        loop {
            if let Some(batch) = self.rows.as_mut().and_then(Iterator::next) {
                return Ok((self, Step::Batch(batch?)));
            }
            self.rows = None;
            let Some(decoder) = &mut self.decoder else { return Ok((self, Step::End)) };
            match decoder.try_next_reader()? {
                DecodeResult::NeedsData(ranges) => return Ok((self, Step::Needs(ranges))),
                DecodeResult::Data(rows) => self.rows = Some(rows),
                DecodeResult::Finished => self.decoder = None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
