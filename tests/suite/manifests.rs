//! `--manifest` on this machine: a list in files gives the same rows as a listing.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::emulator::Emulator;
use tagfleet_tests::http::encode;
use tagfleet_tests::project;
use tagfleet_tests::rows::{Row, rows, rows_of, runs};

pub(super) fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A row of an inventory file. The key is encoded as in the query of a URL.
pub(super) fn inventory_row(bucket: &str, key: &str, more: &str) -> String {
    format!("\"{bucket}\",\"{}\",{more}\n", encode(key).replace("%2F", "/").replace("%20", "+"))
}

/// The manifest of an inventory with one file.
pub(super) fn inventory(bucket: &str, schema: &str, (key, size): (&str, usize)) -> String {
    json!({
        "sourceBucket": bucket, "destinationBucket": "arn:aws:s3:::lists", "version": "2016-11-30",
        "creationTimestamp": "1764460800000", "fileFormat": "CSV", "fileSchema": schema,
        "files": [{"key": key, "size": size, "MD5checksum": "f11166069f1990abeb9c97ace9cdfabc"}],
    })
    .to_string()
}

fn tag(arguments: &[&str], out: &Path) -> Ran {
    let mut command = tagfleet(["run", "--model", "demo/model", "--out"]);
    run(command.arg(out).args(arguments))
}

fn tagged(arguments: &[&str]) -> Vec<Row> {
    let out = tempfile::tempdir().unwrap();
    let ran = tag(arguments, out.path());
    assert!(matches!(ran.code, Some(0 | 3)), "{arguments:?}: {ran:?}");
    rows(out.path())
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn every_form_of_a_list_gives_the_rows_of_a_listing() {
    let photos = project("demo/photos");
    let photos = photos.to_str().unwrap();
    let listed = tempfile::tempdir().unwrap();
    assert!(matches!(tag(&[photos], listed.path()).code, Some(0 | 3)));
    let wanted = rows(listed.path());
    let folder = tempfile::tempdir().unwrap();
    let (mut csv, mut lines, mut stock) = ("photo,Key\n".to_owned(), String::new(), String::new());
    // Unsorted, and the last key twice.
    for row in wanted.iter().rev().chain([&wanted[0]]) {
        csv.push_str(&format!("1,\"{}\"\n", row.key.replace('"', "\"\"")));
        lines.push_str(&format!("{}\n", json!({"path": row.key})));
        stock.push_str(&inventory_row("shop", &row.key, "\"true\",\"false\""));
    }
    stock.push_str(&inventory_row("shop", "deleted.jpg", "\"true\",\"true\""));
    stock.push_str(&inventory_row("shop", &wanted[0].key, "\"false\",\"false\""));
    fs::write(folder.path().join("list.csv"), csv).unwrap();
    fs::create_dir(folder.path().join("unloaded")).unwrap();
    fs::write(folder.path().join("unloaded/20261130_0001"), packed(&lines)).unwrap();
    fs::create_dir_all(folder.path().join("inventory/data")).unwrap();
    fs::create_dir(folder.path().join("inventory/2026-11-30T01-00Z")).unwrap();
    let data = packed(&stock);
    fs::write(folder.path().join("inventory/data/a.csv.gz"), &data).unwrap();
    let manifest =
        inventory("shop", "Bucket, Key, IsLatest, IsDeleteMarker", ("shop/all/data/a.csv.gz", data.len()));
    fs::write(folder.path().join("inventory/2026-11-30T01-00Z/manifest.json"), manifest).unwrap();
    let results = runs(listed.path())[0].join("results");
    for list in [
        path(folder.path(), "list.csv"),
        path(folder.path(), "unloaded"),
        path(folder.path(), "inventory/2026-11-30T01-00Z/manifest.json"),
        results.to_str().unwrap().to_owned(),
    ] {
        assert_eq!(tagged(&[photos, "--manifest", &list]), wanted, "{list}");
    }
    let list = path(folder.path(), "inventory/2026-11-30T01-00Z");
    let ran = tag(&[photos, "--manifest", &list, "--dry-run", "--include", "*.webp"], folder.path());
    let webp = wanted.iter().filter(|row| row.key.ends_with(".webp")).count();
    assert_eq!((webp, ran.stdout.as_str()), (1, "1 image, size unknown\n"), "{ran:?}");
    let ran = tag(&[photos, "--manifest", &list, "--dry-run"], folder.path());
    assert!(ran.stdout.contains("1 deleted (deleted.jpg), 1 old version"), "{ran:?}");
}

#[test]
fn a_run_resumes_only_with_its_own_list() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
    fs::create_dir(&photos).unwrap();
    for name in ["a.jpg", "b.jpg", "gone.jpg"] {
        fs::copy(project("demo/photos/autumn/sku-0000.jpg"), photos.join(name)).unwrap();
    }
    let (photos, list) = (photos.to_str().unwrap(), path(folder.path(), "list.csv"));
    let arguments = [photos, "--manifest", &list, "--key-column", "1"];
    fs::write(&list, "b.jpg\nnone.jpg\n").unwrap();
    assert_eq!(tag(&arguments, &out).code, Some(3));
    let first = runs(&out)[0].clone();
    let keys = |run: &Path| rows_of(run).into_iter().map(|row| (row.key, row.error_code)).collect::<Vec<_>>();
    let missing = Some("missing".to_owned());
    assert_eq!(keys(&first), [("b.jpg".to_owned(), None), ("none.jpg".to_owned(), missing)]);
    let record = |run: &Path| -> Value {
        let request: Value = serde_json::from_slice(&fs::read(run.join("request.json")).unwrap()).unwrap();
        request["input"]["manifest"].clone()
    };
    // A list is identified by its bytes and its place, not by its time of writing.
    fs::write(&list, "b.jpg\nnone.jpg\n").unwrap();
    let again = folder.path().join("again");
    assert_eq!(tag(&arguments, &again).code, Some(3));
    assert_eq!(record(&runs(&again)[0]), record(&first));
    assert_eq!(record(&first)["key_column"], "1");
    fs::write(&list, "a.jpg\nnone.jpg\n").unwrap();
    let other = folder.path().join("other");
    assert_eq!(tag(&arguments, &other).code, Some(3));
    assert_ne!(record(&runs(&other)[0])["sha256"], record(&first)["sha256"]);
    assert_eq!(keys(&runs(&other)[0])[0].0, "a.jpg");
}

#[test]
fn a_list_of_other_images_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let photos = project("demo/photos");
    let photos = photos.to_str().unwrap();
    let cases: [(&[u8], &str); 5] = [
        (
            b"photo\na.jpg\n",
            "no column is known to hold keys, name it with --key-column: the columns are photo",
        ),
        (b"key,size\na.jpg,1\nb.jpg,x\n", "\"list\": line 3 has the size \"x\", which is not a number"),
        (b"ORC\x01", "ORC is not read: let the inventory or query write Parquet or CSV"),
        (b"", "there is no file with lines: nothing to tag"),
        (b"key\n", "lists no key of "),
    ];
    let list = path(folder.path(), "list");
    for (bytes, why) in cases {
        fs::write(&list, bytes).unwrap();
        let out = folder.path().join("out");
        let ran = tag(&[photos, "--manifest", &list], &out);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        assert!(!out.exists() || runs(&out).is_empty(), "nothing is started");
    }
    let picture = project("demo/photos/autumn/sku-0000.jpg");
    let ran = tag(&[picture.to_str().unwrap(), "--manifest", &list], folder.path());
    assert!(ran.stderr.contains("--manifest needs folders or prefixes as inputs, not files"), "{ran:?}");
}

#[test]
fn an_inventory_in_a_bucket_lists_another_bucket() {
    let emulator = Emulator::start();
    emulator.make_bucket("shop");
    emulator.make_bucket("lists");
    let picture = fs::read(project("demo/photos/autumn/sku-0000.jpg")).unwrap();
    let keys = ["p/a b+c%20.jpg", "p/\u{fc}.jpg", "p//d.jpg", "q/e.jpg"].map(str::to_owned);
    emulator.fill("shop", &keys, &picture);
    let mut stock = String::new();
    for key in keys.iter().rev() {
        stock.push_str(&inventory_row("shop", key, &format!("\"{}\",\"STANDARD\"", picture.len())));
    }
    let data = packed(&stock);
    let key = "shop/all/data/a.csv.gz";
    emulator.fill("lists", &[key.to_owned()], &data);
    let manifest = "shop/all/2026-11-30T01-00Z/manifest.json";
    let text = inventory("shop", "Bucket, Key, Size, StorageClass", (key, data.len()));
    emulator.fill("lists", &[manifest.to_owned()], text.as_bytes());
    let endpoint = emulator.endpoint_url();
    let tag = |arguments: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let mut command =
            tagfleet(["run", "--model", "demo/model", "--region", "us-east-1", "--endpoint-url", &endpoint]);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        let ran = run(command.arg("--out").arg(out.path()).args(arguments));
        let rows = (ran.code == Some(0)).then(|| rows(out.path()));
        (ran, rows)
    };
    let manifest = format!("s3://lists/{manifest}");
    let (_, wanted) = tag(&["s3://shop/p/"]);
    let (ran, listed) = tag(&["s3://shop/p/", "--manifest", &manifest]);
    assert_eq!(listed, wanted, "{ran:?}");
    assert_eq!(listed.map(|rows| rows.len()), Some(3), "below p/ only");
    let (ran, _) = tag(&["s3://lists/", "--manifest", &manifest]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("it is an inventory of the bucket \"shop\", and the input is s3://lists"),
        "{ran:?}"
    );
    let (ran, _) = tag(&["s3://shop/", "--manifest", "s3://lists/shop/none"]);
    assert!(ran.stderr.contains("there is no such object: the address of a folder ends in /"), "{ran:?}");
}
