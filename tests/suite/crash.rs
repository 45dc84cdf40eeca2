//! A picture that kills the process costs only its own row, and no process outlives a run, however it ends.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use tagfleet_tests::command::{children, run, start, tagfleet};
use tagfleet_tests::photos::fill;
use tagfleet_tests::rows::{Row, rows};
use tagfleet_tests::{deadly, project};

fn command(photos: &Path, out: &Path) -> Command {
    let mut command = tagfleet(["run", "--model", "demo/model"]);
    command.arg(photos).arg("--out").arg(out);
    command
}

/// Waits, without a clock, until the decoding child has started.
fn wait_for_child(parent: &mut Child) -> u32 {
    loop {
        if let Some(child) = children(parent.id()).first() {
            return *child;
        }
        assert!(parent.try_wait().unwrap().is_none(), "it ended early");
        std::thread::yield_now();
    }
}

/// Waits, without a clock, until the first part is written.
fn wait_for_a_part(parent: &mut Child, out: &Path) {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    while !entries(out).any(|run| entries(&run.path().join("work/parts")).next().is_some()) {
        assert!(parent.try_wait().unwrap().is_none(), "it ended early");
        std::thread::yield_now();
    }
}

fn signal(name: &str, process: &str) {
    assert!(Command::new("kill").args([name, "--", process]).status().unwrap().success());
}

/// The rows of the images that ended the process, and all others.
fn crashed_and_others(out: &Path) -> (Vec<Row>, Vec<Row>) {
    rows(out).into_iter().partition(|row| row.error_code.as_deref() == Some("crashed"))
}

#[test]
fn pictures_that_kill_the_process_cost_only_their_own_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, quiet, out) =
        (folder.path().join("photos"), folder.path().join("quiet"), folder.path().join("out"));
    fill(&photos, 600);
    assert_eq!(run(&mut command(&photos, &quiet)).code, Some(0));

    let killers = [
        ("00000-first.jpg", deadly::SEGV, 11),
        ("00301-a.jpg", deadly::KILL, 9),
        ("00301-b.jpg", deadly::SEGV, 11),
        ("00301-c.jpg", deadly::KILL, 9),
        ("00999-last.jpg", deadly::SEGV, 11),
    ];
    for (name, what, _) in killers {
        deadly::write(&photos.join(name), what);
    }
    let library = deadly::library(folder.path());
    let ran = run(command(&photos, &out).env("LD_PRELOAD", library));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let (crashed, others) = crashed_and_others(&out);
    assert_eq!(others, rows(&quiet));
    let details: Vec<_> = crashed.iter().map(|row| (row.key.as_str(), row.error_detail.clone())).collect();
    assert_eq!(details, killers.map(|(name, _, signal)| (name, Some(format!("signal {signal}")))));
    let message = "the decoder or the engine crashed on this image";
    assert!(crashed.iter().all(|row| row.error_message.as_deref() == Some(message)));
}

/// The picture is tried with others first, and then alone.
#[test]
fn a_picture_that_hangs_costs_only_its_own_row() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, quiet, out) =
        (folder.path().join("photos"), folder.path().join("quiet"), folder.path().join("out"));
    fill(&photos, 60);
    assert_eq!(run(&mut command(&photos, &quiet)).code, Some(0));
    deadly::write(&photos.join("00030-hangs.jpg"), deadly::HANG);
    let library = deadly::library(folder.path());
    let ran = run(command(&photos, &out).args(["--image-timeout", "8"]).env("LD_PRELOAD", library));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let (crashed, others) = crashed_and_others(&out);
    assert_eq!(others, rows(&quiet));
    let messages: Vec<_> =
        crashed.iter().map(|row| (row.key.as_str(), row.error_message.as_deref())).collect();
    let message = "the decoder or the engine did not finish this image in time";
    assert_eq!(messages, [("00030-hangs.jpg", Some(message))]);
    // The log names the picture that made the run take minutes.
    let slowest = ran.stdout.lines().find(|line| line.starts_with("slowest")).unwrap_or(&ran.stdout);
    assert!(slowest.starts_with("slowest  00030-hangs.jpg "), "{slowest}");
}

#[test]
fn a_child_that_is_killed_from_outside_costs_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, quiet, out) =
        (folder.path().join("photos"), folder.path().join("quiet"), folder.path().join("out"));
    fill(&photos, 3000);
    let mut parent = start(&mut command(&photos, &out));
    wait_for_a_part(&mut parent, &out);
    signal("-KILL", &wait_for_child(&mut parent).to_string());
    assert_eq!(parent.wait().unwrap().code(), Some(0));
    assert_eq!(run(&mut command(&photos, &quiet)).code, Some(0));
    assert_eq!(rows(&out), rows(&quiet));
}

#[test]
fn a_hanging_child_ends_with_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    for number in 0..100 {
        deadly::write(&photos.join(format!("{number}.jpg")), deadly::HANG);
    }
    let library = deadly::library(folder.path());
    let mut parent = start(command(&photos, &folder.path().join("out")).env("LD_PRELOAD", library));
    let child = wait_for_child(&mut parent);
    signal("-KILL", &parent.id().to_string());
    parent.wait().unwrap();
    while is_alive(child) {
        std::thread::yield_now();
    }
}

/// Whether a process runs. A zombie that init has not reaped yet does not count.
fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

#[test]
fn ctrl_c_in_a_terminal_lets_shards_in_progress_finish() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
    fill(&photos, 3000);
    // A terminal sends the signal to the whole process group of the command.
    let mut parent = start(command(&photos, &out).process_group(0));
    wait_for_a_part(&mut parent, &out);
    let child = wait_for_child(&mut parent);
    signal("-INT", &format!("-{}", parent.id()));
    assert_eq!(parent.wait().unwrap().code(), Some(4));
    assert!(!is_alive(child));
    assert_eq!(run(&mut command(&photos, &out)).code, Some(0));
    assert_eq!(rows(&out).len(), 3000);
}

#[test]
fn a_model_that_the_child_refuses_is_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(&project("demo/photos"), &folder.path().join("out"));
    let ran = run(command.args(["--labels", "no such label"]));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("no such label"), "{}", ran.stderr);
    assert!(!folder.path().join("out").exists(), "nothing is started");
}
