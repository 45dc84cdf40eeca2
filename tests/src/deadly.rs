//! Pictures that make the process which decodes them die or hang, really: by a library loaded before libc.
//!
//! The command under test knows nothing of it. The library is compiled when a test asks for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project;

/// Says to the library that the process shall die of a forbidden access.
pub const SEGV: &str = "die by segv";
/// Says to the library that the process shall die as if out of memory.
pub const KILL: &str = "die by kill";
/// Says to the library that the process shall hang.
pub const HANG: &str = "hang for ever";

/// Compiles the library into `folder` and returns its path, for `LD_PRELOAD`.
///
/// # Panics
/// Where there is no C compiler; libjpeg-turbo could not be built without one either.
#[must_use]
pub fn library(folder: &Path) -> PathBuf {
    let library = folder.join("deadly_read.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library);
    compiler.arg(project("tests/preload/deadly_read.c")).arg("-ldl");
    assert!(compiler.status().expect("a C compiler").success());
    library
}

/// Writes a good picture that says `what` behind its end, so often that a read cannot cut it everywhere.
///
/// # Panics
/// Where it cannot be written.
pub fn write(picture: &Path, what: &str) {
    let mut bytes = fs::read(project("demo/photos/autumn/sku-0000.jpg")).expect("a picture of the demo");
    bytes.extend_from_slice(what.repeat(100).as_bytes());
    fs::write(picture, bytes).expect("a picture");
}
