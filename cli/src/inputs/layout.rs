//! How a list of keys may be laid out: lines, NUL bytes, a column of a table, JSON, what `aws s3 ls` prints.
//!
//! It offers every layout that the first bytes allow; existing keys decide which one it is. It never judges
//! an entry.

use std::borrow::Cow;

use csv::{ByteRecord, ReaderBuilder};
use tagfleet_pipeline::manifest::KEY_COLUMNS;

const DELIMITERS: [u8; 3] = [b',', b'\t', b';'];
/// Rows that are looked at to find columns that could hold keys, if there is no header for it.
const ROWS: usize = 20;
/// Bytes that are looked at for that: a row may have as many cells as bytes.
const HEAD_BYTES: usize = 1 << 20;
/// Columns of a table without a header that are tried.
const MAX_COLUMNS: usize = 6;

/// One entry of a list.
pub(super) struct Entry<'a> {
    /// From 1.
    pub(super) line: u64,
    pub(super) text: Cow<'a, [u8]>,
}

/// The form of the entries of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Nul,
    Lines,
    /// One object per line, with the key in this field.
    JsonLines(String),
    /// One array of strings.
    JsonArray,
    Table(Table),
    /// Date, time, size and key.
    AwsLs,
}

/// A table, and the column that holds the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    delimiter: u8,
    column: usize,
    /// The name of the column, if the first row is a header.
    pub(super) header: Option<String>,
}

/// Every layout that a list may have, the likelier ones first.
pub(super) fn layouts(bytes: &[u8]) -> Vec<Layout> {
    if bytes.contains(&0) {
        return vec![Layout::Nul];
    }
    let mut layouts = vec![Layout::Lines];
    let first = lines(bytes).next().map(|entry| entry.text).unwrap_or_default();
    match first.trim_ascii_start().first() {
        Some(b'{') => layouts.extend(json_field(&first).map(Layout::JsonLines)),
        Some(b'[') => layouts.push(Layout::JsonArray),
        _ => {}
    }
    if behind_size(&first).is_some() {
        layouts.push(Layout::AwsLs);
    }
    for delimiter in DELIMITERS {
        layouts.extend(tables(bytes, delimiter).into_iter().map(Layout::Table));
    }
    layouts
}

impl Layout {
    pub(super) fn entries<'a>(&'a self, bytes: &'a [u8]) -> Box<dyn Iterator<Item = Entry<'a>> + 'a> {
        match self {
            Self::Nul => Box::new(split(bytes, 0)),
            Self::Lines => Box::new(lines(bytes)),
            Self::AwsLs => Box::new(lines(bytes).filter_map(|entry| {
                let text = behind_size(&entry.text)?.to_owned();
                Some(Entry { line: entry.line, text: Cow::Owned(text) })
            })),
            Self::JsonLines(field) => Box::new(lines(bytes).map(move |entry| {
                let value: Option<serde_json::Value> = serde_json::from_slice(&entry.text).ok();
                match value.as_ref().and_then(|value| value.get(field)?.as_str()) {
                    Some(text) => Entry { line: entry.line, text: Cow::Owned(text.as_bytes().to_owned()) },
                    None => entry,
                }
            })),
            Self::JsonArray => {
                let texts: Vec<String> = serde_json::from_slice(bytes).unwrap_or_default();
                let entry = |(line, text): (u64, String)| Entry { line, text: Cow::Owned(text.into_bytes()) };
                Box::new((1..).zip(texts).map(entry))
            }
            Self::Table(table) => Box::new(table.entries(bytes)),
        }
    }

    /// Its name; `None` for the plain ones.
    pub(super) fn in_words(&self) -> Option<String> {
        match self {
            Self::Nul | Self::Lines => None,
            Self::JsonLines(field) => Some(format!("JSON lines, field {field:?}")),
            Self::JsonArray => Some("a JSON array".to_owned()),
            Self::AwsLs => Some("what `aws s3 ls` prints".to_owned()),
            Self::Table(table) => Some(match &table.header {
                Some(name) => format!("a table, column {name:?}"),
                None => format!("a table without a header, column {}", table.column + 1),
            }),
        }
    }
}

impl Table {
    fn entries<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let column = self.column;
        let rows = rows(bytes, self.delimiter).skip(usize::from(self.header.is_some()));
        rows.filter_map(move |(line, row)| {
            let text = row.get(column).unwrap_or_default();
            (!text.is_empty()).then(|| Entry { line, text: Cow::Owned(text.to_owned()) })
        })
    }

    /// The same with its first row as a header.
    pub(super) fn with_header(self, name: String) -> Self {
        Self { header: Some(name), ..self }
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    split(bytes, b'\n').filter_map(|entry| {
        let Cow::Borrowed(text) = entry.text else { return Some(entry) };
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        (!text.is_empty()).then_some(Entry { line: entry.line, text: Cow::Borrowed(text) })
    })
}

fn split(bytes: &[u8], at: u8) -> impl Iterator<Item = Entry<'_>> {
    let entries = (1..).zip(bytes.split(move |byte| *byte == at));
    entries.filter(|(_, text)| !text.is_empty()).map(|(line, text)| Entry { line, text: Cow::Borrowed(text) })
}

/// The rows of a table with the lines that they start on; a quote that is not closed takes the rest for its
/// cell.
fn rows(bytes: &[u8], delimiter: u8) -> impl Iterator<Item = (u64, ByteRecord)> {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(delimiter);
    let rows = builder.from_reader(bytes).into_byte_records();
    rows.map_while(Result::ok).map(|row| (row.position().map_or(0, csv::Position::line), row))
}

/// The tables that this delimiter makes of the list, by the column that may hold the keys.
fn tables(bytes: &[u8], delimiter: u8) -> Vec<Table> {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let rows: Vec<ByteRecord> = rows(head, delimiter).take(ROWS).map(|(_, row)| row).collect();
    let Some(first) = rows.first() else { return vec![] };
    let is_one_column = first.len() == 1;
    if is_one_column && delimiter != DELIMITERS[0] {
        return vec![];
    }
    let named: Vec<Table> = KEY_COLUMNS
        .iter()
        .filter_map(|name| {
            let column = first.iter().position(|cell| is_called(cell, name))?;
            Some(Table { delimiter, column, header: Some((*name).to_owned()) })
        })
        .collect();
    if !named.is_empty() || (is_one_column && !bytes.starts_with(b"\"")) {
        return named;
    }
    let holds_names = |column: &usize| {
        let is_name = |row: &&ByteRecord| {
            row.get(*column).is_some_and(|cell| cell.contains(&b'.') || cell.contains(&b'/'))
        };
        is_one_column || rows.iter().filter(is_name).count() * 2 >= rows.len()
    };
    let columns = (0..first.len()).filter(holds_names).take(MAX_COLUMNS);
    columns.map(|column| Table { delimiter, column, header: None }).collect()
}

fn is_called(cell: &[u8], name: &str) -> bool {
    let text = String::from_utf8_lossy(cell).trim().to_ascii_lowercase();
    text.replace([' ', '-'], "_") == name
}

fn json_field(line: &[u8]) -> Option<String> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line).ok()?;
    let named = |name: &&str| object.keys().find(|field| is_called(field.as_bytes(), name)).cloned();
    KEY_COLUMNS.iter().find_map(named)
}

/// The key in a line like `2026-01-31 12:00:00       1234 photos/a b.jpg`.
fn behind_size(line: &[u8]) -> Option<&[u8]> {
    let shape = b"0000-00-00 00:00:00 ";
    let fits =
        |(byte, wanted): (&u8, &u8)| if *wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    let (time, rest) = line.split_at_checked(shape.len())?;
    if !time.iter().zip(shape).all(fits) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let size = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if size == 0 { None } else { rest.get(size..)?.strip_prefix(b" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(String, Vec<String>)> {
        let texts = |layout: &Layout| {
            layout
                .entries(text.as_bytes())
                .map(|entry| String::from_utf8_lossy(&entry.text).into_owned())
                .collect()
        };
        let name = |layout: &Layout| layout.in_words().unwrap_or_default();
        layouts(text.as_bytes()).iter().map(|layout| (name(layout), texts(layout))).collect()
    }

    fn last(text: &str) -> (String, Vec<String>) {
        entries(text).pop().unwrap()
    }

    #[test]
    fn lists_as_tools_write_them() {
        let cases = [
            ("a b.jpg\r\n\r\nü.jpg", "", vec!["a b.jpg", "ü.jpg"]),
            ("line\nbreak\0a\0\0", "", vec!["line\nbreak", "a"]),
            (
                "\"shop\",\"p/0.png\",\"123\"\n\"shop\",\"p/1.png\",\"4\"\n",
                "a table without a header, column 2",
                vec!["p/0.png", "p/1.png"],
            ),
            (
                "\"key\"\n\"a, b.jpg\"\n\"say \"\"hi\"\".jpg\"\n",
                "a table, column \"key\"",
                vec!["a, b.jpg", "say \"hi\".jpg"],
            ),
            ("label;File Name\ncat;a.jpg\n", "a table, column \"file_name\"", vec!["a.jpg"]),
            ("label\tpath\ncat\ta.jpg\n", "a table, column \"path\"", vec!["a.jpg"]),
            (
                "{\"key\": \"a.jpg\"}\n{\"key\": \"b.jpg\"}\n",
                "JSON lines, field \"key\"",
                vec!["a.jpg", "b.jpg"],
            ),
            ("[\"a.jpg\",\n \"b.jpg\"]", "a JSON array", vec!["a.jpg", "b.jpg"]),
            ("2026-01-31 12:00:00       1234 p/a b.jpg\n", "what `aws s3 ls` prints", vec!["p/a b.jpg"]),
        ];
        for (text, name, keys) in cases {
            let all = entries(text);
            let found = all.iter().find(|(found, _)| found == name);
            assert_eq!(
                found.map(|(_, keys)| keys.clone()),
                Some(keys.iter().map(|key| (*key).to_owned()).collect()),
                "{text:?}: {all:?}"
            );
        }
        assert_eq!(last("a,b.jpg\nc.jpg\n").0, "a table without a header, column 2");
    }

    #[test]
    fn hostile_lists_end() {
        let deep = "[".repeat(100_000);
        let wide = ",".repeat(1_000_000);
        let quote = format!("\"{}", "a\n".repeat(100_000));
        for text in ["", "\n\n", "\"", "\"\"", "{", "[]", "{}\n", &deep, &wide, &quote, "\u{feff}"] {
            for (_, keys) in entries(text) {
                assert!(keys.len() <= 100_000);
            }
        }
    }
}
