//! The state machine and the template, read as data: what they promise about errors, rounds and limits.
//!
//! Nothing runs here. The limits are those of AWS Step Functions, which an emulator does not keep.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tagfleet_tests::project;

/// The most events that the history of one execution may have.
const HISTORY: u64 = 25_000;
/// The most bytes that a state may take in or give out.
const PAYLOAD: usize = 256 * 1024;
/// The most ranges or groups of a run.
const ITEMS: usize = 10_000;
const ROUNDS: u64 = 3;
/// How long one job may take; what takes longer goes on in another.
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

/// Every state by name: the run's own and those of the Maps' iterations.
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
    state["Resource"] == "arn:aws:states:::lambda:invoke"
}

fn list<'a>(state: &'a Value, field: &str) -> &'a [Value] {
    state[field].as_array().map_or(&[], Vec::as_slice)
}

/// Where a state may go next, its Catch left out.
fn successors(state: &Value) -> Vec<&str> {
    let choices = list(state, "Choices").iter().map(|choice| &choice["Next"]);
    choices.chain([&state["Next"], &state["Default"]]).filter_map(Value::as_str).collect()
}

/// Where a state goes when it fails for good, with any error that has no way of its own.
fn on_failure(state: &Value) -> Option<&str> {
    let catch = list(state, "Catch").last()?;
    assert_eq!(catch["ErrorEquals"], json!(["States.ALL"]));
    catch["Next"].as_str()
}

/// Where a state goes with each kind of error.
fn on_failures(state: &Value) -> Vec<&str> {
    list(state, "Catch").iter().filter_map(|catch| catch["Next"].as_str()).collect()
}

/// All that can come after a state, whether it fails or not.
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
fn functions_are_called_again_for_what_passes_and_never_for_a_wrong_request() {
    for (name, state) in with_children().iter().filter(|(_, state)| is_function(state)) {
        let [throttled, retry] = list(state, "Retry") else { panic!("{name} has not two Retries") };
        // A new account runs ten functions at once, and each may take a quarter of an hour: an hour of patience.
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
        ["FindMapRun", "FindFailedChild", "ReadFailedChild", "Explain", "CleanUp", "MailFailure", "Failed"]
            .into();
    let own_way = ["Infer", "AskChildren", "Mail"];
    for (name, state) in of_type(&states, "Task").into_iter().chain(of_type(&states, "Map")) {
        let next = on_failure(state).unwrap_or_else(|| panic!("{name} lets a failure through"));
        if !own_way.contains(&name) {
            assert_eq!(on_failures(state), [next], "{name} has one way to fail");
            assert!(reachable(&states, next).is_subset(&ends), "{name} fails into {next}");
        }
        if !own_way.contains(&name) && !ends.contains(name) {
            let remembered = &state["Catch"][0]["Assign"]["failure"];
            assert_eq!(remembered["state"], "{% $states.context.State.Name %}", "{name}");
            assert!(reachable(&states, next).contains("CleanUp"), "{name} cleans nothing up");
        }
    }
    for field in ["$run", "$failure.state", "$failure.cause", "tagfleet resume"] {
        assert!(states["Failed"]["Cause"].as_str().unwrap().contains(field), "the end does not say {field}");
    }
}

#[test]
fn a_failed_job_is_judged_by_the_listing_and_a_failed_mail_by_nobody() {
    let states = states();
    assert_eq!(on_failure(&states["Infer"]), Some("AskChildren"));
    assert_eq!(on_failure(&states["AskChildren"]), Some("Check"));
    assert_eq!(successors(&states["AskChildren"]), ["Check"]);
    assert_eq!(successors(&states["Infer"]), ["Check"]);
    assert_eq!(on_failure(&states["Mail"]), Some("Outcome"));
    assert_eq!(successors(&states["Mail"]), ["Outcome"]);
    assert_eq!(successors(&states["Outcome"]), ["Complete", "StoppedAtBudget", "PriceUnknown", "Incomplete"]);
}

#[test]
fn infer_is_an_array_only_for_two_workers_or_more_and_ends_in_time() {
    let infer = &states()["Infer"];
    assert_eq!(infer["Resource"], "arn:aws:states:::batch:submitJob.sync");
    let arguments = infer["Arguments"].as_str().unwrap();
    assert!(
        arguments.contains("$check.workers > 1 ?") && arguments.contains("'ArrayProperties'"),
        "{arguments}"
    );
    assert_eq!(infer["TimeoutSeconds"], SLICE.as_secs());
    let variables =
        &states()["AnotherRound"]["Choices"][0]["Assign"]["job"]["ContainerOverrides"]["Environment"];
    let names: Vec<_> = variables.as_array().unwrap().iter().map(|variable| &variable["Name"]).collect();
    assert_eq!(names, ["TAGFLEET_RUN", "TAGFLEET_OUTPUT", "TAGFLEET_QUEUE_URL", "TAGFLEET_MAX_USD"]);
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
    assert_eq!(names, ["AnotherRound", "AskChildren", "Check", "Infer", "IsSent"], "no other loop");
}

#[test]
fn a_round_that_takes_long_goes_on_while_it_gets_something_done() {
    let states = states();
    let timed_out = &states["Infer"]["Catch"][0];
    assert_eq!(timed_out["ErrorEquals"], json!(["States.Timeout"]));
    // There is no job's id in such an error: nothing can be asked.
    assert_eq!(timed_out["Next"], "Check");
    // The round stays what it was.
    let expected =
        json!({"problem": {"error": "States.Timeout", "cause": "the round did not end in 6 hours"}});
    assert_eq!(timed_out["Assign"], expected);
    // What was missing before this job: where it is as much as now, the job did nothing, and check ends the run.
    assert_eq!(states["Begin"]["Assign"]["before"], Value::Null);
    assert_eq!(states["AnotherRound"]["Choices"][0]["Assign"]["before"], "{% $check.missing %}");
    assert_eq!(payload(&states["Check"])["before"], "{% $before %}");
    let elsewhere = |state: &&Value| state["Assign"].get("before").is_some();
    assert_eq!(states.values().filter(elsewhere).count(), 1, "only Begin and a choice set it");
}

/// All that can come after a state, itself only if it can come again.
fn reachable_after<'a>(states: &'a States, name: &str) -> BTreeSet<&'a str> {
    let state = &states[name];
    let next = successors(state).into_iter().chain(on_failures(state));
    next.flat_map(|next| reachable(states, next)).collect()
}

/// The most events that one visit of a state adds to a history.
fn events(state: &Value) -> u64 {
    let retries: u64 = list(state, "Retry").iter().map(|retry| retry["MaxAttempts"].as_u64().unwrap()).sum();
    match state["Type"].as_str().unwrap() {
        // Entered and exited; scheduled, started, submitted, and how it ended.
        "Task" => 2 + 4 * (1 + retries),
        // Entered, started, its run started and ended, ended, exited.
        "Map" => 6,
        _ => 2,
    }
}

#[test]
fn no_history_grows_too_long() {
    let states = states();
    let comes_again = |name: &str| reachable_after(&states, name).contains(name);
    let visits = |name: &str| if comes_again(name) { ROUNDS + 1 } else { 1 };
    let run: u64 = states.iter().map(|(name, state)| visits(name) * events(state)).sum();
    assert!(run < HISTORY / 5, "{run} events");
    // A round of days is a loop of slices, and is to fit even if each call in it were refused to the last.
    let slice: u64 =
        ["Infer", "Check", "IsSent", "AnotherRound"].iter().map(|name| events(&states[*name])).sum();
    let days = (HISTORY - run) / slice * SLICE.as_secs() / (24 * 3600);
    assert!(days >= 14, "{days} days");
    let split = states["Split"]["ItemProcessor"]["States"].as_object().unwrap();
    let call = events(&split["SplitRange"]) + events(&split["IsSplit"]);
    // A call lists for a quarter of an hour, ten million keys if they come from one place only.
    // Thirty are all of 300 million; here each is refused to the last before it is let in.
    assert!(HISTORY / call > 60, "{} calls a range", HISTORY / call);
}

#[test]
fn maps_carry_indexes_and_give_counts() {
    for (name, map) in of_type(&states(), "Map") {
        assert_eq!(
            map["ItemProcessor"]["ProcessorConfig"],
            json!({"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"})
        );
        for unfit in ["ItemBatcher", "ResultWriter", "ItemReader"] {
            assert!(map.get(unfit).is_none(), "{name} has an {unfit}");
        }
        assert_eq!(map["ToleratedFailureCount"], 0);
        assert!((1..=100).contains(&map["MaxConcurrency"].as_u64().unwrap()), "{name}");
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
fn no_payload_grows_too_large() {
    let indexes = json!((0..ITEMS).collect::<Vec<_>>()).to_string();
    let counts = json!(vec![9_999_999_999_u64; ITEMS]).to_string();
    assert!(indexes.len() < PAYLOAD && counts.len() < PAYLOAD / 2, "{} and {}", indexes.len(), counts.len());
    for (name, state) in &states() {
        let given = &state["Output"];
        let small = ["Outcome", "FindMapRun", "FindFailedChild"].contains(&name.as_str());
        let ends_or_chooses = ["Choice", "Succeed", "Fail"].iter().any(|kind| state["Type"] == *kind);
        assert!(small || ends_or_chooses || *given == json!({}), "{name} hands on {given}");
    }
}

#[test]
fn causes_are_cut_before_they_travel() {
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
fn calls_say_what_the_functions_read() {
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

/// The lines of a block of the template, without its heading: all that is indented deeper.
fn block(template: &str, heading: &str) -> Vec<String> {
    let mut lines = template.lines().skip_while(|line| line.trim() != heading);
    let depth = |line: &str| line.len() - line.trim_start().len();
    let heading = lines.next().unwrap();
    lines.take_while(|line| depth(line) > depth(heading)).map(str::to_owned).collect()
}

/// The words of a text that begin with `prefix`.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(prefix)).map(str::to_owned).collect()
}

#[test]
fn the_template_fills_every_placeholder() {
    let definition = text("infra/state-machine.asl.json");
    let placeholders: BTreeSet<_> =
        definition.split("${").skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect();
    let filled: BTreeSet<_> = block(&text("infra/template.yaml"), "DefinitionSubstitutions:")
        .iter()
        .map(|line| line.trim().split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(placeholders, filled);
}

#[test]
fn the_environment_is_named_alike_everywhere() {
    let template = words(&text("infra/template.yaml"), "TAGFLEET_");
    let of_functions = [
        "TAGFLEET_BUCKET",
        "TAGFLEET_CPU_INSTANCE_TYPES",
        "TAGFLEET_CPU_WORKER_VCPUS",
        "TAGFLEET_DLQ_ARN",
        "TAGFLEET_GPU_INSTANCE_TYPES",
        "TAGFLEET_GPU_WORKER_VCPUS",
        "TAGFLEET_MAX_VCPUS",
        "TAGFLEET_QUEUE_PREFIX",
        "TAGFLEET_SENDER",
        "TAGFLEET_STACK",
        "TAGFLEET_STATE_MACHINE",
    ];
    let of_workers = ["TAGFLEET_BUCKET", "TAGFLEET_VCPUS"];
    let expected: BTreeSet<_> = of_functions.into_iter().chain(of_workers).map(str::to_owned).collect();
    assert_eq!(template, expected);
}

#[test]
fn outputs_are_those_that_the_command_line_reads() {
    let outputs: Vec<_> = block(&text("infra/template.yaml"), "Outputs:")
        .into_iter()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.trim().trim_end_matches(':').to_owned())
        .collect();
    let expected = "Bucket StateMachineArn MaxVcpus CpuJobQueue GpuJobQueue GpuImage DeadLetterQueueUrl Sender \
                    SplitterFunction \
                    ReducerFunction QueuePrefix SourceBuckets";
    assert_eq!(outputs, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn the_reducer_knows_what_a_worker_takes() {
    let template = text("infra/template.yaml");
    let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
    let value = |name: &str| template.lines().find(|line| line.contains(name)).and_then(quoted);
    let of_jobs: Vec<_> =
        template.lines().filter(|line| line.contains("Name: TAGFLEET_VCPUS")).filter_map(quoted).collect();
    let of_reducer = [value("TAGFLEET_CPU_WORKER_VCPUS:"), value("TAGFLEET_GPU_WORKER_VCPUS:")];
    assert_eq!(of_jobs, of_reducer.map(Option::unwrap));
}

/// With their vCPUs and MiB, by AWS's pages.
const SMALLEST_WITH_A_GPU: [(&str, u64, u64); 3] =
    [("g4dn.xlarge", 4, 16_384), ("g5.xlarge", 4, 16_384), ("g6.xlarge", 4, 16_384)];
/// What the kernel, the driver and the agent of ECS have of it: AWS Batch's guide counts 239 MiB of 8 GiB without a driver.
const SYSTEM_MIB: u64 = 1024;

#[test]
fn a_gpu_worker_takes_one_gpu_and_nearly_all_of_the_smallest_machine() {
    let template = text("infra/template.yaml");
    let (job, types) =
        (block(&template, "GpuJobDefinition:"), block(&template, "GpuInstanceTypes:").join(" "));
    let asked = |kind: &str| -> u64 {
        let line = job.iter().find(|line| line.contains(&format!("{{Type: {kind},"))).unwrap();
        line.split('"').nth(1).unwrap().parse().unwrap()
    };
    for (name, vcpus, memory_mib) in SMALLEST_WITH_A_GPU {
        assert!(types.contains(name), "{name}: {types}");
        assert_eq!((asked("GPU"), asked("VCPU")), (1, vcpus), "{name}");
        let most = memory_mib - SYSTEM_MIB;
        assert!((most * 9 / 10..=most).contains(&asked("MEMORY")), "{name}");
    }
}
