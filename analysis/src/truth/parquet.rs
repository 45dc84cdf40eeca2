//! A truth in Parquet: a column of keys, and columns of labels, which may be lists.
//!
//! Texts, whole numbers and dictionaries of texts are labels. It reads the columns it needs, a few thousand
//! rows at a time.

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::columns::Columns;
use super::{Builder, TruthError};

/// Lists in lists in lists are not labels.
const MAX_DEPTH: usize = 2;

pub(super) fn read(file: File, builder: &mut Builder<'_>) -> Result<(), TruthError> {
    let broken = |error: &dyn std::fmt::Display| TruthError::Format(format!("not Parquet: {error}"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| broken(&error))?;
    let names: Vec<String> = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    let Columns { key, labels } = Columns::find(&names)?;
    let roots = labels.iter().copied().chain([key]);
    let mask = ProjectionMask::roots(reader.parquet_schema(), roots);
    let reader = reader.with_projection(mask).build().map_err(|error| broken(&error))?;
    let mut row = 0;
    for batch in reader {
        let batch = batch.map_err(|error| broken(&error))?;
        add(
            &batch,
            &names[key],
            &labels.iter().map(|place| &names[*place]).collect::<Vec<_>>(),
            row,
            builder,
        )?;
        row += batch.num_rows();
    }
    Ok(())
}

fn add(
    batch: &RecordBatch,
    key: &str,
    labels: &[&String],
    first_row: usize,
    builder: &mut Builder<'_>,
) -> Result<(), TruthError> {
    let column = |name: &str| {
        batch.column_by_name(name).ok_or_else(|| TruthError::Format(format!("the column {name} is gone")))
    };
    let keys = column(key)?;
    let labels = labels.iter().map(|name| column(name)).collect::<Result<Vec<&ArrayRef>, _>>()?;
    for row in 0..batch.num_rows() {
        let number = first_row + row + 1;
        let mut key = Vec::new();
        texts(keys, row, MAX_DEPTH, &mut key)?;
        let [key] = key.as_slice() else {
            return Err(TruthError::Format(format!("row {number} has no key")));
        };
        let mut found = Vec::new();
        for column in &labels {
            texts(column, row, 0, &mut found)?;
        }
        builder.add(key, &found)?;
    }
    Ok(())
}

/// The texts of one value; a null has none. `depth` is how deep in lists it is.
fn texts(column: &dyn Array, row: usize, depth: usize, found: &mut Vec<String>) -> Result<(), TruthError> {
    if column.is_null(row) {
        return Ok(());
    }
    if let Some(text) = text(column, row) {
        found.push(text);
        return Ok(());
    }
    if let Some(dictionary) = column.as_any_dictionary_opt() {
        let place = number(dictionary.keys(), row).and_then(|place| place.parse().ok());
        let values = dictionary.values();
        let place = place.filter(|place| *place < values.len());
        let place = place.ok_or_else(|| TruthError::Format("a dictionary lacks a value".to_owned()))?;
        return texts(values, place, depth + 1, found);
    }
    let list = column.as_list_opt::<i32>().map(|list| list.value(row));
    let list = list.or_else(|| column.as_list_opt::<i64>().map(|list| list.value(row)));
    match list {
        Some(values) if depth < MAX_DEPTH => {
            (0..values.len()).try_for_each(|place| texts(&values, place, depth + 1, found))
        }
        _ => Err(TruthError::Format(format!(
            "a column of keys or labels is of the type {}: texts and whole numbers are labels",
            column.data_type()
        ))),
    }
}

fn text(column: &dyn Array, row: usize) -> Option<String> {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Some(texts.value(row).to_owned());
    }
    if let Some(texts) = column.as_string_opt::<i64>() {
        return Some(texts.value(row).to_owned());
    }
    if let Some(texts) = column.as_string_view_opt() {
        return Some(texts.value(row).to_owned());
    }
    number(column, row)
}

fn number(column: &dyn Array, row: usize) -> Option<String> {
    let signed = column
        .as_primitive_opt::<Int64Type>()
        .map(|numbers| numbers.value(row))
        .or_else(|| column.as_primitive_opt::<Int32Type>().map(|numbers| numbers.value(row).into()))
        .or_else(|| column.as_primitive_opt::<Int16Type>().map(|numbers| numbers.value(row).into()))
        .or_else(|| column.as_primitive_opt::<Int8Type>().map(|numbers| numbers.value(row).into()));
    let unsigned = column
        .as_primitive_opt::<UInt64Type>()
        .map(|numbers| numbers.value(row))
        .or_else(|| column.as_primitive_opt::<UInt32Type>().map(|numbers| numbers.value(row).into()))
        .or_else(|| column.as_primitive_opt::<UInt16Type>().map(|numbers| numbers.value(row).into()))
        .or_else(|| column.as_primitive_opt::<UInt8Type>().map(|numbers| numbers.value(row).into()));
    signed.map(|number| number.to_string()).or_else(|| unsigned.map(|number| number.to_string()))
}
