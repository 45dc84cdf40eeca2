//! No telemetry: no command leaves a file in the user's home, and none looks up a host name.
//!
//! Controls show that these tests detect both: ONNX Runtime without the variable does leave files. A library
//! that is loaded before libc catches the look-ups of the command and its child.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::project;

/// The variables that disable ONNX Runtime's telemetry: the one that tagfleet sets, and those of CI services.
///
/// A test that inherits one of them would always pass.
const SILENCERS: [&str; 13] = [
    "ORT_DISABLE_TELEMETRY",
    "CI",
    "TF_BUILD",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "CIRCLECI",
    "TRAVIS",
    "JENKINS_URL",
    "CODEBUILD_BUILD_ID",
    "BUILDKITE",
    "TEAMCITY_VERSION",
    "APPVEYOR",
    "BITBUCKET_BUILD_NUMBER",
];

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The library that reports lookups, compiled into `folder`.
fn catcher(folder: &Path) -> PathBuf {
    let library = folder.join("name_lookups.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(project("tests/preload/name_lookups.c"));
    assert!(compiler.status().unwrap().success());
    library
}

/// Gives a command the environment of a user at a terminal, with this home.
fn as_a_user(command: &mut Command, home: &Path) {
    for variable in SILENCERS {
        command.env_remove(variable);
    }
    command.env("HOME", home).env_remove("XDG_CACHE_HOME");
}

fn watched(home: &Path, catcher: &Path, arguments: &[&str]) -> Ran {
    let mut command = tagfleet(arguments);
    as_a_user(&mut command, home);
    run(command.env("LD_PRELOAD", catcher))
}

#[test]
fn no_command_leaves_a_file_at_home_or_looks_a_name_up() {
    let folder = tempfile::tempdir().unwrap();
    let (home, out) = (folder.path().join("home"), folder.path().join("out"));
    fs::create_dir(&home).unwrap();
    let catcher = catcher(folder.path());
    let out = out.to_str().unwrap();
    let picture = "demo/photos/autumn/sku-0000.jpg";
    let commands: [&[&str]; 11] = [
        &["run", "demo/photos", "--model", "demo/model", "--out", out, "--engine", "onnxruntime"],
        &["run", "demo/photos", "--model", "demo/model", "--out", out, "--engine", "openvino", "--new"],
        &["run", "demo/photos", "--model", "demo/model", "--out", out, "--device", "rehearsal", "--new"],
        &["inspect", "demo/model", picture, "--engine", "onnxruntime"],
        &["inspect", "demo/model", picture, "--engine", "openvino"],
        &["plan", "demo/photos", "--model", "demo/model", "--images", "1000"],
        &["fit", "demo/model", "--images", "demo/photos", "--dry-run"],
        &["show", out],
        &["report", out],
        &["prices", "show"],
        &["doctor", "--local"],
    ];
    for arguments in commands {
        let ran = watched(&home, &catcher, arguments);
        assert!(matches!(ran.code, Some(0 | 3)), "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.contains("NAME LOOKUP"), "{arguments:?}: {ran:?}");
        assert_eq!(files(&home), [] as [PathBuf; 0], "{arguments:?}");
    }
}

#[test]
fn the_same_library_does_report_without_the_variable() {
    let home = tempfile::tempdir().unwrap();
    let python = project(".venv/bin/python");
    let mut command = Command::new(python);
    command.args([
        "-c",
        "import onnxruntime as o; o.InferenceSession('demo/model/model.onnx'); print(o.__version__)",
    ]);
    command.current_dir(project("."));
    as_a_user(&mut command, home.path());
    let ran = run(&mut command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        !files(home.path()).is_empty(),
        "ONNX Runtime {} reports no more: is the variable still needed?",
        ran.stdout
    );
}

#[test]
fn a_lookup_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["run", "s3://shop/p/", "--model", "demo/model", "--out", "/nowhere", "--dry-run"];
    let mut command = tagfleet(arguments);
    command
        .env("LD_PRELOAD", catcher(folder.path()))
        .env("AWS_ACCESS_KEY_ID", "k")
        .env("AWS_SECRET_ACCESS_KEY", "s");
    let ran = run(command.env("AWS_ENDPOINT_URL", "http://store.example").env("AWS_REGION", "us-east-1"));
    assert!(ran.stderr.contains("NAME LOOKUP store.example"), "{ran:?}");
}
