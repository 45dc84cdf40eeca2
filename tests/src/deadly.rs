//! Pictures that kill or hang the process that decodes them, by a library that is loaded before libc.
//!
//! The command under test does not know about it. The library is compiled by the test that needs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project;

/// Makes the library end the process by a segmentation fault.
pub const SEGV: &str = "die by segv";
/// Makes the library end the process as the out-of-memory killer does.
pub const KILL: &str = "die by kill";
/// Makes the library hang the process.
pub const HANG: &str = "hang for ever";

/// Compiles the library into `folder` and returns its path, for `LD_PRELOAD`.
///
/// # Panics
/// If there is no C compiler. The build needs one too, for libjpeg-turbo.
#[must_use]
pub fn library(folder: &Path) -> PathBuf {
    let library = folder.join("deadly_read.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library);
    compiler.arg(project("tests/preload/deadly_read.c")).arg("-ldl");
    assert!(compiler.status().expect("a C compiler").success());
    library
}

/// Writes a valid picture followed by copies of `what`, as many that a read cannot cut all of them.
///
/// # Panics
/// If it cannot be written.
pub fn write(picture: &Path, what: &str) {
    let mut bytes = fs::read(project("demo/photos/autumn/sku-0000.jpg")).expect("a picture of the demo");
    bytes.extend_from_slice(what.repeat(100).as_bytes());
    fs::write(picture, bytes).expect("a picture");
}
