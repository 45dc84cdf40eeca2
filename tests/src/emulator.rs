//! AWS on this machine: one emulator per test, on a free local port. It ends with the test, and so does every
//! process that it started.
//!
//! It starts the project's launcher in the environment of `scripts/setup.sh test`, and creates buckets and
//! queues by plain requests. The code under test uses the real SDKs.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::http::Client;
use crate::metadata::Metadata;
use crate::project;

/// Options of an emulator: programs of images, environments, and the behaviour of AWS Batch.
#[derive(Debug, Clone, Default)]
pub struct Options {
    images: Map<String, Value>,
    environment: Map<String, Value>,
    slots: Option<usize>,
    time_scale: Option<f64>,
    instance_type: Option<String>,
    endpoint_url: Option<String>,
    own: Vec<(String, String)>,
}

impl Options {
    /// Jobs of this image run this program; jobs of an image without one find no capacity.
    #[must_use]
    pub fn image(mut self, name: &str, program: &Path) -> Self {
        self.images.insert(name.to_owned(), json!(program));
        self
    }

    /// A variable in the environment of every job.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), json!(value));
        self
    }

    /// Jobs run on the instance that this service describes. Without it, the instance type is unknown.
    #[must_use]
    pub fn on_machine(self, metadata: &Metadata) -> Self {
        self.variable("AWS_EC2_METADATA_DISABLED", "false")
            .variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint())
    }

    /// Jobs and functions use this URL for every service. A proxy there passes requests on to the emulator.
    #[must_use]
    pub fn endpoint_url(mut self, url: &str) -> Self {
        self.endpoint_url = Some(url.to_owned());
        self
    }

    /// A variable in the environment of every job and every function.
    #[must_use]
    pub fn variable_of_all(mut self, name: &str, value: &str) -> Self {
        self.own.push((name.to_owned(), value.to_owned()));
        self.variable(name, value)
    }

    /// The number of jobs that run at a time; 4 by default.
    #[must_use]
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = Some(slots);
        self
    }

    /// Every job has a metadata service that describes a spot instance of this type.
    #[must_use]
    pub fn instance_type(mut self, instance_type: &str) -> Self {
        self.instance_type = Some(instance_type.to_owned());
        self
    }

    /// Multiplies every duration of AWS Batch: with 0.001, ten minutes are 0.6 s.
    #[must_use]
    pub fn time_scale(mut self, scale: f64) -> Self {
        self.time_scale = Some(scale);
        self
    }
}

/// A running emulator.
#[derive(Debug)]
pub struct Emulator {
    process: Child,
    /// The emulator ends when this pipe closes, however the test ends.
    lifeline: Option<ChildStdin>,
    client: Client,
    /// Its temporary folder, with the code of functions.
    _folder: TempDir,
}

impl Emulator {
    /// Starts an emulator and waits until it listens.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&Options::default())
    }

    /// Starts an emulator with options and waits until it listens.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    #[must_use]
    pub fn start_with(options: &Options) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address");
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(python());
        command.arg(project("tests/emulator/launcher.py")).arg("--until-eof");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", free.port().to_string());
        let endpoint_url = options.endpoint_url.clone().unwrap_or_else(|| format!("http://{free}"));
        command.env("AWS_ENDPOINT_URL", endpoint_url).env("MINISTACK_REGION", "us-east-1");
        // Functions inherit them from the emulator.
        command.envs(options.own.iter().map(|(name, value)| (name, value)));
        // The retries of a state machine wait a hundredth of their intervals.
        command.env("SFN_WAIT_SCALE", "0.01").env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("TMPDIR", folder.path());
        command.env("BATCH_IMAGE_MAP", Value::from(options.images.clone()).to_string());
        command.env("BATCH_ENVIRONMENT", Value::from(options.environment.clone()).to_string());
        if let Some(slots) = options.slots {
            command.env("BATCH_SLOTS", slots.to_string());
        }
        if let Some(scale) = options.time_scale {
            command.env("BATCH_TIME_SCALE", scale.to_string());
        }
        if let Some(instance_type) = &options.instance_type {
            command.env("BATCH_INSTANCE_TYPE", instance_type);
        }
        let mut process = command.spawn().expect("the emulator starts");
        wait_until_it_listens(&mut process);
        let lifeline = process.stdin.take();
        Self { process, lifeline, client: Client::new(&free.to_string()), _folder: folder }
    }

    /// The URL of every service.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        self.client.url()
    }

    /// A client that sends plain requests to it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The ID of the emulator's process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// Creates a bucket.
    ///
    /// # Panics
    /// If the emulator refuses.
    pub fn make_bucket(&self, name: &str) {
        let answer = self.client.send("s3", &format!("PUT /{name}"), &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Writes one object under many keys of a bucket, by one request.
    pub fn fill(&self, bucket: &str, keys: &[String], bytes: &[u8]) {
        let request = json!({"bucket": bucket, "keys": keys, "base64": STANDARD.encode(bytes)});
        let _ = self.client.post("tagfleet", "/_tagfleet/fill", &request);
    }

    /// Creates a queue and returns its URL.
    ///
    /// # Panics
    /// If the emulator refuses.
    #[must_use]
    pub fn make_queue(&self, name: &str) -> String {
        let queue = self.client.call("sqs", "AmazonSQS.CreateQueue", &json!({"QueueName": name}));
        queue["QueueUrl"].as_str().expect("the queue's address").to_owned()
    }

    /// Waits for a condition of tests/emulator/observe.py, at most four minutes.
    ///
    /// # Panics
    /// If the condition is not met in that time.
    pub fn wait(&self, wait: &Value) {
        let answer = self.client.post("tagfleet", "/_tagfleet/wait", wait);
        assert_eq!(answer["met"], json!(true), "four minutes were not enough for {wait}");
    }

    /// From now on every message of a queue arrives twice.
    pub fn duplicate_messages(&self) {
        let _ = self.client.post("tagfleet", "/_tagfleet/duplicate", &json!({"on": true}));
    }

    /// The next `count` requests for keys that start with `prefix` (`BUCKET/PREFIX`) are answered 503
    /// `SlowDown`.
    pub fn slow_down(&self, prefix: &str, count: usize) {
        self.refuse(prefix, count, "SlowDown");
    }

    /// The next `count` requests for keys that start with `prefix` are answered 503 `ServiceUnavailable`.
    /// Unlike after `SlowDown`, clients keep their rate.
    pub fn be_unavailable(&self, prefix: &str, count: usize) {
        self.refuse(prefix, count, "ServiceUnavailable");
    }

    fn refuse(&self, prefix: &str, count: usize, code: &str) {
        let request = json!({"prefix": prefix, "count": count, "code": code});
        let _ = self.client.post("tagfleet", "/_tagfleet/slow_down", &request);
    }

    /// Sends a signal to a job's process.
    pub fn kill(&self, job: &str, signal: i32) {
        let _ = self.client.post("tagfleet", "/_tagfleet/kill", &json!({"job": job, "signal": signal}));
    }

    /// Ends the instance of a job without notice, as EC2 may do with spot instances.
    pub fn reclaim(&self, job: &str) {
        let reason = "Host EC2 (instance i-00000000000000000) terminated.";
        let request = json!({"job": job, "signal": 9, "reason": reason});
        let _ = self.client.post("tagfleet", "/_tagfleet/kill", &request);
    }

    /// Gives a job notice of a spot interruption, and ends its instance two minutes later if the job still
    /// runs.
    pub fn reclaim_with_notice(&self, job: &str) {
        let _ = self.client.post("tagfleet", "/_tagfleet/reclaim", &json!({"job": job}));
    }

    /// AWS Batch refuses the next `count` jobs with this code and status.
    pub fn refuse_jobs(&self, count: usize, code: &str, status: u16) {
        let request = json!({"count": count, "code": code, "status": status});
        let _ = self.client.post("tagfleet", "/_tagfleet/refuse_jobs", &request);
    }

    /// IAM's decision on every call of every role: the calls that are `denied`, and the `needless`
    /// permissions.
    #[must_use]
    pub fn verdict(&self) -> Value {
        self.client.get("tagfleet", "/_tagfleet/verdict")
    }

    /// `{"service:Operation": count}`: the calls that were checked against AWS's description of them.
    #[must_use]
    pub fn checked(&self) -> Value {
        self.client.get("tagfleet", "/_tagfleet/checked")
    }

    /// The JSONata expressions that state machines evaluated: expression, variables, `$states`, value.
    #[must_use]
    pub fn evaluations(&self) -> Value {
        self.client.get("tagfleet", "/_tagfleet/evaluations")
    }

    /// The fields that are not in AWS's description of an answer. Each is a service, an operation and a
    /// `path.of.names`.
    #[must_use]
    pub fn unknown_in_answers(&self, names: &[[&str; 3]]) -> Value {
        self.client.post("tagfleet", "/_tagfleet/answers", &json!({"names": names}))["unknown"].clone()
    }

    /// Every Batch job, children and parents, as `DescribeJobs` returns them, with the `pid` of the latest
    /// process.
    ///
    /// # Panics
    /// If the answer is not a list.
    #[must_use]
    pub fn jobs(&self) -> Vec<Value> {
        let jobs = self.client.get("tagfleet", "/_tagfleet/jobs");
        jobs.as_array().expect("a list").clone()
    }

    /// `{principal: {IAM action: count}}`: every call of every role, by the role's name.
    #[must_use]
    pub fn calls(&self) -> Value {
        self.client.get("tagfleet", "/_tagfleet/calls")
    }
}

/// The Python interpreter with the emulator.
pub(crate) fn python() -> PathBuf {
    let python = project(".venv-emulator/bin/python");
    assert!(python.exists(), "{} is not there: run `make test`", python.display());
    python
}

fn wait_until_it_listens(process: &mut Child) {
    let mut lines = BufReader::new(process.stderr.take().expect("its output")).lines();
    let mut printed = Vec::new();
    let listens = lines.by_ref().map_while(Result::ok).any(|line| {
        printed.push(line);
        printed.last().is_some_and(|line| line.contains("Running on"))
    });
    assert!(listens, "the emulator ended before it listened:\n{}", printed.join("\n"));
    // Its log must be read to the end: a full pipe would block it.
    std::thread::spawn(move || lines.count());
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // It may have ended already.
        let _ = self.process.wait();
    }
}
