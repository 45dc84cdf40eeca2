//! `make demo-aws`: the whole AWS path on this machine, against an emulator and without an account.
//!
//! It deploys the real template, puts pictures and a request file into the bucket as a user would, and shows what ran,
//! the mail, and the first rows. The emulator, and every process it started, ends with this one.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a demonstration: it prints, and fails by panicking"
)]

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use tagfleet_tests::command::{run, tagfleet};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, name};
use tagfleet_tests::project;

/// Where the results are copied to, so that they can be looked at once the emulator is gone.
const OUT: &str = "target/demo-aws";

fn main() -> ExitCode {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    println!(
        "deployed   infra/template.yaml: s3://{}, Lambda, Step Functions, AWS Batch, SES",
        fleet.bucket()
    );
    // Two shards, so that there is work for two workers.
    for folder in ["amsterdam", "berlin", "cairo", "delhi", "edinburgh"] {
        fleet.upload_demo(&format!("photos/{folder}/"));
    }
    let request = fleet.request(&json!({"workers": 2, "notify": ["you@example.com"]}));
    println!("published  {}", request["model"].as_str().unwrap_or_default());
    println!("request    requests/demo.json\n{}\n", serde_json::to_string_pretty(&request).expect("JSON"));
    let execution = fleet.put_request("demo", &request, 1);
    let run_id = name(&execution).to_owned();
    println!("started    {run_id}, by the object's event");
    let (status, ended) = fleet.wait(&execution);
    println!("ended      {status}");
    println!("states     {}", fleet.cloud.states_entered(&execution).join(" > "));
    show_jobs(&fleet.cloud.jobs());
    show_mails(&fleet.cloud.mails());
    if status != "SUCCEEDED" {
        println!("error      {}: {}", ended["error"], ended["cause"]);
        return ExitCode::FAILURE;
    }
    show_rows(&fleet, &run_id);
    ExitCode::SUCCESS
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

fn show_rows(fleet: &Fleet, run_id: &str) {
    let out = project(OUT);
    fleet.download(run_id, &out.join(run_id));
    let shown = run(tagfleet(["show", "--rows", "12"]).arg(out.join(run_id)));
    println!("{}", shown.stdout);
    println!("results    {}", Path::new(OUT).join(run_id).join("results").display());
}
