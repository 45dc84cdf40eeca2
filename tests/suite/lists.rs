//! Lists of keys in every form that tools write, and stores that list in an order of their own.

use std::fs;
use std::path::Path;

use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::project;
use tagfleet_tests::rows::{rows, runs};
use tagfleet_tests::store::{Objects, Store};

fn picture() -> Vec<u8> {
    fs::read(project("demo/photos/autumn/sku-0000.jpg")).unwrap()
}

/// A folder with these files, all of them the same picture.
fn photos(folder: &Path, names: &[&str]) {
    for name in names {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, picture()).unwrap();
    }
}

fn tag(input: &str, list: &Path, out: &Path, arguments: &[&str]) -> Ran {
    let mut command = tagfleet(["run", input, "--model", "demo/model", "--keys"]);
    command.arg(list).arg("--out").arg(out).args(arguments);
    run(command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test"))
}

fn keys(out: &Path) -> Vec<String> {
    let rows = rows(out);
    assert!(rows.iter().all(|row| row.status == "tagged"), "{rows:?}");
    rows.into_iter().map(|row| row.key).collect()
}

#[test]
fn lists_of_every_form_name_the_files_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("photos");
    photos(&input, &["a b.jpg", "c%20d.jpg", "e,f.jpg", "sub/g.jpg"]);
    let (real, list) = (fs::canonicalize(&input).unwrap(), folder.path().join("list"));
    let real = real.to_str().unwrap();
    let cases = [
        ("./a b.jpg\n./sub/g.jpg\n".to_owned(), vec!["a b.jpg", "sub/g.jpg"], ""),
        (format!("{real}/a b.jpg\n{real}/sub/g.jpg\n"), vec!["a b.jpg", "sub/g.jpg"], ""),
        (format!("file://{real}/a%20b.jpg\n"), vec!["a b.jpg"], "read as URL-encoded"),
        (
            "a%20b.jpg\nc%2520d.jpg\ne%2Cf.jpg\n".to_owned(),
            vec!["a b.jpg", "c%20d.jpg", "e,f.jpg"],
            "read as URL-encoded",
        ),
        ("c%20d.jpg\ne,f.jpg\n".to_owned(), vec!["c%20d.jpg", "e,f.jpg"], ""),
        (
            "\"key\",\"status\"\n\"e,f.jpg\",\"failed\"\n".to_owned(),
            vec!["e,f.jpg"],
            "a table, column \"key\"",
        ),
        ("label;filename\r\ncat;a b.jpg\r\n".to_owned(), vec!["a b.jpg"], "a table, column \"filename\""),
        (
            "{\"key\":\"a b.jpg\"}\n{\"key\":\"e,f.jpg\"}\n".to_owned(),
            vec!["a b.jpg", "e,f.jpg"],
            "JSON lines",
        ),
    ];
    for (text, wanted, said) in cases {
        fs::write(&list, &text).unwrap();
        let out = tempfile::tempdir().unwrap();
        let ran = tag(input.to_str().unwrap(), &list, out.path(), &[]);
        assert_eq!(ran.code, Some(0), "{text}: {ran:?}");
        assert_eq!(keys(out.path()), wanted, "{text}");
        assert!(ran.stderr.contains(said), "{text}: {}", ran.stderr);
    }
}

#[test]
fn lists_of_every_form_name_the_objects_of_a_bucket() {
    let objects: Objects = ["p/0.png", "p/a b.png"].map(|key| (key.to_owned(), picture())).into();
    let store = Store::start(objects, 1000);
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    for text in [
        "p/0.png\np/a b.png\n",
        "s3://shop/p/0.png\ns3://shop/p/a b.png\n",
        "\"shop\",\"p/0.png\",\"123\"\n\"shop\",\"p/a+b.png\",\"123\"\n",
        "\"shop\",\"p/0.png\",\"123\"\n\"shop\",\"p/a%20b.png\",\"123\"\n",
        "2026-01-01 00:00:00        123 p/0.png\n2026-01-01 00:00:00        123 p/a b.png\n",
    ] {
        fs::write(&list, text).unwrap();
        let out = tempfile::tempdir().unwrap();
        let ran =
            tag("s3://shop", &list, out.path(), &["--region", "us-east-1", "--endpoint-url", store.url()]);
        assert_eq!(ran.code, Some(0), "{text}: {ran:?}");
        assert_eq!(keys(out.path()), ["p/0.png", "p/a b.png"], "{text}");
    }
    for (text, why) in [
        ("s3://other/p/0.png\n", "line 1 is \"s3://other/p/0.png\", which is in another bucket"),
        (
            "q/0.png\nq/1.png\n",
            "none of its 2 entries is a key of s3://shop/: line 1 is \"q/0.png\", which does not exist",
        ),
    ] {
        fs::write(&list, text).unwrap();
        let out = tempfile::tempdir().unwrap();
        let ran =
            tag("s3://shop", &list, out.path(), &["--region", "us-east-1", "--endpoint-url", store.url()]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        assert!(runs(out.path()).is_empty(), "nothing is started");
    }
}

/// 1,500 small objects that are text. Only their rows and their key order matter.
fn objects(keys: impl Iterator<Item = usize>) -> Objects {
    keys.map(|number| (format!("p/{number:05}.jpg"), b"x".to_vec())).collect()
}

fn tag_all(store: &Store, out: &Path) -> Ran {
    let mut command = tagfleet(["run", "s3://shop/p/", "--model", "demo/model", "--region", "us-east-1"]);
    command.args(["--endpoint-url", store.url(), "--out"]).arg(out);
    run(command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test"))
}

#[test]
fn a_store_without_an_order_has_its_rows_in_key_order() {
    for page in [7, 1000] {
        // 1,009 is a prime, so this visits every number once.
        let store = Store::start(objects((0..1500).map(|number| number * 1009 % 1500)), page);
        let out = tempfile::tempdir().unwrap();
        let ran = tag_all(&store, out.path());
        assert_eq!(ran.code, Some(3), "{ran:?}");
        let keys: Vec<String> = rows(out.path()).into_iter().map(|row| row.key).collect();
        assert_eq!(keys, objects(0..1500).into_iter().map(|(key, _)| key).collect::<Vec<_>>());
    }
}

#[test]
fn a_listing_that_loses_its_order_late_is_refused() {
    let store = Store::start(objects((1..2500).chain([0])), 1000);
    let out = tempfile::tempdir().unwrap();
    let ran = tag_all(&store, out.path());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let why =
        "s3://shop: \"p/00000.jpg\": listed behind \"p/02499.jpg\": this store does not list in key order";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    assert!(runs(out.path()).iter().all(|run| !run.join("_SUCCESS").exists()));
}
