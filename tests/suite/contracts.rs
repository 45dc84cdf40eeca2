//! Requests that no SDK makes, and the fields that are read from their answers, against AWS's own description
//! of its services: the models of botocore, in the emulator (tests/emulator/contracts.py).
//!
//! In every test, the emulator refuses what the models refuse. These tests make each call once.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use tagfleet_aws::Aws;
use tagfleet_aws::client::Options as Clients;
use tagfleet_tests::emulator::{Emulator, Options};
use tagfleet_tests::fleet::Fleet;
use tagfleet_tests::project;

/// The calls that `aws/src/signed.rs` signs, as botocore names them.
const SIGNED: [&str; 17] = [
    "batch:DescribeComputeEnvironments",
    "batch:DescribeJobDefinitions",
    "batch:DescribeJobQueues",
    "cloudformation:DescribeStacks",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints",
    "events:DescribeRule",
    "events:ListRuleNamesByTarget",
    "pricing:GetProducts",
    "service-quotas:GetServiceQuota",
    "sesv2:GetAccount",
    "sesv2:GetEmailIdentity",
    "sesv2:SendEmail",
    "sts:GetCallerIdentity",
];

/// The fields that are read from their answers, by the names of the protocol.
const READ: [[&str; 3]; 35] = [
    ["batch", "DescribeComputeEnvironments", "computeEnvironments.computeResources.maxvCpus"],
    ["batch", "DescribeComputeEnvironments", "computeEnvironments.computeResources.instanceTypes"],
    ["batch", "DescribeComputeEnvironments", "computeEnvironments.computeResources.subnets"],
    ["batch", "DescribeComputeEnvironments", "computeEnvironments.state"],
    ["batch", "DescribeComputeEnvironments", "computeEnvironments.status"],
    ["batch", "DescribeComputeEnvironments", "computeEnvironments.statusReason"],
    ["batch", "DescribeJobDefinitions", "jobDefinitions.revision"],
    ["batch", "DescribeJobDefinitions", "jobDefinitions.containerProperties.resourceRequirements.value"],
    ["batch", "DescribeJobQueues", "jobQueues.state"],
    ["batch", "DescribeJobQueues", "jobQueues.computeEnvironmentOrder.computeEnvironment"],
    ["cloudformation", "DescribeStacks", "Stacks.Outputs.OutputKey"],
    ["cloudformation", "DescribeStacks", "Stacks.Outputs.OutputValue"],
    ["cloudformation", "DescribeStacks", "Stacks.Parameters.ParameterKey"],
    ["cloudformation", "DescribeStacks", "Stacks.Parameters.ParameterValue"],
    ["ec2", "DescribeInstanceTypes", "instanceTypeSet.instanceType"],
    ["ec2", "DescribeInstanceTypes", "instanceTypeSet.memoryInfo.sizeInMiB"],
    ["ec2", "DescribeInstanceTypes", "instanceTypeSet.gpuInfo.gpus.count"],
    ["ec2", "DescribeRouteTables", "routeTableSet.routeSet.destinationCidrBlock"],
    ["ec2", "DescribeRouteTables", "routeTableSet.routeSet.destinationIpv6CidrBlock"],
    ["ec2", "DescribeRouteTables", "routeTableSet.routeSet.state"],
    ["ec2", "DescribeSpotPriceHistory", "spotPriceHistorySet.spotPrice"],
    ["ec2", "DescribeSpotPriceHistory", "spotPriceHistorySet.availabilityZone"],
    ["ec2", "DescribeSubnets", "subnetSet.vpcId"],
    ["ec2", "DescribeVpcEndpoints", "vpcEndpointSet.serviceName"],
    ["ec2", "DescribeVpcEndpoints", "vpcEndpointSet.vpcEndpointType"],
    ["ec2", "DescribeVpcEndpoints", "vpcEndpointSet.state"],
    ["ec2", "DescribeVpcEndpoints", "vpcEndpointSet.routeTableIdSet"],
    ["events", "DescribeRule", "EventPattern"],
    ["events", "ListRuleNamesByTarget", "RuleNames"],
    ["pricing", "GetProducts", "PriceList"],
    ["pricing", "GetProducts", "NextToken"],
    ["service-quotas", "GetServiceQuota", "Quota.Value"],
    ["sesv2", "GetAccount", "ProductionAccessEnabled"],
    ["sesv2", "GetEmailIdentity", "VerifiedForSendingStatus"],
    ["sts", "GetCallerIdentity", "Arn"],
];

/// The actions that the code names in calls without an SDK.
fn named_in(folder: &Path, actions: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            named_in(&path, actions);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let calls =
                source.split("Call { service").skip(1).filter_map(|part| part.split_once("action: \""));
            let named = calls.filter_map(|(_, rest)| rest.split('"').next());
            actions.extend(named.map(str::to_owned));
        }
    }
}

#[test]
fn every_request_without_an_sdk_matches_awss_description() {
    let fleet = Fleet::deploy(&Options::default(), &[]);
    fleet.upload_demo("photos/");
    let run = fleet.submit(&fleet.request(&json!({"notify": ["ops@example.com"]})));
    assert_eq!(fleet.wait(&fleet.execution(&run)).0, "SUCCEEDED");
    let _ = fleet.tagfleet(&["doctor"]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("prices.json");
    let _ = fleet.tagfleet(&["prices", "refresh", "--out", out.to_str().unwrap()]);
    // The emulator has no list prices. Without them, the command does not ask for spot prices.
    let endpoint_url = Some(fleet.cloud.emulator().endpoint_url());
    let options = Clients { region: Some("us-east-1".to_owned()), endpoint_url, ..Clients::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _ = runtime.block_on(async {
        let clients = Aws::for_tests(&options).await;
        clients.spot_prices(&["c7a.2xlarge".to_owned()], "us-east-1", "2026-11-23T17:00:00Z").await
    });
    let checked = fleet.cloud.emulator().checked();
    let checked: BTreeSet<&str> = checked.as_object().unwrap().keys().map(String::as_str).collect();
    let missing: Vec<_> = SIGNED.iter().filter(|call| !checked.contains(**call)).collect();
    assert!(missing.is_empty(), "never made: {missing:?} of {checked:?}");
    let mut named = BTreeSet::new();
    for folder in ["aws/src", "cli/src", "functions", "batch-worker/src"] {
        named_in(&project(folder), &mut named);
    }
    assert!(!named.is_empty());
    let unlisted = |action: &&String| SIGNED.iter().all(|call| !call.ends_with(&format!(":{action}")));
    assert_eq!(named.iter().filter(unlisted).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn every_field_read_from_an_answer_is_in_awss_description() {
    let emulator = Emulator::start();
    assert_eq!(emulator.unknown_in_answers(&READ), json!([]));
    let wrong = emulator.unknown_in_answers(&[["ec2", "DescribeSubnets", "Subnets.vpcId"]]);
    assert!(wrong[0].as_str().unwrap().contains("has no Subnets"), "{wrong}");
    for call in SIGNED.iter().filter(|call| **call != "sesv2:SendEmail") {
        let (service, operation) = call.split_once(':').unwrap();
        assert!(READ.iter().any(|read| read[..2] == [service, operation]), "{call}");
    }
}

/// Shows that the check uses the models and not the requests that are sent.
#[test]
fn a_request_outside_awss_description_is_refused() {
    let emulator = Emulator::start();
    let signed = |service: &str, line: &str, more: &[(&str, &str)], body: &str| {
        let headers: Vec<_> = more.iter().copied().chain([("x-amz-date", "20261130T000000Z")]).collect();
        emulator.client().send(service, line, &headers, body.as_bytes()).text()
    };
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let wrong = [
        (
            signed("ec2", "POST /", &form, "Action=DescribeSubnets&Version=2015-01-01"),
            "Version is 2015-01-01",
        ),
        (
            signed("ec2", "POST /", &form, "Action=DescribeSubnets&Version=2016-11-15&SubnetIds.1=subnet-1"),
            "no SubnetIds",
        ),
        (
            signed("cloudformation", "POST /", &form, "Action=DescribeStack&Version=2010-05-15"),
            "has no operation",
        ),
        (signed("batch", "GET /v1/describejobqueues", &[], ""), "has no GET /v1/describejobqueues"),
        (
            signed("servicequotas", "POST /", &[("x-amz-target", "ServiceQuotas.GetServiceQuota")], "{}"),
            "x-amz-target begins with ServiceQuotas,",
        ),
        (
            signed(
                "servicequotas",
                "POST /",
                &[
                    ("x-amz-target", "ServiceQuotasV20190624.GetServiceQuota"),
                    ("content-type", "application/x-amz-json-1.1"),
                ],
                "{\"ServiceCode\": \"ec2\"}",
            ),
            "lacks QuotaCode",
        ),
    ];
    for (answer, said) in wrong {
        assert!(answer.contains(said), "{said}: {answer}");
    }
}
