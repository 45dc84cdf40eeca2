//! From a plan to its request file, to a run, and to the comparison of the run with its plan.

use std::fs;

use serde_json::{Value, json};

use super::budget::deploy;

#[test]
fn a_plan_becomes_a_request_and_its_run_is_compared_with_the_plan() {
    let fleet = deploy();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.json");
    let file = file.to_str().unwrap();
    let input = format!("s3://{}/photos/", fleet.bucket());
    let planned = fleet.tagfleet(&["plan", &input, "--model", "demo/model", "--save", file]);
    assert_eq!(planned.code, Some(0), "{planned:?}");
    let lines: Vec<&str> = planned.stdout.lines().collect();
    assert!(planned.stdout.starts_with("images   60 (counted)"), "{}", planned.stdout);
    let recommended = lines.iter().position(|line| line.starts_with("take ")).unwrap();
    assert!(lines[recommended + 1].starts_with(&format!("{file} asks for s3://")), "{}", planned.stdout);
    assert!(lines[recommended + 2].contains(&format!("submit --request {file}")), "{}", planned.stdout);

    let request: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!((&request["input"], &request["plan"]["images"]), (&json!([input]), &json!(60)));
    let mut request = request;
    request["notify"] = json!(["ops@example.com"]);
    let run = fleet.submit(&request);
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!(status, "SUCCEEDED", "{ended}");
    let cost: Value =
        serde_json::from_slice(&fleet.cloud.get(&format!("tags/{run}/cost.json")).unwrap()).unwrap();
    let beside = &cost["plan"];
    assert_eq!((&beside["planned"], &beside["actual"]["images"]), (&request["plan"], &json!(60)), "{cost}");
    let reasons = beside["reasons"].as_array().unwrap().iter();
    let sum: f64 = reasons.map(|reason| reason["usd"].as_f64().unwrap()).sum();
    assert!((sum - beside["difference_usd"].as_f64().unwrap()).abs() < 1e-9, "{beside}");

    let told = fleet.tagfleet(&["report", &run]).stdout;
    assert!(told.contains("planned  $") && told.contains("\nplan and actual"), "{told}");
    let mail = fleet.cloud.mails().pop().unwrap();
    for (part, said) in [("BodyText", "\nplan and actual"), ("BodyHtml", "Plan and actual</caption>")] {
        assert!(mail[part].as_str().unwrap().contains(said), "{mail}");
    }
    let page = fleet.cloud.get(&format!("tags/{run}/report.html")).unwrap();
    assert!(String::from_utf8(page).unwrap().contains("<caption>Plan and actual</caption>"));
}

#[test]
fn a_request_is_only_written_where_it_can_be_and_a_plan_is_kept_from_json_too() {
    let fleet = deploy();
    let local = fleet.tagfleet(&["plan", "demo/photos", "--model", "demo/model", "--save", "none.json"]);
    assert_eq!(local.code, Some(2), "{local:?}");
    assert!(local.stderr.contains("--save: a fleet reads buckets only"), "{local:?}");
    let folder = tempfile::tempdir().unwrap();
    let [printed, saved] = ["plan.json", "request.json"].map(|name| folder.path().join(name));
    let [input, prefix] =
        ["photos/", "photos/summer/"].map(|prefix| format!("s3://{}/{prefix}", fleet.bucket()));
    let planned = fleet.tagfleet(&["plan", &prefix, "--model", "demo/model", "--json", "--images", "3M"]);
    assert_eq!(planned.code, Some(0), "{planned:?}");
    fs::write(&printed, &planned.stdout).unwrap();
    let [plan, save] = [&printed, &saved].map(|path| path.to_str().unwrap());
    let arguments = ["submit", &input, "--model", "demo/model", "--plan", plan, "--save", save];
    let ran = fleet.tagfleet(&arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let request: Value = serde_json::from_slice(&fs::read(&saved).unwrap()).unwrap();
    assert_eq!(request["plan"]["images"], json!(3_000_000));
    fs::write(&printed, "{}").unwrap();
    let none = fleet.tagfleet(&arguments);
    assert!(none.code == Some(2) && none.stderr.contains("this plan recommends nothing"), "{none:?}");
}
