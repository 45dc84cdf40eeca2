//! Which label each picture has: from a CSV file, or from the folders that the pictures are in.
//!
//! It reads names only, no picture.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::analysis::names::Names;
use crate::exit::{Failure, bad_input};

/// More than any list of labels for pictures.
const MAX_BYTES: u64 = 64 << 20;

/// Headers of the column of files, and of the column of labels, the most telling first.
const FILES: [&str; 9] =
    ["file", "filename", "file_name", "path", "image", "image_path", "key", "name", "id"];
const LABELS: [&str; 10] =
    ["label", "labels", "class", "class_name", "category", "tag", "tags", "truth", "target", "class_id"];

/// The labels of pictures, by the files' names.
pub(super) struct Truth {
    by_name: BTreeMap<String, Vec<Row>>,
}

struct Row {
    file: String,
    label: String,
}

impl Truth {
    /// Reads a file of comma-, semicolon- or tab-separated values.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let read = || {
            let mut text = String::new();
            File::open(path)
                .map_err(bad_input)?
                .take(MAX_BYTES)
                .read_to_string(&mut text)
                .map_err(bad_input)?;
            parse(&text)
        };
        read().map_err(|failure: Failure| failure.with_prefix(&format!("--truth {}: ", path.display())))
    }

    /// The label of the picture of this key, as it is written.
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        let rows = self.by_name.get(name(key))?;
        let is_it = |row: &&Row| is_path_of(&row.file, key) || is_path_of(key, &row.file);
        rows.iter().find(is_it).map(|row| row.label.as_str())
    }
}

fn parse(text: &str) -> Result<Truth, Failure> {
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().next().unwrap_or_default();
    let delimiter = [b'\t', b';'].into_iter().find(|delimiter| first.contains(char::from(*delimiter)));
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).delimiter(delimiter.unwrap_or(b','));
    let mut records = Vec::new();
    for record in reader.from_reader(text.as_bytes()).records() {
        records.push(record.map_err(bad_input)?);
    }
    let header = records.first().ok_or_else(|| bad_input("the file is empty"))?;
    let (columns, skipped) = match columns(header) {
        Some(columns) => (columns, 1),
        None if header.len() == 2 => ([0, 1], 0),
        None => return Err(bad_input(format!("its first line names no columns file and label: {first:?}"))),
    };
    let mut by_name: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for record in &records[skipped..] {
        let [Some(file), Some(label)] = columns.map(|column| record.get(column)) else { continue };
        let file = file.trim().trim_start_matches("./").replace('\\', "/");
        let row = Row { label: label.trim().to_owned(), file };
        by_name.entry(name(&row.file).to_owned()).or_default().push(row);
    }
    Ok(Truth { by_name })
}

/// The columns of files and labels, if `header` names both.
fn columns(header: &csv::StringRecord) -> Option<[usize; 2]> {
    let cells: Vec<String> = header.iter().map(|cell| cell.trim().to_lowercase()).collect();
    let position = |names: &[&str]| names.iter().find_map(|name| cells.iter().position(|cell| cell == name));
    let (file, label) = (position(&FILES)?, position(&LABELS)?);
    (file != label).then_some([file, label])
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether `path` ends with all the names of `end`.
fn is_path_of(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|above| above.is_empty() || above.ends_with('/'))
}

/// The labels that the innermost folder of `key` with a known name means.
pub(super) fn of_folders(key: &str, names: &Names) -> Vec<u32> {
    let folders = key.rsplit('/').skip(1);
    folders.map(|folder| names.find(folder)).find(|found| !found.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_their_paths() {
        let truth = parse("file\tclass_id\tlabel\n./a/1.jpg\t3\ttench\nb/1.jpg\t4\tgold fish\n").unwrap();
        let labels = ["a/1.jpg", "x/b/1.jpg", "1.jpg", "c/1.jpg"].map(|key| truth.label(key));
        assert_eq!(labels, [Some("tench"), Some("gold fish"), Some("tench"), None]);
        let bare = parse("1.jpg,\"a, b\"\n").unwrap();
        assert_eq!(bare.label("1.jpg"), Some("a, b"));
        assert!(parse("a,b,c\n").is_err() && parse("").is_err());
    }

    #[test]
    fn the_innermost_folder_with_a_known_name_counts() {
        let names = Names::new(&["cat".to_owned(), "dog".to_owned()]);
        let found = ["cat/dog/1.jpg", "cat/x/1.jpg", "dog.jpg"].map(|key| of_folders(key, &names));
        assert_eq!(found, [vec![1], vec![0], vec![]]);
    }
}
