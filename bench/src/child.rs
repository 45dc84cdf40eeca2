//! A command as a child process: wall time, CPU time and memory of it and of all that it starts.
//!
//! CPU time is what the system adds up of children that ended, so two of these must not run at once. Linux
//! only: it reads `/proc`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The interval of memory samples.
const SAMPLING: Duration = Duration::from_millis(200);

/// The cost of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessStats {
    pub(crate) status: ExitStatus,
    /// Seconds.
    pub(crate) wall: f64,
    /// Seconds.
    pub(crate) cpu: f64,
    pub(crate) memory: Memory,
}

/// MB of a process and its descendants.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// Their own pages, those they share counted once, without files; the largest that was seen.
    pub(crate) peak: f64,
    /// The largest resident set of each, added up.
    pub(crate) resident: f64,
}

/// The logical cores that a command is confined to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cores {
    /// The first ones, in the system's order.
    First(usize),
    /// This many, on as few physical cores as possible, as a machine with that many vCPUs has them.
    Vcpus(usize),
}

/// Runs `command` to its end on some cores, or on all; what it prints goes to `log`.
pub(crate) fn run(command: &mut Command, cores: Option<Cores>, log: &Path) -> Result<ProcessStats> {
    let file = File::create(log).with_context(|| log.display().to_string())?;
    let errors = file.try_clone().with_context(|| log.display().to_string())?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors);
    let before = children_cpu_seconds()?;
    let began = Instant::now();
    let mut child = start(command, cores)?;
    let (ended, waiting) = mpsc::channel();
    let root = child.id();
    let watch = thread::spawn(move || watch(root, &waiting));
    let status = child.wait().context("the command")?;
    let wall = began.elapsed().as_secs_f64();
    drop(ended);
    let memory = watch.join().map_err(|_| anyhow!("the thread that looks at memory panicked"))?;
    Ok(ProcessStats { status, wall, cpu: children_cpu_seconds()? - before, memory })
}

/// A child has the cores of the thread that starts it; this thread keeps its own.
fn start(command: &mut Command, cores: Option<Cores>) -> Result<Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    let spawned: Result<Child> = thread::scope(|scope| {
        let starter = scope.spawn(|| {
            if let Some(cores) = cores {
                confine(cores)?;
            }
            Ok(command.spawn()?)
        });
        starter.join().map_err(|_| anyhow!("the thread that starts it panicked"))?
    });
    spawned.with_context(|| format!("{program} cannot be started"))
}

/// Leaves the calling thread a few of its cores.
fn confine(cores: Cores) -> Result<()> {
    let mine = sched_getaffinity(None)?;
    let mut fewer = CpuSet::new();
    let mut allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| mine.is_set(core)).collect();
    let count = match cores {
        Cores::First(count) => count,
        Cores::Vcpus(count) => {
            allowed.sort_by_key(|core| (first_sibling(*core), *core));
            count
        }
    };
    for core in allowed.into_iter().take(count) {
        fewer.set(core);
    }
    Ok(sched_setaffinity(None, &fewer)?)
}

/// The first logical core of the same physical one, of `3,67` or `2-3`; `core` itself if the system does
/// not report it.
fn first_sibling(core: usize) -> usize {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    let list = fs::read_to_string(path).unwrap_or_default();
    list.split([',', '-']).next().and_then(|first| first.trim().parse().ok()).unwrap_or(core)
}

/// CPU seconds (user and system) of all descendants that have ended and were waited for.
pub(crate) fn children_cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    let ticks = children_ticks(&stat).with_context(|| format!("/proc/self/stat has no CPU times: {stat}"))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The fields cutime and cstime, the 14th and 15th behind the name, which may hold anything.
fn children_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    Some(user + system)
}

/// Samples the memory of `root` and its descendants until the other end of `ended` is dropped.
fn watch(root: u32, ended: &Receiver<()>) -> Memory {
    let mut most = Memory::default();
    while ended.recv_timeout(SAMPLING) == Err(RecvTimeoutError::Timeout) {
        let now = memory(root);
        most = Memory { peak: most.peak.max(now.peak), resident: most.resident.max(now.resident) };
    }
    most
}

fn memory(root: u32) -> Memory {
    let (mut shared, mut resident) = (0, 0);
    for process in with_descendants(root) {
        // It may have ended by now.
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
        shared += kib(&rollup, "Pss_Anon:") + kib(&rollup, "Pss_Shmem:");
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        resident += kib(&status, "VmHWM:");
    }
    let mb = |kib: u64| kib as f64 * 1024.0 / 1e6;
    Memory { peak: mb(shared), resident: mb(resident) }
}

fn kib(text: &str, field: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn with_descendants(root: u32) -> Vec<u32> {
    let mut processes = vec![root];
    let mut index = 0;
    while let Some(&process) = processes.get(index) {
        processes.extend(children(process));
        index += 1;
    }
    processes
}

fn children(process: u32) -> Vec<u32> {
    let mut children = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return children };
    for thread in threads.flatten() {
        let started = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(started.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    children
}

/// The last lines that a command printed, on one line.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_fool_the_parser() {
        let stat = "1 (a ) b 1 2) S 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18";
        assert_eq!(children_ticks(stat), Some(14 + 15));
        assert_eq!(children_ticks("1 (short) S 2"), None);
    }

    #[test]
    fn a_command_runs_on_as_many_cores_as_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let ran =
            run(Command::new("sh").args(["-c", "echo one; nproc; exit 3"]), Some(Cores::First(1)), &log)
                .unwrap();
        assert_eq!(ran.status.code(), Some(3));
        assert_eq!(last_lines(&log), "one; 1");
        assert!(ran.wall > 0.0 && ran.cpu >= 0.0);
    }

    #[test]
    fn memory_is_of_all_descendants() {
        assert!(memory(std::process::id()).peak > 0.1);
        assert_eq!(kib("Pss_Anon:      12 kB\nVmHWM:\t 7 kB", "VmHWM:"), 7);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = run(&mut Command::new("/no/such/program"), None, &folder.path().join("log")).unwrap_err();
        assert!(error.to_string().contains("/no/such/program"), "{error}");
    }
}
