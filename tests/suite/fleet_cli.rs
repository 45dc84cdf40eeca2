//! The commands of the fleet against a stack whose state machine only waits: publishing, submitting,
//! stopping, and refusals before any of these.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tagfleet_tests::cloud::Cloud;
use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::project;

/// A state machine that waits for longer than any test.
const WAITS: &str = r#"{"Type": "Wait", "Seconds": 60000, "End": true}"#;
const SUCCEEDS: &str = r#"{"Type": "Succeed"}"#;

fn deploy() -> Cloud {
    deploy_with(WAITS)
}

/// The stack with a state machine of one state.
fn deploy_with(state: &str) -> Cloud {
    let template = fs::read_to_string(project("tests/suite/fleet_cli/stack.yaml")).unwrap();
    assert!(template.contains(WAITS));
    let template = template.replace(WAITS, state);
    Cloud::deploy_template(&Options::default(), &template, &[], &[])
}

/// A command of the fleet, with the options for the emulator.
fn fleet(cloud: &Cloud, arguments: &[&str]) -> Ran {
    let url = cloud.emulator().endpoint_url();
    let mut command = tagfleet(arguments);
    command.args(["--region", "us-east-1", "--endpoint-url", &url]);
    run(command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test"))
}

const SUBMIT: [&str; 4] = ["submit", "s3://shop/photos/", "--model", "demo/model"];

fn submit(cloud: &Cloud, more: &[&str]) -> Ran {
    fleet(cloud, &[&SUBMIT, more].concat())
}

fn json_of(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

fn refused(ran: &Ran) -> String {
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    let lines = ran.stderr.lines().skip_while(|line| !line.starts_with("error: "));
    lines.collect::<Vec<_>>().join("\n")
}

/// A published model is read from its folder, and its hashes are checked.
#[test]
fn a_published_model_is_a_model_for_every_command() {
    let cloud = deploy();
    let home = tempfile::tempdir().unwrap();
    let model = json_of(&submit(&cloud, &["--json"]))["model"].as_str().unwrap().to_owned();
    let url = cloud.emulator().endpoint_url();
    let inspect = |model: &str| {
        let mut command =
            tagfleet(["inspect", model, "--engine", "tract", "--region", "us-east-1", "--json"]);
        command.args(["--endpoint-url", &url]).env("XDG_CACHE_HOME", home.path());
        run(command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test"))
    };
    let spec = |ran: &Ran| json_of(ran)["model"].clone();
    assert_eq!(spec(&inspect(&model)), spec(&inspect("demo/model")));
    let file = format!(
        "{}config.json",
        model.split_once("/models/").map(|(_, name)| format!("models/{name}")).unwrap()
    );
    cloud.put(&file, b"{}");
    let changed = inspect(&model);
    assert!(refused(&changed).contains("config.json is not the file that was published"), "{changed:?}");
}

#[test]
fn a_model_is_published_once_with_all_its_files() {
    let cloud = deploy();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nightly.json");
    let save = |more: &[&str]| {
        let ran = submit(&cloud, &[&["--save", file.to_str().unwrap()], more].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap()
    };
    let request = save(&["--top-k", "3", "--workers", "7"]);
    assert_eq!((&request["tags"], &request["workers"]), (&json!({"top_k": 3}), &json!(7)));
    let model = request["model"].as_str().unwrap().strip_prefix("s3://tagfleet-data/").unwrap();
    assert!(model.starts_with("models/model-") && model.ends_with('/'), "{model}");
    let names = ["config.json", "model.json", "model.onnx", "preprocessor_config.json"];
    assert_eq!(cloud.keys("models/"), names.map(|name| format!("{model}{name}")));
    let onnx = fs::read(project("demo/model/model.onnx")).unwrap();
    assert_eq!(cloud.get(&format!("{model}model.onnx")), Some(onnx));
    let published: Value =
        serde_json::from_slice(&cloud.get(&format!("{model}model.json")).unwrap()).unwrap();
    assert_eq!(published["engine"]["name"], "onnxruntime");
    assert_eq!(published["model"]["location"], Value::Null);
    // Options of tags belong to the request, so other options need no other model.
    assert_eq!(save(&["--threshold", "0.5"])["model"], request["model"]);
    assert_eq!(cloud.keys("models/").len(), names.len());
    assert_eq!((cloud.keys("runs/"), cloud.executions()), (vec![], vec![]));
}

#[test]
fn a_model_for_gpus_names_the_engine_of_their_image() {
    let cloud = deploy();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nightly.json");
    let saved = submit(&cloud, &["--device", "gpu", "--json", "--save", file.to_str().unwrap()]);
    assert!(saved.stderr.contains("tried on the processor here, not on a GPU"), "{}", saved.stderr);
    let model = json_of(&saved)["model"].as_str().unwrap().to_owned();
    let key = format!("{}model.json", model.strip_prefix("s3://tagfleet-data/").unwrap());
    let published: Value = serde_json::from_slice(&cloud.get(&key).unwrap()).unwrap();
    let version = published["engine"]["version"].as_str().unwrap();
    let pinned = fs::read_to_string(project("batch-worker/gpu.txt")).unwrap();
    assert!(pinned.contains(&format!("onnxruntime-gpu=={version} ")), "{version}");
    assert_eq!(published["engine"]["device"], "cuda");
    // CPU workers would refuse an engine that their image does not have.
    let refused = refused(&fleet(&cloud, &["submit", "s3://shop/photos/", "--model", &model]));
    assert!(refused.contains(version) && refused.contains("--device cpu"), "{refused}");
    assert_eq!(cloud.executions(), Vec::<String>::new());
}

#[test]
fn a_stack_without_a_gpu_image_refuses_gpu_runs() {
    let template = fs::read_to_string(project("tests/suite/fleet_cli/stack.yaml")).unwrap();
    let template = template.replace("Outputs:\n", "Outputs:\n  GpuImage: {Value: ''}\n");
    let cloud = Cloud::deploy_template(&Options::default(), &template, &[], &[]);
    let refused = refused(&submit(&cloud, &["--device", "gpu"]));
    assert!(refused.contains("deploy it again with GPU=yes, or leave out --device gpu"), "{refused}");
    assert_eq!((cloud.keys("models/"), cloud.keys("runs/")), (vec![], vec![]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nightly.json");
    assert_eq!(submit(&cloud, &["--save", file.to_str().unwrap()]).code, Some(0));
}

#[test]
fn a_run_is_started_cancelled_and_resumed() {
    let cloud = deploy();
    let started = json_of(&submit(&cloud, &["--json"]));
    let run = started["run"].as_str().unwrap();
    let stored: Value = serde_json::from_slice(&cloud.get(&format!("runs/{run}.json")).unwrap()).unwrap();
    assert_eq!((&stored["input"], &stored["model"]), (&json!(["s3://shop/photos/"]), &started["model"]));
    let execution = cloud.describe(started["execution"].as_str().unwrap());
    assert_eq!(execution["input"], json!({ "run": run }).to_string());
    assert_eq!(execution["name"], run);

    assert_eq!(json_of(&fleet(&cloud, &["status", run, "--json"]))["state"], "planning");
    let running = refused(&fleet(&cloud, &["resume", run]));
    assert!(running.contains("is running"), "{running}");
    let queue = cloud.emulator().make_queue(&format!("tagfleet-run-{run}"));
    let cancelled = fleet(&cloud, &["cancel", run, "--cause", "too early"]);
    assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    assert!(cancelled.stdout.contains(&format!("tagfleet resume {run}")), "{}", cancelled.stdout);
    assert!(!queue_exists(&cloud, &queue));
    let status = json_of(&fleet(&cloud, &["status", run, "--json"]));
    assert_eq!((&status["state"], &status["cause"]), (&json!("cancelled"), &json!("too early")));
    let watched = fleet(&cloud, &["status", run, "--watch"]);
    assert_eq!(watched.code, Some(4), "{watched:?}");
    let again = refused(&fleet(&cloud, &["cancel", run]));
    assert!(again.contains("has ended already"), "{again}");

    let resumed = json_of(&fleet(&cloud, &["resume", run, "--json"]));
    assert!(resumed["execution"].as_str().unwrap().ends_with(&format!(":{run}-2")), "{resumed}");
    let listed = json_of(&fleet(&cloud, &["status", "--json"]));
    assert_eq!((&listed[0]["status"], &listed[1]["status"]), (&json!("running"), &json!("aborted")));
    // The name of an execution selects its run.
    assert_eq!(json_of(&fleet(&cloud, &["status", &format!("{run}-2"), "--json"]))["run"], run);
}

#[test]
fn submit_with_wait_reports_how_the_run_ended() {
    let fails = r#"{"Type": "Fail", "Error": "BadRequest", "Cause": "run r failed in Plan: no such prefix"}"#;
    insta::assert_snapshot!(refused(&submit(&deploy_with(fails), &["--wait"])), @"error: run r failed in Plan: no such prefix");
    let broken = submit(&deploy_with(&fails.replace("BadRequest", "Broken")), &["--wait", "--quiet"]);
    assert_eq!(
        (broken.code, broken.stderr.as_str()),
        (Some(1), "error: run r failed in Plan: no such prefix\n")
    );
}

#[test]
fn the_status_of_an_ended_run_is_its_summary() {
    let cloud = deploy_with(SUCCEEDS);
    let started = json_of(&submit(&cloud, &["--json"]));
    let run = started["run"].as_str().unwrap();
    let summary = json!({
        "version": 1, "run": run, "state": "complete", "images": 10, "rows": 10, "tagged": 9,
        "failed": {"corrupt": 1}, "second_decoder": 0, "model": "m", "model_sha256": "", "engine": "tract",
        "threads": 1, "images_here": 0, "seconds_here": 0.0, "results": "",
    });
    cloud.put(&format!("tags/{run}/summary.json"), summary.to_string().as_bytes());
    cloud.put(&format!("tags/{run}/_SUCCESS"), b"");
    let watched = fleet(&cloud, &["status", run, "--watch"]);
    assert_eq!(watched.code, Some(3), "{watched:?}");
    assert!(watched.stdout.contains("images   10 of 10 done, 1 failed"), "{}", watched.stdout);
    let resumed = refused(&fleet(&cloud, &["resume", run])).replace(run, "RUN");
    insta::assert_snapshot!(resumed, @"error: run RUN is complete: there is nothing to do; `tagfleet submit` starts another");
}

fn queue_exists(cloud: &Cloud, url: &str) -> bool {
    let queues = cloud.emulator().client().call("sqs", "AmazonSQS.ListQueues", &json!({}));
    queues["QueueUrls"].as_array().is_some_and(|urls| urls.iter().any(|other| other == url))
}

#[test]
fn a_published_model_and_a_request_file_are_enough() {
    let cloud = deploy();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.json");
    let saved = json_of(&submit(&cloud, &["--save", file.to_str().unwrap(), "--json"]));
    let model = saved["model"].as_str().unwrap();
    let by_model = fleet(&cloud, &["submit", "s3://shop/", "--model", model, "--labels", "mug", "--json"]);
    assert_eq!(json_of(&by_model)["model"], model);
    let by_file = json_of(&fleet(&cloud, &["submit", "--request", file.to_str().unwrap(), "--json"]));
    let run = by_file["run"].as_str().unwrap();
    assert_eq!(cloud.get(&format!("runs/{run}.json")), Some(fs::read(&file).unwrap()));
    let refused = |arguments: &[&str]| {
        refused(&fleet(&cloud, &[&["submit"], arguments].concat())).replace(model, "MODEL")
    };
    insta::assert_snapshot!(refused(&["s3://shop/", "--model", model, "--labels", "shoes"]), @r#"error: the model has no label "shoes"; the nearest are "shoe", "blue", "book""#);
    insta::assert_snapshot!(refused(&["s3://shop/", "--model", model, "--no-exif"]), @"error: --no-exif was decided when MODEL was published: publish the model again with it, from its local folder");
    insta::assert_snapshot!(refused(&["s3://shop/", "--model", model, "--exact"]), @"error: --exact was decided when MODEL was published: publish the model again with it, from its local folder");
    insta::assert_snapshot!(refused(&["s3://shop/", "--model", "s3://tagfleet-data/models/none/"]), @"error: the request is wrong: model: s3://tagfleet-data/models/none/: no model is published here: publish one with `tagfleet submit --model`");
    fs::write(&file, json!({"version": 1, "input": ["s3://shop/"], "model": model, "topk": 5}).to_string())
        .unwrap();
    let named = refused(&["--request", file.to_str().unwrap()]).replace(file.to_str().unwrap(), "FILE");
    insta::assert_snapshot!(named, @"error: --request FILE: the request is wrong: not a request file of this tagfleet: unknown field `topk`, expected one of `version`, `input`, `include`, `exclude`, `all_files`, `manifest`, `key_column`, `model`, `output`, `since`, `max_flips`, `retry`, `tags`, `device`, `workers`, `max_usd`, `deadline`, `notify`, `any_region`, `mail_link`, `profile`, `command`, `plan` at line 1 column 86");
}

#[test]
fn a_wrong_request_is_refused_before_anything_starts() {
    let cloud = deploy();
    let submitted = |more: &[&str]| refused(&submit(&cloud, more));
    insta::assert_snapshot!(submitted(&["s3://shop/photos/summer/"]), @"error: the request is wrong: input: s3://shop/photos/summer/ is within s3://shop/photos/: leave one of them out");
    insta::assert_snapshot!(submitted(&["--out", "s3://shop/photos/tags/"]), @"error: the request is wrong: output: s3://shop/photos/tags/ is inside the input s3://shop/photos/, so results would be inputs of the next run: choose another");
    insta::assert_snapshot!(submitted(&["--workers", "0"]), @"error: the request is wrong: workers: give 1 to 10000, or leave it out");
    insta::assert_snapshot!(submitted(&["--notify", "me@example.com"]), @"error: the stack tagfleet sends no mail: deploy it again with Sender, or ask for none");
    insta::assert_snapshot!(submitted(&["--labels", "shoes"]), @r#"error: the model has no label "shoes"; the nearest are "shoe", "blue", "book""#);
    let other = fleet(&cloud, &["submit", "s3://other/", "--model", "demo/model"]);
    insta::assert_snapshot!(refused(&other), @"error: s3://other cannot be read by the stack tagfleet: add it to SourceBuckets and deploy again");
    assert_eq!((cloud.keys(""), cloud.executions()), (vec![], vec![]));

    insta::assert_snapshot!(refused(&fleet(&cloud, &["status", "20261123-170000-0a1b2c"])), @"error: there is no run 20261123-170000-0a1b2c in the stack tagfleet: `tagfleet status` lists the latest");
    insta::assert_snapshot!(refused(&fleet(&cloud, &["cancel", "No Run"])), @r#"error: "No Run" is not a run ID: use 1 to 64 characters of a-z, 0-9 and '-'"#);
    insta::assert_snapshot!(refused(&fleet(&cloud, &["resume", "r", "--stack", "none"])), @"error: there is no stack none in this account and region: deploy it with `make deploy`, or name another with --stack, --region or --profile; a run on this machine resumes with the same `tagfleet run` command");
    insta::assert_snapshot!(fleet(&cloud, &["status"]).stdout, @"the stack tagfleet has run nothing yet");
}

/// The stack as it is deployed with rules for its requests.
fn deploy_with_rules() -> Cloud {
    let template = fs::read_to_string(project("tests/suite/fleet_cli/stack.yaml")).unwrap();
    let (none, sender) = ("  Sender: {Value: ''}", "  Sender: {Value: 'me@example.com'}");
    assert!(template.contains(none));
    let rules = "  ModelBuckets: {Value: 'shared'}\n  MailRecipients: {Value: '*@example.com'}\n  \
                 MaxUsdPerRun: {Value: '20'}\n  MaxUsdPerDay: {Value: '0'}\n";
    let template = template.replace(none, sender) + rules;
    Cloud::deploy_template(&Options::default(), &template, &[], &[])
}

#[test]
fn a_request_that_the_stack_forbids_is_refused_before_it_is_sent() {
    let cloud = deploy_with_rules();
    let submitted = |more: &[&str]| refused(&submit(&cloud, more));
    insta::assert_snapshot!(submitted(&["--notify", "you@example.org"]), @"error: the request is wrong: notify: this stack does not mail you@example.org, only its MailRecipients (*@example.com): leave it out, or deploy the stack with it");
    insta::assert_snapshot!(submitted(&["--max-usd", "20.5"]), @"error: the request is wrong: max_usd: $20.5 is more than the $20 that this stack lets a run cost (MaxUsdPerRun): ask for at most 20");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.json");
    let request = json!({"version": 1, "input": ["s3://shop/"], "model": "s3://elsewhere/models/m/"});
    fs::write(&file, request.to_string()).unwrap();
    insta::assert_snapshot!(refused(&fleet(&cloud, &["submit", "--request", file.to_str().unwrap()])), @"error: the request is wrong: model: this stack takes no models from s3://elsewhere: publish it with `tagfleet submit --model FOLDER`, or name the bucket in the stack's ModelBuckets");
    assert_eq!((cloud.keys(""), cloud.executions()), (vec![], vec![]));
    let started = json_of(&submit(&cloud, &["--notify", "ops@example.com", "--max-usd", "20", "--json"]));
    let run = started["run"].as_str().unwrap();
    assert_eq!(fleet(&cloud, &["cancel", run]).code, Some(0));
    insta::assert_snapshot!(refused(&fleet(&cloud, &["resume", run, "--max-usd", "21"])), @"error: --max-usd: $21 is more than the $20 that this stack lets a run cost (MaxUsdPerRun): ask for at most 20");
}

#[test]
fn a_changed_model_is_another_model() {
    let cloud = deploy();
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.onnx", "config.json", "preprocessor_config.json"] {
        fs::copy(project("demo/model").join(name), folder.path().join(name)).unwrap();
    }
    let save = |folder: &Path| {
        let file = folder.join("request");
        let (model, file) = (folder.to_str().unwrap(), file.to_str().unwrap());
        let arguments = ["submit", "s3://shop/", "--model", model, "--json", "--save", file];
        json_of(&fleet(&cloud, &arguments))["model"].clone()
    };
    let first = save(folder.path());
    let processor = fs::read_to_string(folder.path().join("preprocessor_config.json")).unwrap();
    fs::write(folder.path().join("preprocessor_config.json"), format!("{processor}\n")).unwrap();
    assert_ne!(save(folder.path()), first);
}

#[test]
fn doctor_reports_faults_and_what_it_cannot_check() {
    let cloud = deploy();
    let ran = fleet(&cloud, &["doctor"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    // The environment may hold 4 vCPUs, a job needs 8.
    assert!(ran.stdout.contains("raise the stack's MaxVcpus"), "{}", ran.stdout);
    assert!(ran.stdout.contains("ok    trigger      s3://tagfleet-data sends its events"), "{}", ran.stdout);
    let none = fleet(&cloud, &["doctor", "--stack", "none"]);
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(
        none.stdout.contains("FAIL  stack        there is no stack none in this account and region"),
        "{}",
        none.stdout
    );
    let findings = json_of(&Ran { code: Some(0), ..fleet(&cloud, &["doctor", "--json"]) });
    assert!(findings.as_array().unwrap().len() > 8, "{findings}");
}
