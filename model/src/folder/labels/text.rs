//! Labels out of the text of a file: lines, JSON, CSV, or a Python dictionary as Ultralytics writes it.
//!
//! It knows forms, not models: whether the labels fit is not its concern.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::ModelError;

/// The labels of the file `name` with this text, in the order of their indices. `None` if a JSON file holds
/// something else than labels.
///
/// # Errors
/// If the file can't be parsed, or its indices are not 0, 1, 2, ...
pub(super) fn parse(name: &str, text: &str) -> Result<Option<Vec<String>>, ModelError> {
    if name.ends_with(".json") {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| ModelError::new(format!("{name} can't be understood: {error}")))?;
        return of_json(name, &value);
    }
    if name.ends_with(".csv") {
        return of_csv(name, text).map(Some);
    }
    Ok(Some(of_lines(text)))
}

/// One label per line. Teachable Machine numbers them: "0 Cat", "1 Dog".
fn of_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim).collect();
    let numbered: Option<Vec<&str>> =
        lines.iter().enumerate().map(|(index, line)| without_number(line, index)).collect();
    let labels = match numbered {
        Some(labels) if !labels.is_empty() && labels.iter().all(|label| !label.is_empty()) => labels,
        _ => lines,
    };
    if labels == [""] { Vec::new() } else { labels.into_iter().map(str::to_owned).collect() }
}

/// The line without its index before it, as "3 Cat", "3: Cat", "3,Cat" or "3\tCat" have it.
fn without_number(line: &str, index: usize) -> Option<&str> {
    let rest = line.strip_prefix(&index.to_string())?;
    let label = rest.strip_prefix([':', ',', ' ', '\t', ';'])?;
    Some(label.trim())
}

/// A list; an object from index to label, from label to index, or with either under a known name.
fn of_json(name: &str, value: &Value) -> Result<Option<Vec<String>>, ModelError> {
    match value {
        Value::Array(values) => Ok(values.iter().map(label).collect()),
        Value::Object(fields) => {
            for key in ["id2label", "labels", "names", "classes", "class_names", "label_names"] {
                if let Some(inner @ (Value::Array(_) | Value::Object(_))) = fields.get(key) {
                    return of_json(name, inner);
                }
            }
            let by_index: Option<BTreeMap<usize, String>> =
                fields.iter().map(|(key, value)| Some((key.parse().ok()?, label(value)?))).collect();
            let by_label: Option<BTreeMap<usize, String>> = fields
                .iter()
                .map(|(key, value)| Some((usize::try_from(value.as_u64()?).ok()?, key.clone())))
                .collect();
            match by_index.filter(|map| !map.is_empty()).or(by_label) {
                Some(map) if !map.is_empty() && map.len() == fields.len() => in_order(name, map).map(Some),
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// A text, the name in a list of WordNet id and name (Keras), or a `name` of an object.
fn label(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(pair) => pair.get(1)?.as_str().map(str::to_owned),
        Value::Object(fields) => ["name", "label", "class", "title"]
            .iter()
            .find_map(|key| fields.get(*key)?.as_str())
            .map(str::to_owned),
        _ => None,
    }
}

fn in_order(name: &str, map: BTreeMap<usize, String>) -> Result<Vec<String>, ModelError> {
    let last = map.len() - 1;
    match map.keys().enumerate().find(|(expected, index)| expected != *index) {
        None => Ok(map.into_values().collect()),
        Some((missing, _)) => {
            Err(ModelError::new(format!("{name} has no label for {missing}: number them 0 to {last}")))
        }
    }
}

/// The column of names, in the order of a column of indices if there is one that counts 0, 1, 2, ...
fn of_csv(name: &str, text: &str) -> Result<Vec<String>, ModelError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut rows: Vec<Vec<String>> = Vec::new();
    for record in reader.records() {
        let record =
            record.map_err(|error| ModelError::new(format!("{name} can't be understood: {error}")))?;
        rows.push(record.iter().map(|field| field.trim().to_owned()).collect());
    }
    let column = |names: &[&str]| {
        let header = rows.first()?;
        header.iter().position(|field| names.contains(&field.to_lowercase().as_str()))
    };
    let named = column(&[
        "name",
        "label",
        "class",
        "class_name",
        "label_name",
        "tag",
        "display_name",
        "category_name",
    ]);
    let index = column(&["index", "id", "idx", "class_id", "label_id", "class_index", "class_idx", "mid"]);
    let (first, labels) = match named {
        Some(column) => (1, column),
        None => {
            (0, rows.first().map_or(0, |row| usize::from(row.len() > 1 && row[0].parse::<usize>().is_ok())))
        }
    };
    let body = &rows[first.min(rows.len())..];
    let index = index.filter(|_| named.is_some()).or((named.is_none() && labels == 1).then_some(0));
    let field = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let indices: Option<BTreeMap<usize, String>> = index.and_then(|index| {
        body.iter().map(|row| Some((field(row, index).parse().ok()?, field(row, labels)))).collect()
    });
    match indices {
        Some(map) if map.len() == body.len() && map.keys().copied().eq(0..body.len()) => {
            Ok(map.into_values().collect())
        }
        _ => Ok(body.iter().map(|row| field(row, labels)).collect()),
    }
}

/// Labels in metadata: a Python dictionary or list, JSON, or words between commas or line breaks.
pub(super) fn python_names(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return of_json("metadata", &value).ok().flatten().filter(|names| !names.is_empty());
    }
    if let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        let map: Option<BTreeMap<usize, String>> = python_items(inner)?
            .chunks(2)
            .map(|pair| Some((pair.first()?.parse().ok()?, pair.get(1)?.clone())))
            .collect();
        return in_order("metadata", map.filter(|map| !map.is_empty())?).ok();
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return python_items(inner);
    }
    let separator = if text.contains('\n') { '\n' } else { ',' };
    let names: Vec<String> = text.split(separator).map(|name| name.trim().to_owned()).collect();
    (names.len() > 1 && names.iter().all(|name| !name.is_empty())).then_some(names)
}

/// The items between commas and colons of a Python literal: quoted texts with backslashes, or bare words.
fn python_items(text: &str) -> Option<Vec<String>> {
    let mut items = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(|letter| letter.is_whitespace() || matches!(letter, ',' | ':')).is_some() {}
        let Some(&first) = letters.peek() else { return Some(items) };
        let mut item = String::new();
        if first == '\'' || first == '"' {
            letters.next();
            loop {
                match letters.next()? {
                    '\\' => item.push(letters.next()?),
                    letter if letter == first => break,
                    letter => item.push(letter),
                }
            }
        } else {
            while let Some(letter) = letters.next_if(|letter| !matches!(letter, ',' | ':')) {
                item.push(letter);
            }
            item.truncate(item.trim_end().len());
        }
        items.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> Vec<String> {
        parse(name, text).unwrap().unwrap()
    }

    #[test]
    fn lines_with_and_without_numbers() {
        assert_eq!(of("labels.txt", "cat\ndog\n"), ["cat", "dog"]);
        assert_eq!(of("labels.txt", "0 Cat\r\n1 Big dog\r\n"), ["Cat", "Big dog"]);
        assert_eq!(of("labels.txt", "0: cat\n1: dog"), ["cat", "dog"]);
        assert_eq!(of("labels.txt", "0\n1\n2"), ["0", "1", "2"], "digits are labels too");
        assert_eq!(of("labels.txt", "1 cat\n2 dog"), ["1 cat", "2 dog"], "not numbered from 0");
        assert_eq!(of("labels.txt", "n01440764 tench, Tinca tinca"), ["n01440764 tench, Tinca tinca"]);
        assert_eq!(of("labels.txt", "\n"), Vec::<String>::new());
    }

    #[test]
    fn json_in_every_form() {
        for text in [
            r#"["cat", "dog"]"#,
            r#"{"0": "cat", "1": "dog"}"#,
            r#"{"cat": 0, "dog": 1}"#,
            r#"{"1": ["n2", "dog"], "0": ["n1", "cat"]}"#,
            r#"{"labels": ["cat", "dog"], "imageSize": 224}"#,
            r#"{"id2label": {"1": "dog", "0": "cat"}, "label2id": {}}"#,
            r#"[{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]"#,
        ] {
            assert_eq!(of("labels.json", text), ["cat", "dog"], "{text}");
        }
        assert_eq!(
            of(
                "labels.json",
                r#"{"0": "a", "1": "b", "10": "k", "2": "c", "3": "d", "4": "e", "5": "f", "6": "g", "7": "h", "8": "i", "9": "j"}"#
            )[10],
            "k"
        );
        let gap = parse("labels.json", r#"{"0": "cat", "2": "dog"}"#).unwrap_err().to_string();
        insta::assert_snapshot!(gap, @"labels.json has no label for 1: number them 0 to 1");
        assert_eq!(parse("metadata.json", r#"{"version": "1"}"#).unwrap(), None);
    }

    #[test]
    fn csv_by_its_header_and_its_indices() {
        assert_eq!(
            of("selected_tags.csv", "tag_id,name,category,count\n9,general,9,1\n7,\"a, b\",0,2\n"),
            ["general", "a, b"]
        );
        assert_eq!(of("labels.csv", "class_id,class\n1,dog\n0,cat\n"), ["cat", "dog"]);
        assert_eq!(of("labels.csv", "cat\ndog\n"), ["cat", "dog"]);
        assert_eq!(of("labels.csv", "1,dog\n0,cat\n"), ["cat", "dog"]);
    }

    #[test]
    fn metadata_as_programs_write_it() {
        assert_eq!(
            python_names("{0: 'cat', 1: \"d'og\", 2: 'it\\'s, so: far'}").unwrap(),
            ["cat", "d'og", "it's, so: far"]
        );
        assert_eq!(python_names("['cat', 'dog']").unwrap(), ["cat", "dog"]);
        assert_eq!(python_names("[\"cat\", \"dog\"]").unwrap(), ["cat", "dog"]);
        assert_eq!(python_names("cat,dog").unwrap(), ["cat", "dog"]);
        assert_eq!(python_names("a\nb\nc").unwrap(), ["a", "b", "c"]);
        assert_eq!(python_names("resnet50"), None);
        assert_eq!(python_names("{0: 'cat', 2: 'dog'}"), None);
        assert_eq!(python_names("{0: 'cat"), None);
    }
}
