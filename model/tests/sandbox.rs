//! A child that a picture has taken over gets nothing: no credential, no socket, no file of the user, no
//! other process.
//!
//! The child is `isolation/exploited_tagger.rs`, built as an example; it enters the sandbox that every child
//! enters.

#![cfg(target_os = "linux")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests, outside of the test functions")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use tagfleet_model::decode::Limits;
use tagfleet_model::engine::{EngineChoice, EngineOptions, resolve};
use tagfleet_model::folder::{Model, ModelOptions};
use tagfleet_model::isolation::{Isolation, Patience, Program, Setup, StartError};
use tagfleet_pipeline::run::TagOptions;
use tagfleet_pipeline::tags::Outcome;

fn child() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples/exploited-tagger")
}

fn start(arguments: &[&str]) -> Result<Isolation, StartError> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/model");
    let model = Model::open(&model, &ModelOptions::default()).unwrap();
    let engine = resolve(&EngineOptions::of(EngineChoice::Tract), &model).unwrap().record;
    let options = TagOptions::new(5, 0.5);
    let setup = Setup { model, engine, options, limits: Limits::default(), threads: 1 };
    let arguments = arguments.iter().map(Into::into).collect();
    Isolation::start(Program { path: child(), arguments }, &setup, Patience::default())
}

/// The outcome of each command, while the child tags.
fn tagging(commands: &[String]) -> Vec<String> {
    let isolation = start(&["obeys"]).unwrap();
    // A kernel without the means reports that; then there is nothing to test.
    assert_eq!(isolation.notes(), [] as [&str; 0], "this kernel has no landlock or no seccomp");
    let mut tagger = isolation.taggers().remove(0);
    let outcome = |command: &String| match tagger.tag(&[command.as_bytes()]).unwrap().remove(0) {
        Outcome::Failed(failure) => failure.detail.text().unwrap_or_default().to_owned(),
        Outcome::Tagged(_) => "tagged".to_owned(),
    };
    commands.iter().map(outcome).collect()
}

/// The same, before the model is loaded.
fn loading(commands: &[String]) -> Vec<String> {
    let arguments: Vec<&str> =
        std::iter::once("loading").chain(commands.iter().map(String::as_str)).collect();
    let Err(StartError::Refused(said)) = start(&arguments) else { panic!("it loads nothing") };
    said.lines().map(str::to_owned).collect()
}

#[test]
fn an_exploited_child_reaches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (secret, mine) = (folder.path().join("credentials"), folder.path().join("mine"));
    fs::write(&secret, "aws_secret_access_key = x").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let attacks = [
        format!("read {}", secret.display()),
        format!("list {}", folder.path().display()),
        "read /etc/hostname".to_owned(),
        "parent".to_owned(),
        format!("write {}", mine.display()),
        "write /dev/shm/tagfleet-sandbox-test".to_owned(),
        format!("append {}", secret.display()),
        format!("remove {}", secret.display()),
        format!("connect {address}"),
        "udp".to_owned(),
        "unix".to_owned(),
        "run /bin/true".to_owned(),
        "signal".to_owned(),
    ];
    for stage in [loading, tagging] {
        for (attack, outcome) in attacks.iter().zip(stage(&attacks)) {
            assert!(outcome.ends_with(": refused"), "{attack}: {outcome}");
        }
    }
    assert!(secret.exists() && !mine.exists());
}

#[test]
fn what_tagging_takes_is_left() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/model/model.onnx");
    let needs =
        [format!("read {}", model.display()), "read /proc/self/status".to_owned(), "thread".to_owned()];
    for stage in [loading, tagging] {
        for (need, outcome) in needs.iter().zip(stage(&needs)) {
            assert!(outcome.contains(": done"), "{need}: {outcome}");
        }
    }
}

#[test]
fn the_environment_has_settings_and_no_credential() {
    let said = tagging(&["environment".to_owned()]).remove(0);
    assert!(said.contains("ORT_DISABLE_TELEMETRY"), "{said}");
    // This test's own environment has more: cargo's variables, and the user's home.
    for name in ["HOME", "CARGO_MANIFEST_DIR", "USER"] {
        assert!(!said.split(' ').any(|known| known == name), "{said}");
    }
}
