//! Ctrl-C in the middle of a shard, and a full disk: tagged images are kept and counted.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tagfleet_aws::client::Options;
use tagfleet_aws::{Aws, S3Bucket};
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_tests::command::{Ran, built, run, tagfleet};
use tagfleet_tests::emulator::Emulator;
use tagfleet_tests::photos::{files, fill};
use tagfleet_tests::project;
use tagfleet_tests::rows::{rows, runs};

use crate::worker::gate::{Gate, Rule};

/// The number of images, all in one shard.
const IMAGES: usize = 60;
const HELD: &str = "/photos/00030.jpg";

async fn upload(emulator: &Emulator) {
    let options = Options {
        region: Some("us-east-1".to_owned()),
        endpoint_url: Some(emulator.endpoint_url()),
        ..Options::default()
    };
    let bucket = S3Bucket::new(&Aws::for_tests(&options).await, "photos");
    let mut demo = files(&project("demo/photos"));
    demo.sort();
    for number in 0..IMAGES {
        let bytes = fs::read(&demo[number % demo.len()]).unwrap();
        bucket.put(&format!("{number:05}.jpg"), bytes.into()).await.unwrap();
    }
}

fn command(endpoint_url: &str, out: &Path) -> Command {
    let mut command =
        tagfleet(["run", "s3://photos", "--model", "demo/model", "--region", "us-east-1", "--json"]);
    command.args(["--endpoint-url", endpoint_url]).arg("--out").arg(out);
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command
}

/// Runs the command until it requests the image that is never answered, then sends these signals.
fn interrupted(emulator: &Emulator, out: &Path, signals: &[&str]) -> Ran {
    let gate = Gate::before(&emulator.endpoint_url(), HELD, Rule::Hold);
    let mut command = command(&gate.endpoint_url(), out);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    gate.wait();
    for signal in signals {
        let status = Command::new("kill").args([*signal, &child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn summary(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The number of finished images in each line of the progress.
fn counted(ran: &Ran) -> Vec<usize> {
    let done = |line: &str| line.split_once(&format!("/{IMAGES} "))?.0.parse().ok();
    ran.stderr.lines().filter_map(done).collect()
}

#[test]
fn ctrl_c_in_the_middle_of_a_shard_keeps_every_image_that_is_tagged() {
    let emulator = Emulator::start();
    emulator.make_bucket("photos");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(upload(&emulator));
    let folder = tempfile::tempdir().unwrap();
    let (quiet, out) = (folder.path().join("quiet"), folder.path().join("out"));
    assert_eq!(run(&mut command(&emulator.endpoint_url(), &quiet)).code, Some(0));

    let first = interrupted(&emulator, &out, &["-INT"]);
    assert_eq!(first.code, Some(4), "{first:?}");
    let (said, counts) = (summary(&first), counted(&first));
    assert_eq!(said["state"], "interrupted", "{said}");
    assert!(counts.is_sorted(), "the count goes back: {}", first.stderr);
    let kept = *counts.last().unwrap();
    assert!((1..IMAGES).contains(&kept), "{}", first.stderr);
    assert_eq!(said["rows"].as_u64(), Some(kept as u64), "counted images are kept: {said}");
    assert!(first.stderr.contains("what is tagged is kept"), "{}", first.stderr);

    let again = interrupted(&emulator, &out, &["-TERM", "-TERM"]);
    assert_eq!(again.code, Some(4), "{again:?}");
    assert!(counted(&again).is_sorted(), "the count goes back: {}", again.stderr);
    let kept_again = *counted(&again).last().unwrap();
    assert!((kept..IMAGES).contains(&kept_again), "{}", again.stderr);

    let last = run(&mut command(&emulator.endpoint_url(), &out));
    assert_eq!(last.code, Some(0), "{last:?}");
    let here = summary(&last)["images_here"].as_u64();
    assert_eq!(here, Some((IMAGES - kept_again) as u64), "no image is tagged twice: {}", last.stdout);
    assert_eq!(rows(&out), rows(&quiet));
    let work = runs(&out)[0].join("work");
    assert!(!work.exists(), "a complete run leaves no checkpoint behind");
}

/// Kills the process after its first part and fills the disk. Then starts it again twice: on the full disk,
/// and after space was freed.
const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o size=8m none "$OUT" || exit 99
"$@" 2>/dev/null & first=$!
until ls "$OUT"/*/work/parts/*.parquet >/dev/null 2>&1; do kill -0 $first || exit 98; done
kill -KILL $first; wait $first
dd if=/dev/zero of="$OUT/fill" bs=4k 2>/dev/null
"$@"; echo "exit $?" >&2
rm "$OUT/fill"
"$@"; echo "exit $?" >&2
"#;

#[test]
fn a_second_start_on_a_full_disk_reports_progress_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
    fill(&photos, 1500);
    fs::create_dir(&out).unwrap();
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh"]);
    shell.arg(built("tagfleet")).args(["run", "--model"]).arg(project("demo/model")).arg(&photos);
    let ran = run(shell.arg("--out").arg(&out).env("OUT", &out).stdin(Stdio::null()));
    if ran.stderr.starts_with("unshare:") || ran.code == Some(99) {
        eprintln!("skipped, no file system can be mounted here: {}", ran.stderr);
        return;
    }
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let error = lines.iter().find(|line| line.starts_with("error: ")).unwrap();
    let said = error.strip_prefix(&format!("error: --out {}: the disk is full: ", out.display())).unwrap();
    let (done, rest) = said.split_once(" of 1500 images are done and kept; ").unwrap();
    assert!(done.parse::<u32>().unwrap() >= 256, "{error}");
    assert!(rest.starts_with("free some space and run the same command again (run "), "{error}");
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("exit ")).collect::<Vec<_>>(),
        [&"exit 1", &"exit 0"]
    );
    assert!(ran.stdout.contains("1,500 tagged, 0 failed"), "{ran:?}");
}
