//! The stored form of rows: one Parquet schema for parts and results, versioned.
//!
//! Version 2, one row per input, in key order:
//!
//! | column | type | null where |
//! |---|---|---|
//! | `key` | string | never |
//! | `run` | string, the run's id | never |
//! | `model` | string, [`ModelRecord::id`](crate::run::ModelRecord::id) | never |
//! | `status` | string: `tagged` or `failed` | never |
//! | `error_code` | string, a [`Reason`](super::Reason) | tagged |
//! | `error_message` | string, the text of a [`Cause`](super::Cause) | tagged |
//! | `error_detail` | string, a [`Detail`](super::Detail) | tagged, or no more is known |
//! | `width`, `height` | int32, pixels as shown | failed |
//! | `bytes` | int64, the size of the stored image | it was never read nor listed |
//! | `etag` | string | likewise |
//! | `tags` | list of struct `label` string, `index` int32, `score` float | never; empty if failed |
//! | `vector` | list of float or float16; only in runs with `--output` | failed |
//!
//! `run` and `model` are the same in every row of a run, so that rows of several runs and models may share a
//! table. They are plain strings, which Parquet stores once for each row group, in a dictionary. Elements of
//! lists are called `element`, as the Parquet specification has it. Version 1 had neither these columns nor
//! `error_detail`, and called elements `item`.
//!
//! The file's metadata carries `tagfleet.schema_version`, `tagfleet.run` and `tagfleet.second_decoder`: how
//! many images the first decoder refused and the second read. That of a part also has `tagfleet.slowest`: the
//! images that took the longest, as JSON. Nothing in it decides the content of a row.

mod columns;
pub(crate) mod stored;

use std::str::FromStr;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, KeyValue};
use parquet::file::properties::WriterProperties;
use thiserror::Error;
use tokio::task::JoinError;

pub use self::columns::batch;
use super::Row;
use super::slowest::Slowest;
use crate::run::{RunId, VectorType};

/// The version of the schema above.
pub const SCHEMA_VERSION: u32 = 2;
/// A row group ends at this many rows or bytes: small enough to be held while it is written, large enough to
/// compress.
const ROW_GROUP_ROWS: usize = 100_000;
const ROW_GROUP_BYTES: usize = 32 << 20;
const SECOND_DECODER: &str = "tagfleet.second_decoder";
const SLOWEST: &str = "tagfleet.slowest";
/// Under this name a file's metadata has the version of its schema.
pub const VERSION: &str = "tagfleet.schema_version";
/// What Parquet's specification calls the elements of every list.
const ELEMENT: &str = "element";

/// Rows could not be written or read.
#[derive(Debug, Error)]
#[error("parquet: {0}")]
pub struct TableError(String);

impl TableError {
    pub(crate) fn missing_column(name: &str) -> Self {
        Self(format!("no column {name} of the expected type"))
    }
}

/// What all rows of a run have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunColumns {
    /// The run.
    pub run: RunId,
    /// Its model: [`ModelRecord::id`](crate::run::ModelRecord::id).
    pub model: String,
    /// How a vector is stored, in runs that keep one.
    pub vector: Option<VectorType>,
}

impl From<ParquetError> for TableError {
    fn from(error: ParquetError) -> Self {
        Self(error.to_string())
    }
}

/// A reader that panics over damaged bytes.
impl From<JoinError> for TableError {
    fn from(error: JoinError) -> Self {
        Self(error.to_string())
    }
}

impl From<ArrowError> for TableError {
    fn from(error: ArrowError) -> Self {
        Self(error.to_string())
    }
}

/// The schema of a run's rows.
#[must_use]
pub fn schema(vector: Option<VectorType>) -> SchemaRef {
    let mut fields = vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("run", DataType::Utf8, false),
        Field::new("model", DataType::Utf8, false),
        Field::new("status", DataType::Utf8, false),
        Field::new("error_code", DataType::Utf8, true),
        Field::new("error_message", DataType::Utf8, true),
        Field::new("error_detail", DataType::Utf8, true),
        Field::new("width", DataType::Int32, true),
        Field::new("height", DataType::Int32, true),
        Field::new("bytes", DataType::Int64, true),
        Field::new("etag", DataType::Utf8, true),
        Field::new("tags", DataType::List(tag_element()), false),
    ];
    if let Some(stored) = vector {
        fields.push(Field::new("vector", DataType::List(vector_element(stored)), true));
    }
    Arc::new(Schema::new(fields))
}

fn tag_element() -> Arc<Field> {
    Arc::new(Field::new(ELEMENT, DataType::Struct(tag_fields()), false))
}

fn tag_fields() -> Fields {
    Fields::from(vec![
        Field::new("label", DataType::Utf8, false),
        Field::new("index", DataType::Int32, false),
        Field::new("score", DataType::Float32, false),
    ])
}

fn vector_element(stored: VectorType) -> Arc<Field> {
    let number = match stored {
        VectorType::F32 => DataType::Float32,
        VectorType::F16 => DataType::Float16,
    };
    Arc::new(Field::new(ELEMENT, number, false))
}

/// The rows of one shard as a Parquet file.
///
/// # Errors
/// If a number does not fit its column (a picture wider than 2^31 pixels).
pub fn encode_part(rows: &[Row], of: &RunColumns, slowest: &Slowest) -> Result<Bytes, TableError> {
    let second_decoder = rows.iter().filter(|row| row.second_decoder()).count();
    let mut writer = TableWriter::new(&of.run, of.vector)?;
    writer.write(&batch(rows, of)?)?;
    if !slowest.is_empty() {
        let json = serde_json::to_string(slowest).map_err(|error| TableError(error.to_string()))?;
        writer.0.append_key_value_metadata(KeyValue::new(SLOWEST.to_owned(), json));
    }
    writer.finish(second_decoder as u64)
}

/// Writes a table in memory, batch by batch.
pub struct TableWriter(ArrowWriter<Vec<u8>>);

impl TableWriter {
    /// An empty table of a run.
    ///
    /// # Errors
    /// If the writer refuses its own settings.
    pub fn new(run: &RunId, vector: Option<VectorType>) -> Result<Self, TableError> {
        let metadata = vec![
            KeyValue::new(VERSION.to_owned(), SCHEMA_VERSION.to_string()),
            KeyValue::new("tagfleet.run".to_owned(), run.to_string()),
        ];
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .set_key_value_metadata(Some(metadata))
            .build();
        Ok(Self(ArrowWriter::try_new(Vec::new(), schema(vector), Some(properties))?))
    }

    /// Adds rows.
    ///
    /// # Errors
    /// If the batch is of another schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        Ok(self.0.write(batch)?)
    }

    /// The whole file, which records how many images needed the second decoder.
    ///
    /// # Errors
    /// If the last rows cannot be written.
    pub fn finish(mut self, second_decoder: u64) -> Result<Bytes, TableError> {
        self.0
            .append_key_value_metadata(KeyValue::new(SECOND_DECODER.to_owned(), second_decoder.to_string()));
        Ok(self.0.into_inner()?.into())
    }
}

/// A stored table: its batches, and what its metadata carries.
pub struct StoredTable {
    /// The version of its schema.
    pub version: u32,
    /// The rows in order, a few thousand at a time.
    pub batches: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>,
    /// All rows of the file.
    pub rows: u64,
    /// How many of them the second decoder read.
    pub second_decoder: u64,
    /// The images that took the longest, if the file names them.
    pub slowest: Slowest,
}

/// Opens a stored table.
///
/// # Errors
/// If the bytes are not a Parquet file of tagfleet.
pub fn open(bytes: Bytes) -> Result<StoredTable, TableError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let metadata = reader.metadata().file_metadata();
    let (version, second_decoder) = (number(metadata, VERSION)?, number(metadata, SECOND_DECODER)?);
    let slowest = slowest(metadata)?;
    let rows =
        u64::try_from(metadata.num_rows()).map_err(|_| TableError("a negative number of rows".to_owned()))?;
    let batches = Box::new(reader.with_batch_size(8192).build()?);
    Ok(StoredTable { version, batches, rows, second_decoder, slowest })
}

fn value<'a>(metadata: &'a FileMetaData, key: &str) -> Option<&'a str> {
    let pairs = metadata.key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
}

/// None in results, nor in parts of earlier versions.
fn slowest(metadata: &FileMetaData) -> Result<Slowest, TableError> {
    let Some(json) = value(metadata, SLOWEST) else { return Ok(Slowest::default()) };
    serde_json::from_str(json).map_err(|error| TableError(format!("{SLOWEST} in its metadata: {error}")))
}

fn number<T: FromStr>(metadata: &FileMetaData, key: &str) -> Result<T, TableError> {
    let number = value(metadata, key).and_then(|value| value.parse().ok());
    number.ok_or_else(|| TableError(format!("no {key} in its metadata: not written by tagfleet")))
}

impl StoredTable {
    /// Refuses rows of another version, which cannot be in one file with rows of this one.
    ///
    /// # Errors
    /// If another version of tagfleet wrote the table.
    pub fn of_this_version(self) -> Result<Self, TableError> {
        if self.version == SCHEMA_VERSION {
            return Ok(self);
        }
        let version = self.version;
        Err(TableError(format!(
            "its rows have schema {version}, this tagfleet writes {SCHEMA_VERSION}: start a new run"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags::{Cause, Failure, Outcome};

    #[test]
    fn what_a_part_says_of_its_slowest_images_comes_back() {
        let failure = Failure::new(Cause::Crashed, String::new());
        let outcome = Outcome::Failed(failure);
        let rows = [Row { key: "a.jpg".to_owned(), bytes: None, etag: None, outcome }];
        let columns =
            RunColumns { run: RunId::try_from("r".to_owned()).unwrap(), model: "m".to_owned(), vector: None };
        let mut slowest = Slowest::default();
        assert_eq!(open(encode_part(&rows, &columns, &slowest).unwrap()).unwrap().slowest, slowest);
        slowest.offer("\u{1b}\"\n\u{e9}.jpg", 7400);
        slowest.offer("a.jpg", 12);
        let stored = open(encode_part(&rows, &columns, &slowest).unwrap()).unwrap();
        assert_eq!((stored.slowest, stored.rows), (slowest, 1));
    }
}
