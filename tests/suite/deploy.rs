//! The deployment scripts, against stubs of every command that they call. They stop at the first failure and
//! name it, and explain a stack that cannot be updated before anything is built.
//!
//! No AWS account, Docker or compiler is used. The stubs answer with the fields that the scripts read.

mod portable;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use tagfleet_tests::command::{Ran, run};
use tagfleet_tests::project;
use tempfile::TempDir;

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000007";

/// The variable with the path of an older bash that runs the scripts.
const OTHER_BASH: &str = "TAGFLEET_TEST_BASH";

fn read(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap()
}

/// A copy of the scripts in which every command is the stub.
struct Stubbed(TempDir);

impl Stubbed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["bin", "stub", "project/scripts", "project/infra"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        for script in ["deploy.sh", "destroy.sh", "package.sh", "stack.sh"] {
            fs::copy(project(&format!("scripts/{script}")), path(&format!("project/scripts/{script}")))
                .unwrap();
        }
        fs::write(path("project/infra/state-machine.asl.json"), "{}").unwrap();
        let stub = project("tests/suite/deploy/stub.sh");
        for command in ["bin/aws", "bin/docker", "bin/cargo", "bin/rustup", "project/scripts/setup.sh"] {
            symlink(&stub, path(command)).unwrap();
        }
        if let Some(bash) = std::env::var_os(OTHER_BASH) {
            symlink(bash, path("bin/bash")).unwrap();
        }
        Self(folder)
    }

    /// The scripts with a stack in this state, left by an earlier deployment.
    fn with_stack(self, name: &str, state: &str) -> Self {
        self.set(&format!("stack-{name}"), state)
    }

    fn with_parameter(self, name: &str, value: &str) -> Self {
        self.set(&format!("parameter-{name}"), value)
    }

    fn set(self, file: &str, text: &str) -> Self {
        fs::write(self.0.path().join("stub").join(file), format!("{text}\n")).unwrap();
        self
    }

    /// The scripts with a deployed stack and the stack of its code.
    fn deployed() -> Self {
        let stubbed = Self::new().with_stack("tagfleet-artifacts", "UPDATE_COMPLETE");
        let stubbed = stubbed.with_stack("tagfleet", "UPDATE_COMPLETE");
        let stubbed = stubbed.with_parameter("Sender", "me@example.com");
        stubbed.with_parameter("CpuImage", "images@sha256:0").with_parameter("GpuImage", "images@sha256:1")
    }

    fn run(&self, script: &str, variables: &[(&str, &str)]) -> Outcome {
        let (bin, stub) = (self.0.path().join("bin"), self.0.path().join("stub"));
        let mut command = Command::new("bash");
        command.arg(self.0.path().join("project/scripts").join(script)).env_clear();
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("STUB", &stub);
        let ran = run(command.envs(variables.iter().copied()));
        let calls = fs::read_to_string(stub.join("calls")).unwrap_or_default();
        Outcome { calls: calls.lines().map(without_time).collect(), ran }
    }
}

/// The result of a script and every command that it called, in order.
#[derive(Debug)]
struct Outcome {
    ran: Ran,
    calls: Vec<String>,
}

impl Outcome {
    /// The number of the first call that contains this text, from 1.
    fn number_of(&self, part: &str) -> usize {
        let found = self.calls.iter().position(|call| call.contains(part));
        assert!(found.is_some(), "no call has {part:?}: {:#?}", self.calls);
        found.unwrap() + 1
    }

    /// The last line that the script printed.
    fn last_line(&self) -> String {
        without_time(self.ran.stderr.lines().last().unwrap_or_default())
    }

    /// The message of a refusal before anything is built or changed: all calls only read.
    fn refusal(&self) -> String {
        assert_eq!(self.ran.code, Some(1), "{self:#?}");
        let asks = ["docker buildx version", "aws sts get-caller-identity", "aws cloudformation describe-"];
        for call in &self.calls {
            assert!(asks.iter().any(|question| call.starts_with(question)), "{call}");
        }
        self.last_line()
    }

    /// The call that deploys the stack.
    fn deployment(&self) -> &str {
        assert_eq!(self.ran.code, Some(0), "{self:#?}");
        &self.calls[self.number_of("cloudformation deploy --stack-name tagfleet --") - 1]
    }
}

/// A line without the time in an image's tag: `cpu-20261130150000`.
fn without_time(line: &str) -> String {
    let Some(start) = ["cpu-20", "gpu-20"].iter().find_map(|tag| line.find(tag)) else {
        return line.to_owned();
    };
    format!("{}TIME{}", &line[..start + 4], &line[start + 18..])
}

/// The first words of a call, without its details.
fn gist(call: &str) -> String {
    let words = call.split_whitespace().take_while(|word| !word.starts_with("--"));
    let target = call.split(" --target ").nth(1).and_then(|rest| rest.split(' ').next());
    words.take(4).chain(target).collect::<Vec<_>>().join(" ")
}

/// Fails each call of a script in turn. Each time the script must stop at that call. Returns the messages.
fn each_failure(script: &str, stubbed: impl Fn() -> Stubbed, variables: &[(&str, &str)]) -> String {
    let name = script.trim_end_matches(".sh");
    let good = stubbed().run(script, variables);
    assert_eq!(good.ran.code, Some(0), "{good:#?}");
    let mut said = String::new();
    for number in 1..=good.calls.len() {
        let at = number.to_string();
        let failed = stubbed().run(script, &[variables, &[("FAIL_AT", &at)]].concat());
        assert_ne!(failed.ran.code, Some(0), "it continues after call {number}: {failed:#?}");
        assert_eq!(failed.calls, good.calls[..number], "{failed:#?}");
        let sentence = failed.last_line();
        assert!(sentence.starts_with(&format!("{name}: ")), "{failed:#?}");
        let _ = writeln!(said, "{}\n    {sentence}", gist(&failed.calls[number - 1]));
    }
    said
}

#[test]
fn a_first_deployment_stops_at_the_call_that_fails() {
    let variables = [("SENDER", "me@example.com"), ("SOURCE_BUCKETS", "shop")];
    insta::assert_snapshot!(each_failure("deploy.sh", Stubbed::new, &variables));
}

#[test]
fn a_later_deployment_stops_at_the_call_that_fails() {
    let _ = each_failure("deploy.sh", Stubbed::deployed, &[]);
}

#[test]
fn removing_stops_at_the_call_that_fails() {
    insta::assert_snapshot!(each_failure("destroy.sh", Stubbed::deployed, &[]));
}

#[test]
fn packaging_stops_at_the_call_that_fails() {
    insta::assert_snapshot!(each_failure("package.sh", Stubbed::new, &[]));
}

#[test]
fn an_empty_answer_is_refused() {
    let good = Stubbed::new().run("deploy.sh", &[]);
    let questions: [(&str, &[&str]); 6] = [
        ("get-account-settings", &["", "None", "many"]),
        ("'CodeBucket'", &["", "None"]),
        ("'Images'", &["", "None"]),
        ("'ImagesArn'", &["", "None"]),
        ("get-login-password", &[""]),
        ("describe-images", &["", "None", "sha256:7"]),
    ];
    for (question, answers) in questions {
        let at = good.number_of(question).to_string();
        for answer in answers {
            let outcome = Stubbed::new().run("deploy.sh", &[("ANSWER_AT", &at), ("ANSWER", answer)]);
            assert_eq!(outcome.ran.code, Some(1), "{question} {answer:?}: {outcome:#?}");
            assert_eq!(outcome.calls.len().to_string(), at, "{question} {answer:?}: {outcome:#?}");
            assert!(outcome.last_line().starts_with("deploy: "), "{outcome:#?}");
        }
    }
}

#[test]
fn both_images_are_deployed_by_digest() {
    let outcome = Stubbed::new().run("deploy.sh", &[("SENDER", "me@example.com")]);
    let image =
        format!("Image=123456789012.dkr.ecr.us-east-1.amazonaws.com/tagfleet-artifacts-images-1@{DIGEST}");
    let repository =
        "ImageRepositoryArns=arn:aws:ecr:us-east-1:123456789012:repository/tagfleet-artifacts-images-1";
    let others = [repository, "MakesIdentity=true"].map(str::to_owned);
    for parameter in [format!("Cpu{image}"), format!("Gpu{image}")].into_iter().chain(others) {
        assert!(outcome.deployment().contains(&parameter), "{outcome:#?}");
    }
    assert!(outcome.number_of("--target cpu --platform linux/amd64") > outcome.number_of("docker login"));
}

#[test]
fn a_stack_that_cannot_be_updated_is_explained_before_anything_is_built() {
    let states = [
        "ROLLBACK_COMPLETE",
        "ROLLBACK_FAILED",
        "CREATE_FAILED",
        "DELETE_FAILED",
        "UPDATE_ROLLBACK_FAILED",
        "UPDATE_FAILED",
        "CREATE_IN_PROGRESS",
        "DELETE_IN_PROGRESS",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "IMPORT_ROLLBACK_FAILED",
    ];
    let mut said = String::new();
    for state in states {
        let refused = Stubbed::deployed().with_stack("tagfleet", state).run("deploy.sh", &[]).refusal();
        let _ = writeln!(said, "{refused}");
        let artifacts = Stubbed::deployed().with_stack("tagfleet-artifacts", state).run("deploy.sh", &[]);
        assert_eq!(artifacts.refusal().replace("tagfleet-artifacts", "tagfleet"), refused);
    }
    insta::assert_snapshot!(said);
    for state in ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"] {
        let _ = Stubbed::deployed().with_stack("tagfleet", state).run("deploy.sh", &[]).deployment();
    }
}

#[test]
fn a_stack_name_that_is_too_long_is_refused_before_anything_is_built() {
    // The template appends this to the stack's name. The name of a Lambda function has at most 64 characters.
    let template = read("infra/template.yaml");
    let names =
        template.lines().filter_map(|line| line.trim().strip_prefix("FunctionName: !Sub ${AWS::StackName}"));
    let longest = 64 - names.map(str::len).max().unwrap();
    let named = |name: &str| Stubbed::new().run("deploy.sh", &[("STACK", name)]);
    let too_long = named(&"a".repeat(longest + 1));
    assert!(too_long.refusal().contains(&format!("give at most {longest}")), "{too_long:#?}");
    assert_eq!(too_long.calls, [""; 0]);
    assert_eq!(named(&"a".repeat(longest)).ran.code, Some(0));
    for wrong in ["1st", "tag_fleet", "tag fleet", "tag/fleet"] {
        assert!(named(wrong).refusal().contains("is not a stack's name"), "{wrong}");
    }
}

#[test]
fn without_gpus_no_image_for_them_is_built() {
    let is_built = |outcome: &Outcome| outcome.calls.iter().any(|call| call.contains("--target gpu"));
    let without = |stubbed: &Stubbed, variables: &[(&str, &str)]| {
        let outcome = stubbed.run("deploy.sh", variables);
        // An empty value, because without the parameter the stack would keep its old image.
        let has_none = outcome.deployment().split(' ').any(|word| word == "GpuImage=");
        assert_eq!(has_none, !is_built(&outcome), "{outcome:#?}");
        has_none
    };
    assert!(without(&Stubbed::new(), &[("GPU", "no")]));
    assert!(without(&Stubbed::deployed(), &[("GPU", "no")]));
    assert!(without(&Stubbed::deployed().with_parameter("GpuImage", ""), &[]), "the stack keeps no image");
    assert!(!without(&Stubbed::deployed().with_parameter("GpuImage", ""), &[("GPU", "yes")]));
    assert!(!without(&Stubbed::deployed(), &[]));
    // A change set that was never executed: the stack exists and has no parameters.
    assert!(!without(&Stubbed::new().with_stack("tagfleet", "REVIEW_IN_PROGRESS"), &[]));
    let refused = Stubbed::new().run("deploy.sh", &[("GPU", "maybe")]).refusal();
    assert_eq!(refused, "deploy: GPU=maybe is not known: give yes or no");
}

#[test]
fn a_release_is_deployed_without_rust_or_docker() {
    let folder = tempfile::tempdir().unwrap();
    let functions = folder.path().to_str().unwrap();
    let (cpu, gpu) = (format!("ghcr.io/shop/tagfleet@{DIGEST}"), format!("ghcr.io/shop/gpu@{DIGEST}"));
    let given = [("FUNCTIONS", functions), ("CPU_IMAGE", &cpu), ("GPU_IMAGE", &gpu)];
    let missing = Stubbed::new().run("deploy.sh", &given).refusal();
    assert!(missing.ends_with("has no splitter.zip: download it from the release"), "{missing}");
    for function in ["splitter", "reducer"] {
        fs::write(folder.path().join(format!("{function}.zip")), function).unwrap();
    }
    let outcome = Stubbed::new().run("deploy.sh", &given);
    for image in [format!(" CpuImage={cpu} "), format!(" GpuImage={gpu} ")] {
        assert!(outcome.deployment().contains(&image), "{outcome:#?}");
    }
    assert!(outcome.calls.iter().all(|call| call.starts_with("aws ")), "{outcome:#?}");
    assert!(outcome.number_of(&format!("s3 cp --only-show-errors {functions}/splitter.zip")) > 0);
    let without = Stubbed::deployed().run("deploy.sh", &[("CPU_IMAGE", &cpu)]);
    assert!(without.deployment().split(' ').any(|word| word == "GpuImage="), "{without:#?}");
    for wrong in [[("CPU_IMAGE", "ghcr.io/shop/tagfleet:0.1.0")], [("GPU_IMAGE", &gpu)]] {
        let _ = Stubbed::new().run("deploy.sh", &wrong).refusal();
    }
}

/// The parameters that variables set: `optional BucketName BUCKET_NAME` in the script.
fn optional_parameters() -> Vec<(String, String)> {
    let script = read("scripts/deploy.sh");
    let lines = script.lines().filter_map(|line| line.strip_prefix("optional "));
    let pairs = lines.filter_map(|line| line.split_once(' '));
    pairs.map(|(parameter, variable)| (parameter.to_owned(), variable.to_owned())).collect()
}

#[test]
fn every_parameter_of_the_stack_can_be_given() {
    let optional = optional_parameters();
    let values: Vec<_> = optional.iter().map(|(_, name)| (name.as_str(), "a-value")).collect();
    let outcome = Stubbed::new().run("deploy.sh", &values);
    for (parameter, _) in &optional {
        assert!(outcome.deployment().contains(&format!(" {parameter}=a-value")), "{outcome:#?}");
    }
    let template = read("infra/template.yaml");
    let parameters = template.split("\nParameters:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let names: BTreeSet<_> =
        parameters.lines().filter(is_name).map(|line| line.trim().trim_end_matches(':')).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(
            outcome.deployment().contains(&format!(" {name}=")),
            "no variable of scripts/deploy.sh gives {name}"
        );
    }
    let header = read("scripts/deploy.sh");
    let header = header.split("set -euo").next().unwrap();
    for (_, variable) in optional {
        assert!(header.contains(&variable), "{variable} is not documented");
    }
}

#[test]
fn no_more_functions_are_called_at_once_than_lambda_allows() {
    let at_once = |stubbed: &Stubbed, variables: &[(&str, &str)]| {
        let outcome = stubbed.run("deploy.sh", variables);
        let value = outcome.deployment().split(" FunctionConcurrency=").nth(1).unwrap().to_owned();
        value.split(' ').next().unwrap().to_owned()
    };
    let allowed = |limit: &str| Stubbed::new().set("concurrency", limit);
    assert_eq!([at_once(&allowed("1000"), &[]), at_once(&allowed("10"), &[])], ["40", "8"]);
    assert_eq!(at_once(&allowed("1"), &[]), "1");
    assert_eq!(at_once(&allowed("10"), &[("FUNCTION_CONCURRENCY", "5")]), "5");
    let stays = Stubbed::deployed().set("concurrency", "10").with_parameter("FunctionConcurrency", "20");
    assert_eq!(at_once(&stays, &[]), "20");
}

#[test]
fn every_resource_that_costs_has_the_cost_tag() {
    let tags = |stubbed: &Stubbed, variables: &[(&str, &str)]| {
        let outcome = stubbed.run("deploy.sh", variables);
        let tags = outcome.calls.iter().filter_map(|call| call.split(" --tags ").nth(1));
        tags.map(|rest| rest.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tags(&Stubbed::new(), &[("STACK", "nightly")]), ["project=nightly"; 2]);
    assert_eq!(tags(&Stubbed::new(), &[("PROJECT", "shop")]), ["project=shop"; 2]);
    assert_eq!(tags(&Stubbed::deployed().with_parameter("Project", "shop"), &[]), ["project=shop"; 2]);
}

#[test]
fn a_stack_with_an_unfinished_run_is_not_removed() {
    let good = Stubbed::deployed().run("destroy.sh", &[]);
    let at = good.number_of("list-executions").to_string();
    let outcome = Stubbed::deployed().run("destroy.sh", &[("ANSWER_AT", &at), ("ANSWER", "nightly-1")]);
    assert_eq!((outcome.ran.code, outcome.calls.len().to_string()), (Some(1), at));
    assert!(outcome.last_line().contains("nightly-1; end each with 'tagfleet cancel RUN'"), "{outcome:#?}");
    assert!(good.ran.stdout.contains("Your results are still in s3://tagfleet-databucket-1"), "{good:#?}");
}

#[test]
fn removing_an_absent_stack_succeeds() {
    let outcome = Stubbed::new().run("destroy.sh", &[]);
    assert_eq!((outcome.ran.code, outcome.ran.stdout.as_str()), (Some(0), "removed.\n"), "{outcome:#?}");
}
