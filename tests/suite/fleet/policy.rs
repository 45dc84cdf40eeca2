//! The actions that the code calls are exactly those that its role allows: what each role called on the emulator against
//! the policies that the stack gave it.
//!
//! The emulator knows who called what and enforces nothing, so this compares names of actions; resources and conditions
//! are for the linters and a reader.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tagfleet_tests::cloud::Cloud;
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::Fleet;

type Actions = BTreeSet<String>;

/// Allowed and not called by anything that runs here, with the reason.
const NOT_CALLED_HERE: [(&str, &str); 0] = [];

fn called(cloud: &Cloud) -> BTreeMap<String, Actions> {
    let calls = cloud.calls();
    let of_role = |(role, actions): (&String, &Value)| {
        (role.clone(), actions.as_object().unwrap().keys().cloned().collect())
    };
    calls.as_object().unwrap().iter().map(of_role).collect()
}

fn iam(cloud: &Cloud, form: &str) -> String {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("{form}&Version=2010-05-08");
    cloud.emulator().client().send("iam", "POST /", &headers, body.as_bytes()).text()
}

/// The texts of all elements of a name.
fn elements<'a>(xml: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    xml.split(open).skip(1).filter_map(|part| Some(part.split_once(close)?.0)).collect()
}

/// The actions that the inline policies of a role allow.
fn allowed(cloud: &Cloud, role: &str) -> Actions {
    let mut actions = Actions::new();
    let listed = iam(cloud, &format!("Action=ListRolePolicies&RoleName={role}"));
    for policy in elements(&listed, "<member>", "</member>") {
        let policy = iam(cloud, &format!("Action=GetRolePolicy&RoleName={role}&PolicyName={policy}"));
        let document = elements(&policy, "<PolicyDocument>", "</PolicyDocument>")[0];
        let document = percent_decode_str(document).decode_utf8().unwrap().replace("&quot;", "\"");
        let document: Value = serde_json::from_str(&document).unwrap_or_else(|_| panic!("{document}"));
        for statement in document["Statement"].as_array().unwrap() {
            match &statement["Action"] {
                Value::String(action) => _ = actions.insert(action.clone()),
                Value::Array(many) => actions.extend(many.iter().map(|it| it.as_str().unwrap().to_owned())),
                other => panic!("{other}"),
            }
        }
    }
    actions
}

/// Every action that any role called is among those that its policies allow.
pub(super) fn every_call_is_allowed(cloud: &Cloud) {
    for (role, called) in called(cloud) {
        let allowed = allowed(cloud, &role);
        let missing: Vec<_> = called.difference(&allowed).collect();
        assert!(missing.is_empty(), "{role} calls {missing:?}, which its policies do not allow: {allowed:?}");
    }
}

#[test]
fn every_role_calls_what_it_may_and_may_what_it_calls() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_demo("photos/");
    let request = fleet.request(&json!({"workers": 2, "notify": ["ops@example.com"]}));
    let good = fleet.put_request("good", &request, 1);
    assert_eq!(fleet.wait(&good).0, "SUCCEEDED");
    let mut wrong = request;
    wrong["version"] = json!(0);
    let bad = fleet.put_request("bad", &wrong, 2);
    assert_eq!(fleet.wait(&bad).0, "FAILED");
    every_call_is_allowed(&fleet.cloud);
    let mut idle = BTreeMap::new();
    for (role, called) in called(&fleet.cloud) {
        let not_called: Vec<String> = allowed(&fleet.cloud, &role)
            .difference(&called)
            .filter(|action| NOT_CALLED_HERE.iter().all(|(known, _)| known != action))
            .cloned()
            .collect();
        if !not_called.is_empty() {
            idle.insert(role, not_called);
        }
    }
    assert_eq!(idle, BTreeMap::new(), "allowed, but never called");
}
