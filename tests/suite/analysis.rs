//! `tagfleet evaluate`, `tagfleet diff` and `--thresholds` on runs of the demo's pictures.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::photos::copy_folder;
use tagfleet_tests::project;
use tagfleet_tests::rows::{rows_of, runs};
use tempfile::TempDir;

/// A run of a folder of pictures.
fn tag(photos: &Path, out: &Path, options: &[&str]) -> PathBuf {
    let mut command = tagfleet(["run", "--model", "demo/model", "--engine", "tract", "--quiet"]);
    let ran = run(command.arg(photos).args(options).arg("--out").arg(out));
    assert!(matches!(ran.code, Some(0 | 3)), "{}", ran.stderr);
    runs(out).pop().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn evaluate(of: &Path, truth: &Path, out: &Path, options: &[&str]) -> Ran {
    let mut command = tagfleet(["evaluate"]);
    run(command.arg(of).arg("--truth").arg(truth).arg("--out").arg(out).args(options))
}

fn diff(a: &Path, b: &Path, out: &Path, options: &[&str]) -> Ran {
    run(tagfleet(["diff"]).arg(a).arg(b).arg("--out").arg(out).args(options))
}

/// Replaces the names of runs and folders, which differ from machine to machine.
fn without_places(text: &str, places: &[&Path]) -> String {
    let mut text = text.to_owned();
    for (number, place) in places.iter().enumerate() {
        let name = place.file_name().unwrap().to_str().unwrap();
        text = text.replace(place.to_str().unwrap(), &format!("PLACE{number}"));
        text = text.replace(name, &format!("RUN{number}"));
    }
    text
}

#[test]
fn a_run_is_evaluated_and_its_thresholds_are_kept() {
    let folder = TempDir::new().unwrap();
    let page = folder.path().join("evaluation");
    let options = ["--threshold", "0", "--top-k", "29"];
    let all = tag(&project("demo/photos"), &folder.path().join("all"), &options);
    let ran = evaluate(&all, &project("demo/truth.tsv"), &page, &["--precision", "0.9"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let text = without_places(&ran.stdout, &[&all, &page]);
    assert!(text.contains("images   60 evaluated\n"), "{text}");
    let evaluation = json(&page.join("evaluation.json"));
    assert_eq!(
        evaluation["labels"].as_array().unwrap().len(),
        29,
        "with --threshold 0 a row has every label"
    );
    let micro = &evaluation["averages"]["micro"];
    assert_eq!((micro["recall"].as_f64(), evaluation["exact"].as_f64()), (Some(1.0), Some(0.0)));
    let html = fs::read_to_string(page.join("evaluation.html")).unwrap();
    assert!(html.contains("data:image/jpeg;base64,") && html.contains("id=\"thresholds\""));

    let thresholds = page.join("thresholds.toml");
    let options = ["--thresholds", thresholds.to_str().unwrap(), "--threshold", "1", "--top-k", "29"];
    let kept = tag(&project("demo/photos"), &folder.path().join("kept"), &options);
    let found = evaluation["thresholds"]["labels"].as_array().unwrap();
    let mut lowest: BTreeMap<&str, f32> = BTreeMap::new();
    for label in found.iter().filter(|label| label["too_few"] == false) {
        let threshold = label["threshold"].as_f64().map_or(f32::INFINITY, |threshold| threshold as f32);
        lowest.insert(label["label"].as_str().unwrap(), threshold);
    }
    assert!(lowest.len() > 5, "{lowest:?}");
    for (row, whole) in rows_of(&kept).iter().zip(rows_of(&all)) {
        let expected: Vec<_> = whole
            .tags
            .into_iter()
            .filter(|(label, _, score)| *score >= *lowest.get(label.as_str()).unwrap_or(&1.0))
            .collect();
        assert_eq!(row.tags, expected, "{}", row.key);
    }
    let request = json(&kept.join("request.json"));
    assert_eq!(request["tags"]["thresholds"].as_object().unwrap().len(), lowest.len());
    let better = evaluate(&kept, &project("demo/truth.tsv"), &page, &["--json"]);
    let better: Value = serde_json::from_str(&better.stdout).unwrap();
    for label in better["labels"].as_array().unwrap() {
        if lowest.contains_key(label["label"].as_str().unwrap()) && label["predicted"] != 0 {
            assert!(label["precision"].as_f64().unwrap() >= 0.9, "{label}");
        }
    }
}

#[test]
fn absent_figures_are_named() {
    let folder = TempDir::new().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("tags"));
    copy_folder(&project("demo/photos/autumn"), &photos.join("mug"));
    fs::write(photos.join("mug/broken.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    fs::copy(photos.join("mug/sku-0000.jpg"), photos.join("alone.jpg")).unwrap();
    let of = tag(&photos, &out, &[]);
    let ran = evaluate(&out, Path::new("folders"), folder.path(), &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(without_places(&ran.stdout, &[&of, folder.path()]));

    let truth = folder.path().join("labels.csv");
    fs::write(&truth, "image,label\nmug/sku-0000.jpg,mug;unicorn\nmug/sku-0072.png,unicorn\ngone.jpg,mug\n")
        .unwrap();
    let ran = evaluate(&of, &truth, folder.path(), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr, @r#"warning: the model does not have 1 label of the truth, "unicorn" first: images with no other label are in no figure"#);
    let images = &json(&folder.path().join("evaluation.json"))["images"];
    let counts =
        ["evaluated", "unknown_label", "only_in_truth", "only_in_run"].map(|name| images[name].as_u64());
    assert_eq!(counts, [1, 1, 1, 17].map(Some));
}

#[test]
fn a_wrong_truth_or_threshold_is_bad_input() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("tags");
    let of = tag(&project("demo/photos/home"), &out, &[]);
    let file = folder.path().join("file");
    let why = |text: &str| {
        fs::write(&file, text).unwrap();
        let ran = evaluate(&of, &file, folder.path(), &[]);
        assert_eq!(ran.code, Some(2), "{}", ran.stdout);
        without_places(&ran.stderr, &[folder.path()])
    };
    let said = [why("bild,label\na,b\n"), why("key,label\nhome/sku-0012.jpg,mug\n"), why("")];
    insta::assert_snapshot!(said.concat());
    let refused = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut command = tagfleet(["run", "demo/photos/home", "--model", "demo/model", "--engine", "tract"]);
        let ran = run(command.arg("--thresholds").arg(&file).arg("--out").arg(&out));
        assert_eq!(ran.code, Some(2));
        without_places(&ran.stderr, &[folder.path()])
    };
    let said = [refused("[thresholds]\nmugg = 0.5\n"), refused("mug = 0.5\n")];
    insta::assert_snapshot!(said.concat());
}

#[test]
fn two_nights_are_compared() {
    let folder = TempDir::new().unwrap();
    let photos = folder.path().join("photos");
    copy_folder(&project("demo/photos"), &photos);
    let first = tag(&photos, &folder.path().join("monday"), &[]);
    let ran = diff(&first, &first, folder.path(), &[]);
    assert_eq!(ran.code, Some(2));
    fs::remove_file(photos.join("autumn/sku-0000.jpg")).unwrap();
    fs::write(photos.join("autumn/sku-0072.png"), "no picture").unwrap();
    fs::copy(photos.join("home/sku-0012.jpg"), photos.join("home/new.jpg")).unwrap();
    fs::copy(photos.join("home/sku-0012.jpg"), photos.join("home/sku-0096.jpg")).unwrap();
    let second = tag(&photos, &folder.path().join("tuesday"), &[]);

    let same = diff(&first, &second, folder.path(), &["--max-flips", "50%"]);
    assert_eq!((same.code, same.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(without_places(&same.stdout, &[&first, &second, folder.path()]));
    let flips = fs::read_to_string(folder.path().join("flips.csv")).unwrap();
    assert!(flips.starts_with("key,from,to\nhome/sku-0096.jpg,") && flips.lines().count() == 2, "{flips}");
    let html = fs::read_to_string(folder.path().join("diff.html")).unwrap();
    assert!(html.contains("data:image/jpeg;base64,") && html.contains("home/sku-0096.jpg"));
    let found = json(&folder.path().join("diff.json"));
    let names = ["kept", "flipped", "new", "deleted", "failed", "healed"];
    assert_eq!(names.map(|name| found["images"][name].as_u64()), [57, 1, 1, 1, 1, 0].map(Some));

    let limited = diff(&first, &second, folder.path(), &["--max-flips", "0.01", "--json"]);
    assert_eq!(limited.code, Some(5));
    let printed: Value = serde_json::from_str(&limited.stdout).unwrap();
    assert_eq!(printed["exceeds_max_flips"], true);
    let back = diff(&second, &first, folder.path(), &["--json"]);
    let back: Value = serde_json::from_str(&back.stdout).unwrap();
    assert_eq!(names.map(|name| back["images"][name].as_u64()), [57, 1, 1, 1, 0, 1].map(Some));
}
