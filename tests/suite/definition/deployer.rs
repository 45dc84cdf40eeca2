//! The permissions of a deployment: `infra/deployer-policy.json` allows the actions of CloudFormation for
//! each type of resource and the calls of the scripts, and nothing else. `infra/terraform` passes every
//! parameter on.
//!
//! The actions are those that AWS documents for the handlers of each type. They were never tried on a real
//! account.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::text;

const HANDLERS: [(&str, &str); 27] = [
    (
        "AWS::S3::Bucket",
        "s3:CreateBucket DeleteBucket PutBucketPublicAccessBlock GetBucketPublicAccessBlock \
        PutBucketOwnershipControls GetBucketOwnershipControls PutEncryptionConfiguration GetEncryptionConfiguration \
        PutBucketVersioning GetBucketVersioning PutBucketNotification GetBucketNotification \
        PutLifecycleConfiguration GetLifecycleConfiguration PutBucketTagging GetBucketTagging ListBucket",
    ),
    ("AWS::S3::BucketPolicy", "s3:PutBucketPolicy GetBucketPolicy DeleteBucketPolicy"),
    (
        "AWS::ECR::Repository",
        "ecr:CreateRepository DeleteRepository DescribeRepositories PutLifecyclePolicy \
        GetLifecyclePolicy DeleteLifecyclePolicy PutImageScanningConfiguration PutImageTagMutability TagResource \
        UntagResource ListTagsForResource ListImages BatchDeleteImage",
    ),
    (
        "AWS::SQS::Queue",
        "sqs:CreateQueue DeleteQueue GetQueueAttributes SetQueueAttributes TagQueue UntagQueue \
        ListQueueTags",
    ),
    ("AWS::SQS::QueuePolicy", "sqs:SetQueueAttributes"),
    (
        "AWS::Logs::LogGroup",
        "logs:CreateLogGroup DeleteLogGroup DescribeLogGroups PutRetentionPolicy TagResource \
        UntagResource ListTagsForResource",
    ),
    (
        "AWS::IAM::Role",
        "iam:CreateRole DeleteRole GetRole UpdateRole UpdateAssumeRolePolicy PutRolePolicy \
        GetRolePolicy DeleteRolePolicy ListRolePolicies ListAttachedRolePolicies AttachRolePolicy DetachRolePolicy \
        PutRolePermissionsBoundary DeleteRolePermissionsBoundary TagRole UntagRole PassRole",
    ),
    ("AWS::IAM::Policy", "iam:PutRolePolicy GetRolePolicy DeleteRolePolicy"),
    (
        "AWS::IAM::InstanceProfile",
        "iam:CreateInstanceProfile DeleteInstanceProfile GetInstanceProfile \
        AddRoleToInstanceProfile RemoveRoleFromInstanceProfile PassRole",
    ),
    (
        "AWS::Lambda::Function",
        "lambda:CreateFunction DeleteFunction GetFunction GetFunctionConfiguration \
        GetFunctionCodeSigningConfig GetFunctionRecursionConfig UpdateFunctionCode UpdateFunctionConfiguration \
        TagResource UntagResource ListTags",
    ),
    ("AWS::Lambda::Permission", "lambda:AddPermission RemovePermission GetPolicy"),
    (
        "AWS::Events::Rule",
        "events:PutRule DeleteRule DescribeRule PutTargets RemoveTargets ListTargetsByRule \
        TagResource UntagResource ListTagsForResource",
    ),
    (
        "AWS::SES::EmailIdentity",
        "ses:CreateEmailIdentity DeleteEmailIdentity GetEmailIdentity TagResource \
        UntagResource ListTagsForResource",
    ),
    (
        "AWS::EC2::VPC",
        "ec2:CreateVpc DeleteVpc DescribeVpcs ModifyVpcAttribute DescribeVpcAttribute CreateTags \
        DeleteTags",
    ),
    (
        "AWS::EC2::Subnet",
        "ec2:CreateSubnet DeleteSubnet DescribeSubnets ModifySubnetAttribute \
        DescribeAvailabilityZones",
    ),
    ("AWS::EC2::InternetGateway", "ec2:CreateInternetGateway DeleteInternetGateway DescribeInternetGateways"),
    ("AWS::EC2::VPCGatewayAttachment", "ec2:AttachInternetGateway DetachInternetGateway DescribeVpcs"),
    ("AWS::EC2::RouteTable", "ec2:CreateRouteTable DeleteRouteTable DescribeRouteTables"),
    ("AWS::EC2::Route", "ec2:CreateRoute DeleteRoute ReplaceRoute DescribeRouteTables"),
    (
        "AWS::EC2::SubnetRouteTableAssociation",
        "ec2:AssociateRouteTable DisassociateRouteTable DescribeRouteTables",
    ),
    (
        "AWS::EC2::VPCEndpoint",
        "ec2:CreateVpcEndpoint DeleteVpcEndpoints ModifyVpcEndpoint DescribeVpcEndpoints",
    ),
    (
        "AWS::EC2::SecurityGroup",
        "ec2:CreateSecurityGroup DeleteSecurityGroup DescribeSecurityGroups \
        AuthorizeSecurityGroupEgress RevokeSecurityGroupEgress",
    ),
    (
        "AWS::EC2::LaunchTemplate",
        "ec2:CreateLaunchTemplate CreateLaunchTemplateVersion ModifyLaunchTemplate \
        DeleteLaunchTemplate DescribeLaunchTemplates DescribeLaunchTemplateVersions",
    ),
    (
        "AWS::Batch::ComputeEnvironment",
        "batch:CreateComputeEnvironment UpdateComputeEnvironment \
        DeleteComputeEnvironment DescribeComputeEnvironments TagResource UntagResource ListTagsForResource",
    ),
    ("AWS::Batch::JobQueue", "batch:CreateJobQueue UpdateJobQueue DeleteJobQueue DescribeJobQueues"),
    (
        "AWS::Batch::JobDefinition",
        "batch:RegisterJobDefinition DeregisterJobDefinition DescribeJobDefinitions",
    ),
    (
        "AWS::StepFunctions::StateMachine",
        "states:CreateStateMachine UpdateStateMachine DeleteStateMachine \
        DescribeStateMachine ValidateStateMachineDefinition TagResource UntagResource ListTagsForResource",
    ),
];
const ALARMS: &str = "cloudwatch:PutMetricAlarm DeleteAlarms DescribeAlarms TagResource UntagResource \
    ListTagsForResource";
/// The calls of AWS CLI commands that make several calls, and the calls of CloudFormation for a stack.
const SEVERAL: [(&str, &str); 6] = [
    (
        "cloudformation deploy",
        "cloudformation:DescribeStacks CreateChangeSet DescribeChangeSet ExecuteChangeSet \
        DeleteChangeSet GetTemplateSummary DescribeStackEvents TagResource UntagResource",
    ),
    ("cloudformation wait", "cloudformation:DescribeStacks"),
    ("s3 cp", "s3:PutObject GetObject GetBucketLocation"),
    ("s3 rm", "s3:ListBucket DeleteObject"),
    ("ecr get-login-password", "ecr:GetAuthorizationToken"),
    (
        "docker buildx",
        "ecr:BatchCheckLayerAvailability InitiateLayerUpload UploadLayerPart CompleteLayerUpload \
        PutImage BatchGetImage GetDownloadUrlForLayer DescribeImages",
    ),
];
/// The calls of Terraform instead of a change set, the repair of a stuck stack, and the service-linked roles
/// that an account without AWS Batch does not have yet.
const BESIDES: [&str; 3] = [
    "cloudformation:CreateStack UpdateStack DeleteStack RollbackStack ContinueUpdateRollback GetTemplate \
        ListStackResources DescribeStackResource ValidateTemplate",
    "iam:CreateServiceLinkedRole",
    "lambda:GetAccountSettings",
];
/// IAM's names of services that have another name on the command line.
const NAMESPACES: [(&str, &str); 2] = [("sesv2", "ses"), ("stepfunctions", "states")];
/// The most characters of a managed policy.
const LONGEST_POLICY: usize = 6144;

fn expanded(actions: &str) -> impl Iterator<Item = String> {
    let (service, names) = actions.split_once(':').unwrap();
    names.split_whitespace().map(move |name| format!("{service}:{name}"))
}

/// The types of the resources of a template.
fn types(template: &str) -> BTreeSet<String> {
    let lines = template.lines().filter_map(|line| line.strip_prefix("    Type: AWS::"));
    lines.map(|kind| format!("AWS::{}", kind.trim())).collect()
}

/// `describe-stacks` as an action of IAM: `DescribeStacks`.
fn pascal(command: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    command.split('-').map(capital).collect()
}

/// The calls of a script: a service and a command, either after `aws` or in a function of the script.
fn of_script(script: &str) -> BTreeSet<String> {
    let services = ["cloudformation", "ecr", "ec2", "lambda", "s3", "sesv2", "stepfunctions", "sts"];
    let mut called = BTreeSet::new();
    let words: Vec<&str> = script.split_whitespace().collect();
    for pair in words.windows(2).filter(|pair| services.contains(&pair[0])) {
        let (service, command) = (pair[0], pair[1]);
        let both = format!("{service} {command}");
        let is_command = command.contains('-') && command.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        if let Some((_, actions)) = SEVERAL.iter().find(|(known, _)| *known == both) {
            called.extend(expanded(actions));
        } else if is_command && !command.starts_with('-') {
            let namespace = NAMESPACES.iter().find(|(known, _)| *known == service);
            let namespace = namespace.map_or(service, |(_, namespace)| namespace);
            called.insert(format!("{namespace}:{}", pascal(command)));
        }
    }
    called
}

fn needed() -> BTreeSet<String> {
    let known: BTreeMap<_, _> = HANDLERS.into_iter().chain([("AWS::CloudWatch::Alarm", ALARMS)]).collect();
    let mut needed = BTreeSet::new();
    let mut used = BTreeSet::new();
    for template in ["infra/template.yaml", "infra/artifacts.yaml"] {
        for kind in types(&text(template)) {
            let actions = known.get(kind.as_str());
            assert!(actions.is_some(), "the actions for {kind} are not listed in this file");
            needed.extend(actions.into_iter().flat_map(|actions| expanded(actions)));
            used.insert(kind);
        }
    }
    assert_eq!(used.len(), known.len(), "a listed type is not in a template");
    for script in ["scripts/deploy.sh", "scripts/destroy.sh"] {
        needed.extend(of_script(&text(script)));
    }
    needed.extend(
        SEVERAL.iter().chain([("", "ecr:PutImage")].iter()).flat_map(|(_, actions)| expanded(actions)),
    );
    needed.extend(BESIDES.into_iter().flat_map(expanded));
    needed
}

/// Whether a pattern of a policy matches an action. `*` matches anything, and case does not matter, as in
/// IAM.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_lowercase(), action.to_lowercase());
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, rest @ ..] = parts.as_slice() else { return false };
    let Some(mut left) = action.strip_prefix(*first) else { return false };
    let Some((last, middle)) = rest.split_last() else { return left.is_empty() };
    for part in middle {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

fn patterns(policy: &Value) -> Vec<String> {
    let mut patterns = Vec::new();
    for statement in policy["Statement"].as_array().unwrap() {
        let action = &statement["Action"];
        let many = action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]);
        patterns.extend(many.iter().map(|action| action.as_str().unwrap().to_owned()));
    }
    patterns
}

#[test]
fn the_deployer_policy_allows_exactly_what_a_deployment_needs() {
    let policy: Value = serde_json::from_str(&text("infra/deployer-policy.json")).unwrap();
    assert!(policy.to_string().len() <= LONGEST_POLICY, "{}", policy.to_string().len());
    let (patterns, needed) = (patterns(&policy), needed());
    let is_allowed = |action: &&String| patterns.iter().any(|pattern| matches(pattern, action));
    let missing: Vec<_> = needed.iter().filter(|action| !is_allowed(action)).collect();
    assert!(missing.is_empty(), "not allowed: {missing:?}");
    let is_needed = |pattern: &&String| needed.iter().any(|action| matches(pattern, action));
    let needless: Vec<_> = patterns.iter().filter(|pattern| !is_needed(pattern)).collect();
    assert!(needless.is_empty(), "allowed and not needed: {needless:?}");
}

#[test]
fn terraform_passes_every_parameter_on() {
    let (template, module) = (text("infra/template.yaml"), text("infra/terraform/main.tf"));
    let variables = text("infra/terraform/variables.tf");
    let parameters = super::template::block(&template, "Parameters:");
    let names = parameters.iter().filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
    let names: Vec<_> = names.filter(|name| !name.starts_with([' ', '#'])).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let line = module.lines().find(|line| line.trim_start().starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("infra/terraform passes no {name} on"));
        for variable in line.split("var.").skip(1) {
            let variable = variable.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            assert!(
                variables.contains(&format!("variable \"{variable}\"")),
                "{name}: there is no {variable}"
            );
        }
    }
}
