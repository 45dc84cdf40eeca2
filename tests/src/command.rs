//! The `tagfleet` command as a user starts it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use crate::root;

/// The output and exit code of a command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

/// A `tagfleet` command in the project's root, not started yet.
///
/// # Panics
/// If the binary is not built: `make test` builds it.
#[must_use]
pub fn tagfleet<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let binary = built("tagfleet");
    assert!(binary.exists(), "{} is not built: run `make test`", binary.display());
    let mut command = Command::new(binary);
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// The path of a binary of the project, in `target/debug`. The test itself runs in `target/debug/deps`.
///
/// # Panics
/// If the test does not know its own path.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("this program's own path");
    let mut folder = this.parent().expect("a folder");
    if folder.ends_with("deps") {
        folder = folder.parent().expect("target/debug");
    }
    folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started.
pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("tagfleet prints UTF-8");
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Starts a command and discards its output.
///
/// # Panics
/// If it cannot be started.
pub fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command starts")
}

/// Waits for a process to end. Returns its exit code and its peak memory in kB: the largest sum, at any
/// moment, of the peak resident sets of the process and its children.
///
/// # Panics
/// If it cannot be waited for.
pub fn ended_with_peak_memory(mut child: Child) -> (Option<i32>, u64) {
    let mut peak = 0;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return (status.code(), peak);
        }
        let mut processes = children(child.id());
        processes.push(child.id());
        let together = processes.into_iter().filter_map(peak_memory).sum();
        peak = peak.max(together);
    }
}

fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The running children of a process; none if the process itself has ended.
#[must_use]
pub fn children(process: u32) -> Vec<u32> {
    let mut children = Vec::new();
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return children };
    for thread in threads.flatten() {
        let started = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(started.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    children
}
