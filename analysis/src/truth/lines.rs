//! A truth in lines: a table of comma-, tab- or semicolon-separated values, or JSON objects.
//!
//! Lines are read one after the other and bounded in length, so that no file takes more memory than its keys.

use std::io::{BufRead, Read};

use csv::{ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use super::columns::Columns;
use super::{Builder, TruthError};

/// More than any row of a truth.
const MAX_LINE: usize = 1 << 20;
/// The first line of a table is looked at for its delimiter.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Reads a table with a header.
pub(super) fn read_table(mut reader: impl BufRead, builder: &mut Builder<'_>) -> Result<(), TruthError> {
    let mut first = String::new();
    line(&mut reader, &mut first)?;
    let head = first.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&first);
    let delimiter = [b'\t', b';'].into_iter().find(|delimiter| head.contains(char::from(*delimiter)));
    let mut options = ReaderBuilder::new();
    options.has_headers(false).flexible(true).delimiter(delimiter.unwrap_or(b','));
    let mut records = options.from_reader(head.as_bytes().chain(reader));
    let mut record = StringRecord::new();
    let mut next = |record: &mut StringRecord| {
        records.read_record(record).map_err(|error| TruthError::Format(error.to_string()))
    };
    if !next(&mut record)? {
        return Err(TruthError::Empty);
    }
    let columns = Columns::find(&record.iter().collect::<Vec<_>>())?;
    while next(&mut record)? {
        let Some(key) = record.get(columns.key).filter(|key| !key.is_empty()) else {
            let line = record.position().map_or(0, csv::Position::line);
            return Err(TruthError::Format(format!("line {line} has no key")));
        };
        let labels: Vec<&str> = columns.labels.iter().filter_map(|place| record.get(*place)).collect();
        builder.add(key, &labels)?;
    }
    Ok(())
}

/// Reads one object for each line.
pub(super) fn read_json(mut reader: impl BufRead, builder: &mut Builder<'_>) -> Result<(), TruthError> {
    let mut text = String::new();
    for number in 1.. {
        text.clear();
        if !line(&mut reader, &mut text)? {
            break;
        }
        let trimmed = text.trim_start_matches(BYTE_ORDER_MARK).trim();
        if trimmed.is_empty() {
            continue;
        }
        let object: Map<String, Value> = serde_json::from_str(trimmed)
            .map_err(|error| TruthError::Format(format!("line {number} is not a JSON object: {error}")))?;
        let names: Vec<&String> = object.keys().collect();
        let columns = Columns::find(&names)?;
        let values: Vec<&Value> = object.values().collect();
        let Some(key) = values[columns.key].as_str().filter(|key| !key.is_empty()) else {
            return Err(TruthError::Format(format!("line {number} has no key")));
        };
        let mut labels = Vec::new();
        for place in columns.labels {
            add_texts(values[place], &mut labels)
                .map_err(|what| TruthError::Format(format!("line {number}: a label is {what}")))?;
        }
        builder.add(key, &labels)?;
    }
    Ok(())
}

/// The texts of a label or of a list of labels.
fn add_texts(value: &Value, texts: &mut Vec<String>) -> Result<(), &'static str> {
    match value {
        Value::Null => Ok(()),
        Value::String(text) => {
            texts.push(text.clone());
            Ok(())
        }
        Value::Number(number) => {
            texts.push(number.to_string());
            Ok(())
        }
        Value::Array(values) => values.iter().try_for_each(|value| add_texts(value, texts)),
        Value::Bool(_) => Err("true or false"),
        Value::Object(_) => Err("an object"),
    }
}

/// Reads a line with its end; false if there is none.
fn line(reader: &mut impl BufRead, text: &mut String) -> Result<bool, TruthError> {
    let read = reader.by_ref().take(MAX_LINE as u64 + 1).read_line(text)?;
    if read > MAX_LINE {
        return Err(TruthError::Format(format!("a line has more than {MAX_LINE} bytes")));
    }
    Ok(read > 0)
}
