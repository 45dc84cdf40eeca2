//! The adapters of S3 and SQS, through the real SDKs, against the emulator: they keep the ports' contracts.

use std::time::Duration;

use bytes::Bytes;
use tagfleet_aws::client::Options;
use tagfleet_aws::{Aws, S3Bucket, SqsQueue};
use tagfleet_pipeline::bucket::{self, Bucket, Put};
use tagfleet_pipeline::queue;
use tagfleet_tests::emulator::Emulator;

/// Keys that S3 holds and a directory does not.
const S3_KEYS: [&str; 6] = ["a", "a//b.jpg", "/a.jpg", "folder/", "./a", "a/../b"];

async fn clients(emulator: &Emulator) -> Aws {
    let region = Some("us-east-1".to_owned());
    Aws::for_tests(&Options { profile: None, region, endpoint_url: Some(emulator.endpoint_url()) }).await
}

fn block_on(work: impl Future<Output = ()>) {
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

#[test]
fn sqs_keeps_the_contract_of_queues() {
    let emulator = Emulator::start();
    let url = emulator.make_queue("shards");
    block_on(async {
        let queue = SqsQueue::new(&clients(&emulator).await, &url, Duration::from_secs(2));
        queue::contract::holds(&queue).await;
    });
}
