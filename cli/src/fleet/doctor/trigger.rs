//! Does a request file start a run, and nothing else? The way from the bucket through EventBridge to the
//! splitter.

use serde_json::{Value, json};
use tagfleet_aws::ServiceError;
use tagfleet_aws::s3::settings::Notifications;
use tagfleet_aws::signed::{Call, Service};
use tagfleet_pipeline::run::StackKeys;

use super::super::stack::FleetStack;
use super::finding::Finding;
use super::{text_at, texts_at, unasked};

const CHECK: &str = "trigger";
/// Amazon EventBridge: a JSON service.
const EVENTS: Service = Service {
    title: "EventBridge",
    id: "EventBridge",
    endpoint: "events",
    signing_name: "events",
    version: "AWSEvents",
};

pub(super) async fn check(stack: &FleetStack) -> Vec<Finding> {
    let bucket = &stack.outputs.bucket;
    let mut findings = match stack.bucket().notifications().await {
        Ok(notifications) => judge_bucket(bucket, &notifications),
        Err(error) => vec![unasked(CHECK, &error)],
    };
    findings.extend(match rules(stack).await {
        Ok(rules) => judge_rules(&rules),
        Err(error) => vec![unasked(CHECK, &error)],
    });
    findings
}

/// The rules whose target is the splitter.
async fn rules(stack: &FleetStack) -> Result<Vec<Value>, ServiceError> {
    let splitter = stack.outputs.splitter_arn();
    let call = Call { service: EVENTS, action: "ListRuleNamesByTarget", resource: &splitter };
    let listed = stack.aws.json(call, &json!({ "TargetArn": splitter })).await?;
    let mut rules = Vec::new();
    for name in texts_at(&listed, "/RuleNames") {
        let call = Call { service: EVENTS, action: "DescribeRule", resource: &name };
        rules.push(stack.aws.json(call, &json!({ "Name": name })).await?);
    }
    Ok(rules)
}

fn judge_bucket(bucket: &str, notifications: &Notifications) -> Vec<Finding> {
    let mut findings = vec![if notifications.event_bridge {
        Finding::ok(CHECK, format!("s3://{bucket} sends its events to EventBridge"))
    } else {
        Finding::warn(
            CHECK,
            format!("s3://{bucket} sends no events to EventBridge: request files start nothing"),
            "turn on EventBridge in the bucket's properties; `tagfleet submit` works without it",
        )
    }];
    if !notifications.others.is_empty() {
        let others = notifications.others.join(", ");
        findings.push(Finding::warn(
            CHECK,
            format!("s3://{bucket} also notifies {others}"),
            format!("make sure that it leaves {} alone: a run writes an object per shard", StackKeys::TAGS),
        ));
    }
    findings
}

fn judge_rules(rules: &[Value]) -> Vec<Finding> {
    if rules.is_empty() {
        let found = "no EventBridge rule invokes the splitter: request files start nothing";
        return vec![Finding::warn(
            CHECK,
            found,
            "deploy the stack again; `tagfleet submit` works without it",
        )];
    }
    rules.iter().map(judge_rule).collect()
}

fn judge_rule(rule: &Value) -> Finding {
    let name = text_at(rule, "/Name");
    if text_at(rule, "/State") == "DISABLED" {
        let found = format!("the rule {name} is disabled: request files start nothing");
        return Finding::warn(CHECK, found, "enable it; `tagfleet submit` works without it");
    }
    let pattern: Value = serde_json::from_str(text_at(rule, "/EventPattern")).unwrap_or_default();
    let keys = pattern.pointer("/detail/object/key").and_then(Value::as_array);
    let is_request = |key: &Value| {
        let begins =
            ["/wildcard", "/prefix"].iter().map(|kind| text_at(key, kind)).find(|text| !text.is_empty());
        begins.or(key.as_str()).is_some_and(|key| key.starts_with(StackKeys::REQUESTS))
    };
    match keys {
        Some(keys) if keys.iter().all(is_request) => {
            Finding::ok(CHECK, format!("the rule {name} starts a run for files in {}", StackKeys::REQUESTS))
        }
        _ => Finding::warn(
            CHECK,
            format!(
                "the rule {name} also passes keys outside {}: every part of every run invokes the splitter",
                StackKeys::REQUESTS
            ),
            "limit its pattern's detail.object.key to request files, or deploy the stack again",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::text;
    use super::*;

    #[test]
    fn the_bucket() {
        let told = |event_bridge, others: &[&str]| {
            let others = others.iter().map(|&other| other.to_owned()).collect();
            text(&judge_bucket("data", &Notifications { event_bridge, others }))
        };
        insta::assert_snapshot!(told(true, &[]), @r"
        ok    trigger      s3://data sends its events to EventBridge
        the fleet is ready
        ");
        insta::assert_snapshot!(told(false, &["arn:aws:lambda:eu-central-1:1:function:thumbnails"]), @r"
        WARN  trigger      s3://data sends no events to EventBridge: request files start nothing
                           -> turn on EventBridge in the bucket's properties; `tagfleet submit` works without it
        WARN  trigger      s3://data also notifies arn:aws:lambda:eu-central-1:1:function:thumbnails
                           -> make sure that it leaves tags/ alone: a run writes an object per shard
        the fleet can run; 2 warnings
        ");
    }

    #[test]
    fn the_rules() {
        let rule = |state: &str, key: Value| {
            let pattern = json!({"source": ["aws.s3"], "detail": {"object": {"key": key}}}).to_string();
            json!({"Name": "requests", "State": state, "EventPattern": pattern})
        };
        let requests = json!([{"wildcard": "requests/*.json"}]);
        insta::assert_snapshot!(text(&judge_rules(&[])), @r"
        WARN  trigger      no EventBridge rule invokes the splitter: request files start nothing
                           -> deploy the stack again; `tagfleet submit` works without it
        the fleet can run; 1 warning
        ");
        let rules = [
            rule("ENABLED", requests.clone()),
            rule("DISABLED", requests),
            rule("ENABLED", json!([{"suffix": ".json"}])),
            json!({"Name": "all", "State": "ENABLED", "EventPattern": "{\"source\":[\"aws.s3\"]}"}),
        ];
        insta::assert_snapshot!(text(&judge_rules(&rules)), @r"
        ok    trigger      the rule requests starts a run for files in requests/
        WARN  trigger      the rule requests is disabled: request files start nothing
                           -> enable it; `tagfleet submit` works without it
        WARN  trigger      the rule requests also passes keys outside requests/: every part of every run invokes the splitter
                           -> limit its pattern's detail.object.key to request files, or deploy the stack again
        WARN  trigger      the rule all also passes keys outside requests/: every part of every run invokes the splitter
                           -> limit its pattern's detail.object.key to request files, or deploy the stack again
        the fleet can run; 3 warnings
        ");
    }
}
