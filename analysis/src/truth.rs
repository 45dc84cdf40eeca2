//! The truth: which labels each image has, from a file in any order, or from the folders of the run.
//!
//! A file is read whole, bounded in memory, and sorted by key, because a merge needs the order and no file is
//! trusted to have it. It never changes the text of a label; what a label means is asked elsewhere.

mod columns;
mod lines;
mod parquet;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use thiserror::Error;

pub use columns::Sources;

/// Memory of all keys of a truth: 1 GiB, some 10 million images.
const MAX_BYTES: usize = 1 << 30;
/// What a row takes besides its key.
const ROW_BYTES: usize = 48;
/// Different texts of labels.
const MAX_TEXTS: usize = 200_000;

/// Why a file is not a truth.
#[derive(Debug, Error)]
pub enum TruthError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not what its name promises.
    #[error("{0}")]
    Format(String),
    /// No column holds keys, or none holds labels.
    #[error("no column of {kind}: the columns are {columns}; name one {expected}")]
    NoColumn {
        /// `keys` or `labels`.
        kind: &'static str,
        /// What there is.
        columns: String,
        /// A name that would do.
        expected: &'static str,
    },
    /// It has no row.
    #[error("it has no rows")]
    Empty,
    /// More keys than are held in memory.
    #[error("its keys take more than {} MiB: evaluate a part of it", MAX_BYTES >> 20)]
    TooLarge,
    /// More labels than any model has.
    #[error("it has more than {MAX_TEXTS} different labels: is another column meant?")]
    TooManyLabels,
}

/// Where the right labels are from.
pub enum Truth {
    /// A file.
    File(TruthFile),
    /// The folders that images are in.
    Folders,
}

impl Truth {
    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::File(file) => &file.name,
            Self::Folders => "folders",
        }
    }
}

/// Labels by key, in key order.
#[derive(Debug, Default)]
pub struct TruthFile {
    name: String,
    /// One for each label of an image, sorted by key; labels of an image in the order of the file.
    rows: Vec<TruthRow>,
    texts: Vec<String>,
}

#[derive(Debug)]
struct TruthRow {
    key: Box<str>,
    text: u32,
}

/// The labels of one image.
pub(crate) struct TruthImage<'a, T> {
    pub(crate) key: &'a str,
    /// Numbers of its texts.
    pub(crate) texts: T,
}

impl TruthFile {
    /// Reads CSV (also with tabs or semicolons), JSON lines (`.jsonl`, `.ndjson`) or Parquet (`.parquet`).
    /// Keys may be addresses or paths of `sources`.
    ///
    /// # Errors
    /// If the file is not of that form, names no column of keys or labels, or is too large.
    pub fn read(path: &Path, sources: &Sources) -> Result<Self, TruthError> {
        let mut builder = Builder::new(sources);
        let file = File::open(path)?;
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => parquet::read(file, &mut builder)?,
            "jsonl" | "ndjson" | "json" => lines::read_json(BufReader::new(file), &mut builder)?,
            _ => lines::read_table(BufReader::new(file), &mut builder)?,
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        builder.finish(name)
    }

    /// All texts of labels.
    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The images in key order.
    pub(crate) fn images(&self) -> impl Iterator<Item = TruthImage<'_, impl Iterator<Item = usize>>> {
        self.rows
            .chunk_by(|a, b| a.key == b.key)
            .map(|rows| TruthImage { key: &rows[0].key, texts: rows.iter().map(|row| row.text as usize) })
    }
}

/// Collects rows.
struct Builder<'a> {
    sources: &'a Sources,
    rows: Vec<TruthRow>,
    bytes: usize,
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl<'a> Builder<'a> {
    fn new(sources: &'a Sources) -> Self {
        Self { sources, rows: Vec::new(), bytes: 0, texts: Vec::new(), numbers: HashMap::new() }
    }

    /// Adds an image with its labels; without one, its truth is that it has none.
    fn add<T: AsRef<str>>(&mut self, key: &str, labels: &[T]) -> Result<(), TruthError> {
        let key = self.sources.key(key);
        let mut has_label = false;
        for label in labels.iter().map(|label| label.as_ref().trim()).filter(|label| !label.is_empty()) {
            has_label = true;
            self.add_label(key, label)?;
        }
        if has_label { Ok(()) } else { self.add_label(key, "") }
    }

    fn add_label(&mut self, key: &str, label: &str) -> Result<(), TruthError> {
        self.bytes += key.len() + ROW_BYTES;
        if self.bytes > MAX_BYTES {
            return Err(TruthError::TooLarge);
        }
        let text = match self.numbers.get(label) {
            Some(number) => *number,
            None => {
                if self.texts.len() >= MAX_TEXTS {
                    return Err(TruthError::TooManyLabels);
                }
                let number = self.texts.len() as u32;
                self.texts.push(label.to_owned());
                self.numbers.insert(label.to_owned(), number);
                number
            }
        };
        self.rows.push(TruthRow { key: key.into(), text });
        Ok(())
    }

    fn finish(mut self, name: String) -> Result<TruthFile, TruthError> {
        if self.rows.is_empty() {
            return Err(TruthError::Empty);
        }
        // Stable: the labels of an image stay in the order of the file.
        self.rows.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(TruthFile { name, rows: self.rows, texts: self.texts })
    }
}

#[cfg(test)]
mod tests;
