//! The JSON Schemas of the reference are those of the types, and records of real runs validate against them.
//!
//! The records of a fleet are checked in fleet/metering.rs.

use std::fs;

use serde_json::{Value, json};
use tagfleet_tests::command::{run, tagfleet};
use tagfleet_tests::project;
use tagfleet_tests::rows::runs;
use tagfleet_tests::schemas;

/// The errors of a record by the schema in this file of the reference.
fn errors(name: &str, record: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(&schemas::stored(name)).unwrap();
    validator.iter_errors(record).map(|error| error.to_string()).collect()
}

/// Fails if a record does not match the reference.
pub(crate) fn check(name: &str, record: &Value) {
    assert_eq!(errors(name, record), [] as [String; 0], "{name}: {record}");
}

#[test]
fn the_schemas_of_the_reference_are_those_of_the_types() {
    let folder = project(schemas::FOLDER);
    let mut known = Vec::new();
    for (name, schema) in schemas::all() {
        let stored = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(stored == schemas::text(&schema), "{name} is not current: run `make reference`");
        known.push(name.to_owned());
    }
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(files.into_iter().all(|file| known.contains(&file)), "a file has no type");
}

#[test]
fn the_records_of_a_run_are_what_the_schemas_describe() {
    let out = tempfile::tempdir().unwrap();
    let photos = tempfile::tempdir().unwrap();
    for name in ["home/sku-0012.jpg", "autumn/sku-0000.jpg"] {
        let file = project("demo/photos").join(name);
        fs::copy(&file, photos.path().join(file.file_name().unwrap())).unwrap();
    }
    fs::write(photos.path().join("broken.jpg"), b"\xff\xd8\xff\xe0 no picture").unwrap();
    fs::write(photos.path().join("labels.csv"), "skipped").unwrap();
    let mut command = tagfleet(["run", "--model", "demo/model", "--engine", "tract", "--json", "--quiet"]);
    let ran = run(command.args(["--output", "logits"]).arg(photos.path()).arg("--out").arg(out.path()));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let folder = runs(out.path()).remove(0);
    let stored =
        |name: &str| -> Value { serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap() };
    check("run.json", &stored("request.json"));
    check("summary.json", &stored("summary.json"));
    check("summary.json", &serde_json::from_str(&ran.stdout).unwrap());
    assert!(stored("summary.json")["skipped"]["text"]["files"] == 1, "{ran:?}");
}

#[test]
fn a_schema_refuses_what_is_not_such_a_record() {
    let request = json!({"version": 1, "input": ["s3://shop/photos/"], "model": "s3://b/models/m/"});
    check("request.json", &request);
    for (field, wrong) in
        [("inpt", json!([])), ("version", json!("1")), ("device", json!("tpu")), ("tags", json!([]))]
    {
        let mut other = request.clone();
        other[field] = wrong;
        assert!(!errors("request.json", &other).is_empty(), "{other}");
    }
    assert!(!errors("request.json", &json!({"version": 1})).is_empty(), "input and model are required");
    assert!(!errors("summary.json", &json!({"version": 1})).is_empty());
    assert!(!errors("usage.json", &json!({"kind": "unknown"})).is_empty());
}

#[test]
fn the_request_file_of_the_reference_is_valid() {
    let page = fs::read_to_string(project("docs/reference/request.md")).unwrap();
    let (_, example) = page.split_once("```json\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    check("request.json", &serde_json::from_str(example).unwrap());
}
