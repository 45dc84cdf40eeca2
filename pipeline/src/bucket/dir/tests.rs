//! What a directory does beyond the contract: odd names, links, and what it cannot hold.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use futures::stream::TryStreamExt;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::bucket::contract;

async fn listed(bucket: &DirBucket, range: &KeyRange) -> Vec<Object> {
    bucket.list(range).try_collect::<Vec<_>>().await.unwrap().concat()
}

async fn keys(bucket: &DirBucket) -> Vec<String> {
    listed(bucket, &KeyRange::default()).await.into_iter().map(|object| object.key).collect()
}

fn filled(files: &[&str]) -> (TempDir, DirBucket) {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    let bucket = DirBucket::new(folder.path());
    (folder, bucket)
}

#[tokio::test]
async fn keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract::holds(&DirBucket::new(folder.path())).await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    assert!(keys(&DirBucket::new(&folder.path().join("none"))).await.is_empty());
}

#[tokio::test]
async fn keys_it_cannot_hold_are_missing_and_never_leave_the_root() {
    let (folder, _) = filled(&["secret", "root/a"]);
    let bucket = DirBucket::new(&folder.path().join("root"));
    for key in ["../secret", "/etc/passwd", "a/", "a//b", "./a", "a/b", "", "\0", &"n".repeat(300)] {
        assert_eq!(bucket.get(key, None, 100).await.unwrap_err().kind, Kind::Missing, "{key:?}");
        assert!(!bucket.exists(key).await.unwrap(), "{key:?}");
    }
    let error = bucket.put("../evil", Bytes::new()).await.unwrap_err();
    assert_eq!(error.detail, "a directory cannot hold this key");
    assert!(!folder.path().join("evil").exists());
}

#[tokio::test]
async fn a_name_that_is_not_utf8_is_listed_with_its_bytes() {
    let (folder, bucket) = filled(&["fine.jpg"]);
    fs::write(folder.path().join(OsStr::from_bytes(b"100%\xff.jpg")), "x").unwrap();
    let inner = folder.path().join(OsStr::from_bytes(b"d\xfe"));
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("sound.jpg"), "x").unwrap();
    assert_eq!(keys(&bucket).await, ["100%25%FF.jpg", "d%FE/sound.jpg", "fine.jpg"]);
    for key in keys(&bucket).await {
        assert!(bucket.exists(&key).await.unwrap(), "{key}");
        assert!(bucket.get(&key, None, 100).await.is_ok(), "{key}");
    }
}

#[tokio::test]
async fn no_two_names_have_one_key() {
    let (folder, bucket) = filled(&["%FF", "%25FF"]);
    fs::write(folder.path().join(OsStr::from_bytes(b"\xff")), "bytes").unwrap();
    assert_eq!(keys(&bucket).await, ["%2525FF", "%25FF", "%FF"]);
    assert_eq!(bucket.get("%FF", None, 100).await.unwrap().bytes, "bytes");
    assert_eq!(bucket.get("%25FF", None, 100).await.unwrap().bytes, "%FF");
    assert_eq!(bucket.get("%ff", None, 100).await.unwrap_err().kind, Kind::Missing);
}

#[tokio::test]
async fn a_prefix_is_listed_without_its_neighbours() {
    let (_folder, bucket) = filled(&["a/b/c", "a/bc", "a/d"]);
    for (prefix, wanted) in [
        ("a/b", vec!["a/b/c", "a/bc"]),
        ("a/b/", vec!["a/b/c"]),
        ("a/d/", vec![]),
        ("a/../a/", vec![]),
        ("none/of/this", vec![]),
        (".tagfleet-unfinished/", vec![]),
    ] {
        let listed = listed(&bucket, &KeyRange::prefix(prefix)).await;
        assert_eq!(listed.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), wanted, "{prefix}");
    }
}

#[tokio::test]
async fn links_are_followed_but_not_in_circles() {
    let (folder, bucket) = filled(&["real/a.jpg"]);
    symlink(folder.path().join("real"), folder.path().join("linked")).unwrap();
    symlink(folder.path(), folder.path().join("real/circle")).unwrap();
    symlink("nowhere", folder.path().join("dangling.jpg")).unwrap();
    assert_eq!(keys(&bucket).await, ["dangling.jpg", "linked/a.jpg", "real/a.jpg"]);
    assert_eq!(bucket.get("dangling.jpg", Some(""), 10).await.unwrap_err().kind, Kind::Missing);
}

#[tokio::test]
async fn links_that_point_at_one_another_make_no_endless_tree() {
    let (folder, bucket) = filled(&["0/a.jpg"]);
    for level in 1..30 {
        let below = folder.path().join(level.to_string());
        fs::create_dir(&below).unwrap();
        for name in ["left", "right"] {
            symlink(folder.path().join((level - 1).to_string()), below.join(name)).unwrap();
        }
    }
    assert_eq!(keys(&bucket).await, ["0/a.jpg", "1/left/a.jpg", "1/right/a.jpg"]);
    symlink("loop.jpg", folder.path().join("loop.jpg")).unwrap();
    assert_eq!(bucket.get("loop.jpg", None, 10).await.unwrap_err().kind, Kind::Missing);
}

#[tokio::test]
async fn the_file_of_a_killed_writer_is_not_an_object() {
    let (folder, bucket) = filled(&["a"]);
    fs::create_dir(folder.path().join(UNFINISHED)).unwrap();
    fs::write(folder.path().join(UNFINISHED).join("half"), "x").unwrap();
    assert_eq!(keys(&bucket).await, ["a"]);
    bucket.remove_unfinished().unwrap();
    bucket.remove_unfinished().unwrap();
    assert!(!folder.path().join(UNFINISHED).exists());
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_is_named() {
    let (folder, _) = filled(&["file"]);
    let bucket = DirBucket::new(&folder.path().join("file"));
    let error = bucket.put("a", Bytes::new()).await.unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a tree holds, it is listed in the order of its keys' bytes, and any range of it exactly.
    #[test]
    fn lists_in_key_order(
        names in prop::collection::btree_set("[a-c./]{1,6}", 0..20),
        prefix in "[a-c./]{0,3}",
        bounds in ("[a-c./]{0,4}", "[a-c./]{0,4}"),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let bucket = DirBucket::new(folder.path());
        let mut all = Vec::new();
        for name in names {
            // A file may be in the place of a folder, and the other way round: then this key is not held.
            if bucket.write(&name, b"x", false).is_ok() {
                all.push(name);
            }
        }
        let range = KeyRange { prefix, after: Some(bounds.0), up_to: Some(bounds.1) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        prop_assert_eq!(&runtime.block_on(keys(&bucket)), &all);
        let inside: Vec<_> = all.into_iter().filter(|key| range.contains(key)).collect();
        let listed = runtime.block_on(listed(&bucket, &range));
        prop_assert_eq!(listed.into_iter().map(|object| object.key).collect::<Vec<_>>(), inside);
    }
}

/// Closes these folders for reading; false if that closes nothing, as for root.
fn closed(folder: &TempDir, names: &[&str]) -> bool {
    use std::os::unix::fs::PermissionsExt;
    for name in names {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let first = folder.path().join(names[0]);
    let is_closed = if first.is_dir() { fs::read_dir(first).is_err() } else { fs::read(first).is_err() };
    if !is_closed {
        eprintln!("SKIPPED: this user may read everything");
    }
    is_closed
}

fn opened(folder: &TempDir, names: &[&str]) {
    use std::os::unix::fs::PermissionsExt;
    for name in names {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn all_folders_that_may_not_be_read_are_named_at_once() {
    let (folder, bucket) = filled(&["a.jpg", "b/1.jpg", "c/d/2.jpg", "e/3.jpg"]);
    if closed(&folder, &["b", "c/d"]) {
        let error = bucket.list(&KeyRange::default()).try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!((error.kind, error.key.as_str()), (Kind::Denied, "b/"));
        insta::assert_snapshot!(error.detail, @r#"2 folders cannot be read ("b/", "c/d/"): grant access, or leave their files out with --exclude"#);
        let excluded = |globs: &[&str]| {
            let globs: Vec<String> = globs.iter().map(|&glob| glob.to_owned()).collect();
            bucket.clone().read_with(Filter::new(&[], &globs, true).unwrap())
        };
        assert_eq!(keys(&excluded(&["b/", "c/**"])).await, ["a.jpg", "e/3.jpg"]);
        let error = excluded(&["b/"]).list(&KeyRange::default()).try_collect::<Vec<_>>().await.unwrap_err();
        assert!(error.detail.starts_with("this folder cannot be read (\"c/d/\")"), "{error}");
    }
    opened(&folder, &["b", "c/d"]);
}

#[tokio::test]
async fn a_folder_that_is_skipped_need_not_be_readable() {
    let (folder, bucket) = filled(&["a.jpg", "lost+found/1.jpg"]);
    if closed(&folder, &["lost+found"]) {
        let bucket = bucket.read_with(Filter::new(&[], &[], false).unwrap());
        assert_eq!(keys(&bucket).await, ["a.jpg"]);
    }
    opened(&folder, &["lost+found"]);
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_denied() {
    let (folder, bucket) = filled(&["a.jpg", "b.jpg"]);
    fs::write(folder.path().join("a.jpg"), b"picture").unwrap();
    if closed(&folder, &["b.jpg"]) {
        contract::denies(&bucket, "b.jpg", "a.jpg").await;
    }
    opened(&folder, &["b.jpg"]);
}
