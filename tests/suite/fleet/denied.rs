//! A fleet over objects that S3 refuses: rows up to the limit. Beyond it the run keeps its rows and prints
//! how to resume.

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, one_picture};

fn upload(fleet: &Fleet, readable: usize, denied: usize) {
    fleet.upload_copies(readable);
    let keys: Vec<String> = (0..denied).map(|number| format!("photos/403-{number:03}.jpg")).collect();
    fleet.cloud.emulator().fill(fleet.bucket(), &keys, &one_picture());
}

fn summary(fleet: &Fleet, run: &str) -> Value {
    serde_json::from_slice(&fleet.cloud.get(&format!("tags/{run}/summary.json")).unwrap()).unwrap()
}

fn denied_rows(fleet: &Fleet, run: &str) -> (usize, usize) {
    let rows = fleet.rows(run);
    let denied = rows.iter().filter(|row| row.error_code.as_deref() == Some("denied")).count();
    (rows.len(), denied)
}

#[test]
fn a_few_refused_objects_are_rows_of_a_complete_run() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    upload(&fleet, 300, 5);
    let run = fleet.submit(&fleet.request(&json!({})));
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!(status, "SUCCEEDED", "{ended}: {}", summary(&fleet, &run)["problem"]);
    assert_eq!(denied_rows(&fleet, &run), (305, 5));
}

#[test]
fn too_many_refused_objects_end_a_run_until_resume_accepts_them() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    upload(&fleet, 560, 20);
    let run = fleet.submit(&fleet.request(&json!({"notify": ["ops@example.com"]})));
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("tagfleet.Incomplete")), "{ended}");
    let go_on = format!("tagfleet resume {run} --accept-denied");
    let summary = summary(&fleet, &run);
    let problem = summary["problem"].as_str().unwrap();
    assert!(problem.contains("of 580 images cannot be read") && problem.contains(&go_on), "{problem}");
    assert_eq!(fleet.cloud.jobs().len(), 1, "another round would have the same result");
    let mail = fleet.cloud.mails().pop().unwrap();
    assert!(mail["BodyText"].as_str().unwrap().contains("--accept-denied"), "{mail}");
    let kept = fleet.cloud.keys(&format!("tags/{run}/results/"));
    assert_eq!(
        kept.is_empty(),
        summary["rows"] == json!(0),
        "{kept:?}: finished rows can be read: {summary}"
    );
    let ran = fleet.tagfleet(&["resume", &run, "--accept-denied", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (status, ended) = fleet.wait(&fleet.execution(&format!("{run}-2")));
    assert_eq!(status, "SUCCEEDED", "{ended}");
    assert_eq!(denied_rows(&fleet, &run), (580, 20));
}
