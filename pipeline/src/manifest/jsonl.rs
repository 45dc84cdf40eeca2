//! Entries of JSON lines: an object per line.
//!
//! Fields are found by name, as columns are. It never reads a field that means nothing.

use std::io;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::ManifestFile;
use super::columns::{Line, boolean, number};
use super::entry::Entry;
use super::format::{JsonLines, field};
use super::stream::{self, Entries, Parse, Sink, Text, at_line, unread};
use crate::bucket::Bucket;

/// The entries of a file whose keys are of `source`.
pub(super) fn entries(
    files: &Arc<dyn Bucket>,
    file: &ManifestFile,
    lines: &JsonLines,
    source: Option<String>,
) -> Entries {
    let is_packed = lines.is_packed;
    let lines = lines.clone();
    let parse: Parse = Box::new(move |text, sink| parse(text, sink, &lines, source.as_deref()));
    stream::parsed(files, file, is_packed, parse)
}

fn parse(text: &mut Text, sink: &mut Sink, lines: &JsonLines, source: Option<&str>) -> io::Result<()> {
    let (reader, start) = text.split();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        start.mark();
        if reader.read_until(b'\n', &mut line).map_err(|error| unread(number, error))? == 0 {
            break;
        }
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).trim_ascii();
        if text.is_empty() {
            continue;
        }
        let entry = entry(text, lines, source).map_err(|why| at_line(number, &why))?;
        if !sink.push(entry) {
            break;
        }
    }
    Ok(())
}

fn entry(line: &[u8], lines: &JsonLines, source: Option<&str>) -> Result<Entry, String> {
    let object: Map<String, Value> = serde_json::from_slice(line).map_err(|error| {
        let column = error.column();
        format!("is not a JSON object, at its byte {column}")
    })?;
    let text = |names: &[&str]| field(&object, names).and_then(Value::as_str);
    let flag = |names: &[&str]| match field(&object, names) {
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(Value::String(text)) => boolean(text),
        _ => Ok(None),
    };
    let size = match field(&object, &["size", "objectsize"]) {
        Some(Value::String(text)) => number(text)?,
        Some(other) => other.as_u64(),
        None => None,
    };
    let values = Line {
        key: object.get(&lines.key).and_then(Value::as_str),
        size,
        etag: text(&["etag"]),
        bucket: text(&["bucket", "bucketname"]),
        is_latest: flag(&["islatest"])?,
        is_delete_marker: flag(&["isdeletemarker"])?,
        storage_class: text(&["storageclass"]),
    };
    values.entry(lines.form, source)
}
