//! Does the account's quota hold a worker? vCPUs of running instances, by kind; for GPUs AWS's default is
//! none. And do the functions' concurrent calls fit, of which a new account has few?

use serde_json::{Value, json};
use tagfleet_aws::ServiceError;
use tagfleet_aws::signed::{Call, Service};

use super::super::stack::FleetStack;
use super::finding::Finding;
use super::placement::Device;
use super::unasked;

/// A quota of EC2, and whose it is.
struct Quota {
    code: &'static str,
    name: &'static str,
    /// The check of the workers that it is for.
    workers: &'static str,
    /// Whether runs without a device in their request need it.
    is_default: bool,
}

const QUOTAS: [Quota; 3] = [
    Quota {
        code: "L-34B43A08",
        name: "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        workers: "cpu workers",
        is_default: true,
    },
    Quota {
        code: "L-3819A6DF",
        name: "All G and VT Spot Instance Requests",
        workers: "gpu workers",
        is_default: false,
    },
    Quota {
        code: "L-DB2E81BA",
        name: "Running On-Demand G and VT instances",
        workers: "gpu workers",
        is_default: false,
    },
];

/// AWS Lambda's quota "Concurrent executions", of all functions of the account in the region.
const CONCURRENCY: &str = "L-B99A9384";
/// The state machine calls at most 40 functions at once; some are left for everything else.
const MIN_CONCURRENCY: f64 = 50.0;

pub(super) async fn check(stack: &FleetStack, devices: &[Device]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for quota in &QUOTAS {
        let device = devices.iter().find(|device| device.check == quota.workers);
        let vcpus = device.and_then(|device| device.answers.as_ref().ok()).map(|answers| answers.needs.vcpus);
        findings.push(match ask(stack, "ec2", quota.code).await {
            Ok(answer) => judge(quota, vcpus, &answer),
            Err(error) => unasked("quota", &error),
        });
    }
    findings.push(match ask(stack, "lambda", CONCURRENCY).await {
        Ok(answer) => judge_concurrency(&answer),
        Err(error) => unasked("quota", &error),
    });
    findings
}

async fn ask(stack: &FleetStack, service: &str, code: &str) -> Result<Value, ServiceError> {
    let call = Call { service: Service::SERVICE_QUOTAS, action: "GetServiceQuota", resource: code };
    stack.aws.json(call, &json!({"ServiceCode": service, "QuotaCode": code})).await
}

/// A quota's value; `None` if the answer does not have it.
fn value_of(answer: &Value) -> Option<f64> {
    answer.pointer("/Quota/Value").and_then(Value::as_f64)
}

fn judge_concurrency(answer: &Value) -> Finding {
    let Some(value) = value_of(answer) else {
        return unasked("quota", &format!("{CONCURRENCY} has no value"));
    };
    let found = format!("Lambda concurrent executions: {value}");
    if value >= MIN_CONCURRENCY {
        return Finding::ok("quota", found);
    }
    Finding::warn(
        "quota",
        format!("{found}: the functions of a large run wait for each other, for an hour at most"),
        format!("ask for {MIN_CONCURRENCY} or more in Service Quotas, AWS Lambda, {CONCURRENCY}"),
    )
}

/// `vcpus` is what one job takes, if that is known.
fn judge(quota: &Quota, vcpus: Option<u64>, answer: &Value) -> Finding {
    let Quota { code, name, workers, is_default } = quota;
    let Some(value) = value_of(answer) else {
        return unasked("quota", &format!("{code} has no value"));
    };
    let needed = vcpus.unwrap_or(0).max(1);
    if value >= needed as f64 {
        let at_once = match vcpus {
            Some(vcpus) if vcpus > 0 => format!(", {} {workers} at once", (value / vcpus as f64).floor()),
            _ => String::new(),
        };
        return Finding::ok("quota", format!("{name}: {value} vCPUs{at_once}"));
    }
    let found = format!("{name}: {value} vCPUs, but a job needs {needed}");
    let to_do = format!("ask for more in Service Quotas, EC2, {code}");
    if *is_default {
        Finding::fail("quota", found, to_do)
    } else {
        Finding::warn("quota", found, format!("{to_do}; only --device gpu needs it"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::text;
    use super::*;

    #[test]
    fn a_quota_against_a_job() {
        let answer = |value: f64| json!({"Quota": {"QuotaCode": "L-1", "Value": value, "Unit": "None"}});
        let findings = [
            judge(&QUOTAS[0], Some(8), &answer(640.0)),
            judge(&QUOTAS[0], Some(8), &answer(5.0)),
            judge(&QUOTAS[1], Some(4), &answer(0.0)),
            judge(&QUOTAS[2], None, &answer(0.0)),
            judge(&QUOTAS[2], None, &json!({})),
        ];
        insta::assert_snapshot!(text(&findings), @r"
        ok    quota        All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests: 640 vCPUs, 80 cpu workers at once
        FAIL  quota        All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests: 5 vCPUs, but a job needs 8
                           -> ask for more in Service Quotas, EC2, L-34B43A08
        WARN  quota        All G and VT Spot Instance Requests: 0 vCPUs, but a job needs 4
                           -> ask for more in Service Quotas, EC2, L-3819A6DF; only --device gpu needs it
        WARN  quota        Running On-Demand G and VT instances: 0 vCPUs, but a job needs 1
                           -> ask for more in Service Quotas, EC2, L-DB2E81BA; only --device gpu needs it
        WARN  quota        could not be checked: L-DB2E81BA has no value
                           -> allow the action, or check by hand
        1 problem to fix before a run can start, 3 warnings
        ");
    }

    #[test]
    fn the_functions_concurrency() {
        let answer = |value: f64| json!({"Quota": {"Value": value}});
        let findings = [
            judge_concurrency(&answer(1000.0)),
            judge_concurrency(&answer(10.0)),
            judge_concurrency(&json!({})),
        ];
        insta::assert_snapshot!(text(&findings), @r"
        ok    quota        Lambda concurrent executions: 1000
        WARN  quota        Lambda concurrent executions: 10: the functions of a large run wait for each other, for an hour at most
                           -> ask for 50 or more in Service Quotas, AWS Lambda, L-B99A9384
        WARN  quota        could not be checked: L-B99A9384 has no value
                           -> allow the action, or check by hand
        the fleet can run; 2 warnings
        ");
    }
}
