//! Plan and actual: the plan of a run, its actual figures, and why the dollars differ.
//!
//! Pure. The difference is divided among five causes: images, machine time per image, the price of a machine
//! hour, requests, and the rest. Each is a difference of two figures times a price, so that together they are
//! the difference. A run within the planned range has no causes.

mod words;

use serde::{Deserialize, Serialize};

use super::{Cost, billed_requests};
use crate::forecast::{Estimate, Range};
use crate::usage::Usage;

/// The plan of a run, and its actual figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanVariance {
    /// As the run's request has it.
    pub planned: Estimate,
    /// The same figures of the run.
    pub actual: Actual,
    /// Dollars above the most that was planned, or, negative, below the least; 0 in between.
    pub difference_usd: f64,
    /// The largest first; their dollars add up to the difference.
    #[serde(rename = "reasons")]
    pub causes: Vec<Cause>,
}

/// The actual figures of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Actual {
    /// Images with a row.
    pub images: u64,
    /// Images without one.
    pub not_done: u64,
    /// What ran the model.
    pub engine: String,
    /// Images a second, all machines together, while there was a worker.
    pub images_per_second: f64,
    /// Hours in which there was a worker.
    pub tagging_hours: f64,
    /// Hours of whole machines, boot included, what kept them most first.
    pub machines: Vec<MachineHours>,
    /// Their sum.
    pub instance_hours: f64,
    /// Of these, hours in which no worker had the machine: boot, pauses, vCPUs left over.
    pub idle_hours: f64,
    /// Of these, hours that cost nothing: EC2 took the machines back within their first hour.
    pub free_hours: f64,
    /// The share of machine hours that was of spot machines, 0 to 1.
    pub spot_share: f64,
    /// Dollars in all.
    pub usd: f64,
    /// Of these, for machines with their disks and addresses.
    pub machines_usd: f64,
    /// Requests to S3, SQS and KMS, retries counted.
    pub requests: u64,
    /// Dollars for them.
    pub requests_usd: f64,
    /// Dollars for everything else.
    pub rest_usd: f64,
}

/// Hours of machines of one type, bought in one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MachineHours {
    /// `c7a.2xlarge`
    pub instance_type: String,
    /// Whether they were spot machines.
    pub is_spot: bool,
    /// Hours.
    pub hours: f64,
}

/// A part of the difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// Its dollars; negative if it made the run cheaper.
    pub usd: f64,
    /// `images`, `machine time`, `price of a machine hour`, `requests` or `the rest`.
    #[serde(rename = "why")]
    pub name: String,
}

/// What a run did, in addition to its usage.
#[derive(Clone, Copy, Debug)]
pub struct RunFacts<'a> {
    /// Images with a row.
    pub images: u64,
    /// Images without one.
    pub not_done: u64,
    /// `onnxruntime 1.32.0 fp32`
    pub engine: &'a str,
}

/// One end of a planned range.
struct Planned {
    images: f64,
    instance_hours: f64,
    usd: f64,
    machines_usd: f64,
}

impl PlanVariance {
    /// Compares; `planned` is an estimate without a [`Estimate::problem`], `cost` the bill of that usage.
    #[must_use]
    pub fn new(planned: Estimate, done: &RunFacts<'_>, usage: &Usage, cost: &Cost) -> Self {
        let actual = Actual::of(done, usage, cost);
        let usd = planned.usd;
        let (difference_usd, end) = if actual.usd > usd.high {
            (actual.usd - usd.high, Some(Planned::at(&planned, |range| range.high)))
        } else if actual.usd < usd.low {
            (actual.usd - usd.low, Some(Planned::at(&planned, |range| range.low)))
        } else {
            (0.0, None)
        };
        let causes = end.map_or_else(Vec::new, |end| causes(&planned, &end, &actual));
        Self { planned, actual, difference_usd, causes }
    }
}

/// The difference to one end of what was planned, taken apart. With N images, H machine hours and M, R, O
/// dollars for machines, requests and the rest, planned (0) and actual (1), and k = N1 / N0: `usd1 - usd0 =
/// usd0 (k - 1) + (H1 - k H0) M0/H0 + (M1 - H1 M0/H0) + (R1 - k R0) + (O1 - k O0)`.
fn causes(planned: &Estimate, end: &Planned, actual: &Actual) -> Vec<Cause> {
    let k = actual.images as f64 / end.images;
    let hour_usd = end.machines_usd / end.instance_hours;
    let machine_time = (actual.instance_hours - k * end.instance_hours) * hour_usd;
    let cause = |name: &str, usd| Cause { usd, name: name.to_owned() };
    let mut causes = vec![
        cause("images", end.usd * (k - 1.0)),
        cause("machine time", machine_time),
        cause("price of a machine hour", actual.machines_usd - actual.instance_hours * hour_usd),
        cause("requests", actual.requests_usd - k * planned.requests_usd),
        cause("the rest", actual.rest_usd - k * planned.rest_usd),
    ];
    causes.retain(|cause| cause.usd != 0.0);
    causes.sort_by(|a, b| b.usd.abs().total_cmp(&a.usd.abs()));
    causes
}

impl Planned {
    /// At one end of each range.
    fn at(planned: &Estimate, end: fn(Range) -> f64) -> Self {
        Self {
            images: planned.images as f64,
            instance_hours: end(planned.instance_hours),
            usd: end(planned.usd),
            machines_usd: end(planned.machines_usd),
        }
    }
}

impl Actual {
    fn of(done: &RunFacts<'_>, usage: &Usage, cost: &Cost) -> Self {
        let machines = machine_hours(usage);
        let time = |of: fn(&crate::usage::MachineTime) -> u64| {
            usage.machines.iter().map(|used| of(&used.time)).sum::<u64>() as f64 / 3.6e6
        };
        let instance_hours: f64 = machines.iter().map(|of| of.hours).sum();
        let spot_hours: f64 = machines.iter().filter(|of| of.is_spot).map(|of| of.hours).sum();
        let tagged: u64 = usage.machines.iter().map(|used| used.images).sum();
        let usd_of = |services: &[&str]| -> f64 {
            let lines = cost.lines.iter().filter(|line| services.contains(&line.service.as_str()));
            lines.map(|line| line.usd).sum()
        };
        let (machines_usd, requests_usd) = (usd_of(&["EC2"]), usd_of(&["S3", "SQS", "KMS"]));
        let per = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
        Self {
            images: done.images,
            not_done: done.not_done,
            engine: done.engine.to_owned(),
            images_per_second: per(tagged as f64, usage.infer_seconds as f64),
            tagging_hours: usage.infer_seconds as f64 / 3600.0,
            machines,
            instance_hours,
            idle_hours: time(|time| time.billed_ms - time.worked_ms.min(time.billed_ms)),
            free_hours: time(|time| time.free_ms),
            spot_share: per(spot_hours, instance_hours),
            usd: cost.total_usd,
            machines_usd,
            requests: billed_requests(usage),
            requests_usd,
            rest_usd: cost.total_usd - machines_usd - requests_usd,
        }
    }
}

/// By type and way of buying; a bill exists, so every type is known.
fn machine_hours(usage: &Usage) -> Vec<MachineHours> {
    let mut machines: Vec<MachineHours> = Vec::new();
    for used in &usage.machines {
        let instance_type = used.machine.instance_type.as_deref().unwrap_or("unknown");
        let (is_spot, hours) =
            (used.machine.is_spot(), (used.time.billed_ms + used.time.free_ms) as f64 / 3.6e6);
        match machines.iter_mut().find(|of| of.instance_type == instance_type && of.is_spot == is_spot) {
            Some(known) => known.hours += hours,
            None => machines.push(MachineHours { instance_type: instance_type.to_owned(), is_spot, hours }),
        }
    }
    machines.sort_by(|a, b| b.hours.total_cmp(&a.hours));
    machines
}

#[cfg(test)]
pub(crate) mod tests;
