//! What form a file of a manifest has, by its first bytes.
//!
//! Names decide nothing: a query writes Parquet without an extension. What is not a manifest is refused with
//! its remedy before anything is read of it.

use std::io::{Cursor, Read};

use bytes::Bytes;
use csv::ReaderBuilder;
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::columns::{Columns, KeyForm, normal};
use super::{Options, failure};
use crate::bucket::{Bucket, BucketError, ByteRange, Kind};

/// The first bytes of a file, in which its first line must end: 64 KiB.
const HEAD_BYTES: usize = 64 << 10;
const GZIP: &[u8] = &[0x1f, 0x8b];
const BOM: &[u8] = b"\xef\xbb\xbf";
/// Between the cells of a table; the last one is what queries write by default.
const DELIMITERS: [u8; 5] = [b',', b'\t', b';', b'|', 1];

/// The form of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Format {
    /// Its columns are found by name whenever it is opened; the key's by this one, if it was given.
    Parquet(Option<String>),
    Delimited(Delimited),
    JsonLines(JsonLines),
}

/// A table in text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delimited {
    pub(super) is_packed: bool,
    pub(super) delimiter: u8,
    pub(super) has_header: bool,
    pub(super) columns: Columns,
}

/// An object per line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JsonLines {
    pub(super) is_packed: bool,
    /// The field that holds keys.
    pub(super) key: String,
    pub(super) form: KeyForm,
}

/// The first bytes of a file.
pub(super) struct Head {
    pub(super) etag: String,
    pub(super) size: u64,
    pub(super) is_packed: bool,
    /// Unpacked, without a byte order mark.
    pub(super) text: Vec<u8>,
}

/// Reads the first bytes of a file; `None` if it is empty.
pub(super) async fn head(files: &dyn Bucket, key: &str) -> Result<Option<Head>, BucketError> {
    let range = ByteRange::Between(0..HEAD_BYTES as u64);
    let fetched = match files.get_range(key, None, range).await {
        Err(error) if error.kind == Kind::OutOfRange => return Ok(None),
        fetched => fetched?,
    };
    let is_packed = fetched.bytes.starts_with(GZIP);
    let text = if is_packed { unpacked(fetched.bytes) } else { fetched.bytes.to_vec() };
    let text = text.strip_prefix(BOM).map(<[u8]>::to_vec).unwrap_or(text);
    Ok(Some(Head { etag: fetched.etag, size: fetched.size, is_packed, text }))
}

/// As much as the first bytes of a packed file unpack to, and no more than is looked at.
fn unpacked(bytes: Bytes) -> Vec<u8> {
    let mut text = Vec::new();
    // It ends in the middle; what is wrong with the rest shows when it is read.
    let _ = MultiGzDecoder::new(Cursor::new(bytes)).take(HEAD_BYTES as u64).read_to_end(&mut text);
    text
}

impl Head {
    /// The form of the file.
    ///
    /// # Errors
    /// If it is not one that is read, with a remedy.
    pub(super) fn format(
        &self,
        files: &dyn Bucket,
        key: &str,
        options: &Options,
    ) -> Result<Format, BucketError> {
        let found = match self.text.as_slice() {
            text if text.starts_with(b"PAR1") && !self.is_packed => {
                Ok(Format::Parquet(options.key_column.clone()))
            }
            text => match refused(text) {
                Some(why) => Err(why.to_owned()),
                None if text.trim_ascii_start().starts_with(b"{") => self.json_lines(options),
                None => self.delimited(options),
            },
        };
        found.map_err(|why| failure(files, key, why))
    }

    fn json_lines(&self, options: &Options) -> Result<Format, String> {
        let line = self.text.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first: Map<String, Value> = serde_json::from_slice(line)
            .map_err(|error| format!("line 1 is not a JSON object, one of which makes a line: {error}"))?;
        let names: Vec<&str> = first.keys().map(String::as_str).collect();
        let columns = Columns::new(&names, options.key_column.as_deref())?;
        let key = names[columns.key].to_owned();
        Ok(Format::JsonLines(JsonLines { is_packed: self.is_packed, key, form: columns.form }))
    }

    fn delimited(&self, options: &Options) -> Result<Format, String> {
        let table = |delimiter, has_header, columns| {
            Format::Delimited(Delimited { is_packed: self.is_packed, delimiter, has_header, columns })
        };
        let key_column = options.key_column.as_deref();
        if let Some(number) = key_column.and_then(|column| column.parse().ok()).filter(|number| *number > 0) {
            let fits = |delimiter: &&u8| self.cells(**delimiter).len() >= number;
            let delimiter = DELIMITERS.iter().find(fits);
            let delimiter = delimiter.ok_or_else(|| format!("line 1 has no column {number}"))?;
            return Ok(table(*delimiter, false, Columns::numbered(number)));
        }
        let mut why = String::new();
        for delimiter in DELIMITERS {
            let cells = self.cells(delimiter);
            let names: Vec<&str> = cells.iter().map(String::as_str).collect();
            match Columns::new(&names, key_column) {
                Ok(columns) => return Ok(table(delimiter, true, columns)),
                Err(_) if !why.is_empty() => {}
                Err(error) => why = error,
            }
        }
        Err(format!("{why}; if it has no header, give the column's number, as in --key-column 1"))
    }

    /// The cells of the first row.
    fn cells(&self, delimiter: u8) -> Vec<String> {
        let mut reader = ReaderBuilder::new();
        reader.has_headers(false).flexible(true).delimiter(delimiter);
        let row = reader.from_reader(self.text.as_slice()).into_byte_records().next();
        let cells = row.and_then(Result::ok).unwrap_or_default();
        cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
    }
}

/// The table of an inventory's file in CSV, whose columns its manifest names.
pub(super) fn of_inventory(is_packed: bool, schema: &str) -> Result<Format, String> {
    let names: Vec<&str> = schema.split(',').map(str::trim).collect();
    let mut columns = Columns::new(&names, Some("Key"))?;
    columns.form = KeyForm::UrlEncoded;
    Ok(Format::Delimited(Delimited { is_packed, delimiter: b',', has_header: false, columns }))
}

/// Why a file is not a manifest, by its first bytes.
fn refused(text: &[u8]) -> Option<&'static str> {
    let others: [(&[u8], &str); 7] = [
        (b"ORC", "ORC is not read: let the inventory or query write Parquet or CSV"),
        (b"PAR1", "a Parquet file that is packed as a whole is not read: unpack it with gunzip"),
        (b"PARE", "a Parquet file with an encrypted footer is not read"),
        (b"\x28\xb5\x2f\xfd", "zstd is not read around a text file: pack it with gzip, or not at all"),
        (b"BZh", "bzip2 is not read: pack it with gzip, or not at all"),
        (b"PK\x03\x04", "a zip file is not read: unpack it"),
        (b"[", "a JSON array is not read: write an object per line (JSON lines)"),
    ];
    let found = others.iter().find(|(start, _)| text.starts_with(start)).map(|(_, why)| *why);
    let is_binary = || text.contains(&0).then_some("neither Parquet, CSV nor JSON lines: write one of these");
    found.or_else(is_binary)
}

/// The value of the first of these fields that an object has.
pub(super) fn field<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    object.iter().find(|(name, _)| names.contains(&normal(name).as_str())).map(|(_, value)| value)
}
