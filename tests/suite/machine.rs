//! `tagfleet doctor --local` on this machine. A machine without engines is in wheel.rs.

use std::process::Command;

use serde_json::Value;
use tagfleet_tests::command::{Ran, run, tagfleet};

fn doctor(arguments: &[&str]) -> Command {
    let mut command = tagfleet(["doctor", "--local"]);
    command.args(arguments).env_remove("TAGFLEET_STACK");
    command
}

fn findings(ran: &Ran) -> Vec<Value> {
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn a_small_model_works_on_each_engine_that_is_found() {
    let ran = run(&mut doctor(&["--json"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let findings = findings(&ran);
    let checks: Vec<&str> = findings.iter().map(|finding| finding["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["onnxruntime", "openvino", "tract", "processor", "memory"]);
    for finding in &findings[..3] {
        let found = finding["found"].as_str().unwrap();
        let is_missing = finding["check"] == "openvino" && found.starts_with("not found; it is optional");
        assert!(
            finding["level"] == "ok" && (is_missing || found.ends_with("; a small model works")),
            "{finding}"
        );
    }
    assert!(
        findings[0]["found"].as_str().unwrap().contains(" from /"),
        "where it was found: {}",
        findings[0]
    );
    assert!(findings[3]["found"].as_str().unwrap().contains("core"), "{}", findings[3]);
}

#[test]
fn it_ends_with_a_sentence_and_needs_no_stack() {
    let ran = run(doctor(&[]).env("TAGFLEET_STACK", "nightly"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stdout.contains("\nthis machine "), "{ran:?}");
    let refused = run(&mut doctor(&["--region", "eu-central-1"]));
    assert_eq!(refused.code, Some(2), "--region is only for AWS: {refused:?}");
}
