//! The stream of a run's rows against its sorted rows: whatever slices and ranges there are.

use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;
use crate::bucket::memory::MemoryBucket;
use crate::run::RunId;
use crate::tags::{Reason, Row};
use crate::testing::stored_run::{failed, put_slice, tagged};

const ALL: RowColumns = RowColumns { etag: true, tags: true };

/// What a stream gives of a row.
type Seen = (String, Option<String>, Option<String>, Vec<(String, f32)>);

async fn all(bucket: &MemoryBucket, columns: RowColumns, range: KeyRange) -> Result<Vec<Seen>, BucketError> {
    let (_, keys) = run();
    let mut rows = RunRows::open(Arc::new(bucket.clone()), &keys, columns, range).await?;
    let mut all = Vec::new();
    while rows.advance().await? {
        let row = rows.row().unwrap();
        let tags = row.tags().map(|(label, score)| (label.to_owned(), score)).collect();
        let (code, etag) = (row.error_code().map(str::to_owned), row.etag().map(str::to_owned));
        all.push((row.key().to_owned(), code, etag, tags));
    }
    assert!(rows.row().is_none() && !rows.advance().await.unwrap());
    Ok(all)
}

fn run() -> (RunId, RunKeys) {
    let run = RunId::try_from("r".to_owned()).unwrap();
    let keys = RunKeys::in_bucket("tags/", &run);
    (run, keys)
}

fn row(key: &str) -> Row {
    match key.len() % 3 {
        0 => failed(key, Reason::Empty),
        _ => tagged(key, key, &[("cat", 0.75), ("dog", 0.25)]),
    }
}

fn seen(key: &str) -> Seen {
    match key.len() % 3 {
        0 => (key.to_owned(), Some("empty".to_owned()), None, vec![]),
        _ => {
            let tags = vec![("cat".to_owned(), 0.75), ("dog".to_owned(), 0.25)];
            (key.to_owned(), None, Some(key.to_owned()), tags)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each key is of a group by order, and of any slice of it.
    #[test]
    fn rows_come_in_key_order_from_any_slices(
        places in prop::collection::btree_map("[a-c]{1,6}", 0_u32..3, 0..60),
        groups in 1_usize..4,
        after in prop::option::of("[a-c]{0,3}"),
        up_to in prop::option::of("[a-c]{0,3}"),
    ) {
        let bucket = MemoryBucket::default();
        let (run, keys) = run();
        let range = KeyRange { prefix: String::new(), after, up_to };
        let mut slices: BTreeMap<(u32, u32), Vec<Row>> = BTreeMap::new();
        for (number, (key, slice)) in places.iter().enumerate() {
            let group = (number * groups / places.len()) as u32;
            slices.entry((group, *slice)).or_default().push(row(key));
        }
        let runtime = Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            for (place, rows) in &slices {
                put_slice(&bucket, (&run, &keys), *place, rows).await;
            }
            all(&bucket, ALL, range.clone()).await.unwrap()
        });
        let expected: Vec<Seen> =
            places.keys().filter(|key| range.contains(key)).map(|key| seen(key)).collect();
        prop_assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn row_groups_outside_the_range_are_left_out() {
    let bucket = MemoryBucket::default();
    let (run, keys) = run();
    let rows: Vec<Row> = (0..250_000).map(|number| row(&format!("{number:07}"))).collect();
    put_slice(&bucket, (&run, &keys), (0, 0), &rows).await;
    let range = KeyRange {
        after: Some("0199998".to_owned()),
        up_to: Some("0200001".to_owned()),
        ..KeyRange::default()
    };
    let found = all(&bucket, RowColumns::default(), range).await.unwrap();
    let keys: Vec<&str> = found.iter().map(|(key, ..)| key.as_str()).collect();
    assert_eq!(keys, ["0199999", "0200000", "0200001"]);
    assert!(found.iter().all(|(_, _, etag, tags)| etag.is_none() && tags.is_empty()));
}

#[tokio::test]
async fn rows_that_are_not_in_key_order_are_an_error() {
    let (run, keys) = run();
    for rows in [["b", "a"], ["a", "a"]] {
        let bucket = MemoryBucket::default();
        put_slice(&bucket, (&run, &keys), (0, 0), &rows.map(row)).await;
        let error = all(&bucket, ALL, KeyRange::default()).await.unwrap_err().to_string();
        assert!(error.contains("not in key order"), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let (run, keys) = run();
    let bucket = MemoryBucket::default();
    put_slice(&bucket, (&run, &keys), (0, 0), &[row("a"), row("b")]).await;
    let key = keys.result(0, 0);
    let whole = bucket.get(&key, None, u64::MAX).await.unwrap().bytes;
    for length in 0..whole.len() {
        bucket.put(&key, whole.slice(..length)).await.unwrap();
        let error = all(&bucket, ALL, KeyRange::default()).await.unwrap_err().to_string();
        assert!(error.contains(&key), "{length}: {error}");
    }
    for place in 0..whole.len() {
        let mut damaged = whole.to_vec();
        damaged[place] ^= 0x55;
        bucket.put(&key, damaged.into()).await.unwrap();
        // Either the damage is found, or it is where no row is.
        if let Err(error) = all(&bucket, ALL, KeyRange::default()).await {
            assert!(error.to_string().contains(&keys.results()), "{place}: {error}");
        }
    }
}
