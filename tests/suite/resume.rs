//! A run that is stopped at any moment, in any way, resumes with the same command to the rows of an
//! undisturbed run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::SystemTime;

use tagfleet_tests::command::{ended_with_peak_memory, run, start, tagfleet};
use tagfleet_tests::photos::{files, fill};
use tagfleet_tests::project;
use tagfleet_tests::rows::{rows, runs};

fn command(photos: &Path, out: &Path) -> Command {
    let mut command = tagfleet(["run", "--model", "demo/model"]);
    command.arg(photos).arg("--out").arg(out);
    command
}

/// The written parts, with their times of writing.
fn parts(out: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let Some(run) = fs::read_dir(out).ok().and_then(|_| runs(out).pop()) else { return BTreeMap::new() };
    let folder = run.join("work/parts");
    let entries = fs::read_dir(folder).map(|entries| entries.flatten().collect()).unwrap_or(Vec::new());
    entries.iter().filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.modified().ok()?))).collect()
}

/// Waits, without a clock, until there are `count` parts; false if the process ended before.
fn wait_for_parts(child: &mut Child, out: &Path, count: usize) -> bool {
    while parts(out).len() < count {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

fn kill_after_one_part(mut command: Command, out: &Path) {
    let mut child = start(&mut command);
    assert!(wait_for_parts(&mut child, out, 1));
    signal(&child, "-KILL");
    child.wait().unwrap();
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_run_that_is_killed_repeatedly_has_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fill(&photos, 2400);
    fs::write(photos.join("00700.png"), "no picture").unwrap();
    let quiet = folder.path().join("quiet");
    assert_eq!(run(&mut command(&photos, &quiet)).code, Some(3));

    let out = folder.path().join("out");
    let mut killed = 0;
    for count in 1..=4 {
        let before = parts(&out);
        let mut child = start(&mut command(&photos, &out));
        if wait_for_parts(&mut child, &out, count) {
            signal(&child, "-KILL");
            killed += 1;
        }
        child.wait().unwrap();
        let after = parts(&out);
        assert!(
            before.iter().all(|(part, written)| after.get(part) == Some(written)),
            "done work is not done again"
        );
    }
    assert!(killed >= 3, "only {killed} of 4 processes were killed before they ended");
    fs::write(photos.join("99999.jpg"), "added since").unwrap();
    let last = run(&mut command(&photos, &out));
    assert_eq!(last.code, Some(3), "{last:?}");
    assert!(last.stderr.contains("resuming run"), "{}", last.stderr);
    assert!(last.stderr.contains("files added since it started are not included"), "{}", last.stderr);
    assert_eq!(rows(&out), rows(&quiet));
    let left: Vec<_> =
        files(&out).into_iter().filter(|path| path.to_str().unwrap().contains("unfinished")).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[test]
fn ctrl_c_stops_cleanly_and_prints_how_to_resume() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
    fill(&photos, 3000);
    let mut interrupted = command(&photos, &out);
    interrupted.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = interrupted.spawn().unwrap();
    assert!(wait_for_parts(&mut child, &out, 1));
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(
        stderr.contains("stopping: finishing work in progress (up to 10 s); what is tagged is kept"),
        "{stderr}"
    );
    assert!(stderr.ends_with("to resume, run the same command again\n"), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains(": interrupted\n"), "{stdout}");
    assert!(stdout.contains(" not done\n"), "{stdout}");
    let done = parts(&out);
    let last = run(&mut command(&photos, &out));
    assert_eq!(last.code, Some(0), "{last:?}");
    assert!(done.len() >= 2, "the shards in progress were finished: {done:?}");
    assert_eq!(rows(&out).len(), 3000);
}

#[test]
fn a_run_with_long_decimals_in_its_model_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out, model) =
        (folder.path().join("photos"), folder.path().join("out"), folder.path().join("model"));
    fill(&photos, 1500);
    fs::create_dir(&model).unwrap();
    for name in ["model.onnx", "config.json"] {
        fs::copy(project("demo/model").join(name), model.join(name)).unwrap();
    }
    let text = fs::read_to_string(project("demo/model/preprocessor_config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["image_mean"] = serde_json::json!([0.48145466, 0.4578275, 0.40821073]);
    config["image_std"] = serde_json::json!([0.26862954, 0.26130258, 0.27577711]);
    fs::write(model.join("preprocessor_config.json"), config.to_string()).unwrap();
    let command = || {
        let mut command = tagfleet(["run", "--model"]);
        command.arg(&model).arg(&photos).arg("--out").arg(&out);
        command
    };
    kill_after_one_part(command(), &out);
    assert_eq!(run(&mut command()).code, Some(0));
    assert_eq!(rows(&out).len(), 1500);
}

#[test]
fn a_signal_stops_a_run_whose_output_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
    fill(&photos, 3000);
    let mut command = command(&photos, &out);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert!(wait_for_parts(&mut child, &out, 1));
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[test]
fn two_processes_never_work_on_one_output_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
    fill(&photos, 3000);
    let mut first = start(&mut command(&photos, &out));
    assert!(wait_for_parts(&mut first, &out, 1));
    let second = run(&mut command(&photos, &out));
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(second.stderr.contains("another tagfleet uses this folder"), "{}", second.stderr);
    signal(&first, "-KILL");
    first.wait().unwrap();
    assert_eq!(run(&mut command(&photos, &out)).code, Some(0), "a killed process blocks no other");
}

#[test]
fn a_finished_run_or_another_request_starts_a_new_run() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
    fill(&photos, 1500);
    kill_after_one_part(command(&photos, &out), &out);
    assert_eq!(run(command(&photos, &out).args(["--top-k", "1"])).code, Some(0));
    assert_eq!(runs(&out).len(), 2, "another request is another run");
    assert_eq!(run(command(&photos, &out).arg("--new")).code, Some(0));
    assert_eq!(runs(&out).len(), 3, "--new starts another run");
    assert_eq!(run(&mut command(&photos, &out)).code, Some(0));
    assert_eq!(runs(&out).len(), 3, "the unfinished one was resumed");
    assert_eq!(run(&mut command(&photos, &out)).code, Some(0));
    assert_eq!(runs(&out).len(), 4, "all are complete: a new one");
}

#[test]
fn memory_does_not_grow_with_the_number_of_images() {
    let folder = tempfile::tempdir().unwrap();
    let peak = |count: usize| {
        let (photos, out) =
            (folder.path().join(format!("photos{count}")), folder.path().join(format!("out{count}")));
        fill(&photos, count);
        let (_, peak) = ended_with_peak_memory(start(&mut command(&photos, &out)));
        assert_eq!(rows(&out).len(), count);
        peak
    };
    let (few, many) = (peak(300), peak(3000));
    eprintln!("peak memory: {few} kB for 300 images, {many} kB for 3000");
    assert!(many < few + few / 4, "{few} kB for 300 images, {many} kB for 3000");
}
