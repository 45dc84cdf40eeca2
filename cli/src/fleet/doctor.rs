//! `tagfleet doctor`: can the stack, or this machine, run? Each check reports its finding and, if that is
//! bad, the remedy.
//!
//! It reads and changes nothing. A service that denies access, or does not answer, is a warning: the other
//! checks continue. Functions of the answer alone decide what it means, a file for each subject.

mod encryption;
mod finding;
mod machine;
mod mail;
mod network;
mod placement;
mod quotas;
mod trigger;

use serde_json::Value;
use tagfleet_aws::signed::{Call, Service};
use tagfleet_aws::{Aws, ServiceError};
use tagfleet_pipeline::bucket::Kind;

use super::stack::FleetStack;
use crate::args::{DoctorOptions, StackOptions};
use crate::connection;
use crate::exit::{Exit, Failure, broken, print_json, print_marked};
use finding::{Finding, Level};

/// AWS STS: a query service.
const STS: Service =
    Service { title: "STS", id: "STS", endpoint: "sts", signing_name: "sts", version: "2011-06-15" };

/// What to do about credentials that do not work.
const LOG_IN: &str =
    "log in as for the AWS CLI (`aws sts get-caller-identity` must work), or pass --profile and --region";

pub(super) async fn doctor(options: &DoctorOptions) -> Result<Exit, Failure> {
    let (findings, subject) = if options.local {
        (machine::check()?, "this machine")
    } else {
        (check(&options.stack).await, "the fleet")
    };
    if options.json {
        print_json(&serde_json::to_string_pretty(&findings).map_err(broken)?)?;
    } else {
        print_marked(&finding::text_about(subject, &findings))?;
    }
    let is_bad = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if is_bad { Exit::Broken } else { Exit::Finished })
}

async fn check(options: &StackOptions) -> Vec<Finding> {
    let aws = match connection::to_stack(&options.aws).await {
        Ok(aws) => aws,
        Err(failure) => return vec![Finding::fail("credentials", failure.message(), LOG_IN)],
    };
    if aws.region().is_none() {
        let to_do = "pass --region, set AWS_REGION, or run `aws configure`";
        return vec![Finding::fail("region", "no AWS region is set", to_do)];
    }
    let mut findings = vec![identity(&aws).await];
    let stack = match FleetStack::find_with(aws, &options.stack).await {
        Ok(stack) => stack,
        Err(failure) => {
            findings.push(Finding::fail(
                "stack",
                failure.message(),
                "fix this first: everything else depends on it",
            ));
            return findings;
        }
    };
    findings.push(Finding::ok("stack", format!("{}, with all its outputs", stack.name)));
    let devices = placement::devices(&stack).await;
    findings.extend(devices.iter().flat_map(placement::judge));
    findings.extend(quotas::check(&stack, &devices).await);
    findings.extend(network::check(&stack, &devices).await);
    findings.extend(trigger::check(&stack).await);
    findings.extend(mail::check(&stack).await);
    findings.extend(encryption::check(&stack).await);
    findings
}

async fn identity(aws: &Aws) -> Finding {
    let call = Call { service: STS, action: "GetCallerIdentity", resource: "the credentials" };
    match aws.query(call, &[]).await {
        Ok(answer) => Finding::ok("credentials", answer.text_of("Arn")),
        Err(error) if error.kind == Kind::Denied => Finding::fail("credentials", error.to_string(), LOG_IN),
        Err(error) => unasked("credentials", &error),
    }
}

/// The finding of a check that could not run: a warning, because all may be well.
fn unasked(check: &'static str, why: &dyn std::fmt::Display) -> Finding {
    Finding::warn(check, format!("could not be checked: {why}"), "allow the action, or check by hand")
}

/// A REST service's answer: to a POST with this body, else to a GET.
async fn rest(
    stack: &FleetStack,
    call: Call<'_>,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, ServiceError> {
    let method = if body.is_some() { "POST" } else { "GET" };
    stack.aws.rest(call, method, path, body).await
}

/// The text at a path of an answer; empty if there is none.
fn text_at<'a>(answer: &'a Value, pointer: &str) -> &'a str {
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a path of an answer; empty if there is none.
fn list_at<'a>(answer: &'a Value, pointer: &str) -> &'a [Value] {
    answer.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of a list at a path of an answer.
fn texts_at(answer: &Value, pointer: &str) -> Vec<String> {
    list_at(answer, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
