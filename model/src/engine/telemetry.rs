//! Keeps engines from reporting to their makers.
//!
//! ONNX Runtime 1.29 and later send facts about the process and the machine to Microsoft, from the moment
//! that the library is loaded: its interface can turn that off only later. It reads one environment variable
//! before. A process cannot set its own environment safely once threads run, so a program restarts itself
//! with the variable, once, as the first thing that it does. OpenVINO's library has no such reports (its
//! Python tools have); nothing is set for it.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What ONNX Runtime reads; any value but `0` counts.
pub(crate) const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
/// What it is set to.
pub(crate) const OFF: &str = "1";

/// Returns if engines of this process report nothing. Otherwise this program takes the place of itself, with
/// the same arguments, descriptors and process id, in an environment in which they do not.
///
/// # Errors
/// If the program cannot start itself; then no engine may be loaded.
pub fn disable() -> Result<(), String> {
    if env::var_os(VARIABLE).is_some_and(|value| value == OFF) {
        return Ok(());
    }
    let mut arguments = env::args_os();
    let name = arguments.next();
    let program = this_program().map_err(|error| failed(&error))?;
    let mut command = Command::new(program);
    if let Some(name) = name {
        command.arg0(name);
    }
    // It returns only if it fails.
    Err(failed(&command.args(arguments).env(VARIABLE, OFF).exec()))
}

fn failed(error: &std::io::Error) -> String {
    format!("this program cannot start itself with {VARIABLE}={OFF} ({error}): set the variable yourself")
}

/// The file that runs now, even if an update has put another in its place.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn this_program() -> std::io::Result<std::path::PathBuf> {
    Ok("/proc/self/exe".into())
}

#[cfg(not(target_os = "linux"))]
fn this_program() -> std::io::Result<std::path::PathBuf> {
    env::current_exe()
}
