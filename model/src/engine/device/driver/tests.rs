//! The driver's interface against libraries that the system's compiler makes, through the real loader.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::*;

/// A driver made of `stub.c`, and what it writes down.
struct Stub {
    folder: TempDir,
    library: PathBuf,
}

impl Stub {
    /// Compiles one with these macros.
    fn new(macros: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join(LIBRARY);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/device/driver/stub.c");
        let log = format!("-DLOG=\"{}\"", folder.path().join("log").display());
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", &log]);
        compiler.args(macros.iter().map(|name| format!("-D{name}")));
        assert!(compiler.arg(source).arg("-o").arg(&library).status().unwrap().success());
        Self { folder, library }
    }

    fn open(&self) -> Result<Driver, DriverError> {
        Driver::open(&self.library, 0)
    }

    /// What it was asked since the last time.
    fn calls(&self) -> String {
        let log = self.folder.path().join("log");
        let calls = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_file(log).unwrap();
        calls
    }

    /// An error, without the folder that the library is in.
    fn words(&self, error: &str) -> String {
        error.replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

#[test]
fn threads_are_told_to_sleep_and_whatever_else_was_set_stays() {
    let stub = Stub::new(&[]);
    let driver = stub.open().unwrap();
    insta::assert_snapshot!(stub.calls(), @r"
    cuInit 0
    cuDeviceGet 0
    ");
    driver.block_while_waiting().unwrap();
    insta::assert_snapshot!(stub.calls(), @r"
    cuDevicePrimaryCtxGetState 0x7
    cuDevicePrimaryCtxSetFlags_v2 0xc
    cuDevicePrimaryCtxGetState 0x7
    ");
    driver.block_while_waiting().unwrap();
    insta::assert_snapshot!(stub.calls(), @"cuDevicePrimaryCtxGetState 0x7");
}

#[test]
fn whoever_lets_them_spin_meanwhile_is_overruled() {
    let stub = Stub::new(&[]);
    let driver = stub.open().unwrap();
    driver.block_while_waiting().unwrap();
    // SAFETY: it takes nothing and returns nothing, and the library is loaded.
    unsafe {
        function::<unsafe extern "C" fn()>(&driver._library, "other_library_spins").unwrap()();
    }
    stub.calls();
    driver.block_while_waiting().unwrap();
    assert!(stub.calls().contains("cuDevicePrimaryCtxSetFlags_v2 0x4\n"));
}

#[test]
fn what_the_driver_refuses_is_said_in_its_words() {
    let stub = Stub::new(&["INIT=100"]);
    let error = stub.open().err().unwrap();
    insta::assert_snapshot!(error, @"cuInit of the NVIDIA driver gave 100 (no CUDA-capable device is detected)");
    let error = Stub::new(&["SET=708"]).open().unwrap().block_while_waiting().unwrap_err();
    insta::assert_snapshot!(error, @"cuDevicePrimaryCtxSetFlags of the NVIDIA driver gave 708 (an error without a name)");
    let error = Stub::new(&["KEEPS=0"]).open().unwrap().block_while_waiting().unwrap_err();
    insta::assert_snapshot!(error, @"the driver accepted the setting, but its flags are 0x8");
}

#[test]
fn what_is_no_driver_or_too_old_a_one_is_named() {
    let stub = Stub::new(&["OLD"]);
    let error = stub.open().err().unwrap();
    insta::assert_snapshot!(error, @"this NVIDIA driver has no cuDevicePrimaryCtxSetFlags_v2: it is too old for CUDA 13");
    std::fs::remove_file(&stub.library).unwrap();
    let error = stub.words(&stub.open().err().unwrap().to_string());
    insta::assert_snapshot!(error, @"FOLDER/libcuda.so.1: cannot open shared object file: No such file or directory");
}
