//! `make demo-aws`: the whole AWS path on this machine, against an emulator and without an account.
//!
//! It deploys the real template and uploads pictures and a request file as a user would. Then it shows the
//! jobs, the mail, the first rows, and the report with its table of costs. A second night follows, in which
//! two pictures are new. If `IMAGE_ROOT` names the unpacked image of the worker, workers run in it as AWS
//! Batch would run them. The emulator and every process that it started end with this program.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a demonstration: it prints, and fails by panicking"
)]

use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use tagfleet_tests::command::{run, tagfleet};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, name, one_picture};
use tagfleet_tests::metadata::Metadata;
use tagfleet_tests::project;

/// The results are copied to this folder, because the emulator ends with this program.
const OUT: &str = "target/demo-aws";
/// The image of the workers that run in `IMAGE_ROOT`.
const BUILT_IMAGE: &str = "tagfleet/worker:built";
/// The instance type that every worker reads from its metadata, so that its time has a price.
const MACHINE: &str = "c7a.2xlarge";

fn main() -> ExitCode {
    let metadata = Metadata::start_on(MACHINE);
    let fleet = deploy(&Options::default().on_machine(&metadata));
    println!(
        "deployed   infra/template.yaml: s3://{}, Lambda, Step Functions, AWS Batch, SES",
        fleet.bucket()
    );
    // Two shards, so that there is work for two workers.
    for folder in ["amsterdam", "berlin", "cairo", "delhi", "edinburgh"] {
        fleet.upload_demo(&format!("photos/{folder}/"));
    }
    let asked = json!({"workers": 2, "since": "latest", "notify": ["you@example.com"]});
    let request = fleet.request(&asked);
    println!("published  {}", request["model"].as_str().unwrap_or_default());
    println!("request    requests/demo.json\n{}\n", serde_json::to_string_pretty(&request).expect("JSON"));
    let Some(first) = night(&fleet, &request, 1) else { return ExitCode::FAILURE };
    show_rows(&first);
    println!("results    {}", first.join("results").display());
    let code = show_report(&first);
    println!("\nnight two  one picture is new, one is replaced; the request is the same");
    fleet.cloud.put("photos/amsterdam/new.jpg", &one_picture());
    fleet.cloud.put("photos/berlin/home/sku-0012.jpg", &one_picture());
    let Some(second) = night(&fleet, &request, 2) else { return ExitCode::FAILURE };
    if show_report(&second) == ExitCode::SUCCESS { code } else { ExitCode::FAILURE }
}

/// Uploads the request, waits for its run and prints its outcome. Returns the copy of its results.
fn night(fleet: &Fleet, request: &Value, nth: usize) -> Option<PathBuf> {
    let execution = fleet.put_request("demo", request, nth);
    let run_id = name(&execution).to_owned();
    println!("started    {run_id}, by the object's event");
    let (status, ended) = fleet.wait(&execution);
    println!("ended      {status}");
    println!("states     {}", fleet.cloud.states_entered(&execution).join(" > "));
    show_jobs(&fleet.cloud.jobs());
    show_mails(&fleet.cloud.mails().split_off(nth - 1));
    if status != "SUCCEEDED" {
        println!("error      {}: {}", ended["error"], ended["cause"]);
        return None;
    }
    // Below the project's folder, in which the command runs.
    let folder = Path::new(OUT).join(&run_id);
    fleet.download(&run_id, &project(OUT).join(&run_id));
    Some(folder)
}

fn deploy(options: &Options) -> Fleet {
    let Ok(root) = std::env::var("IMAGE_ROOT") else { return Fleet::deploy(options, &[]) };
    println!("workers    in {root}: its root read-only, /tmp noexec, uid 65532");
    let container = project("tests/emulator/container.sh");
    let options = options.clone().image(BUILT_IMAGE, &container).variable("IMAGE_ROOT", &root);
    Fleet::deploy(&options, &[("CpuImage", BUILT_IMAGE)])
}

fn show_jobs(jobs: &[Value]) {
    for job in jobs {
        let text = |field: &str| job[field].as_str().unwrap_or_default().to_owned();
        println!("job        {} {} {}", text("jobName"), text("jobId"), text("status"));
    }
}

fn show_mails(mails: &[Value]) {
    for mail in mails {
        let text = |field: &str| mail[field].as_str().unwrap_or_default().to_owned();
        println!("\nmail       to {}\nsubject    {}\n\n{}", mail["To"], text("Subject"), text("BodyText"));
    }
}

fn show_rows(folder: &Path) {
    let shown = run(tagfleet(["show", "--rows", "12"]).arg(folder));
    println!("{}", shown.stdout);
}

/// Prints what the run did and cost, from the local copy. At a terminal, opens its page in the browser.
fn show_report(folder: &Path) -> ExitCode {
    let mut command = tagfleet(["report"]);
    command.arg(folder);
    if stdout().is_terminal() {
        command.arg("--open");
    }
    let shown = run(&mut command);
    println!("\nreport     tagfleet report {}\n\n{}{}", folder.display(), shown.stdout, shown.stderr);
    println!("machine    {MACHINE}: what the emulator says; the prices are AWS's, and nothing was paid");
    if shown.code == Some(0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
