//! Environment variables of options, and the files for shells and manuals.

use tagfleet_tests::command::{run, tagfleet};
use tagfleet_tests::rows::{rows, runs};

#[test]
fn variables_set_options_and_the_report_repeats_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tagfleet(["run", "demo/photos", "--include", "home/*"]);
    command
        .env("TAGFLEET_MODEL", "demo/model")
        .env("TAGFLEET_OUT", folder.path())
        .env("TAGFLEET_ENGINE", "tract");
    let ran = run(&mut command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("tract"), "{}", ran.stdout);
    assert_eq!(rows(folder.path()).len(), 9);
    let summary = std::fs::read_to_string(runs(folder.path())[0].join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let command = format!(
        "TAGFLEET_ENGINE=tract TAGFLEET_MODEL=demo/model TAGFLEET_OUT={} tagfleet run demo/photos --include 'home/*'",
        folder.path().display()
    );
    assert_eq!(summary["command"], command);
}

#[test]
fn a_wrong_value_is_reported_with_its_variable_unless_the_option_is_given() {
    let wrong = |arguments: &[&str]| {
        let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model", "--out", "/nowhere"]);
        let ran = run(command.args(arguments).env("TAGFLEET_ENGINE", "fast"));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        ran.stderr
    };
    let by_variable = wrong(&[]);
    assert!(by_variable.starts_with("error: invalid value 'fast' for '--engine <ENGINE>'"), "{by_variable}");
    assert!(by_variable.ends_with("\nthe value is that of the variable TAGFLEET_ENGINE\n"), "{by_variable}");
    assert!(!wrong(&["--engine", "faster"]).contains("variable"));
}

/// A request file describes the whole run, so a variable cannot contradict it.
#[test]
fn a_request_file_ignores_variables() {
    let mut command = tagfleet(["submit", "--request", "/dev/null"]);
    let ran = run(command.env("TAGFLEET_ENGINE", "tract").env("TAGFLEET_MODEL", "demo/model"));
    assert!(ran.stderr.starts_with("error: --request /dev/null: "), "{ran:?}");
}

#[test]
fn help_names_variables_and_never_their_values() {
    let mut command = tagfleet(["run", "--help"]);
    let help = run(command.env("TAGFLEET_MODEL", "a-private-place")).stdout;
    assert!(help.contains("TAGFLEET_MODEL") && !help.contains("a-private-place"), "{help}");
}

#[test]
fn completions_and_pages_are_printed() {
    let script = run(&mut tagfleet(["completions", "bash"]));
    assert_eq!((script.code, script.stderr.as_str()), (Some(0), ""));
    let parsed = run(std::process::Command::new("bash").args(["-n", "-c", &script.stdout]));
    assert_eq!((parsed.code, parsed.stderr.as_str()), (Some(0), ""));
    let page = run(&mut tagfleet(["man", "run"]));
    assert_eq!(page.code, Some(0), "{page:?}");
    assert!(page.stdout.contains(".TH tagfleet-run 1"), "{}", &page.stdout[..200]);
    let unknown = run(&mut tagfleet(["man", "tag"]));
    assert_eq!(unknown.code, Some(2));
    assert_eq!(unknown.stderr, "error: no command \"tag\": `tagfleet --help` lists them\n");
}

#[test]
fn the_short_version_is_one_line_and_the_long_one_names_the_engines() {
    let short = run(&mut tagfleet(["-V"])).stdout;
    assert!(short.starts_with("tagfleet 0.") && short.contains("-linux-gnu)"), "{short}");
    assert_eq!(short.lines().count(), 1, "{short}");
    let long = run(&mut tagfleet(["--version"])).stdout;
    assert!(long.starts_with(&short), "{long}");
    let engines: Vec<&str> = long.lines().skip(1).filter_map(|line| line.split("  ").nth(1)).collect();
    assert_eq!(engines, ["ONNX Runtime", "OpenVINO", "tract"]);
}
