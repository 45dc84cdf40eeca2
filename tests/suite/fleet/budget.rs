//! Runs with a limit in dollars: they stop there with exact counts, and resume with a higher limit.

use serde_json::{Value, json};
use tagfleet_tests::command::Ran;
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::Fleet;
use tagfleet_tests::metadata::Metadata;

/// A stack with workers on an instance type that has a price.
pub(super) fn deploy() -> Fleet {
    let metadata = Metadata::start_on("c7a.2xlarge");
    let options = Options::default().on_machine(&metadata);
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

/// Checks that the run stopped before a worker started, with exact counts, and that the mail names the
/// remedy.
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
fn a_run_stops_at_its_budget_and_resumes_with_a_higher_one() {
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

/// Dollars for the reserve, for the spent amount, and for a worker that does exactly one shard. An instance
/// costs at least a minute: half a cent.
const ONE_SHARD: &str = "0.0107";

#[test]
fn a_run_that_stops_in_the_middle_resumes_to_the_same_rows() {
    let fleet = deploy();
    // Two shards of 256.
    fleet.upload_copies(512);
    let input = format!("s3://{}/photos/0", fleet.bucket());
    let max_usd: f64 = ONE_SHARD.parse().unwrap();
    let asked = json!({"max_usd": max_usd, "workers": 1, "input": [input]});
    let run = fleet.submit(&fleet.request(&asked));
    let (_, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!(ended["error"], json!("tagfleet.StoppedAtBudget"), "{ended}\n{}", summary(&fleet, &run));
    let stopped = summary(&fleet, &run);
    assert_eq!(
        (&stopped["state"], &stopped["images"], &stopped["rows"], &stopped["tagged"]),
        (&json!("stopped_at_budget"), &json!(512), &json!(256), &json!(256)),
        "{stopped}"
    );
    assert_eq!(stopped["missing_shards"].as_array().unwrap().len(), 1);
    let spent = stopped["cost"]["total_usd"].as_f64().unwrap();
    assert!(spent > 0.005 && spent <= max_usd, "{spent} of {max_usd}");
    assert_eq!(fleet.cloud.jobs().len(), 1, "the rest was not enough for a second round");
    let told = fleet.tagfleet(&["report", &run]).stdout;
    assert!(told.contains("stopped at budget") && told.contains("EC2"), "{told}");

    let ran = fleet.tagfleet(&["resume", &run, "--max-usd", "1", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (status, ended) = fleet.wait(&fleet.execution(&format!("{run}-2")));
    assert_eq!(status, "SUCCEEDED", "{ended}");
    let quiet = fleet.submit(&fleet.request(&json!({"workers": 1, "input": [input]})));
    assert_eq!(fleet.wait(&fleet.execution(&quiet)).0, "SUCCEEDED");
    let rows = fleet.rows(&run);
    assert_eq!(rows.len(), 512);
    assert_eq!(rows, fleet.rows(&quiet));
}

/// From now on the reducer assumes that workers run on this instance type.
fn deploy_reducer_for(fleet: &Fleet, instance_type: &str) {
    let function = fleet.cloud.output("ReducerFunction");
    let path = format!("/2015-03-31/functions/{function}/configuration");
    let mut environment = fleet.cloud.emulator().client().get("lambda", &path)["Environment"].clone();
    assert_eq!(environment["Variables"]["TAGFLEET_STACK"], json!("tagfleet"), "{environment}");
    environment["Variables"]["TAGFLEET_CPU_INSTANCE_TYPES"] = json!(instance_type);
    fleet.cloud.configure(function, &json!({"Environment": environment}));
}

#[test]
fn a_price_that_disappears_during_a_run_ends_it_with_its_own_error() {
    let fleet = deploy();
    let run = fleet.submit(&fleet.request(&json!({"max_usd": 0.00001})));
    let _ = fleet.wait(&fleet.execution(&run));
    // The instance types change between plan and check only by a deployment.
    deploy_reducer_for(&fleet, "x9z.large");
    let ran = fleet.tagfleet(&["resume", &run, "--max-usd", "2.5", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (status, ended) = fleet.wait(&fleet.execution(&format!("{run}-2")));
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("tagfleet.PriceUnknown")), "{ended}");
    let cause = ended["cause"].as_str().unwrap();
    assert!(cause.contains("x9z.large") && cause.contains(&format!("tagfleet resume {run}")), "{cause}");
    let said = fleet.tagfleet(&["status", &run]).stdout;
    assert!(said.contains("stopped: a price is unknown") && said.contains("x9z.large"), "{said}");
    deploy_reducer_for(&fleet, "c7a.2xlarge");
    assert_eq!(fleet.tagfleet(&["resume", &run, "--json"]).code, Some(0));
    assert_eq!(fleet.wait(&fleet.execution(&format!("{run}-3"))).0, "SUCCEEDED");
}

#[test]
fn a_limit_without_prices_is_refused_before_anything_starts() {
    let fleet = Fleet::deploy(&Options::default(), &[("CpuInstanceTypes", "x9z.large")]);
    fleet.upload_demo("photos/");
    let run = fleet.submit(&fleet.request(&json!({"max_usd": 5})));
    let (status, ended) = fleet.wait(&fleet.execution(&run));
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("BadRequest")), "{ended}");
    assert!(ended["cause"].as_str().unwrap().contains("x9z.large"), "{ended}");
    assert_eq!(fleet.cloud.keys(&format!("tags/{run}/")), Vec::<String>::new());
    // Without a limit, absent prices do not stop a run.
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
