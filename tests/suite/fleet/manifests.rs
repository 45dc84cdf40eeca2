//! A fleet whose images are listed by a manifest instead of a listing.

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, local_rows};
use tagfleet_tests::project;
use tagfleet_tests::rows::Row;

use crate::manifests::{inventory, inventory_row, packed};

const MANIFEST: &str = "shop/all/2026-11-30T01-00Z/manifest.json";

/// An inventory of these keys of the stack's bucket, in the bucket `lists`.
fn put_inventory(fleet: &Fleet, keys: &[&str]) {
    let mut rows = String::new();
    for key in keys.iter().rev() {
        rows.push_str(&inventory_row(fleet.bucket(), key, "\"true\",\"false\""));
    }
    rows.push_str(&inventory_row(fleet.bucket(), "photos/deleted.jpg", "\"true\",\"true\""));
    let data = packed(&rows);
    fleet.cloud.put_into("lists", "shop/all/data/a.csv.gz", &data);
    let schema = "Bucket, Key, IsLatest, IsDeleteMarker";
    let manifest = inventory(fleet.bucket(), schema, ("shop/all/data/a.csv.gz", data.len()));
    fleet.cloud.put_into("lists", MANIFEST, manifest.as_bytes());
}

fn submitted(fleet: &Fleet, manifest: &str) -> String {
    let request = fleet.request(&json!({}));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (input, model) = (text(&request["input"][0]), text(&request["model"]));
    let ran = fleet.tagfleet(&["submit", &input, "--model", &model, "--manifest", manifest, "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    text(&said["run"])
}

fn rows(fleet: &Fleet, manifest: &str) -> (String, Vec<Row>) {
    let run = submitted(fleet, manifest);
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!(status, "SUCCEEDED", "{ended}");
    let rows = fleet.rows(&run);
    (run, rows)
}

#[test]
fn a_manifest_gives_the_rows_of_a_listing_and_results_are_a_manifest() {
    let fleet = Fleet::deploy(&Options::default(), &[("ManifestBuckets", "lists")]);
    fleet.cloud.emulator().make_bucket("lists");
    fleet.upload_demo("photos/");
    let mut wanted = local_rows(&project("demo/photos"), "photos/");
    wanted.retain(|row| !row.key.ends_with(".webp"));
    let keys: Vec<&str> = wanted.iter().map(|row| row.key.as_str()).chain(["photos/z/none.jpg"]).collect();
    put_inventory(&fleet, &keys);
    let (run, rows_of_list) = rows(&fleet, &format!("s3://lists/{MANIFEST}"));
    let (missing, there): (Vec<Row>, Vec<Row>) =
        rows_of_list.iter().cloned().partition(|row| row.key == "photos/z/none.jpg");
    assert_eq!(there, wanted);
    assert_eq!(missing[0].error_code.as_deref(), Some("missing"));
    let request: Value =
        serde_json::from_slice(&fleet.cloud.get(&format!("tags/{run}/request.json")).unwrap()).unwrap();
    assert_eq!(request["input"]["manifest"]["location"], json!(format!("s3://lists/{MANIFEST}")));
    // The results can be used as a manifest.
    let (_, again) = rows(&fleet, &format!("s3://{}/tags/{run}/results/", fleet.bucket()));
    assert_eq!(again, rows_of_list);
    super::policy::every_call_is_allowed(&fleet.cloud);
}

#[test]
fn a_manifest_that_cannot_be_used_ends_the_run_before_it_starts() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_copies(3);
    fleet.cloud.put("lists/failed.orc", b"ORC\0");
    let run = submitted(&fleet, &format!("s3://{}/lists/failed.orc", fleet.bucket()));
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("BadRequest")), "{ended}");
    let cause = ended["cause"].as_str().unwrap();
    assert!(cause.contains("manifest: ") && cause.contains("ORC is not read"), "{cause}");
    assert!(fleet.cloud.keys(&format!("tags/work/{run}/split/")).is_empty());
    let model = fleet.request(&json!({}))["model"].as_str().unwrap().to_owned();
    let input = format!("s3://{}/photos/", fleet.bucket());
    for (manifest, why) in [
        ("s3://elsewhere/list.csv".to_owned(), "this stack takes no manifests from s3://elsewhere"),
        (format!("s3://{}/requests/list.csv", fleet.bucket()), "where lists are below lists/"),
    ] {
        let ran = fleet.tagfleet(&["submit", &input, "--model", &model, "--manifest", &manifest]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(why), "{ran:?}");
    }
}
