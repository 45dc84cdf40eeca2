//! Objects that S3 refuses, through the real SDK and the real command: a 403, an encryption key of the owner,
//! a disabled KMS key.

use bytes::Bytes;
use serde_json::{Value, json};
use tagfleet_aws::S3Bucket;
use tagfleet_pipeline::bucket::{Bucket, contract};
use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::emulator::Emulator;
use tagfleet_tests::fleet::one_picture;
use tagfleet_tests::rows::rows;

use crate::aws::{block_on, clients};

/// Keys that the emulator refuses (tests/emulator/refusals.py), and the message of S3.
const REFUSED: [(&str, &str); 3] = [
    ("shop/403-1.jpg", "AccessDenied: Access Denied"),
    ("shop/sse-c-1.jpg", "InvalidRequest: The object was stored using a form of Server Side Encryption"),
    ("shop/kms-disabled-1.jpg", "KMS.DisabledException"),
];

fn upload(emulator: &Emulator, keys: &[String]) {
    emulator.make_bucket("photos");
    emulator.fill("photos", keys, &one_picture());
}

fn tag(emulator: &Emulator, more: &[&str], out: &std::path::Path) -> Ran {
    let mut command =
        tagfleet(["run", "s3://photos/shop/", "--model", "demo/model", "--region", "us-east-1"]);
    command.args(["--endpoint-url", &emulator.endpoint_url()]).args(more).arg("--out").arg(out);
    run(command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test"))
}

#[test]
fn an_object_that_s3_refuses_is_denied() {
    let emulator = Emulator::start();
    emulator.make_bucket("photos");
    block_on(async {
        let bucket = S3Bucket::new(&clients(&emulator).await, "photos");
        for key in REFUSED.map(|(key, _)| key).iter().chain(&["shop/a.jpg"]) {
            bucket.put(key, Bytes::from_static(b"picture")).await.unwrap();
        }
        for (key, said) in REFUSED {
            contract::denies(&bucket, key, "shop/a.jpg").await;
            let error = bucket.get(key, None, 100).await.unwrap_err();
            assert!(error.detail.contains(said), "{error}");
        }
    });
}

#[test]
fn refused_objects_are_rows_with_the_message_of_s3() {
    let emulator = Emulator::start();
    let keys = REFUSED.map(|(key, _)| key).into_iter().chain(["shop/a.jpg", "shop/z.jpg"]);
    upload(&emulator, &keys.map(str::to_owned).collect::<Vec<_>>());
    let out = tempfile::tempdir().unwrap();
    let ran = tag(&emulator, &[], out.path());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stdout.contains("2 tagged, 3 failed") && ran.stdout.contains("3 denied"), "{}", ran.stdout);
    let rows = rows(out.path());
    for (key, said) in REFUSED {
        let row = rows.iter().find(|row| row.key == key).unwrap();
        assert_eq!(row.error_code.as_deref(), Some("denied"));
        assert!(row.error_detail.as_deref().unwrap().contains(said), "{row:?}");
    }
}

#[test]
fn a_bucket_in_which_nothing_can_be_read_stops_the_run() {
    let emulator = Emulator::start();
    upload(&emulator, &(0..20).map(|number| format!("shop/403-{number}.jpg")).collect::<Vec<_>>());
    let out = tempfile::tempdir().unwrap();
    let ran = tag(&emulator, &["--accept-denied"], out.path());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("AccessDenied: Access Denied") && ran.stdout.is_empty(), "{ran:?}");
}

#[test]
fn too_many_denied_objects_stop_the_run_until_accepted() {
    let emulator = Emulator::start();
    let denied = (0..11).map(|number| format!("shop/403-{number}.jpg"));
    upload(&emulator, &denied.chain((0..9).map(|number| format!("shop/{number}.jpg"))).collect::<Vec<_>>());
    let out = tempfile::tempdir().unwrap();
    let ran = tag(&emulator, &[], out.path());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for said in [
        "at least 11 of 20 images cannot be read",
        "at most 10",
        "9 of 20 images are done",
        "--accept-denied",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    let ran = tag(&emulator, &["--accept-denied"], out.path());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("resuming run") && ran.stdout.contains("11 denied"), "{ran:?}");
    assert_eq!(rows(out.path()).len(), 20);
}

/// Two of the four objects have a KMS key without a Bucket Key.
#[test]
fn requests_to_kms_are_planned_and_billed() {
    let emulator = Emulator::start();
    let keys = ["shop/kms-1.jpg", "shop/kms-2.jpg", "shop/kms-bucket-1.jpg", "shop/a.jpg"];
    upload(&emulator, &keys.map(str::to_owned));
    let out = tempfile::tempdir().unwrap();
    let ran = tag(&emulator, &["--json"], out.path());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    let lines = summary["cost"]["lines"].as_array().unwrap();
    let of_kms: Vec<&Value> = lines.iter().filter(|line| line["service"] == "KMS").collect();
    assert_eq!((of_kms.len(), &of_kms[0]["quantity"]), (1, &json!(0.0002)), "{lines:?}");
    let mut command =
        tagfleet(["plan", "s3://photos/shop/", "--model", "demo/model", "--images", "1M", "--json"]);
    command.args(["--region", "us-east-1", "--endpoint-url", &emulator.endpoint_url()]);
    let ran = run(command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("50 % of the sample is encrypted with SSE-KMS"), "{}", ran.stderr);
    assert!(ran.stdout.contains("KMS Decrypt (infer)"), "{}", ran.stdout);
}
