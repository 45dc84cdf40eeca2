//! The whole AWS path on the emulator: a stack of the project's template with the project's binaries.
//!
//! It sends plain requests and returns the answers of AWS, so that a test sees what a user sees. It never
//! calls the code under test.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::emulator::{Emulator, Options, python};
use crate::http::{Client, encode, encode_key};
use crate::project;

/// The name of the stack and of its state machine.
pub const STACK: &str = "tagfleet";
/// The image of CPU workers: the real worker.
pub const CPU_IMAGE: &str = "tagfleet/worker:cpu";
/// The image of GPU workers. The emulator has no program for it, so its jobs find no capacity.
pub const GPU_IMAGE: &str = "tagfleet/worker:gpu";
/// The sender of the mails.
pub const SENDER: &str = "sender@example.com";

const CODE_BUCKET: &str = "code";
const TEMPLATE_KEY: &str = "template.yaml";
/// Writes a zip with a `bootstrap` that replaces itself with the binary, which is then the process of the
/// function.
const ZIP: &str = r##"
import io, sys, zipfile
file = io.BytesIO()
with zipfile.ZipFile(file, "w") as archive:
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = 0o755 << 16
    archive.writestr(entry, f"#!/bin/sh\nexec '{sys.argv[1]}'\n")
sys.stdout.buffer.write(file.getvalue())
"##;

/// A deployed stack.
#[derive(Debug)]
pub struct Cloud {
    emulator: Emulator,
    parameters: Vec<(String, String)>,
    outputs: Vec<(String, String)>,
}

impl Cloud {
    /// Deploys the project's template.
    ///
    /// # Panics
    /// If a binary is not built or the stack cannot be created.
    #[must_use]
    pub fn deploy() -> Self {
        Self::deploy_with(&Options::default(), &[])
    }

    /// Deploys the project's template into an emulator with options. `parameters` are added to the usual
    /// ones.
    ///
    /// # Panics
    /// If a binary is not built or the stack cannot be created.
    #[must_use]
    pub fn deploy_with(options: &Options, parameters: &[(&str, &str)]) -> Self {
        let options = options.clone().image(CPU_IMAGE, &binary("batch-worker"));
        let template = std::fs::read_to_string(project("infra/template.yaml")).expect("the template");
        let mut all = vec![
            ("CodeBucket", CODE_BUCKET),
            ("SplitterKey", "splitter.zip"),
            ("ReducerKey", "reducer.zip"),
            ("CpuImage", CPU_IMAGE),
            ("GpuImage", GPU_IMAGE),
            ("Sender", SENDER),
        ];
        all.retain(|(name, _)| parameters.iter().all(|(other, _)| other != name));
        all.extend(parameters);
        let functions = [("splitter.zip", binary("splitter")), ("reducer.zip", binary("reducer"))];
        Self::deploy_template(&options, &template, &all, &functions)
    }

    /// Deploys any template. `functions` are the object keys of their zips, and their binaries.
    ///
    /// # Panics
    /// If the stack cannot be created.
    #[must_use]
    pub fn deploy_template(
        options: &Options,
        template: &str,
        parameters: &[(&str, &str)],
        functions: &[(&str, PathBuf)],
    ) -> Self {
        let emulator = Emulator::start_with(options);
        emulator.make_bucket(CODE_BUCKET);
        for (key, binary) in functions {
            put(emulator.client(), CODE_BUCKET, key, &zip(binary));
        }
        let definition = project("infra/state-machine.asl.json");
        if let Ok(definition) = std::fs::read(definition) {
            put(emulator.client(), CODE_BUCKET, "state-machine.asl.json", &definition);
        }
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let parameters = parameters.iter().map(owned).collect();
        let mut cloud = Self { emulator, parameters, outputs: Vec::new() };
        cloud.change("CreateStack", template, "CREATE_COMPLETE");
        cloud
    }

    /// Updates the stack in place with another template, or other parameters.
    ///
    /// # Panics
    /// If the update fails.
    pub fn update(&mut self, template: &str, parameters: &[(&str, &str)]) {
        for (name, value) in parameters {
            self.parameters.retain(|(other, _)| other != name);
            self.parameters.push(((*name).to_owned(), (*value).to_owned()));
        }
        self.change("UpdateStack", template, "UPDATE_COMPLETE");
    }

    /// Deletes the stack.
    ///
    /// # Panics
    /// If a resource of it cannot be deleted.
    pub fn delete(&self) {
        let _ = self.cloudformation("DeleteStack", &[("StackName", STACK)]);
        let state = self.stack_state();
        assert!(state.is_empty() || state == "DELETE_COMPLETE", "{state}: {}", self.stack_problems());
    }

    /// The emulator that the stack runs in.
    #[must_use]
    pub fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// An output of the stack.
    ///
    /// # Panics
    /// If the stack has no output of this name.
    #[must_use]
    pub fn output(&self, name: &str) -> &str {
        let found = self.outputs.iter().find(|(output, _)| output == name);
        assert!(found.is_some(), "the stack has no output {name}");
        found.map_or("", |(_, value)| value)
    }

    /// Writes an object into the stack's bucket.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.put_into(self.output("Bucket"), key, bytes);
    }

    /// Writes an object into any bucket.
    pub fn put_into(&self, bucket: &str, key: &str, bytes: &[u8]) {
        put(self.emulator.client(), bucket, key, bytes);
    }

    /// An object of the stack's bucket; `None` if there is none.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let line = format!("GET {}", object(self.output("Bucket"), key));
        let answer = self.emulator.client().send("s3", &line, &[], b"");
        (answer.status == 200).then_some(answer.body)
    }

    /// Deletes an object of any bucket.
    pub fn delete_object(&self, bucket: &str, key: &str) {
        let _ = self.emulator.client().send("s3", &format!("DELETE {}", object(bucket, key)), &[], b"");
    }

    /// The keys of the stack's bucket below a prefix, in key order.
    #[must_use]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let after = encode(keys.last().map_or("", String::as_str));
            let prefix = encode(prefix);
            let line =
                format!("GET /{}?list-type=2&prefix={prefix}&start-after={after}", self.output("Bucket"));
            let page = self.emulator.client().send("s3", &line, &[], b"").text();
            keys.extend(elements(&page, "Key"));
            if !page.contains("<IsTruncated>true") {
                return keys;
            }
        }
    }

    /// Starts an execution and returns its ARN.
    ///
    /// # Panics
    /// If Step Functions refuses.
    #[must_use]
    pub fn start(&self, name: &str, input: &Value) -> String {
        let machine = self.output("StateMachineArn");
        let request = json!({"stateMachineArn": machine, "name": name, "input": input.to_string()});
        let started = self.states("StartExecution", &request);
        started["executionArn"].as_str().expect("an ARN").to_owned()
    }

    /// Stops an execution.
    pub fn stop(&self, execution: &str) {
        let _ = self.states("StopExecution", &json!({"executionArn": execution}));
    }

    /// The ARNs of all executions, oldest first, without those of Maps.
    ///
    /// # Panics
    /// If the answer is not a list.
    #[must_use]
    pub fn executions(&self) -> Vec<String> {
        let machine = json!({"stateMachineArn": self.output("StateMachineArn")});
        let listed = self.states("ListExecutions", &machine);
        let listed = listed["executions"].as_array().expect("a list").iter().rev();
        listed.map(|execution| execution["executionArn"].as_str().expect("an ARN").to_owned()).collect()
    }

    /// Waits until `count` executions have started, at most four minutes; returns their ARNs, oldest first.
    #[must_use]
    pub fn wait_for_executions(&self, count: usize) -> Vec<String> {
        self.emulator.wait(&json!({"executions": count}));
        self.executions()
    }

    /// An execution as `DescribeExecution` returns it.
    #[must_use]
    pub fn describe(&self, execution: &str) -> Value {
        self.states("DescribeExecution", &json!({"executionArn": execution}))
    }

    /// Waits for the end of an execution, at most four minutes, and describes it.
    #[must_use]
    pub fn wait(&self, execution: &str) -> Value {
        self.emulator.wait(&json!({"execution": execution}));
        self.describe(execution)
    }

    /// The names of the states that an execution entered, in order, without those of Maps.
    ///
    /// # Panics
    /// If the answer is not a list.
    #[must_use]
    pub fn states_entered(&self, execution: &str) -> Vec<String> {
        let request = json!({"executionArn": execution, "maxResults": 1000});
        let history = self.states("GetExecutionHistory", &request);
        let events = history["events"].as_array().expect("a list").iter();
        events
            .filter_map(|event| event["stateEnteredEventDetails"]["name"].as_str().map(str::to_owned))
            .collect()
    }

    /// All mails, oldest first: `Source`, `To`, `Subject`, `BodyText`, `BodyHtml`.
    #[must_use]
    pub fn mails(&self) -> Vec<Value> {
        let mails = self.emulator.client().get("ses", "/_ministack/ses/messages");
        let accounts = mails["messages"].as_object().cloned().unwrap_or_default();
        accounts.into_values().flat_map(|mails| mails.as_array().cloned().unwrap_or_default()).collect()
    }

    /// Every Batch job.
    #[must_use]
    pub fn jobs(&self) -> Vec<Value> {
        self.emulator.jobs()
    }

    /// Every call of every role.
    #[must_use]
    pub fn calls(&self) -> Value {
        self.emulator.calls()
    }

    /// Invokes a function. Returns its result, or its error as Lambda reports it.
    ///
    /// # Panics
    /// If the answer is not JSON.
    #[must_use]
    pub fn invoke(&self, function: &str, payload: &Value) -> Value {
        self.emulator.client().post(
            "lambda",
            &format!("/2015-03-31/functions/{function}/invocations"),
            payload,
        )
    }

    /// Changes a function's configuration: `{"Timeout": 3}`.
    ///
    /// # Panics
    /// If Lambda refuses.
    pub fn configure(&self, function: &str, configuration: &Value) {
        let line = format!("PUT /2015-03-31/functions/{function}/configuration");
        let body = configuration.to_string();
        let answer = self.emulator.client().send("lambda", &line, &[], body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// The messages of a log group, oldest first.
    ///
    /// # Panics
    /// If there is no such group.
    #[must_use]
    pub fn logs(&self, group: &str) -> Vec<String> {
        let request = json!({"logGroupName": group});
        let found = self.emulator.client().call("logs", "Logs_20140328.FilterLogEvents", &request);
        let events = found["events"].as_array().cloned().unwrap_or_default();
        events.iter().filter_map(|event| event["message"].as_str().map(str::to_owned)).collect()
    }

    fn states(&self, operation: &str, request: &Value) -> Value {
        self.emulator.client().call("states", &format!("AWSStepFunctions.{operation}"), request)
    }

    fn change(&mut self, operation: &str, template: &str, expected: &str) {
        // By URL, as a deployment does, because a request accepts at most 51,200 bytes of template.
        self.put_into(CODE_BUCKET, TEMPLATE_KEY, template.as_bytes());
        let url = format!("{}/{CODE_BUCKET}/{TEMPLATE_KEY}", self.emulator.endpoint_url());
        let mut form = vec![
            ("StackName".to_owned(), STACK.to_owned()),
            ("TemplateURL".to_owned(), url),
            ("Capabilities.member.1".to_owned(), "CAPABILITY_IAM".to_owned()),
        ];
        for (number, (name, value)) in self.parameters.iter().enumerate() {
            let member = format!("Parameters.member.{}", number + 1);
            form.push((format!("{member}.ParameterKey"), name.clone()));
            form.push((format!("{member}.ParameterValue"), value.clone()));
        }
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let _ = self.cloudformation(operation, &form);
        let state = self.stack_state();
        assert_eq!(state, expected, "{}", self.stack_problems());
        let described = self.cloudformation("DescribeStacks", &[("StackName", STACK)]);
        let keys = elements(&described, "OutputKey").into_iter();
        self.outputs = keys.zip(elements(&described, "OutputValue")).collect();
    }

    /// The state of the stack once nothing is in progress. A number of requests bounds the wait.
    fn stack_state(&self) -> String {
        let mut state = String::new();
        for _ in 0..10_000 {
            let described = self.emulator.client().send("cloudformation", DESCRIBE_STACK, &[], b"").text();
            state = elements(&described, "StackStatus").into_iter().next().unwrap_or_default();
            if !state.ends_with("IN_PROGRESS") {
                break;
            }
        }
        state
    }

    /// The reasons why the stack could not be created.
    fn stack_problems(&self) -> String {
        let events = self.cloudformation("DescribeStackEvents", &[("StackName", STACK)]);
        elements(&events, "ResourceStatusReason").join("\n")
    }

    fn cloudformation(&self, operation: &str, form: &[(&str, &str)]) -> String {
        let mut body = format!("Action={operation}&Version=2010-05-15");
        for (name, value) in form {
            body.push_str(&format!("&{name}={}", encode(value)));
        }
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = self.emulator.client().send("cloudformation", "POST /", &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }
}

const DESCRIBE_STACK: &str = "GET /?Action=DescribeStacks&Version=2010-05-15&StackName=tagfleet";

/// The texts of all elements of a name. The outputs and keys of these tests need no more of XML.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(&open).skip(1);
    let texts = parts.filter_map(|part| part.split_once(&close).map(|(text, _)| text));
    texts.map(|text| text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).collect()
}

fn object(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{}", encode_key(key))
}

fn put(client: &Client, bucket: &str, key: &str, bytes: &[u8]) {
    let answer = client.send("s3", &format!("PUT {}", object(bucket, key)), &[], bytes);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn binary(name: &str) -> PathBuf {
    let binary = crate::command::built(name);
    assert!(binary.exists(), "{} is not built: run `make test`", binary.display());
    binary
}

fn zip(binary: &PathBuf) -> Vec<u8> {
    let written = Command::new(python()).arg("-c").arg(ZIP).arg(binary).output().expect("Python starts");
    assert!(written.status.success(), "{written:?}");
    written.stdout
}
