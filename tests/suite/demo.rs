//! The demos: every shipped picture has its true tags with either engine, and the demo of the fleet prints
//! its costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use tagfleet_tests::command::{built, run, tagfleet};
use tagfleet_tests::project;
use tagfleet_tests::rows::{Row, rows, runs};

fn truth() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(project("demo/truth.tsv")).unwrap();
    let mut truth = BTreeMap::new();
    for line in text.lines().skip(1) {
        let (key, tags) = line.split_once('\t').unwrap();
        truth.insert(key.to_owned(), tags.split(", ").map(str::to_owned).collect());
    }
    truth
}

fn tagged(engine: &str, arguments: &[&str]) -> Vec<Row> {
    let out = tempfile::tempdir().unwrap();
    let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model", "--engine", engine]);
    let ran = run(command.arg("--out").arg(out.path()).args(arguments));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.starts_with("engine: "), "{}", ran.stderr);
    rows(out.path())
}

fn assert_true(rows: &[Row]) {
    let found: BTreeMap<String, BTreeSet<String>> = rows
        .iter()
        .map(|row| (row.key.clone(), row.tags.iter().map(|tag| tag.0.clone()).collect()))
        .collect();
    assert_eq!(found, truth());
    assert!(rows.is_sorted_by_key(|row| &row.key));
}

#[test]
fn onnxruntime_gives_every_picture_its_true_tags() {
    let rows = tagged("onnxruntime", &[]);
    assert_true(&rows);
    let on_its_side = rows.iter().find(|row| row.key == "home/sku-0012.jpg").unwrap();
    assert_eq!(on_its_side.status, "tagged");
    assert!(on_its_side.bytes.unwrap() > 1000 && on_its_side.size.is_some());
}

#[test]
fn tract_agrees_in_every_score() {
    assert_true(&tagged("tract", &[]));
    let all = ["--top-k", "29", "--threshold", "0"];
    let (tract, onnxruntime) = (tagged("tract", &all), tagged("onnxruntime", &all));
    assert_eq!(tract.len(), onnxruntime.len());
    for (tract, onnxruntime) in tract.iter().zip(&onnxruntime) {
        let scores = |row: &Row| row.tags.iter().map(|tag| (tag.1, tag.2)).collect::<BTreeMap<_, _>>();
        let (tract, onnxruntime) = (scores(tract), scores(onnxruntime));
        assert_eq!((tract.len(), onnxruntime.len()), (29, 29));
        for (index, score) in tract {
            assert!((score - onnxruntime[&index]).abs() < 1e-4, "{index}: {score} {}", onnxruntime[&index]);
        }
    }
}

#[test]
fn a_run_writes_its_files_and_prints_its_result() {
    let out = tempfile::tempdir().unwrap();
    let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model", "--json", "--quiet"]);
    let ran = run(command.arg("--out").arg(out.path()));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let folder = runs(out.path()).remove(0);
    let mut files: Vec<String> = tagfleet_tests::photos::files(&folder)
        .iter()
        .map(|path| path.strip_prefix(&folder).unwrap().display().to_string())
        .collect();
    files.sort();
    assert_eq!(files, ["_SUCCESS", "report.html", "request.json", "results/00000.parquet", "summary.json"]);
    let printed: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let stored: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("summary.json")).unwrap()).unwrap();
    assert_eq!(printed, stored);
    assert_eq!(
        (&printed["images"], &printed["tagged"], &printed["state"]),
        (&60.into(), &60.into(), &"complete".into())
    );
    let request: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("request.json")).unwrap()).unwrap();
    assert_eq!(request["model"]["sha256"], printed["model_sha256"]);
    assert_eq!(request["engine"]["name"], "onnxruntime");
}

#[test]
fn rows_can_be_shown() {
    let out = tempfile::tempdir().unwrap();
    let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model", "--include", "summer/*"]);
    run(command.arg("--out").arg(out.path()));
    let shown = run(tagfleet(["show", "--rows", "3"]).arg(out.path()));
    insta::assert_snapshot!(shown.stdout);
    let failed = run(tagfleet(["show", "--failed"]).arg(out.path()));
    assert_eq!(failed.stdout, "");
    let json = run(tagfleet(["show", "--json", "-n", "1"]).arg(out.path()));
    let row: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(row["tags"][0]["score"].as_f64().unwrap() > 0.5);
}

#[test]
fn inspect_prints_how_the_model_is_read() {
    let ran =
        run(&mut tagfleet(["inspect", "demo/model", "demo/photos/home/sku-0012.jpg", "--engine", "tract"]));
    let text: String = ran
        .stdout
        .lines()
        .filter(|line| !line.starts_with("sha256"))
        .map(|line| format!("{line}\n"))
        .collect();
    insta::assert_snapshot!(text);
    assert_eq!(ran.code, Some(0));
    let json = run(&mut tagfleet(["inspect", "demo/model", "--json"]));
    let understood: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(understood["model"]["labels"].as_array().unwrap().len(), 29);
}

#[test]
fn the_fleets_demo_ends_with_its_costs_and_a_report_on_this_machine() {
    let ran = run(&mut Command::new(built("demo-aws")));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut reports = ran.stdout.split("\nreport     tagfleet report target/demo-aws/").skip(1);
    let (report, second) = (reports.next().unwrap(), reports.next().unwrap());
    for part in
        ["images   301: 301 tagged, 0 failed", ": 1 new, 1 changed, 0 tried again, 299 kept, 0 deleted"]
    {
        assert!(second.contains(part), "{part}: {second}");
    }
    for part in
        ["images   300: 300 tagged, 0 failed", "EC2             c7a.2xlarge spot us-east-1a ", "\ntotal "]
    {
        assert!(report.contains(part), "{part}: {report}");
    }
    let page = report.lines().find_map(|line| line.strip_prefix("report   ")).unwrap();
    assert!(fs::read_to_string(page).unwrap().contains("c7a.2xlarge"), "{page}");
}
