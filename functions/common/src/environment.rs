//! A function's settings from the template, and the clients that it works with.

use std::env;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tagfleet_aws::client::Options;
use tagfleet_aws::{Aws, S3Bucket};
use tagfleet_cost::usage::Machine;
use tagfleet_fleet::request::Device;
use tagfleet_fleet::rules::{RuleTexts, Rules, names};
use tagfleet_fleet::{OpenBucket, Stack};
use tagfleet_pipeline::bucket::Bucket;

use crate::CallError;

const ANSWER_SECONDS: &str = "TAGFLEET_ANSWER_SECONDS";

fn wrong(why: impl Display) -> CallError {
    CallError::broken(format!("the function's environment: {why}"))
}

/// A variable that the template always sets.
///
/// # Errors
/// If it is not set: the function can do nothing then.
pub fn variable(name: &str) -> Result<String, CallError> {
    env::var(name).map_err(|error| wrong(format!("{name}: {error}")))
}

/// A variable that the template always sets to a number of at least 1.
///
/// # Errors
/// If it is not set, or is not such a number.
pub fn number(name: &str) -> Result<u32, CallError> {
    let value = variable(name)?;
    let number = value.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| wrong(format!("{name}: {value:?} is not a number of at least 1")))
}

/// The region of the clients.
///
/// # Errors
/// If none is set.
pub fn region(aws: &Aws) -> Result<String, CallError> {
    let none = || CallError::broken("the function's environment names no region: AWS_REGION");
    aws.region().map(str::to_owned).ok_or_else(none)
}

/// What workers may run on, as the template's compute environments have it: on spot, and those with a GPU on
/// demand too.
///
/// # Errors
/// If the environment does not define it.
pub fn machines(device: Device) -> Result<Vec<Machine>, CallError> {
    let (name, life_cycles): (_, &[&str]) = match device {
        Device::Cpu => ("TAGFLEET_CPU_INSTANCE_TYPES", &[Machine::SPOT]),
        Device::Gpu => ("TAGFLEET_GPU_INSTANCE_TYPES", &[Machine::SPOT, Machine::ON_DEMAND]),
    };
    let mut machines = Vec::new();
    for instance_type in names(&variable(name)?) {
        for life_cycle in life_cycles {
            machines.push(Machine {
                instance_type: Some(instance_type.clone()),
                zone: None,
                life_cycle: Some((*life_cycle).to_owned()),
            });
        }
    }
    Ok(machines)
}

/// What a request may ask for, as the template's parameters set it.
///
/// # Errors
/// If a variable is missing, or a limit is not an amount of dollars.
pub fn rules() -> Result<Rules, CallError> {
    let [model_buckets, manifest_buckets, recipients] = [
        variable("TAGFLEET_MODEL_BUCKETS")?,
        variable("TAGFLEET_MANIFEST_BUCKETS")?,
        variable("TAGFLEET_MAIL_RECIPIENTS")?,
    ];
    let [per_run, per_day] = [variable("TAGFLEET_MAX_USD_PER_RUN")?, variable("TAGFLEET_MAX_USD_PER_DAY")?];
    let texts = RuleTexts {
        model_buckets: &model_buckets,
        manifest_buckets: &manifest_buckets,
        recipients: &recipients,
        max_usd_per_run: &per_run,
        max_usd_per_day: &per_day,
    };
    Rules::parse(&texts).map_err(wrong)
}

/// The clients of the region that the function runs in. `TAGFLEET_ANSWER_SECONDS` sets how long a service may
/// take to start an answer, if that differs from the clients' default.
///
/// # Errors
/// If that is not a number of at least 1, or AWS cannot be reached with this configuration.
pub async fn clients() -> Result<Aws, CallError> {
    let seconds = env::var_os(ANSWER_SECONDS).map(|_| number(ANSWER_SECONDS)).transpose()?;
    let answer_time = seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let aws = Aws::new(&Options { answer_time, ..Options::default() }).await;
    aws.map_err(|error| CallError::broken(error.to_string()))
}

/// The stack whose bucket has this name.
#[must_use]
pub fn stack(aws: &Aws, bucket: &str) -> Stack {
    let opener = aws.clone();
    let open: OpenBucket = Arc::new(move |name| Arc::new(S3Bucket::new(&opener, name)) as Arc<dyn Bucket>);
    Stack { bucket: open(bucket), name: bucket.to_owned(), open }
}
