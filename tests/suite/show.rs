//! `tagfleet show`: its options, and keys of any name that lead back to their images.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::photos::files;
use tagfleet_tests::project;
use tagfleet_tests::rows::{rows, rows_of, runs, runs_and_models};
use tempfile::TempDir;

fn show(out: &Path, options: &[&str]) -> Ran {
    run(tagfleet(["show"]).arg(out).args(options))
}

/// A folder in which every second file is a picture, and the output of its run.
fn tagged(names: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
    fs::create_dir(&photos).unwrap();
    let picture = fs::read(files(&project("demo/photos")).remove(0)).unwrap();
    for (number, name) in names.iter().enumerate() {
        let bytes = if number % 2 == 0 { picture.as_slice() } else { b"\x89PNG\r\n\x1a\n" };
        fs::write(photos.join(name), bytes).unwrap();
    }
    let mut command = tagfleet(["run", "--model", "demo/model", "--quiet"]);
    assert_eq!(run(command.arg(&photos).arg("--out").arg(&out)).code, Some(3));
    (folder, out)
}

/// Tags the listed files again. Returns the keys of the rows.
fn tag_listed(folder: &Path, list: &str) -> Vec<String> {
    let again = folder.join("again");
    let mut command = tagfleet(["run", "--model", "demo/model", "--quiet", "--keys", "-"]);
    command.arg(folder.join("photos")).arg("--out").arg(&again).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    child.wait().unwrap();
    rows_of(runs(&again).last().unwrap()).into_iter().map(|row| row.key).collect()
}

#[test]
fn failed_keys_are_a_list_for_the_next_run() {
    let (folder, out) = tagged(&["a.jpg", "b c.jpg", "d.jpg", "ü.jpg"]);
    let list = show(&out, &["--failed", "--keys-only"]).stdout;
    assert_eq!(list, "b c.jpg\nü.jpg\n");
    assert_eq!(tag_listed(folder.path(), &list), ["b c.jpg", "ü.jpg"]);
    let json = show(&out, &["--failed", "--keys-only", "--json", "-n", "1"]).stdout;
    assert_eq!(json, "\"b c.jpg\"\n");
}

#[test]
fn keys_of_any_name_lead_back_to_their_images() {
    let names =
        ["1", "line\nbreak", "2", "\u{feff}mark", "3", "return\r", "4", "\u{202e}gpj", "5", " space "];
    let (folder, out) = tagged(&names);
    let list = show(&out, &["--failed", "--keys-only"]).stdout;
    let mut failed: Vec<&str> = names.iter().copied().skip(1).step_by(2).collect();
    failed.sort_unstable();
    assert_eq!(tag_listed(folder.path(), &list), failed, "{list:?}");
}

#[test]
fn rows_are_chosen_by_label_and_by_score() {
    let out = tempfile::tempdir().unwrap();
    let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model", "--quiet"]);
    assert_eq!(run(command.arg("--out").arg(out.path())).code, Some(0));
    let rows = rows(out.path());

    let with = |label: &str| {
        let has = |tags: &[(String, i32, f32)]| tags.iter().any(|(given, _, _)| given == label);
        rows.iter().filter(|row| has(&row.tags)).map(|row| format!("{}\n", row.key)).collect::<String>()
    };
    assert_eq!(show(out.path(), &["--label", "red", "--keys-only"]).stdout, with("red"));
    let below = show(out.path(), &["--below", "0.99", "--json", "-n", "1000"]).stdout;
    let mut scores = Vec::new();
    for line in below.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        scores.push(row["tags"][0]["score"].as_f64().unwrap_or(f64::NEG_INFINITY));
    }
    assert!(scores.is_sorted() && scores.iter().all(|score| *score < 0.99), "{scores:?}");
    let is_below = |score: Option<&(String, i32, f32)>| score.is_none_or(|(_, _, score)| *score < 0.99);
    assert_eq!(scores.len(), rows.iter().filter(|row| is_below(row.tags.first())).count());

    let wrong = show(out.path(), &["--label", "rad"]);
    assert_eq!(wrong.code, Some(2));
    insta::assert_snapshot!(wrong.stderr, @r#"error: --label: the model has no label "rad"; the nearest are "gradient", "red", "hat""#);
    let path = show(out.path(), &["--path"]).stdout;
    assert_eq!(Path::new(path.trim_end()), runs(out.path())[0].join("results").canonicalize().unwrap());
}

#[test]
fn a_row_names_its_run_and_its_model() {
    let (_folder, out) = tagged(&["a.jpg", "b.jpg"]);
    let request = fs::read(runs(&out)[0].join("request.json")).unwrap();
    let request: serde_json::Value = serde_json::from_slice(&request).unwrap();
    let hash = request["model"]["sha256"].as_str().unwrap();
    let run = &runs(&out)[0];
    let id = run.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(runs_and_models(run), [[id, format!("model@{}", &hash[..8])]].into());
}
