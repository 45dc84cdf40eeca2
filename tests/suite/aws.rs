//! S3 and SQS through the real SDKs, against the emulator: they keep the contracts of the ports, and a bucket
//! has the same rows as a folder.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::Value;
use tagfleet_aws::client::Options;
use tagfleet_aws::{Aws, S3Bucket, SqsQueue};
use tagfleet_pipeline::bucket::{self, Bucket, KeyRange, Put};
use tagfleet_pipeline::queue;
use tagfleet_tests::command::{Ran, run, start, tagfleet};
use tagfleet_tests::emulator::Emulator;
use tagfleet_tests::photos::{files, fill};
use tagfleet_tests::project;
use tagfleet_tests::rows::rows;

/// Keys that S3 can hold and a directory cannot.
const S3_KEYS: [&str; 6] = ["a", "a//b.jpg", "/a.jpg", "folder/", "./a", "a/../b"];

pub(super) async fn clients(emulator: &Emulator) -> Aws {
    let region = Some("us-east-1".to_owned());
    Aws::for_tests(&Options { region, endpoint_url: Some(emulator.endpoint_url()), ..Options::default() })
        .await
}

pub(super) fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

#[test]
fn s3_keeps_the_contract_of_buckets() {
    let emulator = Emulator::start();
    emulator.make_bucket("photos");
    block_on(async {
        let bucket = S3Bucket::new(&clients(&emulator).await, "photos");
        bucket::contract::holds(&bucket).await;
    });
}

#[test]
fn s3_holds_keys_that_a_directory_cannot() {
    let emulator = Emulator::start();
    emulator.make_bucket("photos");
    block_on(async {
        let bucket = S3Bucket::new(&clients(&emulator).await, "photos");
        for key in S3_KEYS {
            assert_eq!(bucket.put_if_absent(key, Bytes::from(key)).await.unwrap(), Put::Created, "{key}");
        }
        for key in S3_KEYS {
            assert_eq!(bucket.get(key, None, 100).await.unwrap().bytes, key.as_bytes());
        }
    });
}

#[test]
fn a_large_object_is_written_in_parts_and_only_once() {
    let emulator = Emulator::start();
    emulator.make_bucket("photos");
    block_on(async {
        let bucket = S3Bucket::new(&clients(&emulator).await, "photos");
        let large = Bytes::from(vec![7; (64 << 20) + 1]);
        assert_eq!(bucket.put_if_absent("large", large.clone()).await.unwrap(), Put::Created);
        assert_eq!(bucket.get("large", None, 1 << 30).await.unwrap().bytes.len(), large.len());
        assert_eq!(bucket.put_if_absent("large", large).await.unwrap(), Put::AlreadyThere);
    });
}

/// Uploads the demo's pictures, some of them under keys that only a bucket can hold.
async fn upload(bucket: &S3Bucket) {
    let folder = project("demo/photos");
    for path in files(&folder) {
        let key = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        bucket.put(&format!("shop/{key}"), fs::read(&path).unwrap().into()).await.unwrap();
    }
    for key in ["shop//a.jpg", "shop/a//b.jpg", "shop/./c.jpg", "shop/line\nbreak+%20.jpg"] {
        bucket.put(key, fs::read(folder.join("autumn/sku-0000.jpg")).unwrap().into()).await.unwrap();
    }
    bucket.put("shop/folder/", Bytes::new()).await.unwrap();
    bucket.put("other/no.jpg", Bytes::new()).await.unwrap();
}

/// Copies the objects of a run into a folder, so that it can be read like a local run.
async fn download(bucket: &S3Bucket, folder: &Path) {
    let pages: Vec<_> = bucket.list(&KeyRange::default()).try_collect().await.unwrap();
    for object in pages.concat() {
        let path = folder.join(&object.key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bucket.get(&object.key, None, 1 << 30).await.unwrap().bytes).unwrap();
    }
}

fn tag_bucket(emulator: &Emulator, arguments: &[&str]) -> Ran {
    run(&mut command(emulator, arguments))
}

fn command(emulator: &Emulator, arguments: &[&str]) -> Command {
    let mut command = tagfleet(["run", "--model", "demo/model", "--region", "us-east-1", "--endpoint-url"]);
    command.arg(emulator.endpoint_url()).args(arguments);
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command
}

#[test]
fn a_bucket_is_tagged_as_a_folder_is() {
    let emulator = Emulator::start();
    emulator.make_bucket("photos");
    emulator.make_bucket("results");
    let folder = tempfile::tempdir().unwrap();
    let ran = tag_bucket(
        &emulator,
        &["s3://photos/shop/", "--out", "s3://results/tags", "--exclude", "**/sku-0012*"],
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "an empty bucket: {ran:?}");
    block_on(async {
        let aws = clients(&emulator).await;
        upload(&S3Bucket::new(&aws, "photos")).await;
    });
    let ran = tag_bucket(&emulator, &["s3://photos/shop/", "--out", "s3://results/tags"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("64 tagged, 0 failed"), "{}", ran.stdout);
    assert!(ran.stdout.contains("results  s3://results/tags/"), "{}", ran.stdout);
    block_on(async { download(&S3Bucket::new(&clients(&emulator).await, "results"), folder.path()).await });
    let local = folder.path().join("local");
    let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model"]);
    assert_eq!(run(command.arg("--out").arg(&local)).code, Some(0));
    let (bucket, local) = (rows(&folder.path().join("tags")), rows(&local));
    assert_eq!(bucket.len(), 64);
    for row in local {
        let key = format!("shop/{}", row.key);
        let same = bucket.iter().find(|found| found.key == key).unwrap();
        assert_eq!((&same.tags, same.size, same.bytes), (&row.tags, row.size, row.bytes), "{key}");
    }
    let again = tag_bucket(&emulator, &["s3://photos/shop/", "--out", "s3://photos/shop/tags"]);
    assert!(again.stderr.contains("is inside the input s3://photos/shop/"), "{}", again.stderr);
}

/// The sum of the quantities of a bill's lines of this item.
fn quantity(cost: &Value, item: &str) -> f64 {
    let lines = cost["lines"].as_array().unwrap().iter();
    lines.filter(|line| line["item"] == item).map(|line| line["quantity"].as_f64().unwrap()).sum()
}

#[test]
fn a_run_of_a_bucket_has_a_bill_and_is_reported_from_its_url() {
    let emulator = Emulator::start();
    emulator.make_bucket("photos");
    emulator.make_bucket("results");
    block_on(async { upload(&S3Bucket::new(&clients(&emulator).await, "photos")).await });
    let ran = tag_bucket(&emulator, &["s3://photos/shop/", "--out", "s3://results/tags", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    let (run_id, cost) = (summary["run"].as_str().unwrap(), &summary["cost"]);
    // 64 pictures and a few objects of the run itself. The unit is a thousand requests.
    let gets = quantity(cost, "GetObject");
    assert!((0.064..0.1).contains(&gets), "{cost}");
    let sum: f64 = cost["lines"].as_array().unwrap().iter().map(|line| line["usd"].as_f64().unwrap()).sum();
    assert!((sum - cost["total_usd"].as_f64().unwrap()).abs() < 1e-12 && sum > 0.0, "{cost}");
    let folder = tempfile::tempdir().unwrap();
    block_on(async { download(&S3Bucket::new(&clients(&emulator).await, "results"), folder.path()).await });
    let stored = |name: &str| fs::read(folder.path().join(format!("tags/{run_id}/{name}"))).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&stored("cost.json")).unwrap(), *cost);

    let copy = folder.path().join("copy.html");
    let place = format!("s3://results/tags/{run_id}/");
    let mut command = tagfleet(["report", &place, "--region", "us-east-1", "--endpoint-url"]);
    command.arg(emulator.endpoint_url()).arg("--html").arg(&copy);
    let told = run(command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test"));
    assert_eq!(told.code, Some(0), "{told:?}");
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert_eq!(lines[0], format!("run      {run_id}: complete"));
    assert!(lines.iter().any(|line| line.starts_with("run    S3       GetObject")), "{}", told.stdout);
    assert_eq!(*lines.last().unwrap(), format!("report   s3://results/tags/{run_id}/report.html"));
    assert_eq!(fs::read(copy).unwrap(), stored("report.html"));
}

#[test]
fn a_killed_run_in_a_bucket_resumes() {
    let emulator = Emulator::start();
    emulator.make_bucket("results");
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fill(&photos, 1500);
    let arguments = [photos.to_str().unwrap(), "--out", "s3://results"];
    let mut child = start(&mut command(&emulator, &arguments));
    block_on(async {
        let bucket = S3Bucket::new(&clients(&emulator).await, "results");
        while child.try_wait().unwrap().is_none() {
            let pages: Vec<_> = bucket.list(&KeyRange::default()).try_collect().await.unwrap();
            if pages.concat().iter().any(|object| object.key.contains("/parts/")) {
                child.kill().unwrap();
            }
        }
    });
    let ran = tag_bucket(&emulator, &arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("resuming run"), "{}", ran.stderr);
    block_on(async {
        download(&S3Bucket::new(&clients(&emulator).await, "results"), &folder.path().join("out")).await;
    });
    assert_eq!(rows(&folder.path().join("out")).len(), 1500);
}

#[test]
fn sqs_keeps_the_contract_of_queues() {
    let emulator = Emulator::start();
    let url = emulator.make_queue("shards");
    block_on(async {
        let queue = SqsQueue::new(&clients(&emulator).await, &url, Duration::from_secs(2));
        queue::contract::holds(&queue).await;
    });
}
