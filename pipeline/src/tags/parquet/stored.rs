//! The columns of stored rows, by name: whatever counts, merges or compares rows finds them here.
//!
//! It copies no value and decides nothing.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{Array, Float32Array, Int32Array, ListArray, RecordBatch, StringArray};

use super::TableError;

/// A column of text.
///
/// # Errors
/// If there is none of this name and type.
pub(crate) fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, TableError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.ok_or_else(|| TableError::missing_column(name))
}

/// The column `tags`.
pub(crate) struct TagColumn {
    lists: ListArray,
    labels: StringArray,
    scores: Float32Array,
}

impl TagColumn {
    /// Of these rows.
    ///
    /// # Errors
    /// If they have no such column.
    pub(crate) fn new(batch: &RecordBatch) -> Result<Self, TableError> {
        let lists = batch.column_by_name("tags").and_then(|column| column.as_list_opt::<i32>());
        let lists = lists.ok_or_else(missing)?.clone();
        let tags = lists.values().as_struct_opt().ok_or_else(missing)?;
        let labels = tags.column_by_name("label").and_then(|column| column.as_string_opt::<i32>());
        let scores = tags.column_by_name("score").and_then(|column| column.as_primitive_opt::<Float32Type>());
        let (labels, scores) = (labels.ok_or_else(missing)?.clone(), scores.ok_or_else(missing)?.clone());
        Ok(Self { lists, labels, scores })
    }

    /// The indices of the labels, in the places of the tags.
    ///
    /// # Errors
    /// If there are none.
    pub(crate) fn indices(&self) -> Result<&Int32Array, TableError> {
        let tags = self.lists.values().as_struct_opt().ok_or_else(missing)?;
        let indices = tags.column_by_name("index").and_then(|column| column.as_primitive_opt::<Int32Type>());
        indices.ok_or_else(missing)
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.lists.len()
    }

    /// The places of a row's tags, the best one first.
    pub(crate) fn places(&self, row: usize) -> Range<usize> {
        let offsets = self.lists.value_offsets();
        offsets[row] as usize..offsets[row + 1] as usize
    }

    /// The label in a place.
    pub(crate) fn label(&self, place: usize) -> &str {
        self.labels.value(place)
    }

    /// The score in a place.
    pub(crate) fn score(&self, place: usize) -> f32 {
        self.scores.value(place)
    }
}

fn missing() -> TableError {
    TableError::missing_column("tags")
}
