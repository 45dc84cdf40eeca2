//! The `tagfleet` command as a user starts it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use crate::root;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

/// A `tagfleet` command that is not started yet, in the project's root.
///
/// # Panics
/// Where the binary is not built: `make test` builds it.
#[must_use]
pub fn tagfleet<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let binary = built("tagfleet");
    assert!(binary.exists(), "{} is not built: run `make test`", binary.display());
    let mut command = Command::new(binary);
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// Where a binary of the project is built to: the test's own stands in `target/debug/deps`, others in `target/debug`.
///
/// # Panics
/// Where the test does not know its own path.
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
/// Where it cannot be started.
pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("tagfleet prints UTF-8");
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Starts a command whose output nobody reads.
///
/// # Panics
/// Where it cannot be started.
pub fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command starts")
}

/// Waits for a process to end; returns its exit code and the most memory that it and its child processes had together,
/// in kB: at any moment, the sum of the largest resident sets until then.
///
/// # Panics
/// Where it cannot be waited for.
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

/// The processes that a process has started and that have not ended; none where it has ended itself.
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
