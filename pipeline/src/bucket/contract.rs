//! What every [`Bucket`] must do, as one suite: a directory passes it, and S3 does.
//!
//! An adapter's tests call [`holds`] with an empty bucket. It never tests what a directory cannot hold; keys
//! that both can hold include spaces, quotes, HTML, `%`, `+`, letters outside ASCII and control characters.

#![expect(clippy::expect_used, clippy::panic, reason = "a contract fails by panicking, as any test")]

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::TryStreamExt;

use super::{Bucket, BucketError, ByteRange, KeyRange, Kind, Object, Put};

/// Keys that a directory and S3 can both hold, in no order.
pub const KEYS: [&str; 14] = [
    "a/b.jpg",
    "a.b",
    "a-b/c",
    "a/b/c d+e%20.jpg",
    "quote'\"`.jpg",
    "<b onload=x>&amp;.jpg",
    "ü/ß.jpg",
    "\u{202e}gpj.exe",
    "line\nbreak\ttab\u{1}.jpg",
    "back\\slash",
    "z/日本語.jpg",
    "z/~",
    "*?[!a].jpg",
    "-rf",
];

/// Runs the whole suite on an empty bucket.
///
/// # Panics
/// If the bucket breaks the contract.
pub async fn holds(bucket: &dyn Bucket) {
    an_empty_bucket_lists_nothing(bucket).await;
    a_missing_object_is_missing(bucket).await;
    keys_and_bytes_come_back_unharmed(bucket).await;
    ranges_are_half_open_and_lose_nothing(bucket).await;
    only_one_conditional_put_wins(bucket).await;
    a_changed_object_is_told_from_its_etag(bucket).await;
    a_limit_is_kept_before_memory_is_taken(bucket).await;
    a_range_has_the_bytes_that_a_whole_read_has_there(bucket).await;
    a_range_without_a_byte_of_the_object_is_an_error(bucket).await;
    pages_are_bounded_and_complete(bucket).await;
}

/// What a bucket must do about an object that cannot be read, next to one that can be read and is not empty.
///
/// # Panics
/// If the bucket breaks the contract.
pub async fn denies(bucket: &dyn Bucket, denied: &str, readable: &str) {
    let listed = list(bucket, &KeyRange::default()).await;
    let object = listed.iter().find(|object| object.key == denied).expect("a denied object is listed");
    for (etag, limit) in [(None, 0), (None, 1000), (Some(object.etag.as_str()), 1000)] {
        let error = failed(bucket.get(denied, etag, limit).await);
        assert_eq!((error.kind, error.key.as_str()), (Kind::Denied, denied), "{error}");
        assert!(!error.detail.is_empty(), "it says what the store says");
    }
    let error = failed(bucket.get_range(denied, None, ByteRange::Last(1)).await);
    assert_eq!((error.kind, error.key.as_str()), (Kind::Denied, denied), "{error}");
    assert!(!bucket.get(readable, None, 1000).await.expect("another object is read").bytes.is_empty());
    // So a worker finds out whether anything can be read.
    assert_eq!(failed(bucket.get(readable, None, 0).await).kind, Kind::TooLarge);
}

async fn an_empty_bucket_lists_nothing(bucket: &dyn Bucket) {
    assert_eq!(list(bucket, &KeyRange::default()).await, []);
}

async fn a_missing_object_is_missing(bucket: &dyn Bucket) {
    assert!(!bucket.exists("no/such").await.expect("exists"));
    assert_eq!(failed(bucket.get("no/such", None, 10).await).kind, Kind::Missing);
    assert_eq!(failed(bucket.get("no/such", Some("1-2"), 10).await).kind, Kind::Missing);
}

async fn keys_and_bytes_come_back_unharmed(bucket: &dyn Bucket) {
    for key in KEYS {
        let bytes = Bytes::from(format!("bytes of {key}"));
        assert_eq!(bucket.put_if_absent(key, bytes.clone()).await.expect("put"), Put::Created);
        assert!(bucket.exists(key).await.expect("exists"), "{key:?}");
        let fetched = bucket.get(key, None, 1000).await.expect("get");
        assert_eq!(fetched.bytes, bytes, "{key:?}");
    }
    let mut sorted = KEYS.to_vec();
    sorted.sort_unstable();
    let listed = list(bucket, &KeyRange::default()).await;
    assert_eq!(keys(&listed), sorted, "listed in the order of their UTF-8 bytes");
    for object in listed {
        let fetched = bucket.get(&object.key, Some(&object.etag), object.size).await.expect("get as listed");
        assert_eq!(fetched.etag, object.etag, "the etag of a listing is that of a read: {:?}", object.key);
        assert_eq!(fetched.bytes.len() as u64, object.size);
    }
}

async fn ranges_are_half_open_and_lose_nothing(bucket: &dyn Bucket) {
    let all = list(bucket, &KeyRange::default()).await;
    for bound in keys(&all) {
        let first = KeyRange { up_to: Some(bound.to_owned()), ..KeyRange::default() };
        let second = KeyRange { after: Some(bound.to_owned()), ..KeyRange::default() };
        let mut both = list(bucket, &first).await;
        both.extend(list(bucket, &second).await);
        assert_eq!(both, all, "split at {bound:?}");
    }
    for prefix in ["a", "a/", "a/b", "z/", "no"] {
        let wanted: Vec<&str> = keys(&all).into_iter().filter(|key| key.starts_with(prefix)).collect();
        let listed = list(bucket, &KeyRange::prefix(prefix)).await;
        assert_eq!(keys(&listed), wanted, "prefix {prefix:?}");
    }
}

async fn only_one_conditional_put_wins(bucket: &dyn Bucket) {
    let tries = (0..8u8).map(|number| bucket.put_if_absent("race/winner", Bytes::from(vec![number; 1000])));
    let mut created = 0;
    for outcome in join_all(tries).await {
        created += usize::from(outcome.expect("a lost race is no error") == Put::Created);
    }
    assert_eq!(created, 1);
    let winner = bucket.get("race/winner", None, 1000).await.expect("get");
    assert!(winner.bytes.iter().all(|byte| *byte == winner.bytes[0]), "the object of one writer, whole");
    let late = bucket.put_if_absent("race/winner", Bytes::from_static(b"late")).await.expect("put");
    assert_eq!(late, Put::AlreadyThere);
    assert_eq!(bucket.get("race/winner", None, 1000).await.expect("get"), winner);
}

async fn a_changed_object_is_told_from_its_etag(bucket: &dyn Bucket) {
    bucket.put("changing", Bytes::from_static(b"before")).await.expect("put");
    let before = bucket.get("changing", None, 100).await.expect("get");
    bucket.put("changing", Bytes::from_static(b"after it")).await.expect("put");
    assert_eq!(failed(bucket.get("changing", Some(&before.etag), 100).await).kind, Kind::Changed);
    assert_eq!(bucket.get("changing", None, 100).await.expect("get").bytes, "after it");
}

async fn a_limit_is_kept_before_memory_is_taken(bucket: &dyn Bucket) {
    bucket.put("large", Bytes::from(vec![7; 4096])).await.expect("put");
    assert_eq!(failed(bucket.get("large", None, 4095).await).kind, Kind::TooLarge);
    assert_eq!(bucket.get("large", None, 4096).await.expect("exactly the limit").bytes.len(), 4096);
    bucket.put("empty", Bytes::new()).await.expect("put");
    assert_eq!(bucket.get("empty", None, 0).await.expect("no bytes").bytes.len(), 0);
}

async fn a_range_has_the_bytes_that_a_whole_read_has_there(bucket: &dyn Bucket) {
    let key = "ranges/ü d+e%20.bin";
    bucket.put(key, (0..=255).collect::<Vec<u8>>().into()).await.expect("put");
    let whole = bucket.get(key, None, 1000).await.expect("get");
    for (range, inside) in [
        (ByteRange::Between(0..1), 0..1),
        (ByteRange::Between(3..77), 3..77),
        (ByteRange::Between(250..256), 250..256),
        (ByteRange::Between(250..100_000), 250..256),
        (ByteRange::Between(0..u64::MAX), 0..256),
        (ByteRange::Last(8), 248..256),
        (ByteRange::Last(1000), 0..256),
    ] {
        let read = bucket.get_range(key, Some(&whole.etag), range.clone()).await.expect("get a range");
        assert_eq!(read.bytes, whole.bytes.slice(inside), "{range:?}");
        assert_eq!((read.size, &read.etag), (256, &whole.etag), "{range:?}");
    }
}

async fn a_range_without_a_byte_of_the_object_is_an_error(bucket: &dyn Bucket) {
    bucket.put("ranges/empty", Bytes::new()).await.expect("put");
    bucket.put("ranges/some", Bytes::from_static(b"bytes")).await.expect("put");
    for (key, range) in [
        ("ranges/empty", ByteRange::Last(8)),
        ("ranges/empty", ByteRange::Between(0..8)),
        ("ranges/some", ByteRange::Between(5..8)),
        ("ranges/some", ByteRange::Between(2..2)),
        ("ranges/some", ByteRange::Last(0)),
    ] {
        let error = failed(bucket.get_range(key, None, range.clone()).await);
        assert_eq!((error.kind, error.key.as_str()), (Kind::OutOfRange, key), "{range:?}");
    }
    let last = || ByteRange::Last(1);
    assert_eq!(failed(bucket.get_range("no/such", None, last()).await).kind, Kind::Missing);
    let before = bucket.get("ranges/some", None, 100).await.expect("get");
    bucket.put("ranges/some", Bytes::from_static(b"other bytes")).await.expect("put");
    assert_eq!(failed(bucket.get_range("ranges/some", Some(&before.etag), last()).await).kind, Kind::Changed);
}

async fn pages_are_bounded_and_complete(bucket: &dyn Bucket) {
    for number in 0..1100 {
        bucket.put(&format!("many/{number:04}"), Bytes::new()).await.expect("put");
    }
    let range = KeyRange::prefix("many/");
    let pages: Vec<Vec<Object>> = bucket.list(&range).try_collect().await.expect("list");
    assert!(pages.iter().all(|page| !page.is_empty() && page.len() <= 1000));
    let wanted: Vec<String> = (0..1100).map(|number| format!("many/{number:04}")).collect();
    let listed: Vec<&Object> = pages.iter().flatten().collect();
    assert!(listed.iter().map(|object| &object.key).eq(wanted.iter()));
}

async fn list(bucket: &dyn Bucket, range: &KeyRange) -> Vec<Object> {
    let pages: Vec<Vec<Object>> = bucket.list(range).try_collect().await.expect("list");
    pages.concat()
}

fn keys(objects: &[Object]) -> Vec<&str> {
    objects.iter().map(|object| object.key.as_str()).collect()
}

fn failed<T: std::fmt::Debug>(outcome: Result<T, BucketError>) -> BucketError {
    match outcome {
        Err(error) => error,
        Ok(value) => panic!("expected an error, got {value:?}"),
    }
}
