//! AWS on this machine: one emulator per test, on a free port of the loopback, gone with the test and with it every
//! process that it started.
//!
//! It starts the project's launcher in what `scripts/setup.sh test` installed and makes buckets and queues by plain
//! requests; everything that is tested goes through the real SDKs.

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

/// What an emulator is to have beyond the services.
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

    /// Jobs run on the machine that this service describes, not on one of which nothing is known.
    #[must_use]
    pub fn on_machine(self, metadata: &Metadata) -> Self {
        self.variable("AWS_EC2_METADATA_DISABLED", "false")
            .variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint())
    }

    /// Jobs and functions find every service here, where something passes their requests on to the emulator.
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

    /// So many jobs run at a time; 4 if not said.
    #[must_use]
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = Some(slots);
        self
    }

    /// Every job finds a metadata service, which says that it runs on a spot instance of this type.
    #[must_use]
    pub fn instance_type(mut self, instance_type: &str) -> Self {
        self.instance_type = Some(instance_type.to_owned());
        self
    }

    /// Every duration that AWS Batch has is multiplied by this: with 0.001 its least ten minutes are 0.6 s.
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
    /// It ends when this does, however the test ends.
    lifeline: Option<ChildStdin>,
    client: Client,
    /// What it writes besides answers: the code of functions.
    _folder: TempDir,
}

impl Emulator {
    /// Starts one and waits until it listens.
    ///
    /// # Panics
    /// Where it is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&Options::default())
    }

    /// Starts one that has more.
    ///
    /// # Panics
    /// Where it is not installed or does not start.
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
        // Nobody waits for the intervals of a state machine's retries.
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

    /// Where every service is.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        self.client.url()
    }

    /// Plain requests to it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The emulator's own process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// Where the emulator refuses.
    pub fn make_bucket(&self, name: &str) {
        let answer = self.client.send("s3", &format!("PUT /{name}"), &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Writes one object under many keys of a bucket, much faster than requests do.
    pub fn fill(&self, bucket: &str, keys: &[String], bytes: &[u8]) {
        let request = json!({"bucket": bucket, "keys": keys, "base64": STANDARD.encode(bytes)});
        let _ = self.client.post("tagfleet", "/_tagfleet/fill", &request);
    }

    /// Makes a queue and returns its address.
    ///
    /// # Panics
    /// Where the emulator refuses.
    #[must_use]
    pub fn make_queue(&self, name: &str) -> String {
        let queue = self.client.call("sqs", "AmazonSQS.CreateQueue", &json!({"QueueName": name}));
        queue["QueueUrl"].as_str().expect("the queue's address").to_owned()
    }

    /// Waits until what `wait` names has come about (tests/emulator/observe.py), at most four minutes.
    ///
    /// # Panics
    /// Where it does not.
    pub fn wait(&self, wait: &Value) {
        let answer = self.client.post("tagfleet", "/_tagfleet/wait", wait);
        assert_eq!(answer["met"], json!(true), "four minutes were not enough for {wait}");
    }

    /// From now on every message that is sent to a queue arrives twice.
    pub fn duplicate_messages(&self) {
        let _ = self.client.post("tagfleet", "/_tagfleet/duplicate", &json!({"on": true}));
    }

    /// The next `count` requests for keys that begin with `prefix` (`BUCKET/PREFIX`) are answered 503 `SlowDown`.
    pub fn slow_down(&self, prefix: &str, count: usize) {
        self.refuse(prefix, count, "SlowDown");
    }

    /// The same with `ServiceUnavailable`, which slows no client down.
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

    /// Takes the instance away under a job, as EC2 does with spot instances.
    pub fn reclaim(&self, job: &str) {
        let reason = "Host EC2 (instance i-00000000000000000) terminated.";
        let request = json!({"job": job, "signal": 9, "reason": reason});
        let _ = self.client.post("tagfleet", "/_tagfleet/kill", &request);
    }

    /// Announces to a job that its instance is taken away, and does so two minutes later if the job is still there.
    pub fn reclaim_in_time(&self, job: &str) {
        let _ = self.client.post("tagfleet", "/_tagfleet/reclaim", &json!({"job": job}));
    }

    /// The next `count` jobs are not submitted: AWS Batch answers with this code and status.
    pub fn refuse_jobs(&self, count: usize, code: &str, status: u16) {
        let request = json!({"count": count, "code": code, "status": status});
        let _ = self.client.post("tagfleet", "/_tagfleet/refuse_jobs", &request);
    }

    /// IAM's verdict on every call of every role: those that are `denied`, and what of the policies is `needless`.
    #[must_use]
    pub fn verdict(&self) -> Value {
        self.client.get("tagfleet", "/_tagfleet/verdict")
    }

    /// `{"service:Operation": count}`: the calls that were held to AWS's own description of them.
    #[must_use]
    pub fn checked(&self) -> Value {
        self.client.get("tagfleet", "/_tagfleet/checked")
    }

    /// The JSONata that state machines evaluated: expression, variables, `$states`, value.
    #[must_use]
    pub fn evaluations(&self) -> Value {
        self.client.get("tagfleet", "/_tagfleet/evaluations")
    }

    /// Which of these names AWS's answers lack: service, operation, `path.of.names`.
    #[must_use]
    pub fn unknown_in_answers(&self, names: &[[&str; 3]]) -> Value {
        self.client.post("tagfleet", "/_tagfleet/answers", &json!({"names": names}))["unknown"].clone()
    }

    /// Every Batch job, children and parents, as `DescribeJobs` returns them, with the `pid` of the latest process.
    ///
    /// # Panics
    /// Where the answer is no list.
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

/// The Python that has the emulator.
pub(crate) fn python() -> PathBuf {
    let python = project(".venv-emulator/bin/python");
    assert!(python.exists(), "{} is not there: run `make test`", python.display());
    python
}

fn wait_until_it_listens(process: &mut Child) {
    let mut lines = BufReader::new(process.stderr.take().expect("its output")).lines();
    let mut said = Vec::new();
    let listens = lines.by_ref().map_while(Result::ok).any(|line| {
        said.push(line);
        said.last().is_some_and(|line| line.contains("Running on"))
    });
    assert!(listens, "the emulator ended before it listened:\n{}", said.join("\n"));
    // What it logs from now on has to go somewhere.
    std::thread::spawn(move || lines.count());
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // It may have ended by itself; then there is nothing to wait for.
        let _ = self.process.wait();
    }
}
