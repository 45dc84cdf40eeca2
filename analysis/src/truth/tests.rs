//! Every form of a truth gives the same images, and every fault of a file is named.

use std::fs;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int64Array, LargeStringArray, ListArray, RecordBatch, StringArray,
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Keys with their labels, as a truth has them.
type Images = Vec<(String, Vec<String>)>;

fn images(truth: &TruthFile) -> Images {
    let all = truth
        .images()
        .map(|image| (image.key.to_owned(), image.texts.map(|text| truth.texts()[text].clone()).collect()));
    all.collect()
}

fn read(name: &str, contents: &[u8]) -> Result<Images, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, contents).unwrap();
    let read = TruthFile::read(&path, &Sources::new("/srv/photos"));
    read.map(|truth| images(&truth)).map_err(|error| error.to_string())
}

fn expected(images: &[(&str, &[&str])]) -> Images {
    let image = |(key, labels): &(&str, &[&str])| {
        ((*key).to_owned(), labels.iter().map(|label| (*label).to_owned()).collect())
    };
    images.iter().map(image).collect()
}

#[test]
fn any_order_and_form_is_the_same_truth() {
    let sorted =
        expected(&[("a/1.jpg", &["tench, Tinca tinca", "fish"]), ("b.jpg", &["7"]), ("c.jpg", &[""])]);
    let forms: [(&str, &str); 6] = [
        ("t.csv", "key,label,label\nb.jpg,7,\na/1.jpg,\"tench, Tinca tinca\",fish\nc.jpg,,\n"),
        ("t.csv", "\u{feff}File Name,x\r\n"),
        (
            "t.tsv",
            "split\tpath\tclass\ntrain\t./b.jpg\t7\ntrain\t/srv/photos/a/1.jpg\ttench, Tinca tinca\ntrain\ta/1.jpg\tfish\ntest\tc.jpg\t\n",
        ),
        ("truth.txt", "filename;label\nc.jpg;\nb.jpg;7\na/1.jpg;tench, Tinca tinca\na/1.jpg;fish\n"),
        (
            "t.jsonl",
            "{\"key\": \"b.jpg\", \"labels\": 7}\n\n{\"labels\": [\"tench, Tinca tinca\", \"fish\"], \"key\": \"a/1.jpg\"}\n{\"key\": \"c.jpg\", \"labels\": null}",
        ),
        ("t.csv", "label_2,key,label_1\nfish,c,\n"),
    ];
    for (number, (name, text)) in forms.into_iter().enumerate() {
        match (number, read(name, text.as_bytes())) {
            (1, found) => assert!(found.unwrap_err().starts_with("no column of keys")),
            (5, found) => assert_eq!(found.unwrap(), expected(&[("c", &["fish"])])),
            (_, found) => assert_eq!(found.unwrap(), sorted, "{name} {number}"),
        }
    }
}

fn parquet_of(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn texts_numbers_dictionaries_and_lists_of_parquet_are_labels() {
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["b", "a", "c"]));
    let cases: Vec<(&str, ArrayRef, [&[&str]; 3])> = vec![
        (
            "label",
            Arc::new(LargeStringArray::from(vec![Some("cat"), None, Some("dog")])),
            [&[""], &["cat"], &["dog"]],
        ),
        ("class_id", Arc::new(Int64Array::from(vec![3, 0, 7])), [&["0"], &["3"], &["7"]]),
        (
            "category",
            Arc::new(
                vec![Some("cat"), Some("cat"), None].into_iter().collect::<DictionaryArray<Int32Type>>(),
            ),
            [&["cat"], &["cat"], &[""]],
        ),
        (
            "labels",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
                Some(vec![Some(1), Some(2)]),
                Some(vec![]),
                None,
            ])),
            [&[""], &["1", "2"], &[""]],
        ),
    ];
    for (name, column, [a, b, c]) in cases {
        let file = parquet_of(vec![("file", keys.clone()), (name, column), ("other", keys.clone())]);
        assert_eq!(read("t.parquet", &file).unwrap(), expected(&[("a", a), ("b", b), ("c", c)]), "{name}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let why = |name: &str, contents: &[u8]| read(name, contents).unwrap_err();
    insta::assert_snapshot!(why("t.csv", b""), @"it has no rows");
    insta::assert_snapshot!(why("t.csv", b"key,label\n"), @"it has no rows");
    insta::assert_snapshot!(why("t.csv", b"key,label\na,cat\n,dog\n"), @"line 3 has no key");
    insta::assert_snapshot!(why("t.csv", b"key,label\n\xff,cat\n"), @"CSV parse error: record 1 (line 2, field: 0, byte: 10): invalid utf-8: invalid UTF-8 in field 0 near byte index 0");
    insta::assert_snapshot!(why("t.jsonl", b"[1]"), @"line 1 is not a JSON object: invalid type: sequence, expected a map at line 1 column 0");
    insta::assert_snapshot!(why("t.jsonl", b"{\"key\": 1, \"label\": \"a\"}"), @"line 1 has no key");
    insta::assert_snapshot!(why("t.jsonl", b"{\"key\": \"a\", \"label\": {}}"), @"line 1: a label is an object");
    assert!(why("t.parquet", b"key,label\n").starts_with("not Parquet"));
    let flags: ArrayRef = Arc::new(arrow_array::BooleanArray::from(vec![true]));
    let key: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let file = parquet_of(vec![("key", key), ("label", flags)]);
    insta::assert_snapshot!(why("t.parquet", &file), @"a column of keys or labels is of the type Boolean: texts and whole numbers are labels");
    let long = format!("{{\"key\": \"{}\"}}", "a".repeat(2 << 20));
    insta::assert_snapshot!(why("t.jsonl", long.as_bytes()), @"a line has more than 1048576 bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Keys and labels may contain the characters that CSV quotes.
    #[test]
    fn a_table_is_sorted_by_key(rows in prop::collection::vec(("[a-c,\"\n]{1,3}", "[x-z,\"]{1,2}"), 1..30)) {
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(["key", "label"]).unwrap();
        let mut sorted: Vec<(String, Vec<String>)> = Vec::new();
        for (key, label) in &rows {
            csv.write_record([key, label]).unwrap();
            match sorted.iter_mut().find(|(known, _)| known == key) {
                Some((_, labels)) => labels.push(label.clone()),
                None => sorted.push((key.clone(), vec![label.clone()])),
            }
        }
        sorted.sort();
        let mut found = read("t.csv", &csv.into_inner().unwrap()).unwrap();
        found.sort();
        prop_assert_eq!(found, sorted);
    }
}
