//! Lists in the forms that tools write them in.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::bucket::Bucket;

/// A line of a manifest, before it is written in any form.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) etag: String,
}

pub(super) fn rows(keys: &[String]) -> Vec<Row> {
    let row = |key: &String| Row { key: key.clone(), size: key.len() as u64, etag: format!("e-{key}") };
    keys.iter().map(row).collect()
}

pub(super) fn packed(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

pub(super) fn quoted(cell: &str) -> String {
    format!("\"{}\"", cell.replace('"', "\"\""))
}

pub(super) fn csv(rows: &[Row]) -> Bytes {
    let mut text = "size,Key,E_Tag\n".to_owned();
    for row in rows {
        text.push_str(&format!("{},{},{}\n", row.size, quoted(&row.key), quoted(&row.etag)));
    }
    text.into()
}

pub(super) fn json_lines(rows: &[Row]) -> Bytes {
    let line = |row: &Row| json!({"key": row.key, "size": row.size, "etag": row.etag}).to_string() + "\n";
    rows.iter().map(line).collect::<String>().into()
}

pub(super) fn parquet(rows: &[Row], group_rows: usize, statistics: EnabledStatistics) -> Bytes {
    let schema = Arc::new(Schema::new(vec![
        Field::new("bucket", DataType::Utf8, false),
        Field::new("key", DataType::Utf8, false),
        Field::new("is_latest", DataType::Boolean, true),
        Field::new("size", DataType::Int64, true),
        Field::new("e_tag", DataType::Utf8, true),
    ]));
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_statistics_enabled(statistics)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "shop"))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.key))),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|_| Some(true)))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.size as i64))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| format!("\"{}\"", row.etag)))),
    ];
    writer.write(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
    writer.into_inner().unwrap().into()
}

pub(super) fn encoded(key: &str) -> String {
    utf8_percent_encode(key, NON_ALPHANUMERIC).to_string().replace("%20", "+")
}

/// An inventory in CSV, as it is delivered: two files, the last rows first.
pub(super) async fn inventory(bucket: &dyn Bucket, rows: &[Row]) -> String {
    let middle = rows.len() / 2;
    let mut files = Vec::new();
    for (number, part) in [&rows[middle..], &rows[..middle]].into_iter().enumerate() {
        let mut text = String::new();
        for row in part {
            let class = if number == 0 { "STANDARD" } else { "GLACIER_IR" };
            text.push_str(&format!(
                "\"shop\",\"{}\",\"{}\",{},\"{class}\"\n",
                encoded(&row.key),
                row.size,
                quoted(&row.etag)
            ));
        }
        let (key, bytes) = (format!("inv/data/{number}.csv.gz"), packed(text.as_bytes()));
        files.push(json!({"key": key, "size": bytes.len(), "MD5checksum": "x"}));
        bucket.put(&key, bytes).await.unwrap();
    }
    let manifest = json!({
        "sourceBucket": "shop", "destinationBucket": "arn:aws:s3:::lists", "version": "2016-11-30",
        "creationTimestamp": "1514944800000", "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, ETag, StorageClass", "files": files,
    });
    let key = "inv/2026-11-30T01-00Z/manifest.json";
    bucket.put(key, manifest.to_string().into()).await.unwrap();
    key.to_owned()
}
