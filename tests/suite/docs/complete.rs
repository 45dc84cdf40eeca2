//! Tables that must be complete: error codes, exit codes, findings of `doctor`, fields of requests and
//! summaries.

use std::fs;

use serde_json::Value;
use tagfleet_pipeline::tags::Reason;
use tagfleet_tests::command::{run, tagfleet};
use tagfleet_tests::photos::files;
use tagfleet_tests::project;

fn page(name: &str) -> String {
    fs::read_to_string(project("docs").join(name)).unwrap()
}

/// The names in the first column of every table of a page: `| `a`, `b` | ...`.
fn rows(text: &str) -> Vec<&str> {
    let first = text.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    first.flat_map(super::pages::quoted).collect()
}

/// What follows a heading, up to the next one.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("# {heading}\n")).unwrap();
    rest.split("\n#").next().unwrap()
}

/// Rows of the tables of a section, without their heads.
fn table_rows(section: &str) -> usize {
    let lines = section.lines().filter(|line| line.starts_with('|')).count();
    lines - 2 * section.matches("|---").count().min(1)
}

#[test]
fn every_error_code_has_an_entry() {
    let page = page("troubleshooting.md");
    let mut listed = rows(section(&page, "Failed images"));
    listed.sort_unstable();
    assert_eq!(listed, Reason::ALL.map(Reason::code));
}

#[test]
fn every_exit_code_has_an_entry() {
    let help = run(&mut tagfleet(["run", "--help"])).stdout;
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let codes: Vec<&str> = codes.split_whitespace().filter(|word| word.parse::<u8>().is_ok()).collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4"]);
    for code in codes {
        for name in ["troubleshooting.md", "runs.md"] {
            assert!(section(&page(name), "Exit codes").contains(&format!("\n| {code} |")), "{name}: {code}");
        }
    }
}

/// Findings that are bad, in the code of a check without its tests.
fn findings(file: &str) -> usize {
    let source = fs::read_to_string(project("cli/src/fleet/doctor").join(file)).unwrap();
    let code = source.split("mod tests {").next().unwrap();
    code.matches("Finding::warn(").count() + code.matches("Finding::fail(").count()
}

/// The sections of the checks, and the files with their findings. `doctor.rs` itself has the findings of two
/// checks.
const CHECKS: [(&[&str], &[&str]); 8] = [
    (&["doctor: credentials", "doctor: stack"], &["../doctor.rs"]),
    (&["doctor: cpu workers and gpu workers"], &["placement.rs"]),
    (&["doctor: quota"], &["quotas.rs"]),
    (&["doctor: network"], &["network.rs", "network/exit.rs"]),
    (&["doctor: trigger"], &["trigger.rs"]),
    (&["doctor: mail"], &["mail.rs"]),
    (&["doctor: encryption"], &["encryption.rs"]),
    (&["doctor: this machine"], &["machine.rs"]),
];

#[test]
fn every_finding_of_doctor_has_an_entry() {
    let page = page("troubleshooting.md");
    let mut known = 0;
    for (headings, files) in CHECKS {
        let entries: usize = headings.iter().map(|heading| table_rows(section(&page, heading))).sum();
        let found: usize = files.iter().map(|file| findings(file)).sum();
        assert_eq!(entries, found, "{headings:?} against {files:?}");
        known += found;
    }
    let all = files(&project("cli/src/fleet/doctor"));
    let all: usize = all.iter().map(|file| findings(file.to_str().unwrap())).sum();
    assert_eq!(known, all + findings("../doctor.rs"), "a file of doctor has findings and no section");
}

#[test]
fn every_field_of_a_request_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.json");
    fs::write(&file, "{\"\": 1}").unwrap();
    let ran = run(tagfleet(["submit", "--request"]).arg(&file));
    let (_, fields) = ran.stderr.split_once("expected one of ").unwrap();
    let fields: Vec<&str> = super::pages::quoted(fields).collect();
    assert!(fields.len() > 10, "{fields:?}");
    let page = page("reference/request.md");
    for field in fields {
        assert!(rows(&page).contains(&field), "{field} is not in reference/request.md");
    }
}

#[test]
fn every_field_of_a_summary_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut command =
        tagfleet(["run", "demo/photos", "--model", "demo/model", "--engine", "tract", "--json"]);
    let ran = run(command.arg("--quiet").arg("--out").arg(folder.path()));
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    let page = page("reference/summary.md");
    for field in summary.as_object().unwrap().keys() {
        assert!(rows(&page).contains(&field.as_str()), "{field} is not in reference/summary.md");
    }
}
