//! Every way to name inputs, and every file name that a file system allows.

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
fn every_key_that_a_file_system_allows_is_tagged() {
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
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows = rows(&out);
    let tagged: Vec<&str> =
        rows.iter().filter(|row| row.status == "tagged").map(|row| row.key.as_str()).collect();
    let mut wanted = names.to_vec();
    wanted.push("not utf8 %FF.jpg");
    wanted.sort_unstable();
    assert_eq!(tagged, wanted);
    let shown = run(tagfleet(["show"]).arg(&out));
    assert!(!shown.stdout.contains(['\t', '\u{1}', '\u{202e}']), "no control character is printed");
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
fn results_may_be_next_to_the_named_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("photo.jpg"), picture()).unwrap();
    let mut command = tagfleet(["run", "photo.jpg", "--out", "tags", "--model"]);
    let ran = run(command.arg(project("demo/model")).current_dir(folder.path()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut command = tagfleet(["run", ".", "--out", "more", "--keys", "-", "--model"]);
    command.arg(project("demo/model")).current_dir(folder.path()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"./photo.jpg\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "the keys are those of `find`");
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
fn keys_are_read_from_standard_input() {
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
fn globs_choose_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let photos = project("demo/photos");
    let ran = tag(
        &photos,
        folder.path(),
        &["--include", "*.png", "--include", "home/*", "--exclude", "*-0072.png", "--dry-run"],
    );
    let home = tagfleet_tests::photos::files(&photos.join("home")).len();
    assert!(ran.stdout.starts_with(&format!("{} images, ", home + 1)), "{ran:?}");
    assert!(ran.stdout.ends_with(" kB\n"), "{ran:?}");
    assert!(runs(folder.path()).is_empty(), "a dry run writes nothing");
}

#[test]
fn a_dry_run_prints_its_counts_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fill(&photos, 700);
    let ran = tag(&photos, &folder.path().join("out"), &["--dry-run", "--json"]);
    let counted: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&counted["images"], &counted["shards"]), (&700.into(), &3.into()));
    assert!(!folder.path().join("out").exists());
}

#[test]
fn the_format_is_detected_from_the_bytes() {
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

fn tag_all(inputs: &[&Path], out: &Path, arguments: &[&str]) -> Ran {
    let mut command = tagfleet(["run", "--model", "demo/model"]);
    run(command.args(inputs).arg("--out").arg(out).args(arguments))
}

fn keys(out: &Path) -> Vec<String> {
    rows(out).into_iter().map(|row| row.key).collect()
}

fn fill_with(folder: &Path, names: &[&[u8]], bytes: &[u8]) {
    for name in names {
        let path = folder.join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn names_that_are_not_utf8_are_tagged_and_no_two_share_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fill_with(&photos, &[b"\xff.jpg", b"%FF.jpg", b"%25FF.jpg", b"100%.jpg", b"d\xfe/a.jpg"], &picture());
    let out = folder.path().join("out");
    assert_eq!(tag(&photos, &out, &[]).code, Some(0));
    assert_eq!(keys(&out), ["%2525FF.jpg", "%25FF.jpg", "%FF.jpg", "100%.jpg", "d%FE/a.jpg"]);
    let alone = folder.path().join("alone");
    assert_eq!(tag(&photos.join(OsStr::from_bytes(b"\xff.jpg")), &alone, &[]).code, Some(0));
    assert_eq!(keys(&alone), ["%FF.jpg"]);
    let below = folder.path().join("below");
    assert_eq!(tag(&photos.join(OsStr::from_bytes(b"d\xfe")), &below, &[]).code, Some(0));
    assert_eq!(keys(&below), ["a.jpg"]);
    let list = folder.path().join("list");
    fs::write(&list, b"./\xff.jpg\n./%FF.jpg\n").unwrap();
    let listed = folder.path().join("listed");
    assert_eq!(tag(&photos, &listed, &["--keys", list.to_str().unwrap()]).code, Some(0));
    assert_eq!(keys(&listed), ["%25FF.jpg", "%FF.jpg"], "the keys are those of `find`");
}

#[test]
fn system_files_and_text_are_skipped_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    // A hidden folder above the input does not hide it.
    let photos = folder.path().join(".cache/photos");
    fill_with(&photos, &[b"a.jpg"], &picture());
    let left: [&[u8]; 6] =
        [b"._a.jpg", b".DS_Store", b"Thumbs.db", b".git/HEAD", b"@eaDir/a.jpg/x.jpg", b"__MACOSX/._a.jpg"];
    fill_with(&photos, &left, b"\0\x05\x16\x07");
    fill_with(&photos, &[b"labels.csv", b"README.md"], b"a,b\n");
    fill_with(&photos, &[b".hidden/a.jpg"], &picture());
    let out = folder.path().join("out");
    let ran = tag(&photos, &out, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(keys(&out), ["a.jpg"]);
    let said = "skipped  6 left behind by a system (.DS_Store, ._a.jpg, .git/HEAD, ...), 1 hidden (.hidden/a.jpg), \
                2 text files (README.md, labels.csv); --all-files reads them";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    let summary = fs::read_to_string(runs(&out)[0].join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["skipped"]["text"]["files"], 2);
    assert_eq!(summary["skipped"]["system"]["examples"][0], ".DS_Store");

    let all = folder.path().join("all");
    assert_eq!(tag(&photos, &all, &["--all-files"]).code, Some(3));
    assert_eq!(rows(&all).len(), 10);
    let request = fs::read_to_string(runs(&all)[0].join("request.json")).unwrap();
    assert!(request.contains("\"all_files\": true") || request.contains("\"all_files\":true"), "{request}");

    let list = folder.path().join("list");
    fs::write(&list, ".hidden/a.jpg\nlabels.csv\n").unwrap();
    let listed = folder.path().join("listed");
    assert_eq!(tag(&photos, &listed, &["--keys", list.to_str().unwrap()]).code, Some(3));
    assert_eq!(keys(&listed), [".hidden/a.jpg", "labels.csv"], "a named file is read");
}

#[test]
fn an_input_without_images_reports_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    fill_with(folder.path(), &[b"in/1.txt", b"in/2.txt", b"in/.DS_Store"], b"x");
    let ran = tag(&folder.path().join("in"), &folder.path().join("out"), &[]);
    assert_eq!(ran.code, Some(2));
    let said = "3 files, all skipped (1 left behind by a system (.DS_Store), 2 text files (1.txt, 2.txt); --all-files reads them): nothing to tag";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

#[test]
fn several_inputs_have_keys_below_the_folder_that_holds_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fill_with(
        folder.path(),
        &[b"x/a/1.jpg", b"x/a/2.jpg", b"x/b/1.jpg", b"x/c.jpg", b"x/no/3.jpg"],
        &picture(),
    );
    fill_with(folder.path(), &[b"x/a/notes.txt", b"x/list.txt"], b"text");
    let cases: [(&[&str], &[&str]); 4] = [
        (&["x/a/1.jpg", "x/a/2.jpg"], &["1.jpg", "2.jpg"]),
        (&["x/a", "x/b"], &["a/1.jpg", "a/2.jpg", "b/1.jpg"]),
        (&["x/c.jpg", "x/b", "x/b/1.jpg", "x/a/1.jpg", "x/list.txt"], &["a/1.jpg", "b/1.jpg", "c.jpg"]),
        (&["x/a", "x/a/."], &["1.jpg", "2.jpg"]),
    ];
    for (number, (inputs, wanted)) in cases.into_iter().enumerate() {
        let out = at(&format!("out{number}"));
        let inputs: Vec<_> = inputs.iter().map(|name| at(name)).collect();
        let inputs: Vec<&Path> = inputs.iter().map(std::path::PathBuf::as_path).collect();
        let ran = tag_all(&inputs, &out, &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(keys(&out), wanted, "{inputs:?}");
    }
    let inside = tag_all(&[&at("x/a"), &at("x/b")], &at("x/b/tags"), &[]);
    assert!(inside.stderr.contains("is inside the input"), "{}", inside.stderr);
    let missing = tag_all(&[&at("x/a"), &at("x/d")], &at("out"), &[]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("x/d: No such file or directory"), "{}", missing.stderr);
}

#[test]
fn thousands_of_files_fit_on_one_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fill(&photos, 3000);
    let mut files = tagfleet_tests::photos::files(&photos);
    files.sort();
    let inputs: Vec<&Path> = files.iter().map(std::path::PathBuf::as_path).collect();
    let ran = tag_all(&inputs, &folder.path().join("out"), &["--dry-run"]);
    assert_eq!(ran.stdout, "3,000 images, size unknown\n", "{ran:?}");
}
