//! The stored form of rows: one Parquet schema for parts and results, versioned.
//!
//! Version 1, one row per input, in key order:
//!
//! | column | type | null where |
//! |---|---|---|
//! | `key` | string | never |
//! | `status` | string: `tagged` or `failed` | never |
//! | `error_code` | string, a [`Reason`](super::Reason) | tagged |
//! | `error_message` | string | tagged |
//! | `width`, `height` | int32, pixels as shown | failed |
//! | `bytes` | int64, the size of the stored image | it was never read nor listed |
//! | `etag` | string | likewise |
//! | `tags` | list of struct `label` string, `index` int32, `score` float | never; empty where failed |
//! | `vector` | list of float or float16; only in runs with `--output` | failed |
//!
//! The file's metadata carries `tagfleet.schema_version`, `tagfleet.run` and `tagfleet.second_decoder`: how
//! many images the first decoder refused and the second read. Nothing here decides what a row says.

use std::sync::Arc;

use arrow_array::builder::{
    Float16Builder, Float32Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder, StructBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use bytes::Bytes;
use half::f16;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use thiserror::Error;
use tokio::task::JoinError;

use super::{Outcome, Row, Tag};
use crate::run::{RunId, VectorType};

/// The version of the schema above.
pub const SCHEMA_VERSION: u32 = 1;
/// A row group ends at this many rows or bytes: small enough to be held while it is written, large enough to compress.
const ROW_GROUP_ROWS: usize = 100_000;
const ROW_GROUP_BYTES: usize = 32 << 20;
const SECOND_DECODER: &str = "tagfleet.second_decoder";

/// Rows could not be written or read.
#[derive(Debug, Error)]
#[error("parquet: {0}")]
pub struct TableError(String);

impl TableError {
    pub(crate) fn missing_column(name: &str) -> Self {
        Self(format!("no column {name} of the expected type"))
    }
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
    let tags = DataType::List(Arc::new(Field::new("item", DataType::Struct(tag_fields()), false)));
    let mut fields = vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("status", DataType::Utf8, false),
        Field::new("error_code", DataType::Utf8, true),
        Field::new("error_message", DataType::Utf8, true),
        Field::new("width", DataType::Int32, true),
        Field::new("height", DataType::Int32, true),
        Field::new("bytes", DataType::Int64, true),
        Field::new("etag", DataType::Utf8, true),
        Field::new("tags", tags, false),
    ];
    if let Some(stored) = vector {
        fields.push(Field::new("vector", DataType::List(vector_item(stored)), true));
    }
    Arc::new(Schema::new(fields))
}

fn tag_fields() -> Fields {
    Fields::from(vec![
        Field::new("label", DataType::Utf8, false),
        Field::new("index", DataType::Int32, false),
        Field::new("score", DataType::Float32, false),
    ])
}

fn vector_item(stored: VectorType) -> Arc<Field> {
    let number = match stored {
        VectorType::F32 => DataType::Float32,
        VectorType::F16 => DataType::Float16,
    };
    Arc::new(Field::new("item", number, false))
}

/// The rows of one shard as a Parquet file.
///
/// # Errors
/// Where a number does not fit its column (a picture wider than 2^31 pixels).
pub fn encode_part(rows: &[Row], run: &RunId, vector: Option<VectorType>) -> Result<Bytes, TableError> {
    let second_decoder = rows.iter().filter(|row| row.second_decoder()).count();
    let mut writer = TableWriter::new(run, vector)?;
    writer.write(&batch(rows, vector)?)?;
    writer.finish(second_decoder as u64)
}

/// Writes a table in memory, batch by batch.
pub struct TableWriter(ArrowWriter<Vec<u8>>);

impl TableWriter {
    /// An empty table of a run.
    ///
    /// # Errors
    /// Where the writer refuses its own settings.
    pub fn new(run: &RunId, vector: Option<VectorType>) -> Result<Self, TableError> {
        let metadata = vec![
            KeyValue::new("tagfleet.schema_version".to_owned(), SCHEMA_VERSION.to_string()),
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
    /// Where the batch is of another schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        Ok(self.0.write(batch)?)
    }

    /// The whole file, which says how many images needed the second decoder.
    ///
    /// # Errors
    /// Where the last rows cannot be written.
    pub fn finish(mut self, second_decoder: u64) -> Result<Bytes, TableError> {
        self.0
            .append_key_value_metadata(KeyValue::new(SECOND_DECODER.to_owned(), second_decoder.to_string()));
        Ok(self.0.into_inner()?.into())
    }
}

/// A stored table: its batches, and the count that its metadata carries.
pub struct StoredTable {
    /// The rows in order, a few thousand at a time.
    pub batches: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>,
    /// All rows of the file.
    pub rows: u64,
    /// How many of them the second decoder read.
    pub second_decoder: u64,
}

/// Opens a stored table.
///
/// # Errors
/// Where the bytes are no Parquet file.
pub fn open(bytes: Bytes) -> Result<StoredTable, TableError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let metadata = reader.metadata().file_metadata();
    let second_decoder = metadata
        .key_value_metadata()
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == SECOND_DECODER))
        .and_then(|pair| pair.value.as_ref()?.parse().ok())
        .ok_or_else(|| TableError(format!("no {SECOND_DECODER} in its metadata")))?;
    let rows =
        u64::try_from(metadata.num_rows()).map_err(|_| TableError("a negative number of rows".to_owned()))?;
    let batches = Box::new(reader.with_batch_size(8192).build()?);
    Ok(StoredTable { batches, rows, second_decoder })
}

/// The rows as one batch.
///
/// # Errors
/// Where a number does not fit its column.
pub fn batch(rows: &[Row], vector: Option<VectorType>) -> Result<RecordBatch, TableError> {
    let mut columns = Columns::new(vector);
    for row in rows {
        columns.push(row)?;
    }
    columns.finish(vector)
}

struct Columns {
    key: StringBuilder,
    status: StringBuilder,
    error_code: StringBuilder,
    error_message: StringBuilder,
    width: Int32Builder,
    height: Int32Builder,
    bytes: Int64Builder,
    etag: StringBuilder,
    tags: ListBuilder<StructBuilder>,
    vector: VectorBuilder,
}

enum VectorBuilder {
    None,
    F32(ListBuilder<Float32Builder>),
    F16(ListBuilder<Float16Builder>),
}

impl VectorBuilder {
    fn new(vector: Option<VectorType>) -> Self {
        match vector {
            None => Self::None,
            Some(VectorType::F32) => {
                Self::F32(ListBuilder::new(Float32Builder::new()).with_field(vector_item(VectorType::F32)))
            }
            Some(VectorType::F16) => {
                Self::F16(ListBuilder::new(Float16Builder::new()).with_field(vector_item(VectorType::F16)))
            }
        }
    }

    fn push(&mut self, numbers: Option<&[f32]>) {
        match self {
            Self::None => {}
            Self::F32(list) => {
                list.values().append_slice(numbers.unwrap_or_default());
                list.append(numbers.is_some());
            }
            Self::F16(list) => {
                for number in numbers.unwrap_or_default() {
                    list.values().append_value(f16::from_f32(*number));
                }
                list.append(numbers.is_some());
            }
        }
    }

    fn finish(&mut self) -> Option<ArrayRef> {
        match self {
            Self::None => None,
            Self::F32(list) => Some(Arc::new(list.finish())),
            Self::F16(list) => Some(Arc::new(list.finish())),
        }
    }
}

impl Columns {
    fn new(vector: Option<VectorType>) -> Self {
        let tag = StructBuilder::from_fields(tag_fields(), 0);
        let item = Field::new("item", DataType::Struct(tag_fields()), false);
        Self {
            key: StringBuilder::new(),
            status: StringBuilder::new(),
            error_code: StringBuilder::new(),
            error_message: StringBuilder::new(),
            width: Int32Builder::new(),
            height: Int32Builder::new(),
            bytes: Int64Builder::new(),
            etag: StringBuilder::new(),
            tags: ListBuilder::new(tag).with_field(item),
            vector: VectorBuilder::new(vector),
        }
    }

    fn push(&mut self, row: &Row) -> Result<(), TableError> {
        self.key.append_value(&row.key);
        self.bytes.append_option(row.bytes.map(i64::try_from).transpose().map_err(too_large)?);
        self.etag.append_option(row.etag.as_ref());
        match &row.outcome {
            Outcome::Tagged(tagged) => {
                self.status.append_value("tagged");
                self.error_code.append_null();
                self.error_message.append_null();
                self.width.append_value(tagged.width.try_into().map_err(too_large)?);
                self.height.append_value(tagged.height.try_into().map_err(too_large)?);
                self.push_tags(&tagged.tags)?;
                self.vector.push(tagged.vector.as_deref());
            }
            Outcome::Failed(failure) => {
                self.status.append_value("failed");
                self.error_code.append_value(failure.reason.code());
                self.error_message.append_value(&failure.message);
                self.width.append_null();
                self.height.append_null();
                self.push_tags(&[])?;
                self.vector.push(None);
            }
        }
        Ok(())
    }

    fn push_tags(&mut self, tags: &[Tag]) -> Result<(), TableError> {
        let list = self.tags.values();
        for tag in tags {
            builder::<StringBuilder>(list, 0)?.append_value(&tag.label);
            builder::<Int32Builder>(list, 1)?.append_value(tag.index.try_into().map_err(too_large)?);
            builder::<Float32Builder>(list, 2)?.append_value(tag.score);
            list.append(true);
        }
        self.tags.append(true);
        Ok(())
    }

    fn finish(mut self, vector: Option<VectorType>) -> Result<RecordBatch, TableError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.key.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.error_code.finish()),
            Arc::new(self.error_message.finish()),
            Arc::new(self.width.finish()),
            Arc::new(self.height.finish()),
            Arc::new(self.bytes.finish()),
            Arc::new(self.etag.finish()),
            Arc::new(self.tags.finish()),
        ];
        columns.extend(self.vector.finish());
        Ok(RecordBatch::try_new(schema(vector), columns)?)
    }
}

fn builder<T: arrow_array::builder::ArrayBuilder>(
    list: &mut StructBuilder,
    field: usize,
) -> Result<&mut T, TableError> {
    list.field_builder(field).ok_or_else(|| TableError(format!("field {field} of tags is of another type")))
}

fn too_large(error: std::num::TryFromIntError) -> TableError {
    TableError(format!("a number does not fit its column: {error}"))
}
