//! A stack whose requests pass a proxy that injects faults: an undisturbed run, and disturbed runs compared
//! with it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tagfleet_tests::command::built;
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, one_picture};
use tagfleet_tests::metadata::Metadata;
use tagfleet_tests::photos::files;
use tagfleet_tests::project;
use tagfleet_tests::rows::Row;
use tempfile::TempDir;

use super::checks;
use super::proxy::Proxy;
use super::schedule::{Census, Fault, Schedule, WORKERS};

/// The most times that a run is resumed. A schedule has too few faults to stop it more often.
const RESUMES: usize = 5;
/// The number of tokens that the worker program knows.
const MOST_FULL_DISKS: u64 = 2;
/// Each prefix is a range of keys, and so a shard.
const PREFIXES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
/// The exit code of a complete run with failed images.
const COMPLETE_WITH_FAILED: i32 = 3;
const IMAGE: &str = "tagfleet/worker:storm";
/// The worker. If the folder `TOKENS` has a file, it removes that file and runs as on a full disk: it can
/// write nothing.
const WORKER: &str = r#"#!/bin/sh
for token in 1 2; do
  if rm "TOKENS/$token" 2>/dev/null; then
    trap '' XFSZ
    ulimit -f 0
    break
  fi
done
exec 'BINARY' "$@"
"#;

/// A stack whose requests go through a proxy.
pub(super) struct ChaosStack {
    fleet: Fleet,
    pub(super) proxy: Proxy,
    tokens: TempDir,
}

/// The rows, summary and requests of an undisturbed run.
pub(super) struct Baseline {
    pub(super) rows: Vec<Row>,
    pub(super) summary: Value,
    census: Census,
}

impl ChaosStack {
    pub(super) fn deploy() -> Self {
        let metadata = Metadata::start_on("c7a.2xlarge");
        let tokens = tempfile::tempdir().unwrap();
        let program = tokens.path().join("worker.sh");
        write_program(&program, tokens.path());
        let options = Options::default()
            .image(IMAGE, &program)
            .variable("AWS_EC2_METADATA_DISABLED", "false")
            .variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint())
            .variable("TAGFLEET_VCPUS", "2")
            .variable("TAGFLEET_GRACE_SECONDS", "1")
            .variable_of_all("TAGFLEET_ANSWER_SECONDS", "2");
        let proxy = Proxy::new(metadata);
        let options = options.endpoint_url(&proxy.endpoint_url());
        let fleet = Fleet::deploy(&options, &[("CpuImage", IMAGE), ("CpuInstanceTypes", "c7a.2xlarge")]);
        proxy.connect_to(&fleet.cloud.emulator().endpoint_url());
        upload(&fleet);
        Self { fleet, proxy, tokens }
    }

    /// A run without faults.
    pub(super) fn baseline(&self) -> Baseline {
        self.proxy.restart(Vec::new());
        let before = self.keys();
        let run = self.submit();
        let (status, ended) = self.fleet.wait(&self.fleet.execution(&run));
        assert_eq!(status, "SUCCEEDED", "{ended}");
        checks::nothing_is_written_elsewhere(&self.fleet, &run, &before);
        let baseline = Baseline {
            rows: self.fleet.rows(&run),
            summary: checks::summary(&self.fleet, &run),
            census: self.proxy.census(),
        };
        checks::the_summary_is_exact(&self.fleet, &run, &baseline, 0);
        checks::requests_are_counted(&self.fleet, &run, &baseline.census);
        baseline
    }

    /// A run with the faults of this seed. It is resumed until it is complete.
    pub(super) fn disturbed_run(&self, seed: u64, baseline: &Baseline) {
        let schedule = Schedule::draw(seed, &baseline.census);
        self.fill_disks(schedule.full_disks);
        let before = self.keys();
        eprintln!("    {} faults, {} full disks", schedule.faults.len(), schedule.full_disks);
        let stops_a_worker = schedule.faults.iter().any(Fault::stops_a_worker);
        self.proxy.restart(schedule.faults);
        let run = self.submit();
        let (status, ended) = self.fleet.wait(&self.fleet.execution(&run));
        let is_resumed = status != "SUCCEEDED";
        if is_resumed {
            self.resume(&run, &ended);
        }
        checks::nothing_is_written_elsewhere(&self.fleet, &run, &before);
        checks::the_summary_is_exact(&self.fleet, &run, baseline, schedule.full_disks);
        if !stops_a_worker {
            checks::requests_are_counted(&self.fleet, &run, &self.proxy.census());
        }
        let mut rows = self.fleet.rows(&run);
        if is_resumed {
            // Parts that came after the first end are in result files of their own.
            rows.sort_by(|a, b| a.key.cmp(&b.key));
        }
        assert!(rows == baseline.rows, "the rows differ: {:?}", first_difference(&rows, &baseline.rows));
    }

    /// The next `count` workers start with a full disk.
    fn fill_disks(&self, count: u64) {
        for token in 1..=MOST_FULL_DISKS {
            let token = (token, self.tokens.path().join(token.to_string()));
            if token.0 <= count {
                fs::write(token.1, "").unwrap();
            } else if token.1.exists() {
                fs::remove_file(token.1).unwrap();
            }
        }
    }

    /// Resumes the run until it is complete. Each time its summary must name the missing shards exactly.
    fn resume(&self, run: &str, ended: &Value) {
        assert_eq!(ended["error"], json!("tagfleet.Incomplete"), "{ended}");
        let is_complete = (0..RESUMES).any(|_| {
            checks::the_missing_shards_are_named(&self.fleet, run);
            let resumed = self.fleet.tagfleet(&["resume", run, "--wait"]);
            eprintln!("    incomplete, resumed with exit code {:?}", resumed.code);
            // Some files are not pictures, so a complete run has failed rows.
            resumed.code == Some(COMPLETE_WITH_FAILED)
        });
        assert!(is_complete, "run {run} is not complete after {RESUMES} resumes");
    }

    fn submit(&self) -> String {
        let prefix = |name: &&str| format!("s3://{}/photos/{name}/", self.fleet.bucket());
        let input: Vec<String> = PREFIXES.iter().map(prefix).collect();
        self.fleet.submit(
            &self.fleet.request(&json!({"workers": WORKERS, "input": input, "notify": ["ops@example.com"]})),
        )
    }

    fn keys(&self) -> BTreeSet<String> {
        self.fleet.cloud.keys("").into_iter().collect()
    }
}

fn write_program(program: &Path, tokens: &Path) {
    let worker = built("batch-worker");
    let text = WORKER.replace("TOKENS", tokens.to_str().unwrap());
    fs::write(program, text.replace("BINARY", worker.to_str().unwrap())).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Uploads the demo's pictures, some to each prefix, and files that are not pictures.
fn upload(fleet: &Fleet) {
    for (number, path) in files(&project("demo/photos")).iter().enumerate() {
        let (prefix, name) = (PREFIXES[number % PREFIXES.len()], path.file_name().unwrap());
        let key = format!("photos/{prefix}/{}", name.to_str().unwrap());
        fleet.cloud.put(&key, &fs::read(path).unwrap());
    }
    let picture = one_picture();
    fleet.cloud.put("photos/b/broken.jpg", b"not a picture");
    fleet.cloud.put("photos/c/cut.jpg", &picture[..picture.len() / 4]);
    fleet.cloud.put("photos/d/empty.jpg", b"");
    fleet.cloud.put("photos/e/ü ß+%20.jpg", &picture);
}

fn first_difference(rows: &[Row], expected: &[Row]) -> String {
    let differing = rows.iter().zip(expected).find(|(row, expected)| row != expected);
    format!("{} rows for {}, {differing:?}", rows.len(), expected.len())
}
