//! The expressions of the state machine, evaluated again by the reference implementation of JSONata. The
//! emulator uses another implementation.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tagfleet_tests::cloud::Cloud;
use tagfleet_tests::project;

/// Every expression of a definition.
fn expressions(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let expression = text.strip_prefix("{%").and_then(|text| text.strip_suffix("%}"));
            found.extend(expression.map(|expression| expression.trim().to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| expressions(field, found)),
        _ => {}
    }
}

/// The evaluations in which the reference implementation differs; `None` if it is not installed.
fn differences(evaluations: &Value) -> Option<Value> {
    if !project("infra/lint/node_modules/jsonata").exists() {
        eprintln!("skipped: no JSONata in infra/lint/node_modules; `scripts/setup.sh check` installs it");
        return None;
    }
    let mut node = Command::new("node")
        .arg(project("infra/lint/expressions.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    node.stdin.take().unwrap().write_all(evaluations.to_string().as_bytes()).unwrap();
    Some(serde_json::from_slice(&node.wait_with_output().unwrap().stdout).unwrap())
}

#[test]
fn a_value_that_differs_is_found() {
    let right = json!({"expression": "$a + 1", "variables": {"a": 1}, "states": {}, "value": 2});
    let wrong = json!({"expression": "$states.input", "variables": {}, "states": {"input": 1}, "value": 2});
    let Some(differences) = differences(&json!([right, wrong])) else { return };
    assert_eq!(differences.as_array().map(Vec::len), Some(1), "{differences}");
    assert_eq!((&differences[0]["found"], &differences[0]["expected"]), (&json!(1), &json!(2)));
}

/// Checks that every expression was evaluated, by a run or by hand, and that both implementations agree.
pub(super) fn agrees(cloud: &Cloud) {
    let mut evaluations = cloud.emulator().evaluations();
    let machine = json!({"stateMachineArn": cloud.output("StateMachineArn")});
    let described =
        cloud.emulator().client().call("states", "AWSStepFunctions.DescribeStateMachine", &machine);
    let definition: Value = serde_json::from_str(described["definition"].as_str().unwrap()).unwrap();
    let mut all = BTreeSet::new();
    expressions(&definition, &mut all);
    let list = evaluations.as_array_mut().unwrap();
    list.extend(by_hand(&definition));
    let seen: BTreeSet<_> = list.iter().map(|one| one["expression"].as_str().unwrap().to_owned()).collect();
    let unseen: Vec<_> = all.difference(&seen).collect();
    assert!(unseen.is_empty(), "never evaluated: {unseen:#?}");
    if let Some(differences) = differences(&evaluations) {
        assert_eq!(differences, json!([]));
    }
}

/// Expressions that no run of the tests evaluates, with synthetic inputs and the expected values.
fn by_hand(definition: &Value) -> Vec<Value> {
    let states = &definition["States"];
    let mut all = of_requests(&states["Store"]["Arguments"]["Payload"]["request"]);
    all.extend(of_left_workers(&states["FindLeftWorkers"]));
    all.extend(of_ends(states));
    let cause = &states["Mail"]["Catch"][0]["Assign"]["mail"]["cause"];
    let error = json!({"errorOutput": {"Cause": "x".repeat(3000)}});
    all.push(evaluation(cause, (json!({}), error), &json!("x".repeat(2000))));
    all
}

fn evaluation(expression: &Value, (variables, states): (Value, Value), value: &Value) -> Value {
    let expression = expression.as_str().unwrap().trim_start_matches("{%").trim_end_matches("%}").trim();
    json!({"expression": expression, "variables": variables, "states": states, "value": value})
}

/// The request is the input without the fields that Step Functions adds.
fn of_requests(expression: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for request in [json!({"version": 1, "input": ["a"]}), json!({})] {
        let mut input = request.clone();
        found.push(evaluation(expression, (json!({}), json!({"input": input})), &request));
        input["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] = json!("arn");
        found.push(evaluation(expression, (json!({}), json!({"input": input})), &request));
    }
    found
}

fn of_left_workers(state: &Value) -> Vec<Value> {
    let job = json!({"job": {"JobName": "tagfleet-r", "JobQueue": "cpu"}});
    let arguments = &state["Arguments"];
    let name = &arguments["Filters"][0]["Values"][0];
    let mut found = vec![
        evaluation(&arguments["JobQueue"], (job.clone(), json!({})), &json!("cpu")),
        evaluation(name, (job, json!({})), &json!("tagfleet-r")),
    ];
    let listed = [("a", "RUNNING"), ("b", "FAILED"), ("c", "RUNNABLE"), ("d", "SUCCEEDED")];
    for (count, left) in [(0, json!([])), (1, json!(["a"])), (2, json!(["a"])), (4, json!(["a", "c"]))] {
        let jobs: Vec<Value> =
            listed[..count].iter().map(|(id, status)| json!({"JobId": id, "Status": status})).collect();
        let states = json!({"result": {"JobSummaryList": jobs}});
        found.push(evaluation(&state["Output"], (json!({}), states), &left));
    }
    found
}

/// The ends of a run that is not complete.
fn of_ends(states: &Value) -> Vec<Value> {
    let variables = |problem: Value| json!({"run": "r", "summary": {"state": "incomplete", "missing": 3}, "problem": problem});
    let ended = || (variables(json!({"error": "x", "cause": "why"})), json!({}));
    let (at_budget, is_unknown) =
        (&states["Outcome"]["Choices"][2]["Condition"], &states["Outcome"]["Choices"][3]["Condition"]);
    let unknown = variables(json!({"error": "tagfleet.PriceUnknown", "cause": "why"}));
    let left = "3 shards have no part";
    let incomplete = format!("run r is incomplete: {left}; resume with: tagfleet resume r");
    let price = format!("run r is stopped: a price is unknown: {left}; why");
    vec![
        evaluation(at_budget, ended(), &json!(false)),
        evaluation(is_unknown, (unknown, json!({})), &json!(true)),
        evaluation(is_unknown, ended(), &json!(false)),
        evaluation(is_unknown, (variables(Value::Null), json!({})), &json!(false)),
        evaluation(&states["Incomplete"]["Cause"], ended(), &json!(incomplete)),
        evaluation(
            &states["StoppedAtBudget"]["Cause"],
            ended(),
            &json!(format!("run r is stopped at its budget: {left}; why")),
        ),
        evaluation(&states["PriceUnknown"]["Cause"], ended(), &json!(price)),
    ]
}
