//! The state machine and the template, read as data: their handling of errors, rounds and limits.
//!
//! No execution runs here. The limits are those of AWS Step Functions, which the emulator does not enforce.

mod deployer;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tagfleet_tests::project;

/// The most events that the history of one execution may have.
const HISTORY: u64 = 25_000;
/// The most bytes of the input or output of a state.
const PAYLOAD: usize = 256 * 1024;
/// The most ranges or groups of a run.
const ITEMS: usize = 10_000;
const ROUNDS: u64 = 3;
/// The time limit of one job, in seconds. Longer work continues in another job.
const SLICE: Duration = Duration::from_secs(6 * 3600);

type States = Map<String, Value>;

fn text(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap()
}

fn definition() -> Value {
    serde_json::from_str(&text("infra/state-machine.asl.json")).unwrap()
}

fn states() -> States {
    definition()["States"].as_object().unwrap().clone()
}

fn of_type<'a>(states: &'a States, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let of_kind = states.iter().filter(|(_, state)| state["Type"] == kind);
    of_kind.map(|(name, state)| (name.as_str(), state)).collect()
}

/// Every state by name, including those of the Maps' iterations.
fn with_children() -> States {
    let mut all = states();
    for (_, map) in of_type(&states(), "Map") {
        all.extend(map["ItemProcessor"]["States"].as_object().unwrap().clone());
    }
    all
}

fn payload(state: &Value) -> &Value {
    &state["Arguments"]["Payload"]
}

fn is_function(state: &Value) -> bool {
    state["Resource"] == "arn:${Partition}:states:::lambda:invoke"
}

fn list<'a>(state: &'a Value, field: &str) -> &'a [Value] {
    state[field].as_array().map_or(&[], Vec::as_slice)
}

/// The possible next states of a state, without its Catch.
fn successors(state: &Value) -> Vec<&str> {
    let choices = list(state, "Choices").iter().map(|choice| &choice["Next"]);
    choices.chain([&state["Next"], &state["Default"]]).filter_map(Value::as_str).collect()
}

/// The next state after a permanent failure by an error without a Catch of its own.
fn on_failure(state: &Value) -> Option<&str> {
    let catch = list(state, "Catch").last()?;
    assert_eq!(catch["ErrorEquals"], json!(["States.ALL"]));
    catch["Next"].as_str()
}

/// The next states of all Catches of a state.
fn on_failures(state: &Value) -> Vec<&str> {
    list(state, "Catch").iter().filter_map(|catch| catch["Next"].as_str()).collect()
}

/// Every state that can follow a state, whether it fails or not.
fn reachable<'a>(states: &'a States, from: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            open.extend(successors(&states[name]));
            open.extend(on_failures(&states[name]));
        }
    }
    seen
}

#[test]
fn transient_errors_are_retried_and_wrong_requests_are_not() {
    for (name, state) in with_children().iter().filter(|(_, state)| is_function(state)) {
        let [throttled, retry] = list(state, "Retry") else { panic!("{name} has not two Retries") };
        // A new account runs ten functions at once, each for up to 15 minutes. So the retries last for an
        // hour.
        let patient = json!({
            "ErrorEquals": ["Lambda.TooManyRequestsException"],
            "IntervalSeconds": 60, "BackoffRate": 1, "MaxAttempts": 60,
        });
        assert_eq!(*throttled, patient, "{name}");
        let errors: Vec<_> = list(retry, "ErrorEquals").iter().filter_map(Value::as_str).collect();
        assert!(errors.contains(&"Temporary"), "{name}");
        for never in ["BadRequest", "Broken", "States.ALL", "States.TaskFailed"] {
            assert!(!errors.contains(&never), "{name} retries {never}");
        }
        assert!(state["TimeoutSeconds"].as_u64().unwrap() > 900, "{name} outlives its function");
    }
}

#[test]
fn every_failure_ends_in_a_mail_and_a_failed_run() {
    let states = states();
    let ends: BTreeSet<_> =
        ["FindMapRun", "FindFailedChild", "ReadFailedChild", "Explain", "CleanUp", "MailFailure"]
            .into_iter()
            .chain(reachable(&states, "Ended"))
            .collect();
    assert_eq!(
        states["Outcome"]["Choices"][0],
        json!({"Condition": "{% $failure != null %}", "Next": "Failed"})
    );
    let own_way = ["Infer", "FindLeftWorkers", "EndLeftWorkers", "AskChildren", "Mail", "Announce", "Notify"];
    for (name, state) in of_type(&states, "Task").into_iter().chain(of_type(&states, "Map")) {
        let next = on_failure(state).unwrap_or_else(|| panic!("{name} lets a failure through"));
        if !own_way.contains(&name) {
            assert!(on_failures(state).iter().all(|other| *other == next), "{name} has one way to fail");
            assert!(reachable(&states, next).is_subset(&ends), "{name} fails into {next}");
        }
        if !own_way.contains(&name) && !ends.contains(name) {
            let [too_large, any] = list(state, "Catch") else { panic!("{name} has not two Catches") };
            // States.ALL does not include it. Without its own Catch, the run would keep its queue and send no
            // mail.
            assert_eq!(too_large["ErrorEquals"], json!(["States.DataLimitExceeded"]), "{name}");
            assert_eq!((&too_large["Assign"], &too_large["Next"]), (&any["Assign"], &any["Next"]), "{name}");
            let remembered = &any["Assign"]["failure"];
            assert_eq!(remembered["state"], "{% $states.context.State.Name %}", "{name}");
            assert!(reachable(&states, next).contains("CleanUp"), "{name} cleans nothing up");
        }
    }
    for field in ["$run", "$failure.state", "$failure.cause", "tagfleet resume"] {
        assert!(states["Failed"]["Cause"].as_str().unwrap().contains(field), "the end does not say {field}");
    }
}

#[test]
fn a_failed_job_leads_to_a_check_and_a_failed_mail_is_ignored() {
    let states = states();
    assert_eq!(on_failure(&states["Infer"]), Some("AskChildren"));
    assert_eq!(on_failure(&states["AskChildren"]), Some("Check"));
    assert_eq!(successors(&states["AskChildren"]), ["Check"]);
    assert_eq!(successors(&states["Infer"]), ["Check"]);
    for told in ["Mail", "MailFailure"] {
        assert_eq!(on_failure(&states[told]), Some("Ended"));
        assert_eq!(successors(&states[told]), ["Ended"]);
    }
    assert_eq!(on_failure(&states["Announce"]), Some("HasTopic"));
    assert_eq!(on_failure(&states["Notify"]), Some("Outcome"));
    let ends = ["Failed", "Complete", "StoppedAtBudget", "PriceUnknown", "Incomplete"];
    assert_eq!(successors(&states["Outcome"]), ends);
}

#[test]
fn infer_is_an_array_only_for_two_workers_or_more_and_ends_in_time() {
    let infer = &states()["Infer"];
    assert_eq!(infer["Resource"], "arn:${Partition}:states:::batch:submitJob.sync");
    let arguments = infer["Arguments"].as_str().unwrap();
    assert!(
        arguments.contains("$check.workers > 1 ?") && arguments.contains("'ArrayProperties'"),
        "{arguments}"
    );
    assert_eq!(infer["TimeoutSeconds"], SLICE.as_secs());
    let job = states()["AnotherRound"]["Choices"][0]["Assign"]["job"].clone();
    // Roles may end the jobs with this tag only.
    assert_eq!(job["Tags"], json!({"tagfleet-stack": "${StackName}"}));
    // A job that the state machine could not end reaches this limit soon after.
    let most = job["Timeout"]["AttemptDurationSeconds"].as_u64().unwrap();
    assert!((SLICE.as_secs() + 1..SLICE.as_secs() + 600).contains(&most), "{most}");
    let variables = &job["ContainerOverrides"]["Environment"];
    let names: Vec<_> = variables.as_array().unwrap().iter().map(|variable| &variable["Name"]).collect();
    assert_eq!(names, ["TAGFLEET_RUN", "TAGFLEET_OUTPUT", "TAGFLEET_QUEUE_URL", "TAGFLEET_MAX_USD"]);
}

#[test]
fn a_refused_job_is_submitted_again_and_a_failed_job_is_not() {
    let infer = &states()["Infer"];
    let [retry] = list(infer, "Retry") else { panic!("Infer has not one Retry") };
    let errors = ["AWSBatchException", "ServerException", "TooManyRequestsException", "SdkClientException"];
    assert_eq!(retry["ErrorEquals"], json!(errors.map(|error| format!("Batch.{error}"))));
    assert_eq!((&retry["MaxAttempts"], &retry["JitterStrategy"]), (&json!(5), &json!("FULL")));
}

#[test]
fn rounds_are_bounded() {
    let states = states();
    let again = &states["AnotherRound"];
    let condition = again["Choices"][0]["Condition"].as_str().unwrap();
    assert_eq!(condition, format!("{{% $check.again and $round < {ROUNDS} %}}"));
    assert_eq!(successors(again), ["Infer", "Compact"]);
    let next_round = "{% $round + 1 %}";
    assert_eq!(states["Infer"]["Assign"]["round"], next_round);
    assert_eq!(states["Infer"]["Catch"][1]["Assign"]["round"], next_round);
    let turns_back: Vec<_> =
        states.iter().filter(|(name, _)| reachable_after(&states, name).contains(name.as_str())).collect();
    let names: Vec<_> = turns_back.iter().map(|(name, _)| name.as_str()).collect();
    let loop_of_rounds =
        ["AnotherRound", "AskChildren", "Check", "EndLeftWorkers", "FindLeftWorkers", "Infer", "IsSent"];
    assert_eq!(names, loop_of_rounds, "no other loop");
}

#[test]
fn a_long_round_continues_while_it_makes_progress() {
    let states = states();
    let timed_out = &states["Infer"]["Catch"][0];
    assert_eq!(timed_out["ErrorEquals"], json!(["States.Timeout"]));
    // Such an error has no job ID: the job is found by its name.
    assert_eq!(timed_out["Next"], "FindLeftWorkers");
    let next =
        |name: &str| (successors(&states[name])[0].to_owned(), on_failure(&states[name]).unwrap().to_owned());
    assert_eq!(next("FindLeftWorkers"), ("EndLeftWorkers".to_owned(), "Check".to_owned()));
    assert_eq!(next("EndLeftWorkers"), ("Check".to_owned(), "Check".to_owned()));
    // The number of the round does not change.
    let expected =
        json!({"problem": {"error": "States.Timeout", "cause": "the round did not end in 6 hours"}});
    assert_eq!(timed_out["Assign"], expected);
    // The number of missing shards before this job. If it is the same now, the job did nothing, and check
    // ends the run.
    assert_eq!(states["Begin"]["Assign"]["before"], Value::Null);
    assert_eq!(states["AnotherRound"]["Choices"][0]["Assign"]["before"], "{% $check.missing %}");
    assert_eq!(payload(&states["Check"])["before"], "{% $before %}");
    let elsewhere = |state: &&Value| state["Assign"].get("before").is_some();
    assert_eq!(states.values().filter(elsewhere).count(), 1, "only Begin and a choice set it");
}

/// Every state that can follow a state. The state itself is included only if it can follow itself.
fn reachable_after<'a>(states: &'a States, name: &str) -> BTreeSet<&'a str> {
    let state = &states[name];
    let next = successors(state).into_iter().chain(on_failures(state));
    next.flat_map(|next| reachable(states, next)).collect()
}

/// The most events that one visit of a state adds to a history.
fn events(state: &Value) -> u64 {
    let retries: u64 = list(state, "Retry").iter().map(|retry| retry["MaxAttempts"].as_u64().unwrap()).sum();
    match state["Type"].as_str().unwrap() {
        // Entered and exited; scheduled, started, submitted and ended.
        "Task" => 2 + 4 * (1 + retries),
        // Entered, started, its run started and ended, ended, exited.
        "Map" => 6,
        _ => 2,
    }
}

#[test]
fn no_execution_history_grows_beyond_its_limit() {
    let states = states();
    let comes_again = |name: &str| reachable_after(&states, name).contains(name);
    let visits = |name: &str| if comes_again(name) { ROUNDS + 1 } else { 1 };
    let run: u64 = states.iter().map(|(name, state)| visits(name) * events(state)).sum();
    assert!(run < HISTORY / 5, "{run} events");
    // A round of several days is a loop of jobs. It must fit even if every call in it uses all of its
    // retries.
    let of_slice =
        ["Infer", "FindLeftWorkers", "EndLeftWorkers", "EndJob", "Check", "IsSent", "AnotherRound"];
    let slice: u64 = of_slice.iter().map(|name| events(&with_children()[*name])).sum();
    let days = (HISTORY - run) / slice * SLICE.as_secs() / (24 * 3600);
    assert!(days >= 14, "{days} days");
    let split = states["Split"]["ItemProcessor"]["States"].as_object().unwrap();
    let call = events(&split["SplitRange"]) + events(&split["IsSplit"]);
    // A call lists for 15 minutes: ten million keys if they come from one place.
    // 300 million keys are thirty calls. Here each of them uses all of its retries.
    assert!(HISTORY / call > 60, "{} calls a range", HISTORY / call);
}

#[test]
fn maps_take_indexes_and_return_counts() {
    for (name, map) in of_type(&states(), "Map").into_iter().filter(|(name, _)| *name != "EndLeftWorkers") {
        assert_eq!(
            map["ItemProcessor"]["ProcessorConfig"],
            json!({"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"})
        );
        for unfit in ["ItemBatcher", "ResultWriter", "ItemReader"] {
            assert!(map.get(unfit).is_none(), "{name} has an {unfit}");
        }
        assert_eq!(map["ToleratedFailureCount"], 0);
        let at_once = map["MaxConcurrency"].as_str().unwrap();
        assert!(at_once.contains("$number('${FunctionConcurrency}')"), "{name}: {at_once}");
        let items = map["Items"].as_str().unwrap();
        assert!(items.starts_with("{% [0..$") && items.ends_with(" - 1] %}"), "{name} maps {items}");
        let carried: Vec<_> = map["ItemSelector"].as_object().unwrap().keys().map(String::as_str).collect();
        assert!(
            carried.iter().all(|key| ["run", "queue_url", "range", "group"].contains(key)),
            "{carried:?}"
        );
        assert_eq!(map["Output"], json!({}), "the counts of {name} go no further");
    }
    let all = with_children();
    assert_eq!(all["IsSplit"]["Choices"][0]["Output"], "{% $states.input.images %}");
    assert_eq!(all["CompactGroup"]["Output"], "{% $states.result.Payload.rows %}");
}

#[test]
fn no_payload_grows_with_the_run() {
    let indexes = json!((0..ITEMS).collect::<Vec<_>>()).to_string();
    let counts = json!(vec![9_999_999_999_u64; ITEMS]).to_string();
    assert!(indexes.len() < PAYLOAD && counts.len() < PAYLOAD / 2, "{} and {}", indexes.len(), counts.len());
    for (name, state) in &states() {
        let given = &state["Output"];
        // The input of an execution is small by itself.
        let small = ["Begin", "Outcome", "FindMapRun", "FindFailedChild", "FindLeftWorkers"];
        let small = small.contains(&name.as_str());
        let ends_or_chooses = ["Choice", "Succeed", "Fail"].iter().any(|kind| state["Type"] == *kind);
        assert!(small || ends_or_chooses || *given == json!({}), "{name} passes on {given}");
    }
}

#[test]
fn causes_are_truncated_before_they_are_passed_on() {
    let states = states();
    let explain = states["Explain"]["Assign"]["failure"]["cause"].as_str().unwrap();
    let infer = states["Infer"]["Catch"][1]["Assign"]["problem"]["cause"].as_str().unwrap();
    let mail = states["Mail"]["Catch"][0]["Assign"]["mail"]["cause"].as_str().unwrap();
    for cut in [explain, infer, mail] {
        assert!(cut.contains("$substring(") && cut.contains(", 0, 2000)"), "{cut}");
    }
    for (name, state) in states.iter().filter(|(_, state)| payload(state).get("failure").is_some()) {
        let whence =
            payload(state)["failure"] == Value::Null || ["CleanUp", "MailFailure"].contains(&name.as_str());
        assert!(whence, "{name} sends a failure that Explain has not seen");
    }
}

#[test]
fn calls_pass_what_the_functions_read() {
    let mut calls = BTreeMap::new();
    for (name, state) in with_children().iter().filter(|(_, state)| is_function(state)) {
        let fields: Vec<_> = payload(state).as_object().unwrap().keys().cloned().collect();
        let function = state["Arguments"]["FunctionName"].as_str().unwrap().to_owned();
        calls.insert(
            name.clone(),
            (function, payload(state)["action"].as_str().unwrap().to_owned(), fields.join(" ")),
        );
    }
    insta::assert_json_snapshot!(calls);
}
