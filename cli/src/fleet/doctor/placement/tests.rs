//! Answers of Batch and EC2 as they come, and what they mean for a worker's job.

use super::super::finding::text;
use super::*;

/// As `DescribeJobDefinitions` answers, cut to what matters.
fn definitions() -> Value {
    let requirement = |kind: &str, value: &str| json!({"type": kind, "value": value});
    let requirements = [requirement("VCPU", "4"), requirement("MEMORY", "14336"), requirement("GPU", "1")];
    json!({"jobDefinitions": [
        {"revision": 9, "status": "ACTIVE", "containerProperties": {"resourceRequirements": requirements}},
        {"revision": 8, "status": "ACTIVE", "containerProperties": {"resourceRequirements": []}},
    ]})
}

fn environment(name: &str, types: &[&str]) -> Value {
    json!({
        "computeEnvironmentName": name,
        "state": "ENABLED",
        "status": "VALID",
        "statusReason": "ComputeEnvironment Healthy",
        "computeResources": {"type": "SPOT", "maxvCpus": 256, "instanceTypes": types, "subnets": ["subnet-1"]},
    })
}

const TYPES: &str = "<DescribeInstanceTypesResponse><requestId>1</requestId><instanceTypeSet>
    <item><instanceType>g6.xlarge</instanceType><vCpuInfo><defaultVCpus>4</defaultVCpus><defaultCores>2</defaultCores>
    </vCpuInfo><memoryInfo><sizeInMiB>16384</sizeInMiB></memoryInfo><gpuInfo><gpus><item><name>L4</name><count>1</count>
    <memoryInfo><sizeInMiB>22888</sizeInMiB></memoryInfo></item></gpus></gpuInfo></item>
    <item><instanceType>c7a.2xlarge</instanceType><vCpuInfo><defaultVCpus>8</defaultVCpus></vCpuInfo>
    <memoryInfo><sizeInMiB>16384</sizeInMiB></memoryInfo></item>
    </instanceTypeSet></DescribeInstanceTypesResponse>";

fn answers(environments: Vec<Value>) -> Answers {
    Answers {
        queue: json!({"state": "ENABLED", "status": "VALID"}),
        environments,
        needs: needs(&definitions()),
        types: read_types(&Element::parse(TYPES).unwrap()),
    }
}

fn findings(answers: &Answers) -> String {
    text(&judge_answers("gpu workers", answers))
}

#[test]
fn answers_are_understood() {
    let answers = answers(vec![]);
    assert_eq!(answers.needs, Needs { vcpus: 4, memory_mib: 14_336, gpus: 1 });
    assert_eq!(answers.types[0].has, Needs { vcpus: 4, memory_mib: 16_384, gpus: 1 });
    assert_eq!(answers.types[1].has.gpus, 0);
}

#[test]
fn a_job_that_can_be_placed() {
    let found =
        findings(&answers(vec![environment("spot", &["g6"]), environment("on-demand", &["c7a.2xlarge"])]));
    insta::assert_snapshot!(found, @r"
    ok    gpu workers  a job needs 4 vCPUs, 14336 MiB, 1 GPU, and can be placed
    WARN  gpu workers  a job needs 4 vCPUs, 14336 MiB and 1 GPU; no instance type of on-demand has that: c7a.2xlarge
                       -> give the stack larger instance types, or types that this region has
    the fleet can run; 1 warning
    ");
}

#[test]
fn a_job_that_can_never_be_placed() {
    let too_small = answers(vec![environment("spot", &["c7a.2xlarge", "p5.48xlarge"])]);
    insta::assert_snapshot!(findings(&too_small), @r"
    FAIL  gpu workers  a job needs 4 vCPUs, 14336 MiB and 1 GPU; no instance type of spot has that: c7a.2xlarge, p5.48xlarge
                       -> give the stack larger instance types, or types that this region has
    1 problem to fix before a run can start, 0 warnings
    ");
    let mut few = environment("spot", &["g6.xlarge"]);
    few["computeResources"]["maxvCpus"] = json!(2);
    insta::assert_snapshot!(findings(&answers(vec![few])), @r"
    FAIL  gpu workers  a job needs 4 vCPUs, but the limit of spot is 2
                       -> raise the stack's MaxVcpus
    1 problem to fix before a run can start, 0 warnings
    ");
}

#[test]
fn what_is_not_there_or_not_enabled() {
    let mut invalid = environment("spot", &["g6.xlarge"]);
    invalid["status"] = json!("INVALID");
    invalid["statusReason"] = json!("CLIENT_ERROR - the security group does not exist");
    insta::assert_snapshot!(findings(&answers(vec![invalid])), @r#"
    FAIL  gpu workers  spot is "ENABLED" and "INVALID": CLIENT_ERROR - the security group does not exist
                       -> fix the reported problem, then deploy the stack again
    1 problem to fix before a run can start, 0 warnings
    "#);
    insta::assert_snapshot!(findings(&Answers { queue: Value::Null, ..answers(vec![]) }), @r#"
    FAIL  gpu workers  the job queue does not exist
                       -> deploy the stack again
    1 problem to fix before a run can start, 0 warnings
    "#);
    insta::assert_snapshot!(findings(&Answers { needs: Needs::default(), ..answers(vec![]) }), @r"
    FAIL  gpu workers  there is no active job definition
                       -> deploy the stack again
    1 problem to fix before a run can start, 0 warnings
    ");
    insta::assert_snapshot!(findings(&answers(vec![])), @r"
    FAIL  gpu workers  the job queue has no compute environment
                       -> deploy the stack again
    1 problem to fix before a run can start, 0 warnings
    ");
}
