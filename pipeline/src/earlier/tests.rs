//! Files of one group that were compacted one after the other are read as one table in key order.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::bucket::memory::MemoryBucket;
use crate::bucket::parquet::text;
use crate::tags::parquet::{TableWriter, batch};
use crate::tags::{Cause, Failure, Outcome, Row};
use crate::testing::request;

fn run(name: &str) -> RunId {
    RunId::try_from(name.to_owned()).unwrap()
}

fn columns() -> RunColumns {
    RunColumns { run: run("earlier"), model: request().model.id(), vector: None }
}

fn table(keys: &[String]) -> Bytes {
    let outcome = Outcome::Failed(Failure::new(Cause::Crashed, String::new()));
    let row = |key: &String| Row { key: key.clone(), bytes: None, etag: None, outcome: outcome.clone() };
    let rows: Vec<Row> = keys.iter().map(row).collect();
    let mut writer = TableWriter::new(&run("earlier"), None).unwrap();
    writer.write(&batch(&rows, &columns()).unwrap()).unwrap();
    writer.finish(0).unwrap()
}

/// A run with these result files, and the new one that continues it.
async fn earlier(files: &[Vec<String>]) -> EarlierRun {
    let output: Arc<dyn Bucket> = Arc::new(MemoryBucket::default());
    let keys = RunKeys::new("", &run("earlier"));
    for (slice, rows) in (0..).zip(files) {
        output.put(&keys.result(0, slice), table(rows)).await.unwrap();
    }
    EarlierRun::to_compare(&output, keys, run("earlier"))
}

async fn keys_in(earlier: &EarlierRun, range: &KeyRange) -> Result<Vec<String>, BucketError> {
    let mut rows = earlier.open().await?.rows(range, &["etag"]);
    let mut keys = Vec::new();
    while let Some(batch) = rows.next().await? {
        keys.extend(text(&batch, "key").unwrap().iter().map(|key| key.unwrap().to_owned()));
    }
    Ok(keys)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_of_any_files_come_in_key_order(
        rows in prop::collection::btree_map("[a-cü]{0,4}", 0..4_usize, 0..60),
        prefix in "[a-c]{0,1}",
        after in prop::option::of("[a-c]{0,3}"),
        up_to in prop::option::of("[a-c]{0,3}"),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut files = vec![Vec::new(); 4];
            for (key, file) in &rows {
                files[*file].push(key.clone());
            }
            files.retain(|file| !file.is_empty());
            let earlier = earlier(&files).await;
            let range = KeyRange { prefix, after, up_to };
            let expected: Vec<String> = rows.into_keys().filter(|key| range.contains(key)).collect();
            assert_eq!(keys_in(&earlier, &range).await.unwrap(), expected);
        });
    }
}

#[tokio::test]
async fn rows_that_are_not_in_key_order_are_refused() {
    let unsorted = earlier(&[vec!["b".to_owned(), "a".to_owned()]]).await;
    let error = keys_in(&unsorted, &KeyRange::default()).await.unwrap_err();
    assert_eq!(error.detail, "its rows are not in key order at \"a\"");
    let twice = earlier(&[vec!["a".to_owned()], vec!["a".to_owned()]]).await;
    assert!(keys_in(&twice, &KeyRange::default()).await.is_err(), "a key is in two files");
}

#[tokio::test]
async fn the_ranges_of_files_hold_every_key_once() {
    let files: Vec<Vec<String>> = ["a", "b", "c", "d", "e"].map(|key| vec![key.to_owned()]).to_vec();
    let earlier = earlier(&files).await;
    for most in 1..7 {
        let ranges = earlier.open().await.unwrap().ranges(most);
        assert!(ranges.len() <= most, "{ranges:?}");
        let mut keys = Vec::new();
        for range in &ranges {
            keys.extend(keys_in(&earlier, range).await.unwrap());
        }
        assert_eq!(keys, ["a", "b", "c", "d", "e"]);
    }
}
