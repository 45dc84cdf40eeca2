//! A stack under way to whose services everything may happen, the run of a quiet day, and runs in storms.

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

/// A run in a storm is gone on with at most so often: a storm has fewer faults than could stop it more often.
const RESUMES: usize = 5;
/// As many tokens as the program below knows.
const MOST_FULL_DISKS: u64 = 2;
/// Each is a range of keys of its own, and so a shard of its own.
const PREFIXES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
/// The command's exit code for that.
const COMPLETE_WITH_FAILED: i32 = 3;
const IMAGE: &str = "tagfleet/worker:storm";
/// The worker, on a full disk where `TOKENS` holds a file: nothing can be written then.
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

/// What a quiet run came to.
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
        proxy.lead_to(&fleet.cloud.emulator().endpoint_url());
        upload(&fleet);
        Self { fleet, proxy, tokens }
    }

    /// The run of a quiet day.
    pub(super) fn quiet(&self) -> Baseline {
        self.proxy.begin(Vec::new());
        let before = self.keys();
        let run = self.submit();
        let (status, ended) = self.fleet.wait(&self.fleet.execution(&run));
        assert_eq!(status, "SUCCEEDED", "{ended}");
        checks::nothing_is_written_elsewhere(&self.fleet, &run, &before);
        let quiet = Baseline {
            rows: self.fleet.rows(&run),
            summary: checks::summary(&self.fleet, &run),
            census: self.proxy.census(),
        };
        checks::all_is_told(&self.fleet, &run, &quiet, 0);
        checks::requests_are_counted(&self.fleet, &run, &quiet.census);
        quiet
    }

    /// A run in the storm of this seed, gone on with until it is complete.
    pub(super) fn storm(&self, seed: u64, quiet: &Baseline) {
        let schedule = Schedule::draw(seed, &quiet.census);
        self.fill_disks(schedule.full_disks);
        let before = self.keys();
        eprintln!("    {} faults, {} full disks", schedule.faults.len(), schedule.full_disks);
        let is_anyone_stopped = schedule.faults.iter().any(Fault::stops_a_worker);
        self.proxy.begin(schedule.faults);
        let run = self.submit();
        let (status, ended) = self.fleet.wait(&self.fleet.execution(&run));
        if status != "SUCCEEDED" {
            self.go_on(&run, &ended);
        }
        checks::nothing_is_written_elsewhere(&self.fleet, &run, &before);
        checks::all_is_told(&self.fleet, &run, quiet, schedule.full_disks);
        if !is_anyone_stopped {
            checks::requests_are_counted(&self.fleet, &run, &self.proxy.census());
        }
        let rows = self.fleet.rows(&run);
        assert!(rows == quiet.rows, "the rows differ: {:?}", first_difference(&rows, &quiet.rows));
    }

    /// So many workers that start from now on find no room on their disk.
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

    /// Each time the run says exactly what is missing.
    fn go_on(&self, run: &str, ended: &Value) {
        assert_eq!(ended["error"], json!("tagfleet.Incomplete"), "{ended}");
        let is_complete = (0..RESUMES).any(|_| {
            checks::what_is_missing_is_told(&self.fleet, run);
            let resumed = self.fleet.tagfleet(&["resume", run, "--wait"]);
            eprintln!("    incomplete, and gone on with: {:?}", resumed.code);
            // Some pictures are none: their rows say so.
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

/// The demo's pictures, some to each prefix, and what is none.
fn upload(fleet: &Fleet) {
    for (number, path) in files(&project("demo/photos")).iter().enumerate() {
        let (prefix, name) = (PREFIXES[number % PREFIXES.len()], path.file_name().unwrap());
        let key = format!("photos/{prefix}/{}", name.to_str().unwrap());
        fleet.cloud.put(&key, &fs::read(path).unwrap());
    }
    let picture = one_picture();
    fleet.cloud.put("photos/b/broken.jpg", b"no picture");
    fleet.cloud.put("photos/c/cut.jpg", &picture[..picture.len() / 4]);
    fleet.cloud.put("photos/d/empty.jpg", b"");
    fleet.cloud.put("photos/e/ü ß+%20.jpg", &picture);
}

fn first_difference(rows: &[Row], quiet: &[Row]) -> String {
    let differing = rows.iter().zip(quiet).find(|(row, quiet)| row != quiet);
    format!("{} rows for {}, {differing:?}", rows.len(), quiet.len())
}
