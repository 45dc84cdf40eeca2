//! The stack on AWS: its outputs, and the pipeline's view of it.
//!
//! Every command reads it again, so that nothing on this machine can be out of date. It changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use tagfleet_aws::{Aws, S3Bucket};
use tagfleet_fleet::budget::RunLimit;
use tagfleet_fleet::rules::{RuleTexts, Rules, names};
use tagfleet_fleet::{FleetError, FleetRun, Stack};
use tagfleet_pipeline::bucket::{Bucket, Kind};
use tagfleet_pipeline::run::RunId;

use crate::args::{DEFAULT_STACK, StackOptions};
use crate::connection;
use crate::exit::{Failure, bad_input, broken};

/// A deployed stack's outputs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outputs {
    /// The bucket of requests, models and, unless a request names another output, results.
    pub(crate) bucket: String,
    /// What a run is an execution of.
    pub(crate) state_machine: String,
    /// The job queue of CPU workers, an ARN.
    pub(crate) cpu_job_queue: String,
    /// The job queue of GPU workers, an ARN.
    pub(crate) gpu_job_queue: String,
    /// Whether runs on GPUs have an image. Stacks of earlier versions lack this output and always have one.
    pub(crate) has_gpu_image: bool,
    /// Where mails come from; `None` if none are sent.
    pub(crate) sender: Option<String>,
    /// The splitter's name.
    pub(crate) splitter: String,
    /// The prefix of the names of the executions' queues.
    pub(crate) queue_prefix: String,
    /// Buckets that images may be in, besides the stack's own.
    pub(crate) source_buckets: Vec<String>,
    /// What requests may ask for; none from a stack of an earlier version, whose splitter checks it.
    pub(crate) rules: Option<Rules>,
    /// The most vCPUs that workers of one kind hold at once; none from a stack of an earlier version.
    pub(crate) max_vcpus: Option<u32>,
}

/// A deployed stack and the way to it.
pub(crate) struct FleetStack {
    /// Its name.
    pub(crate) name: String,
    pub(crate) aws: Aws,
    pub(crate) outputs: Outputs,
}

impl Outputs {
    /// The error names the first output that is not there.
    pub(crate) fn parse(outputs: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let optional = |key: &str| outputs.get(key).cloned().unwrap_or_default();
        let required = |key: &str| match optional(key) {
            value if value.is_empty() => {
                Err(bad_input(format!("no output {key}: is it tagfleet's? deploy it again")))
            }
            value => Ok(value),
        };
        Ok(Self {
            bucket: required("Bucket")?,
            state_machine: required("StateMachineArn")?,
            cpu_job_queue: required("CpuJobQueue")?,
            gpu_job_queue: required("GpuJobQueue")?,
            has_gpu_image: outputs.get("GpuImage").is_none_or(|image| !image.is_empty()),
            sender: Some(optional("Sender")).filter(|sender| !sender.is_empty()),
            splitter: required("SplitterFunction")?,
            queue_prefix: required("QueuePrefix")?,
            source_buckets: names(&optional("SourceBuckets")),
            rules: rules(outputs),
            max_vcpus: optional("MaxVcpus").parse().ok(),
        })
    }

    /// The splitter's ARN, derived from that of the state machine.
    pub(crate) fn splitter_arn(&self) -> String {
        let beside = self.state_machine.split(":stateMachine:").next().unwrap_or_default();
        format!("{}:function:{}", beside.replacen(":states:", ":lambda:", 1), self.splitter)
    }

    /// The ARN of the execution of this name.
    pub(crate) fn execution(&self, name: &str) -> String {
        format!("{}:{name}", self.state_machine.replacen(":stateMachine:", ":execution:", 1))
    }
}

/// What the functions of the stack hold requests to.
fn rules(outputs: &BTreeMap<String, String>) -> Option<Rules> {
    let text = |name: &str| outputs.get(name).map_or("", String::as_str);
    // An output that is empty may be missing; this one never is.
    let max_usd_per_run = outputs.get("MaxUsdPerRun")?;
    let texts = RuleTexts {
        model_buckets: text("ModelBuckets"),
        manifest_buckets: text("ManifestBuckets"),
        recipients: text("MailRecipients"),
        max_usd_per_run,
        max_usd_per_day: text("MaxUsdPerDay"),
    };
    // A stack whose limits are not amounts was not deployed from the template.
    Rules::parse(&texts).ok()
}

impl FleetStack {
    /// Connects, and asks CloudFormation.
    pub(crate) async fn find(options: &StackOptions) -> Result<Self, Failure> {
        Self::find_with(connection::to_stack(&options.aws).await?, &options.stack).await
    }

    /// Asks CloudFormation for the stack of this name.
    pub(crate) async fn find_with(aws: Aws, name: &str) -> Result<Self, Failure> {
        let name = name.to_owned();
        let outputs = aws.stack_outputs(&name).await.map_err(|error| match error.kind {
            Kind::Missing => bad_input(format!(
                "there is no stack {name} in this account and region: deploy it with `make deploy`, or name another with --stack, --region or --profile"
            )),
            _ => connection::of_service(error),
        })?;
        let outputs = Outputs::parse(&outputs)
            .map_err(|failure| failure.with_prefix(&format!("the stack {name} has ")))?;
        Ok(Self { name, aws, outputs })
    }

    /// A command of tagfleet to resume with, which leads to this stack: `tagfleet resume RUN`.
    pub(crate) fn command(&self, command: &str) -> String {
        command_on(&self.name, command)
    }

    /// The stack's own bucket.
    pub(crate) fn bucket(&self) -> S3Bucket {
        S3Bucket::new(&self.aws, &self.outputs.bucket)
    }

    /// What a run of this stack may cost.
    pub(crate) async fn limit(&self, fleet: &FleetRun) -> Result<Option<RunLimit>, FleetError> {
        let none = Rules::default();
        self.pipeline().limit(fleet, self.outputs.rules.as_ref().unwrap_or(&none)).await
    }

    /// The stack as the pipeline knows it.
    pub(crate) fn pipeline(&self) -> Stack {
        let aws = self.aws.clone();
        Stack {
            bucket: Arc::new(self.bucket()),
            name: self.outputs.bucket.clone(),
            open: Arc::new(move |name| Arc::new(S3Bucket::new(&aws, name)) as Arc<dyn Bucket>),
        }
    }

    /// The run that the user means: by its id, or by the name of one of its executions, which ends in a
    /// number.
    pub(crate) async fn run(&self, text: &str) -> Result<FoundRun, Failure> {
        let shorter = text.rsplit_once('-').filter(|(_, number)| number.parse::<u32>().is_ok());
        for name in [Some(text), shorter.map(|(run, _)| run)].into_iter().flatten() {
            let run = RunId::try_from(name.to_owned()).map_err(bad_input)?;
            match self.pipeline().find(&run).await {
                Err(FleetError::NoRun(_)) => {}
                found => return Ok(FoundRun { fleet: valid(found)?, run }),
            }
        }
        let name = &self.name;
        Err(bad_input(format!(
            "there is no run {text} in the stack {name}: `{}` lists the latest",
            self.command("status")
        )))
    }
}

fn command_on(stack: &str, command: &str) -> String {
    match stack {
        DEFAULT_STACK => format!("tagfleet {command}"),
        other => format!("tagfleet {command} --stack {other}"),
    }
}

/// A run that was started here.
pub(crate) struct FoundRun {
    pub(crate) run: RunId,
    /// `None` if its request is wrong, so that nothing is known of it but its executions.
    pub(crate) fleet: Option<FleetRun>,
}

fn valid(found: Result<FleetRun, FleetError>) -> Result<Option<FleetRun>, Failure> {
    match found {
        Ok(fleet) => Ok(Some(fleet)),
        Err(FleetError::Invalid(_)) => Ok(None),
        Err(error) => Err(broken(error)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The outputs of a stack as it is deployed.
    pub(crate) fn deployed() -> BTreeMap<String, String> {
        let outputs = [
            ("Bucket", "tagfleet-data"),
            ("StateMachineArn", "arn:aws:states:us-east-1:123456789012:stateMachine:tagfleet"),
            ("CpuJobQueue", "arn:aws:batch:us-east-1:123456789012:job-queue/cpu"),
            ("GpuJobQueue", "arn:aws:batch:us-east-1:123456789012:job-queue/gpu"),
            ("DeadLetterQueueUrl", "https://sqs.us-east-1.amazonaws.com/123456789012/dead"),
            ("Sender", ""),
            ("SplitterFunction", "tagfleet-splitter"),
            ("ReducerFunction", "tagfleet-reducer"),
            ("QueuePrefix", "tagfleet-run-"),
            ("SourceBuckets", "shop, store"),
            ("MaxVcpus", "64"),
        ];
        outputs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn outputs_are_understood() {
        let outputs = Outputs::parse(&deployed()).unwrap();
        assert_eq!((outputs.sender.as_deref(), outputs.source_buckets.len()), (None, 2));
        assert!(outputs.has_gpu_image, "a stack of an earlier version");
        let with = |image: &str| {
            let mut outputs = deployed();
            outputs.insert("GpuImage".to_owned(), image.to_owned());
            Outputs::parse(&outputs).unwrap().has_gpu_image
        };
        assert_eq!((with(""), with("worker@sha256:0")), (false, true));
        assert_eq!(
            outputs.splitter_arn(),
            "arn:aws:lambda:us-east-1:123456789012:function:tagfleet-splitter"
        );
        assert_eq!(outputs.execution("r-2"), "arn:aws:states:us-east-1:123456789012:execution:tagfleet:r-2");
    }

    #[test]
    fn rules_are_those_of_the_functions_or_of_nobody() {
        assert_eq!(Outputs::parse(&deployed()).unwrap().rules, None, "a stack of an earlier version");
        let mut outputs = deployed();
        for (name, value) in
            [("MailRecipients", "*@example.com"), ("MaxUsdPerRun", "20"), ("MaxUsdPerDay", "0")]
        {
            outputs.insert(name.to_owned(), value.to_owned());
        }
        let rules = Outputs::parse(&outputs).unwrap().rules.unwrap();
        assert!(rules.may_mail("a@example.com") && !rules.may_mail("a@example.org"));
        assert_eq!((rules.max_usd_per_run, rules.max_usd_per_day), (Some(20.0), None));
    }

    #[test]
    fn commands_lead_to_the_stack() {
        assert_eq!(command_on("tagfleet", "resume r"), "tagfleet resume r");
        assert_eq!(command_on("nightly", "resume r"), "tagfleet resume r --stack nightly");
    }

    #[test]
    fn an_output_that_is_not_there_is_named() {
        let mut outputs = deployed();
        outputs.remove("QueuePrefix");
        let failure = Outputs::parse(&outputs).unwrap_err();
        assert_eq!(failure.message(), "no output QueuePrefix: is it tagfleet's? deploy it again");
    }
}
