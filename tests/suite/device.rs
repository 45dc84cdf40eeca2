//! The path of a GPU through the real command, with the CPU in its place: bytes, feeding threads, batches and
//! faults. Nothing here shows that a GPU works.

use std::fs;
use std::path::Path;
use std::process::Command;

use tagfleet_tests::command::{run, tagfleet};
use tagfleet_tests::photos::{files, fill};
use tagfleet_tests::rows::{Row, rows, runs};
use tagfleet_tests::{deadly, project};

fn command(photos: &Path, out: &Path, flags: &[&str]) -> Command {
    let mut command = tagfleet(["run", "--model", "demo/model", "--engine", "onnxruntime"]);
    command.arg(photos).arg("--out").arg(out).args(flags);
    command
}

/// The rows, and what the command printed.
fn tagged(photos: &Path, flags: &[&str]) -> (Vec<Row>, String, serde_json::Value) {
    let out = tempfile::tempdir().unwrap();
    let ran = run(&mut command(photos, out.path(), flags));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let request = fs::read_to_string(runs(out.path())[0].join("request.json")).unwrap();
    let engine = serde_json::from_str::<serde_json::Value>(&request).unwrap()["engine"].clone();
    (rows(out.path()), ran.stdout + &ran.stderr, engine)
}

#[test]
fn rows_have_the_bits_of_a_run_without_a_device() {
    let photos = project("demo/photos");
    let all = ["--top-k", "29", "--threshold", "0"];
    let (usual, said, engine) = tagged(&photos, &[&["--device", "cpu"], &all[..]].concat());
    assert!(engine["device"].is_null() && !said.contains("stages   "), "{engine} {said}");
    let (fed, said, engine) = tagged(&photos, &[&["--device", "rehearsal"], &all[..]].concat());
    assert_eq!(engine["device"], "rehearsal");
    assert!(said.contains("a GPU's path rehearsed on the processor"), "{said}");
    assert!(said.contains("(decode ") && said.contains(" images/s per vCPU, "), "{said}");
    assert_eq!(fed.len(), files(&photos).len());
    assert_eq!(fed, usual);
}

#[test]
fn sixteen_bits_find_the_same_tags() {
    let photos = project("demo/photos");
    let (wide, ..) = tagged(&photos, &["--device", "cpu"]);
    let (narrow, said, engine) = tagged(&photos, &["--device", "rehearsal", "--precision", "fp16"]);
    assert_eq!(engine["precision"], "fp16");
    assert!(said.contains("(fp16, "), "{said}");
    let tags = |rows: &[Row]| -> Vec<Vec<i32>> {
        rows.iter().map(|row| row.tags.iter().map(|tag| tag.1).collect()).collect()
    };
    assert_eq!(tags(&narrow), tags(&wide));
    assert_ne!(narrow, wide, "the scores differ, because the computation used 16 bits");
}

#[test]
fn a_picture_that_kills_the_process_costs_its_own_row() {
    let folder = tempfile::tempdir().unwrap();
    let [photos, quiet, out] = ["photos", "quiet", "out"].map(|name| folder.path().join(name));
    fill(&photos, 300);
    assert_eq!(run(&mut command(&photos, &quiet, &["--device", "cpu"])).code, Some(0));
    for name in ["00000-first.jpg", "00150-a.jpg", "00150-b.jpg"] {
        deadly::write(&photos.join(name), deadly::SEGV);
    }
    let library = deadly::library(folder.path());
    let ran = run(command(&photos, &out, &["--device", "rehearsal"]).env("LD_PRELOAD", library));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let (crashed, others): (Vec<Row>, Vec<Row>) =
        rows(&out).into_iter().partition(|row| row.error_code.as_deref() == Some("crashed"));
    let crashed: Vec<&str> = crashed.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(crashed, ["00000-first.jpg", "00150-a.jpg", "00150-b.jpg"]);
    assert_eq!(others, rows(&quiet));
}
