//! A user of a stack: the real command on one side, the deployed stack on the other.
//!
//! It publishes the demo's model once per stack, uploads pictures, puts request files, and reads back rows.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cloud::Cloud;
use crate::command::{Ran, run, tagfleet};
use crate::emulator::Options;
use crate::photos::files;
use crate::project;
use crate::rows::{Row, rows_of};

/// A deployed stack, its command, and a folder for downloads.
#[derive(Debug)]
pub struct Fleet {
    /// The stack.
    pub cloud: Cloud,
    folder: TempDir,
    model: OnceLock<String>,
}

impl Fleet {
    /// Deploys a stack.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn deploy(options: &Options, parameters: &[(&str, &str)]) -> Self {
        // A worker ends as soon as its queue is empty.
        let options = options.clone().variable("TAGFLEET_IDLE_SECONDS", "1");
        let cloud = Cloud::deploy_with(&options, parameters);
        Self { cloud, folder: tempfile::tempdir().expect("a folder"), model: OnceLock::new() }
    }

    /// The stack's bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.cloud.output("Bucket")
    }

    /// Runs the command against this stack.
    #[must_use]
    pub fn tagfleet(&self, arguments: &[&str]) -> Ran {
        let endpoint = self.cloud.emulator().endpoint_url();
        let mut command = tagfleet(arguments);
        command.args(["--region", "us-east-1", "--endpoint-url", &endpoint]);
        // By this key the emulator distinguishes its calls from those of the test.
        command.env("AWS_ACCESS_KEY_ID", "operator").env("AWS_SECRET_ACCESS_KEY", "secret");
        run(&mut command)
    }

    /// Uploads the demo's 60 pictures below `prefix` of the stack's bucket.
    ///
    /// # Panics
    /// If one cannot be read.
    pub fn upload_demo(&self, prefix: &str) {
        let folder = project("demo/photos");
        for path in files(&folder) {
            let key = path.strip_prefix(&folder).expect("below it").to_str().expect("UTF-8");
            self.cloud.put(&format!("{prefix}{key}"), &fs::read(&path).expect("a picture"));
        }
    }

    /// Uploads one of the demo's pictures as `count` objects `photos/000000.jpg` and so on.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn upload_copies(&self, count: usize) {
        let keys: Vec<String> = (0..count).map(|number| format!("photos/{number:06}.jpg")).collect();
        self.cloud.emulator().fill(self.bucket(), &keys, &one_picture());
    }

    /// A request for the pictures below `photos/` of the stack's bucket, with `more` fields. The first
    /// call publishes the model.
    ///
    /// # Panics
    /// If the model cannot be published.
    #[must_use]
    pub fn request(&self, more: &Value) -> Value {
        let input = format!("s3://{}/photos/", self.bucket());
        let model = self.model.get_or_init(|| self.publish(&input));
        let mut request = json!({"version": 1, "input": [input], "model": model});
        for (field, value) in more.as_object().expect("an object") {
            request[field] = value.clone();
        }
        request
    }

    fn publish(&self, input: &str) -> String {
        let file = self.folder.path().join("request.json");
        let file = file.to_str().expect("UTF-8");
        let ran = self.tagfleet(&["submit", input, "--model", "demo/model", "--save", file]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let request: Value = serde_json::from_slice(&fs::read(file).expect("the request")).expect("JSON");
        request["model"].as_str().expect("the model's place").to_owned()
    }

    /// Puts a request file and waits for the execution that it starts, the `nth` of this stack; returns its
    /// ARN.
    #[must_use]
    pub fn put_request(&self, name: &str, request: &Value, nth: usize) -> String {
        self.cloud.put(&format!("requests/{name}.json"), request.to_string().as_bytes());
        self.cloud.wait_for_executions(nth).pop().expect("an execution")
    }

    /// Submits a request by the command and returns the run ID.
    ///
    /// # Panics
    /// If it is refused.
    #[must_use]
    pub fn submit(&self, request: &Value) -> String {
        let file = self.folder.path().join("submitted.json");
        fs::write(&file, request.to_string()).expect("a file");
        let ran = self.tagfleet(&["submit", "--request", file.to_str().expect("UTF-8"), "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let said: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        said["run"].as_str().expect("a run").to_owned()
    }

    /// The ARN of an execution by its name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn execution(&self, name: &str) -> String {
        let executions = self.cloud.executions();
        let found = executions.into_iter().find(|arn| arn.ends_with(&format!(":{name}")));
        found.expect("the execution")
    }

    /// Waits for an execution. Returns its status, and its error and cause.
    #[must_use]
    pub fn wait(&self, execution: &str) -> (String, Value) {
        let ended = self.cloud.wait(execution);
        (ended["status"].as_str().unwrap_or_default().to_owned(), ended)
    }

    /// The rows of a complete run with the default output.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn rows(&self, run: &str) -> Vec<Row> {
        let folder = self.folder.path().join(run);
        self.download(run, &folder);
        rows_of(&folder)
    }

    /// Copies the results, summary and report of a run into a folder.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn download(&self, run: &str, folder: &Path) {
        let prefix = format!("tags/{run}/");
        for key in self.cloud.keys(&prefix) {
            let path = folder.join(key.strip_prefix(&prefix).expect("below it"));
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, self.cloud.get(&key).expect("an object")).expect("a file");
        }
    }
}

/// The run of an execution that an event or `submit` started: its name.
#[must_use]
pub fn name(execution: &str) -> &str {
    execution.rsplit(':').next().unwrap_or_default()
}

/// The bytes of one of the demo's pictures.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn one_picture() -> Vec<u8> {
    fs::read(project("demo/photos/autumn/sku-0000.jpg")).expect("a picture")
}

/// The rows of a local run over a folder, with `prefix` before each key.
///
/// # Panics
/// If the run fails.
#[must_use]
pub fn local_rows(folder: &Path, prefix: &str) -> Vec<Row> {
    let out = tempfile::tempdir().expect("a folder");
    let mut command = tagfleet(["run", "--model", "demo/model", "--out"]);
    let ran = run(command.arg(out.path()).arg(folder));
    assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
    let mut rows = crate::rows::rows(out.path());
    for row in &mut rows {
        row.key.insert_str(0, prefix);
    }
    rows
}
