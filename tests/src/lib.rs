//! The fixtures of the end-to-end tests: the real command, a real stack on an emulator, and fake servers.
//!
//! ```text
//! command ── tagfleet, as a user starts it          cloud, fleet ── template, functions and workers
//!    │                                                 │
//! photos, onnx, deadly: inputs                      emulator: AWS on this machine, one per test
//! rows: results, read from Parquet                  metadata: the instance that a worker runs on
//!                                                   store, fake_server: other services over HTTP
//! ```
//!
//! A test starts a program and compares what it printed and wrote:
//!
//! ```text
//! let ran = run(&mut tagfleet(["run", "demo/photos", "--model", "demo/model", "--out", out]));
//! assert_eq!(ran.code, Some(0));
//! assert_eq!(rows(Path::new(out)).len(), 60);
//! ```
//!
//! It starts the binaries that `cargo build` made and never calls into `cli`, because a user cannot either.
//! It does not mock AWS: requests go over HTTP to an emulator that checks them against AWS's own service
//! descriptions. Tests that need no process are next to the code that they test.

#![expect(clippy::expect_used, clippy::print_stderr, reason = "support for tests, which fail by panicking")]

pub mod cloud;
pub mod command;
pub mod deadly;
pub mod emulator;
pub mod fake_server;
pub mod fleet;
pub mod http;
pub mod metadata;
pub mod onnx;
pub mod photos;
pub mod rows;
pub mod schemas;
pub mod store;

use std::path::{Path, PathBuf};

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// A file or folder of the project.
#[must_use]
pub fn project(path: &str) -> PathBuf {
    root().join(path)
}

/// Test data that is not part of the project: real photos, real models, hostile images. If it is absent, the
/// test prints that and passes, because users do not have the data.
#[must_use]
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = root().parent()?.join("shared/data").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not here", path.display());
    None
}
