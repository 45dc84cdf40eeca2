//! Does the account's quota hold a worker? vCPUs of running instances, by kind; for GPUs AWS's default is none.

use serde_json::{Value, json};
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
    /// Whether runs that say nothing of a device need it.
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

pub(super) async fn check(stack: &FleetStack, devices: &[Device]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for quota in &QUOTAS {
        let device = devices.iter().find(|device| device.check == quota.workers);
        let vcpus = device.and_then(|device| device.asked.as_ref().ok()).map(|answers| answers.needs.vcpus);
        let call = Call { service: Service::SERVICE_QUOTAS, action: "GetServiceQuota", thing: quota.code };
        let asked = stack.aws.json(call, &json!({"ServiceCode": "ec2", "QuotaCode": quota.code})).await;
        findings.push(match asked {
            Ok(answer) => judge(quota, vcpus, &answer),
            Err(error) => unasked("quota", &error),
        });
    }
    findings
}

/// `vcpus` is what one job takes, where that is known.
fn judge(quota: &Quota, vcpus: Option<u64>, answer: &Value) -> Finding {
    let Quota { code, name, workers, is_default } = quota;
    let Some(value) = answer.pointer("/Quota/Value").and_then(Value::as_f64) else {
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
    let found = format!("{name}: {value} vCPUs, but a job takes {needed}");
    let to_do = format!("ask for more in Service Quotas, EC2, {code}");
    match is_default {
        true => Finding::fail("quota", found, to_do),
        false => Finding::warn("quota", found, format!("{to_do}; only --device gpu needs it")),
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
        FAIL  quota        All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests: 5 vCPUs, but a job takes 8
                           -> ask for more in Service Quotas, EC2, L-34B43A08
        WARN  quota        All G and VT Spot Instance Requests: 0 vCPUs, but a job takes 4
                           -> ask for more in Service Quotas, EC2, L-3819A6DF; only --device gpu needs it
        WARN  quota        Running On-Demand G and VT instances: 0 vCPUs, but a job takes 1
                           -> ask for more in Service Quotas, EC2, L-DB2E81BA; only --device gpu needs it
        WARN  quota        could not be asked: L-DB2E81BA has no value
                           -> allow the action, or look for yourself
        1 to mend before a run can work, 3 to look at
        ");
    }
}
