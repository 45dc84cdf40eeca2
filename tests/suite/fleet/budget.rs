//! Runs with a limit in dollars: they stop there with exact counts, and go on with a higher one.

use serde_json::{Value, json};
use tagfleet_tests::command::Ran;
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::Fleet;

use crate::worker::metadata::Metadata;

/// A stack whose workers run on a machine that has a price.
pub(super) fn deploy() -> Fleet {
    let metadata = Metadata::start_on("c7a.2xlarge");
    let options = Options::default()
        .variable("AWS_EC2_METADATA_DISABLED", "false")
        .variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint());
    let fleet = Fleet::deploy(&options, &[("CpuInstanceTypes", "c7a.2xlarge")]);
    fleet.upload_demo("photos/");
    fleet
}

fn summary(fleet: &Fleet, run: &str) -> Value {
    serde_json::from_slice(&fleet.cloud.get(&format!("tags/{run}/summary.json")).unwrap()).unwrap()
}

fn refused(ran: &Ran) -> &str {
    assert_eq!(ran.code, Some(2), "{ran:?}");
    &ran.stderr
}

/// Before a worker starts, with exact counts, and everybody is told how to go on.
fn it_stopped(fleet: &Fleet, run: &str, go_on: &str) {
    let (status, ended) = fleet.wait(&fleet.execution(run));
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("tagfleet.StoppedAtBudget")), "{ended}");
    assert!(ended["cause"].as_str().unwrap().contains(go_on), "{ended}");
    let stopped = summary(fleet, run);
    assert_eq!(stopped["state"], json!("stopped_at_budget"), "{stopped}");
    assert_eq!((&stopped["images"], &stopped["rows"]), (&json!(60), &json!(0)), "{stopped}");
    assert_eq!(stopped["missing_shards"].as_array().unwrap().len(), 1);
    let mail = fleet.cloud.mails().pop().unwrap();
    assert!(mail["Subject"].as_str().unwrap().contains("stopped at budget"), "{mail}");
    assert!(mail["BodyText"].as_str().unwrap().contains(go_on), "{mail}");
    assert_eq!(fleet.cloud.jobs(), Vec::<Value>::new(), "no worker was started");
    let said = fleet.tagfleet(&["status", run]).stdout;
    assert!(said.contains("stopped at budget") && said.contains(go_on), "{said}");
}

fn only_a_higher_limit_goes_on(fleet: &Fleet, run: &str) {
    assert!(refused(&fleet.tagfleet(&["resume", run])).contains("stopped at its budget of $0.00001"));
    assert!(refused(&fleet.tagfleet(&["resume", run, "--max-usd", "0.00001"])).contains("above 0.00001"));
    let ran = fleet.tagfleet(&["resume", run, "--max-usd", "2.5", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn a_run_stops_at_its_budget_and_goes_on_with_a_higher_one() {
    let fleet = deploy();
    let run = fleet.submit(&fleet.request(&json!({"max_usd": 0.00001, "notify": ["ops@example.com"]})));
    it_stopped(&fleet, &run, &format!("tagfleet resume {run} --max-usd N"));
    only_a_higher_limit_goes_on(&fleet, &run);
    let (status, ended) = fleet.wait(&fleet.execution(&format!("{run}-2")));
    assert_eq!(status, "SUCCEEDED", "{ended}\n{:?}", fleet.cloud.jobs());
    assert_eq!(fleet.rows(&run).len(), 60);
    // The limit reached the worker.
    let logs = fleet.cloud.logs("/tagfleet/worker").join("\n");
    assert!(logs.contains("\"event\":\"limited\""), "{logs}");
    let worker = summary(&fleet, &run)["usage"]["machines"][0].clone();
    assert_eq!(worker["machine"]["instance_type"], json!("c7a.2xlarge"), "{worker}");
    assert!(fleet.tagfleet(&["status", &run]).stdout.contains("cost     $"));
}

#[test]
fn a_limit_without_prices_is_refused_before_anything_begins() {
    let fleet = Fleet::deploy(&Options::default(), &[("CpuInstanceTypes", "x9z.large")]);
    fleet.upload_demo("photos/");
    let run = fleet.submit(&fleet.request(&json!({"max_usd": 5})));
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("BadRequest")), "{ended}");
    assert!(ended["cause"].as_str().unwrap().contains("x9z.large"), "{ended}");
    assert_eq!(fleet.cloud.keys(&format!("tags/{run}/")), Vec::<String>::new());
    // Without a limit prices stop nobody.
    let run = fleet.submit(&fleet.request(&json!({})));
    assert_eq!(fleet.wait(&fleet.execution(&run)).0, "SUCCEEDED");
}

#[test]
fn a_runs_end_is_a_line_of_metrics_without_the_run_as_dimension() {
    let fleet = deploy();
    let run = fleet.submit(&fleet.request(&json!({})));
    assert_eq!(fleet.wait(&fleet.execution(&run)).0, "SUCCEEDED");
    let logs = fleet.cloud.logs("/aws/lambda/tagfleet-reducer");
    let line = logs.iter().find(|line| line.contains("CloudWatchMetrics")).expect("a line of metrics");
    let line: Value = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
    assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Stack"]]));
    assert_eq!(
        (&line["Stack"], &line["images"], &line["failures"]),
        (&json!("tagfleet"), &json!(60), &json!(0))
    );
}
