//! The limits of requests and roles: foreign mailboxes, models of other buckets, more dollars than the stack
//! allows, and the objects of other roles.

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, name};
use tagfleet_tests::metadata::Metadata;

/// Copies the request's model into another bucket, which is created.
pub(super) fn in_another_bucket(fleet: &Fleet, request: &Value, bucket: &str) -> String {
    fleet.cloud.emulator().make_bucket(bucket);
    let own = format!("s3://{}/", fleet.bucket());
    let folder = request["model"].as_str().unwrap().strip_prefix(&own).unwrap();
    for key in fleet.cloud.keys(folder) {
        let bytes = fleet.cloud.get(&key).unwrap();
        fleet.cloud.put_into(bucket, &format!("m/{}", key.strip_prefix(folder).unwrap()), &bytes);
    }
    format!("s3://{bucket}/m/")
}

/// The recipients of all mails, in order.
fn mailed(fleet: &Fleet) -> Vec<String> {
    let mails = fleet.cloud.mails();
    let to = mails.iter().flat_map(|mail| mail["To"].as_array().cloned().unwrap_or_default());
    to.filter_map(|to| to.as_str().map(str::to_owned)).collect()
}

/// Uploads a request that plan must refuse. Returns the reason.
fn refused(fleet: &Fleet, request: &Value, nth: usize) -> String {
    let execution = fleet.put_request(&format!("refused-{nth}"), request, nth);
    let (status, ended) = fleet.wait(&execution);
    assert_eq!((status.as_str(), &ended["error"]), ("FAILED", &json!("BadRequest")), "{ended}");
    let entered = fleet.cloud.states_entered(&execution);
    assert!(!entered.contains(&"Split".to_owned()), "{entered:?}");
    ended["cause"].as_str().unwrap().to_owned()
}

#[test]
fn a_request_reaches_only_what_the_stack_allows() {
    let parameters = [
        ("ModelBuckets", "shared"),
        ("MailRecipients", "ops@example.com,*@example.org"),
        ("MaxUsdPerRun", "2"),
    ];
    let metadata = Metadata::start_on("c7a.2xlarge");
    let options = Options::default().on_machine(&metadata);
    let fleet = Fleet::deploy(&options, &[&parameters[..], &[("CpuInstanceTypes", "c7a.2xlarge")]].concat());
    fleet.upload_demo("photos/");
    let request = fleet.request(&json!({"notify": ["ops@example.com"]}));
    let with = |field: &str, value: Value| {
        let mut request = request.clone();
        request[field] = value;
        request
    };

    let strangers = with("notify", json!(["you@example.com", "ops@example.com", "me@example.org"]));
    let said = refused(&fleet, &strangers, 1);
    assert!(said.contains("does not mail you@example.com"), "{said}");
    assert_eq!(mailed(&fleet), ["ops@example.com", "me@example.org"]);
    // One small file that is not a request.
    let said = refused(&fleet, &json!({"notify": ["you@example.com"], "read this": 1}), 2);
    assert!(said.contains("not a request file"), "{said}");
    let elsewhere = in_another_bucket(&fleet, &request, "elsewhere");
    let said = refused(&fleet, &with("model", json!(elsewhere)), 3);
    assert!(said.contains("takes no models from s3://elsewhere"), "{said}");
    let said = refused(&fleet, &with("max_usd", json!(2.01)), 4);
    assert!(said.contains("$2.01 is more than the $2"), "{said}");
    assert_eq!(fleet.cloud.jobs(), Vec::<Value>::new());

    let shared = in_another_bucket(&fleet, &request, "shared");
    let good = fleet.put_request("good", &with("model", json!(shared)), 5);
    let (status, ended) = fleet.wait(&good);
    assert_eq!(status, "SUCCEEDED", "{ended}");
    assert_eq!(fleet.rows(name(&good)).len(), 60);
    // The request has no limit, and the worker has one.
    assert!(fleet.cloud.logs("/tagfleet/worker").join("\n").contains("\"event\":\"limited\""));
    assert!(!mailed(&fleet).contains(&"you@example.com".to_owned()), "{:?}", mailed(&fleet));
    super::policy::every_call_is_allowed(&fleet.cloud);
}

/// Foreign objects among the records, as a run leaves them whose results go there.
#[test]
fn foreign_objects_among_the_records_neither_stop_nor_bill_a_run() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_demo("photos/");
    let (run, request) = ("noisy-1", fleet.request(&json!({})));
    fleet.cloud.put(&format!("runs/{run}.json"), request.to_string().as_bytes());
    let usage = format!("tags/work/{run}/usage");
    fleet.cloud.put(&format!("{usage}/mine/request.json"), b"{");
    let dear = json!({
        "kind": "function", "version": 1, "function": "reducer", "action": "check", "milliseconds": 900_000_000,
        "memory_mb": 10_240,
    });
    fleet.cloud.put(&format!("{usage}/work/mine/usage/call.json"), dear.to_string().as_bytes());
    let (status, ended) = fleet.wait(&fleet.cloud.start(run, &json!({"run": run})));
    assert_eq!(status, "SUCCEEDED", "{ended}");
    let summary: Value =
        serde_json::from_slice(&fleet.cloud.get(&format!("tags/{run}/summary.json")).unwrap()).unwrap();
    assert_eq!(summary["usage"]["foreign"]["objects"], 2, "{summary}");
    assert!(summary["usage"]["functions"]["reducer check"]["milliseconds"].as_u64().unwrap() < 900_000);
    let told = fleet.tagfleet(&["report", run]).stdout;
    assert!(told.contains(&format!("not counted: {usage}/mine/request.json")), "{told}");
}

/// No instance has a GPU, so such a run waits for one and keeps its reserved dollars.
#[test]
fn the_runs_of_a_day_share_the_limit_of_the_day() {
    let metadata = Metadata::start_on("c7a.2xlarge");
    let options = Options::default().on_machine(&metadata);
    let parameters = [
        ("CpuInstanceTypes", "c7a.2xlarge"),
        ("GpuInstanceTypes", "g6.xlarge"),
        ("MaxUsdPerRun", "1"),
        ("MaxUsdPerDay", "1.5"),
    ];
    let fleet = Fleet::deploy(&options, &parameters);
    fleet.upload_demo("photos/");
    let request = fleet.request(&json!({"notify": ["ops@example.com"]}));
    let mut waits = request.clone();
    waits["device"] = json!("gpu");
    let first = fleet.put_request("first", &waits, 1);
    super::policy::reaches(&fleet, &first, "Infer");
    let second = fleet.put_request("second", &waits, 2);
    super::policy::reaches(&fleet, &second, "Infer");
    let status = |execution: &str| -> Value {
        serde_json::from_str(&fleet.tagfleet(&["status", name(execution), "--json"]).stdout).unwrap()
    };
    let limit = |execution: &str| status(execution)["cost"]["max_usd"].as_f64().unwrap();
    assert_eq!((limit(&first), (limit(&second) * 100.0).round()), (1.0, 50.0));

    let third = fleet.put_request("third", &request, 3);
    let (ended, said) = fleet.wait(&third);
    assert_eq!((ended.as_str(), &said["error"]), ("FAILED", &json!("DayIsSpent")), "{said}");
    let cause = said["cause"].as_str().unwrap();
    for part in ["$1.5 together", name(&first), name(&second), "it can start from", "tagfleet resume third"] {
        assert!(cause.contains(part), "{part}: {cause}");
    }
    let text = fleet.cloud.mails().pop().unwrap()["BodyText"].as_str().unwrap().to_owned();
    assert!(text.contains("Nothing was started.") && text.contains("it can start from"), "{text}");
    assert_eq!(fleet.cloud.jobs().len(), 2, "only the jobs of the other runs");

    let cancelled = fleet.tagfleet(&["cancel", name(&second)]);
    assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    let _ = fleet.wait(&second);
    let resumed = fleet.tagfleet(&["resume", name(&third), "--wait", "--quiet"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(fleet.rows(name(&third)).len(), 60);
    fleet.cloud.stop(&first);
    super::policy::every_call_is_allowed(&fleet.cloud);
}

/// A role of the stack by its name in the template.
fn role(fleet: &Fleet, wanted: &str) -> String {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let list = b"Action=ListRoles&Version=2010-05-08";
    let listed = fleet.cloud.emulator().client().send("iam", "POST /", &headers, list).text();
    let names =
        listed.split("<RoleName>").skip(1).filter_map(|part| Some(part.split_once('<')?.0.to_owned()));
    names.filter(|name| name.starts_with(&format!("tagfleet-{wanted}"))).last().unwrap()
}

/// The emulator does not enforce policies. It reports afterwards which calls IAM would deny.
#[test]
fn a_compromised_role_reaches_nothing_of_other_roles() {
    let fleet = Fleet::deploy(&Options::default(), &[("ModelBuckets", "shared")]);
    fleet.cloud.emulator().make_bucket("elsewhere");
    let own = fleet.bucket();
    let client = |wanted: &str| fleet.cloud.emulator().client().with_role(&role(&fleet, wanted));
    let json = [("Content-Type", "application/json")];
    let mail = |to: &str| {
        let content = json!({"Data": "read this", "Charset": "UTF-8"});
        json!({
            "FromEmailAddress": "sender@example.com",
            "Destination": {"ToAddresses": [to]},
            "Content": {"Simple": {"Subject": content, "Body": {"Text": content}}},
        })
    };
    let (worker, splitter) = (client("WorkerRole"), client("SplitterRole"));
    let (reducer, machine) = (client("ReducerRole"), client("StateMachineRole"));
    let get = |client: &tagfleet_tests::http::Client, place: &str| {
        let _ = client.send("s3", &format!("GET /{place}"), &[], b"");
    };
    for key in ["models/m/model.json", "prices/aws.json", "tags/work/r/shards/a", "photos/a.jpg"] {
        get(&worker, &format!("{own}/{key}"));
    }
    for key in ["requests/a.json", "runs/a.json", "days/2026-11-30/000000.json"] {
        get(&worker, &format!("{own}/{key}"));
    }
    get(&splitter, "elsewhere/m/model.json");
    let _ = worker.send("s3", &format!("PUT /{own}/days/2026-11-30/000000.json"), &[], b"{}");
    let _ = reducer.send("s3", &format!("PUT /{own}/days/2026-11-30/000000.json"), &[], b"{}");
    for to in ["ops@example.com", "you@example.org"] {
        let _ = reducer.send("ses", "POST /v2/email/outbound-emails", &json, mail(to).to_string().as_bytes());
    }
    let foreign = json!({"jobId": "of-somebody-else", "reason": "no"}).to_string();
    let _ = machine.send("batch", "POST /v1/terminatejob", &json, foreign.as_bytes());

    let verdict = fleet.cloud.emulator().verdict();
    let denied: Vec<String> = verdict["denied"].as_array().unwrap().iter().map(ToString::to_string).collect();
    let is_denied = |role: &str, what: &str| {
        denied.iter().any(|call| call.contains(&format!("-{role}-")) && call.contains(what))
    };
    let expected = [
        ("WorkerRole", format!("s3:GetObject on arn:aws:s3:::{own}/requests/a.json")),
        ("WorkerRole", format!("s3:GetObject on arn:aws:s3:::{own}/runs/a.json")),
        ("WorkerRole", format!("s3:GetObject on arn:aws:s3:::{own}/days/")),
        ("WorkerRole", format!("s3:PutObject on arn:aws:s3:::{own}/days/")),
        ("ReducerRole", format!("s3:PutObject on arn:aws:s3:::{own}/days/")),
        ("ReducerRole", "ses:SendEmail on arn:aws:ses".to_owned()),
        ("SplitterRole", "s3:GetObject on arn:aws:s3:::elsewhere/m/model.json".to_owned()),
        ("StateMachineRole", "batch:TerminateJob on arn:aws:batch".to_owned()),
    ];
    for (role, what) in &expected {
        assert!(is_denied(role, what), "{role} {what}: {denied:#?}");
    }
    // To learn that an object is absent, the splitter needs ListBucket.
    assert_eq!(denied.len(), expected.len() + 1, "{denied:#?}");
    assert!(!denied.iter().any(|call| call.contains("ops@example.com")), "{denied:#?}");
}
