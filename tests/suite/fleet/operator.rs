//! The permissions of a user: `infra/operator-policy.json` allows every call of the command, and nothing
//! else.

use serde_json::{Value, json};
use tagfleet_tests::emulator::Options;
use tagfleet_tests::fleet::{Fleet, one_picture};
use tagfleet_tests::project;

fn done(fleet: &Fleet, arguments: &[&str]) {
    let ran = fleet.tagfleet(arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
}

#[test]
fn the_operator_policy_allows_exactly_what_the_command_calls() {
    let key = super::policy::BUCKET_KEY;
    let fleet = Fleet::deploy(&Options::default(), &[("SourceBuckets", "shop"), ("BucketKeyArn", key)]);
    super::policy::encrypt(&fleet, fleet.bucket(), key);
    fleet.cloud.emulator().make_bucket("shop");
    let keys: Vec<String> = (0..3000).map(|number| format!("photos/{number:06}.jpg")).collect();
    fleet.cloud.emulator().fill("shop", &keys, &one_picture());
    let request = fleet.request(&json!({"input": ["s3://shop/photos/"], "workers": 1}));
    // Some of the resources that it checks are absent, and it reports that.
    let _ = fleet.tagfleet(&["doctor"]);
    let model = project("demo/model");
    done(&fleet, &["plan", "s3://shop/photos/", "--model", model.to_str().unwrap()]);
    let run = fleet.submit(&request);
    done(&fleet, &["status"]);
    // From this state on, the run has a queue and a job.
    super::policy::reaches(&fleet, &fleet.execution(&run), "Infer");
    done(&fleet, &["status", &run]);
    done(&fleet, &["cancel", &run]);
    let _ = fleet.wait(&fleet.execution(&run));
    done(&fleet, &["resume", &run, "--wait"]);
    let out = format!("s3://{}/tags/{run}/", fleet.bucket());
    done(&fleet, &["report", &out]);
    let verdict = fleet.cloud.emulator().verdict();
    let of_operator = |name: &str| -> Vec<Value> {
        let all = verdict[name].as_array().unwrap().iter();
        all.filter(|one| one.as_str().unwrap().starts_with("operator")).cloned().collect()
    };
    assert_eq!(of_operator("denied"), Vec::<Value>::new());
    assert_eq!(of_operator("needless"), Vec::<Value>::new());
}
