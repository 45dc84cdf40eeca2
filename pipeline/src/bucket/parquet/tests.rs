//! Parquet objects as other writers make them, damaged ones, and how little is read of them.

use std::ops::Range as Numbers;

use arrow_array::{Int64Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::*;
use crate::bucket::memory::MemoryBucket;
use crate::run::{RunId, VectorType};
use crate::tags::parquet::{RunColumns, encode_part};
use crate::tags::slowest::Slowest;
use crate::tags::{Cause, Failure, Outcome, Row};
use crate::testing::FailingBucket;

fn file(keys: &[String], group_rows: usize, compression: Compression) -> Bytes {
    let schema = Arc::new(Schema::new(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("other", DataType::Utf8, true),
        Field::new("size", DataType::Int64, true),
    ]));
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(group_rows))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).unwrap();
    let other: Vec<String> = keys.iter().map(|key| key.repeat(3)).collect();
    let sizes: Vec<i64> = (0..).take(keys.len()).collect();
    let columns: Vec<arrow_array::ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(keys)),
        Arc::new(StringArray::from_iter_values(other)),
        Arc::new(Int64Array::from(sizes)),
    ];
    writer.write(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
    writer.into_inner().unwrap().into()
}

fn numbered(numbers: Numbers<usize>) -> Vec<String> {
    numbers.map(|number| format!("{number:07}.jpg")).collect()
}

async fn bucket_with(bytes: Bytes) -> Arc<MemoryBucket> {
    let bucket = MemoryBucket::default();
    bucket.put("list.parquet", bytes).await.unwrap();
    Arc::new(bucket)
}

async fn open(bytes: Bytes) -> Result<ParquetObject, BucketError> {
    ParquetObject::open(bucket_with(bytes).await, "list.parquet", None).await
}

async fn keys(object: &ParquetObject, groups: Vec<usize>) -> Result<Vec<String>, BucketError> {
    let mut keys = Vec::new();
    let mut batches = object.batches(&["key"], groups);
    while let Some(batch) = batches.try_next().await? {
        assert_eq!(batch.num_columns(), 1);
        keys.extend(text(&batch, "key").unwrap().iter().map(|key| key.unwrap().to_owned()));
    }
    Ok(keys)
}

#[tokio::test]
async fn every_usual_compression_is_read() {
    use parquet::basic::{GzipLevel, ZstdLevel};
    let wanted = numbered(0..500);
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let object = open(file(&wanted, 100, compression)).await.unwrap();
        assert_eq!(object.group_rows(), [100; 5]);
        assert_eq!(keys(&object, (0..5).collect()).await.unwrap(), wanted, "{compression:?}");
    }
}

#[tokio::test]
async fn a_column_of_a_group_is_one_request_behind_the_footer() {
    let stored = bucket_with(file(&numbered(0..10_000), 1000, Compression::UNCOMPRESSED)).await;
    let counting = Arc::new(FailingBucket::new(stored, Kind::Other, 0..0));
    let object = ParquetObject::open(counting.clone(), "list.parquet", None).await.unwrap();
    assert_eq!(counting.calls(), 1);
    let range = KeyRange { after: Some("0003999.jpg".to_owned()), ..KeyRange::prefix("00040") };
    let groups = object.groups_within("key", &range);
    assert_eq!(groups, [4]);
    assert_eq!(keys(&object, groups).await.unwrap(), numbered(4000..5000));
    assert_eq!(counting.calls(), 2);
}

#[tokio::test]
async fn a_footer_of_any_size_is_read() {
    let wanted = numbered(0..2000);
    let object = open(file(&wanted, 2, Compression::UNCOMPRESSED)).await.unwrap();
    assert_eq!(object.group_rows().len(), 1000, "more than 64 KiB of footer");
    assert_eq!(keys(&object, (0..1000).collect()).await.unwrap(), wanted);
}

#[tokio::test]
async fn the_rows_of_a_run_are_read_by_name() {
    let failure = Failure::new(Cause::Missing, String::new());
    let outcome = Outcome::Failed(failure);
    let rows = [Row { key: "ü/a b.jpg".to_owned(), bytes: Some(7), etag: Some("e".to_owned()), outcome }];
    let run = RunId::try_from("r".to_owned()).unwrap();
    let columns = RunColumns { run, model: "m".to_owned(), vector: Some(VectorType::F16) };
    let object = open(encode_part(&rows, &columns, &Slowest::default()).unwrap()).await.unwrap();
    let wanted = ["key", "etag", "status", "error_code", "no such column"];
    let batches: Vec<RecordBatch> = object.batches(&wanted, vec![0]).try_collect().await.unwrap();
    let values =
        ["key", "etag", "status", "error_code"].map(|name| text(&batches[0], name).unwrap().value(0));
    assert_eq!(values, ["ü/a b.jpg", "e", "failed", "missing"]);
    assert_eq!(text(&batches[0], "run").unwrap_err(), "no column run");
}

#[tokio::test]
async fn an_object_that_changes_while_it_is_read_is_an_error() {
    let bucket = bucket_with(file(&numbered(0..100), 10, Compression::SNAPPY)).await;
    let object = ParquetObject::open(bucket.clone(), "list.parquet", None).await.unwrap();
    bucket.put("list.parquet", file(&numbered(0..100), 10, Compression::SNAPPY)).await.unwrap();
    assert_eq!(keys(&object, vec![0]).await.unwrap_err().kind, Kind::Changed);
    let before = Some(object.etag());
    let error = ParquetObject::open(bucket, "list.parquet", before).await.err().unwrap();
    assert_eq!(error.kind, Kind::Changed);
}

#[tokio::test]
async fn what_is_not_parquet_is_named() {
    let whole = file(&numbered(0..100), 10, Compression::SNAPPY);
    for bytes in [Bytes::new(), Bytes::from_static(b"PAR1"), vec![b'a'; 200_000].into(), whole.slice(0..90)] {
        let error = open(bytes).await.err().unwrap();
        assert_eq!((error.kind, error.key.as_str()), (Kind::Other, "list.parquet"));
        assert!(error.detail.contains("Parquet file"), "{error}");
    }
    // A footer that claims 4 GB.
    let mut claims = whole.to_vec();
    let end = claims.len() - 8;
    claims[end..end + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(open(claims.into()).await.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A range misses none of its keys, whatever the order of the file.
    #[test]
    fn the_groups_of_a_range_hold_all_its_keys(
        keys_in_file in prop::collection::vec("[a-c/ü]{0,4}", 1..60),
        group_rows in 1..9usize,
        prefix in "[a-c/]{0,2}",
        after in prop::option::of("[a-c/ü]{0,3}"),
        up_to in prop::option::of("[a-c/ü]{0,3}"),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let object = open(file(&keys_in_file, group_rows, Compression::SNAPPY)).await.unwrap();
            let range = KeyRange { prefix, after, up_to };
            let mut read = keys(&object, object.groups_within("key", &range)).await.unwrap();
            read.retain(|key| range.contains(key));
            let mut wanted = keys_in_file;
            wanted.retain(|key| range.contains(key));
            assert_eq!(read, wanted);
        });
    }

    /// Damaged bytes are an error or other rows, and never the end of the process.
    #[test]
    fn damaged_bytes_are_an_error(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut bytes = file(&numbered(0..300), 50, Compression::UNCOMPRESSED).to_vec();
            for (place, byte) in places {
                let at = place.index(bytes.len());
                bytes[at] = byte;
            }
            let Ok(object) = open(bytes.into()).await else { return };
            let groups = object.groups_within("key", &KeyRange::default());
            if object.schema().field_with_name("key").is_ok_and(|field| *field.data_type() == DataType::Utf8View) {
                let mut batches = object.batches(&["key"], groups);
                while let Some(Ok(_)) = batches.next().await {}
            }
        });
    }
}
