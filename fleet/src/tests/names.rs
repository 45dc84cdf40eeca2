//! Places and keys with any name: a run writes only below its own two prefixes.

use futures::TryStreamExt;

use super::*;
use tagfleet_pipeline::bucket::KeyRange;

/// Valid keys of S3 that have a special meaning elsewhere.
fn hostile_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "../../runs/nightly-1.json",
        "/etc/passwd",
        "<script>alert(1)</script>",
        "a\r\nBcc: everybody@example.com",
        "nul\0",
        "\u{202e}gpj.exe",
        "' OR 1=1; --",
        "%2e%2e%2f",
    ]
    .map(|key| format!("photos/{key}"))
    .to_vec();
    keys.push(format!("photos/{}", "<".repeat(1024 - "photos/".len())));
    keys
}

async fn keys(bucket: &MemoryBucket) -> Vec<String> {
    let pages: Vec<_> = bucket.list(&KeyRange::default()).try_collect().await.unwrap();
    pages.into_iter().flatten().map(|object| object.key).collect()
}

#[tokio::test]
async fn nothing_is_written_outside_the_runs_own_prefixes() {
    let long = format!("{}/", "p".repeat(700));
    for place in
        ["", "../", "../../requests/", "<b>\r\n/", "\0/", "\u{202e}/", "'; DROP TABLE tags; --/", &long]
    {
        let world = World::new(0).await;
        for key in hostile_keys() {
            world.source.put(&key, Bytes::from_static(b"image")).await.unwrap();
        }
        let prefix = format!("tags/{place}");
        world.ask(json!({"output": format!("s3://stack/{prefix}"), "all_files": true})).await;
        let (sources, before) = (keys(&world.source).await, keys(&world.own).await);
        world.split().await;
        world.infer().await;
        let checked = world.check(0, false, None).await;
        let finished = world.finish(checked.groups, None).await;
        assert_eq!(finished.state, State::Complete, "{prefix:?}");
        let summary = read_summary(&world.fleet().await).await.unwrap();
        assert_eq!(summary.rows as usize, hostile_keys().len());

        assert_eq!(keys(&world.source).await, sources);
        let own = [format!("{prefix}nightly-1/"), format!("{prefix}work/nightly-1/")];
        let written = keys(&world.own).await;
        let stray: Vec<_> = written
            .iter()
            .filter(|key| !before.contains(key) && !own.iter().any(|place| key.starts_with(place)))
            .collect();
        assert_eq!(stray, Vec::<&String>::new(), "{prefix:?}");
        assert!(written.iter().all(|key| key.len() <= 1024), "S3 takes every key");
    }
}
