//! The settings in a worker's environment, parsed once.
//!
//! | variable | meaning |
//! |---|---|
//! | `TAGFLEET_RUN` | the run |
//! | `TAGFLEET_OUTPUT` | where results go, `s3://bucket/tags/` |
//! | `TAGFLEET_QUEUE_URL` | the queue of shards |
//! | `TAGFLEET_VCPUS` | vCPUs of the job; else those of the machine |
//! | `TAGFLEET_MAX_USD` | dollars that this worker may spend; unset or empty: no limit |
//! | `TAGFLEET_BUCKET` | the stack's bucket, where a newer price book may be; needed with a limit only |
//! | `TAGFLEET_IDLE_SECONDS` | how long to wait for a message before the queue counts as empty: 1 to 20, by default 20 |
//! | `TAGFLEET_GRACE_SECONDS` | how long shards in hand may take after SIGTERM: at most 90, which is the default |
//! | `TAGFLEET_IMAGE_SECONDS` | how long an image may take before it fails as `crashed`: 1 to 90, by default 60 |
//! | `TAGFLEET_ANSWER_SECONDS` | how long S3 and SQS may take to start an answer: 1 to 300, by default 30 |
//! | `AWS_BATCH_JOB_ID`, `AWS_BATCH_JOB_ATTEMPT` | set by AWS Batch; they name the usage record |
//!
//! Region, credentials and endpoints are those of every AWS SDK. Nothing in it makes a request.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use tagfleet_fleet::address::Address;
use tagfleet_fleet::request::is_limit;
use tagfleet_model::isolation::Patience;
use tagfleet_pipeline::run::RunId;
use thiserror::Error;

/// SQS's longest poll.
const IDLE_SECONDS: u64 = 20;
/// A container is killed 120 s after SIGTERM (`ECS_CONTAINER_STOP_TIMEOUT` of the launch template); the rest
/// of that is for giving shards back and for the last usage record.
const GRACE_SECONDS: u64 = 90;

/// The longest wait for an answer: after that other workers see the shard's message.
const ANSWER_SECONDS: u64 = 300;

/// A worker's configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Configuration {
    pub(crate) run: RunId,
    pub(crate) output: Address,
    pub(crate) queue_url: String,
    /// Threads that tag.
    pub(crate) vcpus: usize,
    /// What it may spend, and the bucket of the stack; `None` if there is no limit.
    pub(crate) budget: Option<Budget>,
    /// How long to wait for a message before the queue counts as empty.
    pub(crate) receive_wait: Duration,
    /// How long shards in hand may take after SIGTERM.
    pub(crate) grace: Duration,
    /// How long an image may take.
    pub(crate) image_time: Duration,
    /// How long S3 and SQS may take to start an answer, if that is set.
    pub(crate) answer_time: Option<Duration>,
    /// Names this process among the run's usage records.
    pub(crate) name: String,
    pub(crate) metadata_disabled: Option<String>,
}

/// A worker's share of what its run may cost.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Budget {
    pub(crate) max_usd: f64,
    /// The stack's bucket.
    pub(crate) bucket: String,
    /// The usage records of the job's attempts before this one, which had the same share.
    pub(crate) earlier: Vec<String>,
}

/// A variable is missing or wrong.
#[derive(Debug, Error)]
#[error("the environment variable {name} {problem}")]
pub(crate) struct ConfigurationError {
    name: &'static str,
    problem: String,
}

fn wrong(name: &'static str, problem: impl Into<String>) -> ConfigurationError {
    ConfigurationError { name, problem: problem.into() }
}

impl Configuration {
    /// Reads the configuration; `process` names a worker that AWS Batch has not started.
    pub(crate) fn new(
        variable: impl Fn(&str) -> Option<String>,
        process: u32,
    ) -> Result<Self, ConfigurationError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let required = |name: &'static str| set(name).ok_or_else(|| wrong(name, "is not set"));
        let invalid = |name: &'static str, error: &dyn ToString| {
            wrong(name, format!("is wrong: {}", error.to_string()))
        };
        let run = RunId::try_from(required("TAGFLEET_RUN")?);
        let output = Address::parse(&required("TAGFLEET_OUTPUT")?);
        let job = set("AWS_BATCH_JOB_ID").unwrap_or_else(|| format!("local-{process}"));
        let attempt: u32 = number("AWS_BATCH_JOB_ATTEMPT", set("AWS_BATCH_JOB_ATTEMPT"), 1, 1..=u32::MAX)?;
        let receive_wait: u64 =
            number("TAGFLEET_IDLE_SECONDS", set("TAGFLEET_IDLE_SECONDS"), IDLE_SECONDS, 1..=IDLE_SECONDS)?;
        let grace: u64 = number(
            "TAGFLEET_GRACE_SECONDS",
            set("TAGFLEET_GRACE_SECONDS"),
            GRACE_SECONDS,
            0..=GRACE_SECONDS,
        )?;
        let image = number(
            "TAGFLEET_IMAGE_SECONDS",
            set("TAGFLEET_IMAGE_SECONDS"),
            Patience::IMAGE_SECONDS,
            1..=Patience::MAX_IMAGE_SECONDS,
        )?;
        let answer = set("TAGFLEET_ANSWER_SECONDS")
            .map(|seconds| number("TAGFLEET_ANSWER_SECONDS", Some(seconds), 1, 1..=ANSWER_SECONDS));
        let here = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let budget = match set("TAGFLEET_MAX_USD") {
            Some(max_usd) => {
                let earlier = (1..attempt).map(|attempt| record(&job, attempt)).collect();
                Some(Budget { max_usd: dollars(&max_usd)?, bucket: required("TAGFLEET_BUCKET")?, earlier })
            }
            None => None,
        };
        Ok(Self {
            run: run.map_err(|error| invalid("TAGFLEET_RUN", &error))?,
            output: output.map_err(|error| invalid("TAGFLEET_OUTPUT", &error))?.folder(),
            queue_url: required("TAGFLEET_QUEUE_URL")?,
            vcpus: number("TAGFLEET_VCPUS", set("TAGFLEET_VCPUS"), here, 1..=1024)?,
            budget,
            receive_wait: Duration::from_secs(receive_wait),
            grace: Duration::from_secs(grace),
            image_time: Duration::from_secs(image),
            answer_time: answer.transpose()?.map(Duration::from_secs),
            name: record(&job, attempt),
            metadata_disabled: set("AWS_EC2_METADATA_DISABLED"),
        })
    }
}

fn dollars(value: &str) -> Result<f64, ConfigurationError> {
    let dollars = value.parse().ok().filter(|dollars| is_limit(*dollars));
    dollars.ok_or_else(|| {
        wrong("TAGFLEET_MAX_USD", format!("is wrong: {value:?} is not a number of dollars above 0"))
    })
}

fn number<T: FromStr + PartialOrd + std::fmt::Display>(
    name: &'static str,
    value: Option<String>,
    default: T,
    allowed: std::ops::RangeInclusive<T>,
) -> Result<T, ConfigurationError> {
    let Some(value) = value else { return Ok(default) };
    value.parse().ok().filter(|number| allowed.contains(number)).ok_or_else(|| {
        wrong(
            name,
            format!("is wrong: {value:?} is not a number from {} to {}", allowed.start(), allowed.end()),
        )
    })
}

/// The name of the usage record of a job's attempt.
fn record(job: &str, attempt: u32) -> String {
    format!("worker-{}-{attempt}", sanitised(job))
}

/// Safe in an object key: the `:` of an array job's child is not.
fn sanitised(job: &str) -> String {
    job.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: [(&str, &str); 3] = [
        ("TAGFLEET_RUN", "r-1"),
        ("TAGFLEET_OUTPUT", "s3://shop/tags"),
        ("TAGFLEET_QUEUE_URL", "http://127.0.0.1/queue"),
    ];

    fn configuration(more: &[(&str, &str)]) -> Result<Configuration, String> {
        let variables: Vec<_> = more.iter().chain(&REQUIRED).collect();
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Configuration::new(variable, 7).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let configuration = configuration(&[("TAGFLEET_VCPUS", "4")]).unwrap();
        assert_eq!(configuration.output.to_string(), "s3://shop/tags/");
        assert_eq!((configuration.vcpus, configuration.name.as_str()), (4, "worker-local-7-1"));
        assert_eq!((configuration.receive_wait.as_secs(), configuration.grace.as_secs()), (20, 90));
    }

    #[test]
    fn a_child_of_an_array_job_has_a_name_of_its_own() {
        let child = [("AWS_BATCH_JOB_ID", "0a1b-2c:13"), ("AWS_BATCH_JOB_ATTEMPT", "2")];
        assert_eq!(configuration(&child).unwrap().name, "worker-0a1b-2c-13-2");
        assert_eq!(configuration(&[("AWS_BATCH_JOB_ID", "../x")]).unwrap().name, "worker----x-1");
    }

    #[test]
    fn a_limit_needs_the_bucket_of_its_prices() {
        let budget = [("TAGFLEET_MAX_USD", "0.25"), ("TAGFLEET_BUCKET", "stack")];
        let expected = Budget { max_usd: 0.25, bucket: "stack".to_owned(), earlier: Vec::new() };
        assert_eq!(configuration(&budget).unwrap().budget, Some(expected));
        let without = [("TAGFLEET_MAX_USD", ""), ("TAGFLEET_BUCKET", "stack")];
        assert_eq!(configuration(&without).unwrap().budget, None);
        let error = configuration(&[("TAGFLEET_MAX_USD", "0.25")]).unwrap_err();
        assert_eq!(error, "the environment variable TAGFLEET_BUCKET is not set");
    }

    #[test]
    fn a_job_that_is_tried_again_knows_who_had_its_share_before() {
        let budget = [("TAGFLEET_MAX_USD", "0.25"), ("TAGFLEET_BUCKET", "stack")];
        let third = [("AWS_BATCH_JOB_ID", "0a1b:13"), ("AWS_BATCH_JOB_ATTEMPT", "3")];
        let configuration = configuration(&[budget, third].concat()).unwrap();
        assert_eq!(configuration.budget.unwrap().earlier, ["worker-0a1b-13-1", "worker-0a1b-13-2"]);
    }

    #[test]
    fn every_error_names_its_variable() {
        let cases = [
            ("TAGFLEET_RUN", "", "is not set"),
            ("TAGFLEET_RUN", "A b", "is wrong: \"A b\" is not a run ID"),
            ("TAGFLEET_OUTPUT", "tags", "is wrong: \"tags\" is not a place in a bucket"),
            ("TAGFLEET_QUEUE_URL", "", "is not set"),
            ("TAGFLEET_MAX_USD", "0", "is wrong: \"0\" is not a number of dollars above 0"),
            ("TAGFLEET_VCPUS", "0", "is wrong: \"0\" is not a number from 1 to 1024"),
            ("TAGFLEET_IDLE_SECONDS", "21", "is wrong: \"21\" is not a number from 1 to 20"),
            ("TAGFLEET_IMAGE_SECONDS", "91", "is wrong: \"91\" is not a number from 1 to 90"),
            ("TAGFLEET_ANSWER_SECONDS", "0", "is wrong: \"0\" is not a number from 1 to 300"),
            ("TAGFLEET_GRACE_SECONDS", "-1", "is wrong: \"-1\" is not a number from 0 to 90"),
        ];
        for (name, value, problem) in cases {
            let error = configuration(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(&format!("the environment variable {name} {problem}")), "{error}");
        }
    }
}
