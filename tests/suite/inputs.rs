//! Every way to name inputs, and every name a file system allows.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;

use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::photos::fill;
use tagfleet_tests::project;
use tagfleet_tests::rows::{rows, runs};

fn picture() -> Vec<u8> {
    fs::read(project("demo/photos/autumn/sku-0000.jpg")).unwrap()
}

fn tag(input: &Path, out: &Path, arguments: &[&str]) -> Ran {
    let mut command = tagfleet(["run", "--model", "demo/model"]);
    run(command.arg(input).arg("--out").arg(out).args(arguments))
}

#[test]
fn every_key_that_a_file_system_allows() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    let names = [
        "ü/ß.jpg",
        "a b.jpg",
        "a+b%20c.jpg",
        "quote'\"`.jpg",
        "<img src=x>.jpg",
        "line\nbreak.jpg",
        "tab\t\u{1}.jpg",
        "back\\slash.jpg",
        "-rf",
        "no extension",
        "photo.png",
        "\u{202e}gpj.exe",
        "日本語/写真.jpg",
        "deep/er/and/deeper.jpg",
        " .jpg",
        "~",
        "*?.jpg",
        "#1&2=3.jpg",
    ];
    for name in names {
        let path = photos.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, picture()).unwrap();
    }
    fs::write(photos.join(OsStr::from_bytes(b"not utf8 \xff.jpg")), picture()).unwrap();
    let out = folder.path().join("out");
    let ran = tag(&photos, &out, &[]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let rows = rows(&out);
    let tagged: Vec<&str> =
        rows.iter().filter(|row| row.status == "tagged").map(|row| row.key.as_str()).collect();
    let mut wanted = names.to_vec();
    wanted.sort_unstable();
    assert_eq!(tagged, wanted);
    let failed: Vec<_> = rows.iter().filter(|row| row.status == "failed").collect();
    assert_eq!((failed.len(), failed[0].key.as_str()), (1, "not utf8 %FF.jpg"));
    assert_eq!(failed[0].error_code.as_deref(), Some("name_not_utf8"));
    let shown = run(tagfleet(["show"]).arg(&out));
    assert!(!shown.stdout.contains(['\t', '\u{1}', '\u{202e}']), "nothing that a terminal obeys is printed");
    assert_eq!(shown.stdout.lines().count(), rows.len(), "one line per row");
}

#[test]
fn one_file() {
    let folder = tempfile::tempdir().unwrap();
    let ran = tag(&project("demo/photos/autumn/sku-0000.jpg"), folder.path(), &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(rows(folder.path())[0].key, "sku-0000.jpg");
}

#[test]
fn results_may_stand_beside_what_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("photo.jpg"), picture()).unwrap();
    let mut command = tagfleet(["run", "photo.jpg", "--out", "tags", "--model"]);
    let ran = run(command.arg(project("demo/model")).current_dir(folder.path()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut command = tagfleet(["run", ".", "--out", "more", "--keys", "-", "--model"]);
    command.arg(project("demo/model")).current_dir(folder.path()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"./photo.jpg\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "keys as find prints them");
    assert_eq!(rows(&folder.path().join("more"))[0].key, "photo.jpg");
}

#[test]
fn a_list_of_keys_is_sorted_and_each_is_tagged_once() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("keys.txt");
    fs::write(
        &list,
        "home/sku-0012.jpg\nautumn/sku-0000.jpg\nnowhere.jpg\nhome/sku-0012.jpg\n../truth.tsv\n/etc/passwd\n",
    )
    .unwrap();
    let out = folder.path().join("out");
    let ran = tag(&project("demo/photos"), &out, &["--keys", list.to_str().unwrap()]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let rows = rows(&out);
    let outcomes: Vec<_> =
        rows.iter().map(|row| (row.key.as_str(), row.error_code.as_deref().unwrap_or("tagged"))).collect();
    assert_eq!(
        outcomes,
        [
            ("../truth.tsv", "missing"),
            ("/etc/passwd", "missing"),
            ("autumn/sku-0000.jpg", "tagged"),
            ("home/sku-0012.jpg", "tagged"),
            ("nowhere.jpg", "missing"),
        ]
    );
}

#[test]
fn keys_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model", "--keys", "-"]);
    command.arg("--out").arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all("sale/last chance/sku-0024.webp\0autumn/sku-0000.jpg\0".as_bytes())
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(rows(folder.path()).len(), 2);
}

#[test]
fn globs_choose() {
    let folder = tempfile::tempdir().unwrap();
    let photos = project("demo/photos");
    let ran = tag(
        &photos,
        folder.path(),
        &["--include", "*.png", "--include", "home/*", "--exclude", "*-0072.png", "--dry-run"],
    );
    let home = tagfleet_tests::photos::files(&photos.join("home")).len();
    assert!(ran.stdout.starts_with(&format!("{} images, ", home + 1)), "{ran:?}");
    assert!(ran.stdout.ends_with(" bytes, 1 shards\n"), "{ran:?}");
    assert!(runs(folder.path()).is_empty(), "a dry run writes nothing");
}

#[test]
fn a_dry_run_counts_as_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fill(&photos, 700);
    let ran = tag(&photos, &folder.path().join("out"), &["--dry-run", "--json"]);
    let counted: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&counted["images"], &counted["shards"]), (&700.into(), &3.into()));
    assert!(!folder.path().join("out").exists());
}

#[test]
fn the_format_is_told_from_the_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("a.png"), picture()).unwrap();
    fs::write(photos.join("b.jpg"), "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
    fs::write(photos.join("c.jpg"), "").unwrap();
    fs::write(photos.join("d.jpg"), &picture()[..100]).unwrap();
    let out = folder.path().join("out");
    assert_eq!(tag(&photos, &out, &[]).code, Some(3));
    let codes: Vec<_> =
        rows(&out).into_iter().map(|row| row.error_code.unwrap_or("tagged".to_owned())).collect();
    assert_eq!(codes, ["tagged", "unsupported_format", "empty", "corrupt"]);
}
