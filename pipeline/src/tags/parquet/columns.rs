//! Rows to the columns of a batch, by the schema.
//!
//! It decides nothing: each value of a [`Row`] goes into the column of its name.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, Float16Builder, Float32Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder,
    StructBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use half::f16;

use super::{RunColumns, TableError, schema, tag_element, tag_fields, vector_element};
use crate::run::VectorType;
use crate::tags::{Outcome, Row, Tag};

/// The rows as one batch.
///
/// # Errors
/// If a number does not fit its column.
pub fn batch(rows: &[Row], of: &RunColumns) -> Result<RecordBatch, TableError> {
    let mut columns = Columns::new(of.vector);
    for row in rows {
        columns.run.append_value(of.run.as_str());
        columns.model.append_value(&of.model);
        columns.push(row)?;
    }
    columns.finish(of.vector)
}

struct Columns {
    key: StringBuilder,
    run: StringBuilder,
    model: StringBuilder,
    status: StringBuilder,
    error_code: StringBuilder,
    error_message: StringBuilder,
    error_detail: StringBuilder,
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
                Self::F32(ListBuilder::new(Float32Builder::new()).with_field(vector_element(VectorType::F32)))
            }
            Some(VectorType::F16) => {
                Self::F16(ListBuilder::new(Float16Builder::new()).with_field(vector_element(VectorType::F16)))
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
        Self {
            key: StringBuilder::new(),
            run: StringBuilder::new(),
            model: StringBuilder::new(),
            status: StringBuilder::new(),
            error_code: StringBuilder::new(),
            error_message: StringBuilder::new(),
            error_detail: StringBuilder::new(),
            width: Int32Builder::new(),
            height: Int32Builder::new(),
            bytes: Int64Builder::new(),
            etag: StringBuilder::new(),
            tags: ListBuilder::new(tag).with_field(tag_element()),
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
                self.error_detail.append_null();
                self.width.append_value(tagged.width.try_into().map_err(too_large)?);
                self.height.append_value(tagged.height.try_into().map_err(too_large)?);
                self.push_tags(&tagged.tags)?;
                self.vector.push(tagged.vector.as_deref());
            }
            Outcome::Failed(failure) => {
                self.status.append_value("failed");
                self.error_code.append_value(failure.reason().code());
                self.error_message.append_value(failure.message());
                self.error_detail.append_option(failure.detail.text());
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
            Arc::new(self.run.finish()),
            Arc::new(self.model.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.error_code.finish()),
            Arc::new(self.error_message.finish()),
            Arc::new(self.error_detail.finish()),
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

fn builder<T: ArrayBuilder>(list: &mut StructBuilder, field: usize) -> Result<&mut T, TableError> {
    list.field_builder(field).ok_or_else(|| TableError(format!("field {field} of tags is of another type")))
}

fn too_large(error: std::num::TryFromIntError) -> TableError {
    TableError(format!("a number does not fit its column: {error}"))
}
