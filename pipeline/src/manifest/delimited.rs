//! Entries of a table in text: CSV with its header, an inventory's without one.
//!
//! Quoted cells may hold line breaks. It never reads a column that means nothing.

use std::io;
use std::sync::Arc;

use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::ManifestFile;
use super::columns::{Line, boolean, number};
use super::entry::Entry;
use super::format::Delimited;
use super::stream::{self, Entries, Parse, Sink, Text, at_line, unread};
use crate::bucket::Bucket;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The entries of a file whose keys are of `source`.
pub(super) fn entries(
    files: &Arc<dyn Bucket>,
    file: &ManifestFile,
    table: &Delimited,
    source: Option<String>,
) -> Entries {
    let is_packed = table.is_packed;
    let table = table.clone();
    let parse: Parse = Box::new(move |text, sink| parse(text, sink, &table, source.as_deref()));
    stream::parsed(files, file, is_packed, parse)
}

fn parse(text: &mut Text, sink: &mut Sink, table: &Delimited, source: Option<&str>) -> io::Result<()> {
    let (reader, start) = text.split();
    let mut builder = ReaderBuilder::new();
    builder.has_headers(table.has_header).flexible(true).delimiter(table.delimiter);
    let mut reader = builder.from_reader(reader);
    let named = |line: u64, error: csv::Error| match error.into_kind() {
        ErrorKind::Io(error) => unread(line, error),
        _ => at_line(line, "cannot be read"),
    };
    if table.has_header {
        reader.byte_headers().map_err(|error| named(1, error))?;
    }
    let mut row = ByteRecord::new();
    loop {
        start.mark();
        let line = reader.position().line();
        if !reader.read_byte_record(&mut row).map_err(|error| named(line, error))? {
            return Ok(());
        }
        let line = row.position().map_or(0, csv::Position::line);
        let entry = entry(&row, line, table, source).map_err(|why| at_line(line, &why))?;
        if !sink.push(entry) {
            return Ok(());
        }
    }
}

fn entry(row: &ByteRecord, line: u64, table: &Delimited, source: Option<&str>) -> Result<Entry, String> {
    let columns = &table.columns;
    let cell = |column: Option<usize>| -> Result<Option<&str>, String> {
        let Some(bytes) = column.and_then(|column| row.get(column)) else { return Ok(None) };
        let is_start = line == 1 && column == Some(0);
        let bytes = bytes.strip_prefix(BOM).filter(|_| is_start).unwrap_or(bytes);
        std::str::from_utf8(bytes).map(Some).map_err(|_| "is not UTF-8: keys are".to_owned())
    };
    let flag = |column| cell(column)?.map_or(Ok(None), boolean);
    let values = Line {
        key: cell(Some(columns.key))?,
        size: cell(columns.size)?.map_or(Ok(None), number)?,
        etag: cell(columns.etag)?,
        bucket: cell(columns.bucket)?.filter(|bucket| !bucket.is_empty()),
        is_latest: flag(columns.latest)?,
        is_delete_marker: flag(columns.delete_marker)?,
        storage_class: cell(columns.storage_class)?,
    };
    values.entry(columns.form, source)
}
