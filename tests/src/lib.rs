//! What the end-to-end tests share: the real command, pictures, and the rows it wrote.
//!
//! It starts the binary that `cargo build` made; it never calls into it.

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

/// Test data that is not part of the project: real photos, real models, hostile images. A test that gets none says so
/// and passes, for users do not have it.
#[must_use]
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = root().parent()?.join("shared/data").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not here", path.display());
    None
}
