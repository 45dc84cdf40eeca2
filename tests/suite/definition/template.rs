//! The template, read as text: the names that it shares with the code, and the sizes of its workers.

use std::collections::BTreeSet;

use super::text;

/// The lines of a block of the template: those after its heading that are indented deeper.
pub(super) fn block(template: &str, heading: &str) -> Vec<String> {
    let mut lines = template.lines().skip_while(|line| line.trim() != heading);
    let depth = |line: &str| line.len() - line.trim_start().len();
    let heading = lines.next().unwrap();
    lines.take_while(|line| depth(line) > depth(heading)).map(str::to_owned).collect()
}

/// The words of a text that start with `prefix`.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(prefix)).map(str::to_owned).collect()
}

#[test]
fn the_template_fills_every_placeholder() {
    let definition = text("infra/state-machine.asl.json");
    let placeholders: BTreeSet<_> =
        definition.split("${").skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect();
    let filled: BTreeSet<_> = block(&text("infra/template.yaml"), "DefinitionSubstitutions:")
        .iter()
        .map(|line| line.trim().split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(placeholders, filled);
}

#[test]
fn code_and_template_name_environment_variables_alike() {
    let template = words(&text("infra/template.yaml"), "TAGFLEET_");
    let of_functions = [
        "TAGFLEET_BUCKET",
        "TAGFLEET_CPU_INSTANCE_TYPES",
        "TAGFLEET_CPU_WORKER_VCPUS",
        "TAGFLEET_DLQ_ARN",
        "TAGFLEET_GPU_INSTANCE_TYPES",
        "TAGFLEET_GPU_WORKER_VCPUS",
        "TAGFLEET_MAIL_RECIPIENTS",
        "TAGFLEET_MANIFEST_BUCKETS",
        "TAGFLEET_MAX_USD_PER_DAY",
        "TAGFLEET_MAX_USD_PER_RUN",
        "TAGFLEET_MAX_VCPUS",
        "TAGFLEET_MODEL_BUCKETS",
        "TAGFLEET_QUEUE_PREFIX",
        "TAGFLEET_SENDER",
        "TAGFLEET_STACK",
        "TAGFLEET_STATE_MACHINE",
    ];
    let of_workers = ["TAGFLEET_BUCKET", "TAGFLEET_VCPUS"];
    let expected: BTreeSet<_> = of_functions.into_iter().chain(of_workers).map(str::to_owned).collect();
    assert_eq!(template, expected);
}

#[test]
fn outputs_are_those_that_the_command_line_reads() {
    let outputs: Vec<_> = block(&text("infra/template.yaml"), "Outputs:")
        .into_iter()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.trim().trim_end_matches(':').to_owned())
        .collect();
    let expected = "Bucket StateMachineArn MaxVcpus CpuJobQueue GpuJobQueue GpuImage DeadLetterQueueUrl Sender \
                    SplitterFunction \
                    ReducerFunction QueuePrefix SourceBuckets ModelBuckets ManifestBuckets \
                    MailRecipients MaxUsdPerRun MaxUsdPerDay";
    assert_eq!(outputs, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn the_reducer_knows_the_size_of_a_worker() {
    let template = text("infra/template.yaml");
    let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
    let value = |name: &str| template.lines().find(|line| line.contains(name)).and_then(quoted);
    let of_jobs: Vec<_> =
        template.lines().filter(|line| line.contains("Name: TAGFLEET_VCPUS")).filter_map(quoted).collect();
    let of_reducer = [value("TAGFLEET_CPU_WORKER_VCPUS:"), value("TAGFLEET_GPU_WORKER_VCPUS:")];
    assert_eq!(of_jobs, of_reducer.map(Option::unwrap));
}

/// Instance types with their vCPUs and MiB, from AWS's pages.
const SMALLEST_WITH_A_GPU: [(&str, u64, u64); 3] =
    [("g4dn.xlarge", 4, 16_384), ("g5.xlarge", 4, 16_384), ("g6.xlarge", 4, 16_384)];
/// The memory of the kernel, the driver and the ECS agent, in MiB. AWS Batch's guide measures 239 MiB of 8
/// GiB without a driver.
const SYSTEM_MIB: u64 = 1024;

#[test]
fn a_gpu_worker_takes_one_gpu_and_nearly_all_of_the_smallest_machine() {
    let template = text("infra/template.yaml");
    let (job, types) =
        (block(&template, "GpuJobDefinition:"), block(&template, "GpuInstanceTypes:").join(" "));
    let asked = |kind: &str| -> u64 {
        let line = job.iter().find(|line| line.contains(&format!("{{Type: {kind},"))).unwrap();
        line.split('"').nth(1).unwrap().parse().unwrap()
    };
    for (name, vcpus, memory_mib) in SMALLEST_WITH_A_GPU {
        assert!(types.contains(name), "{name}: {types}");
        assert_eq!((asked("GPU"), asked("VCPU")), (1, vcpus), "{name}");
        let most = memory_mib - SYSTEM_MIB;
        assert!((most * 9 / 10..=most).contains(&asked("MEMORY")), "{name}");
    }
}

#[test]
fn every_role_has_the_path_and_the_boundary_of_the_parameters() {
    let template = text("infra/template.yaml");
    let roles: Vec<&str> = template.split("    Type: AWS::IAM::Role\n").skip(1).collect();
    assert_eq!(roles.len(), 5);
    let boundary =
        "PermissionsBoundary: !If [HasPermissionsBoundary, !Ref PermissionsBoundaryArn, !Ref AWS::NoValue]";
    let expected = format!("    Properties:\n      Path: !Ref RolePath\n      {boundary}\n");
    assert!(roles.iter().all(|role| role.starts_with(&expected)), "{expected}");
}

/// A worker shares the network of its host, and so can use the role of the host.
#[test]
fn a_host_may_do_only_what_the_ecs_agent_needs_for_the_stack() {
    let template = text("infra/template.yaml");
    let role = block(&template, "InstanceRole:").join("\n");
    assert!(!role.contains("Policies") && !role.contains("ManagedPolicyArns"), "{role}");
    let policy = block(&template, "InstancePolicy:").join("\n");
    let statements: Vec<&str> = policy.split("- Sid: ").skip(1).collect();
    assert_eq!(statements.len(), 6, "{policy}");
    for statement in statements {
        let name = statement.lines().next().unwrap();
        let is_for_all = statement.contains("Resource: \"*\"");
        assert_eq!(is_for_all, name == "WhatKnowsNoResource", "{statement}");
        // For these, only a condition can restrict the cluster.
        let own = [
            "cluster/AWSBatch-${Name}-*",
            "AWSBatch-${Name}-*/*",
            "/${AWS::StackName}/worker",
            "ImageRepositoryArns",
        ];
        assert!(is_for_all || own.iter().any(|own| statement.contains(own)), "{statement}");
    }
    let environments = ["CpuSpot", "GpuSpot", "GpuOnDemand"];
    assert!(
        environments.iter().all(|name| policy.matches(&format!("!Ref {name}]")).count() == 3),
        "{policy}"
    );
}

#[test]
fn a_failed_creation_can_be_repeated() {
    let bucket = block(&text("infra/template.yaml"), "DataBucket:").join("\n");
    assert!(bucket.contains("DeletionPolicy: RetainExceptOnCreate"), "{bucket}");
    // A bucket that stays keeps its policy.
    let policy = block(&text("infra/template.yaml"), "DataBucketPolicy:").join("\n");
    assert!(policy.contains("DeletionPolicy: RetainExceptOnCreate"), "{policy}");
}
