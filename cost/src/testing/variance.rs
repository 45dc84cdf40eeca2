//! A plan and the bill of a run, for tests of what compares them.
//!
//! It never leaves a test.

use crate::forecast::estimate::ESTIMATE_VERSION;
use crate::forecast::{Estimate, Range};
use crate::usage::{Machine, MachineTime, MachineUsage, RequestCount, Requests, Usage};
use crate::variance::{PlanVariance, RunFacts};
use crate::{COST_VERSION, Cost, CostLine};

/// The engine of the plan.
pub const ENGINE: &str = "onnxruntime 1.32.0 fp32";

/// A machine hour is planned at $0.20 to $0.30, 1,000 images at 1 to 2 machine hours.
#[must_use]
pub fn estimate() -> Estimate {
    let range = |low, high| Range { low, high };
    Estimate {
        version: ESTIMATE_VERSION,
        images: 1000,
        engine: ENGINE.to_owned(),
        instance_type: "c7a.2xlarge".to_owned(),
        instances: 2,
        spot_share: 1.0,
        images_per_second: range(0.25, 0.5),
        tagging_hours: range(0.5, 1.0),
        instance_hours: range(1.0, 2.0),
        usd: range(0.35, 0.75),
        machines_usd: range(0.2, 0.6),
        requests: 1100,
        requests_usd: 0.1,
        rest_usd: 0.05,
    }
}

/// Hours of one machine type, with the images that it tagged.
#[must_use]
pub fn machine(instance_type: &str, life_cycle: &str, billed_hours: f64, images: u64) -> MachineUsage {
    let machine = Machine {
        instance_type: Some(instance_type.to_owned()),
        zone: None,
        life_cycle: Some(life_cycle.to_owned()),
    };
    let billed_ms = (billed_hours * 3.6e6) as u64;
    let time = MachineTime { machines: 1, billed_ms, worked_ms: billed_ms / 4 * 3, free_ms: 0 };
    MachineUsage { machine, time, images, ..MachineUsage::default() }
}

/// What a run used: its machines, `GetObject` requests, and the seconds of infer.
#[must_use]
pub fn usage(machines: Vec<MachineUsage>, requests: u64, infer_seconds: u64) -> Usage {
    let count = RequestCount { calls: requests, ..RequestCount::default() };
    let requests = Requests([("s3:GetObject".to_owned(), count)].into());
    Usage { machines, requests: [("infer".to_owned(), requests)].into(), infer_seconds, ..Usage::default() }
}

/// A bill of three lines, in dollars.
#[must_use]
pub fn bill(machines: f64, requests: f64, rest: f64) -> Cost {
    let line = |(service, usd): (&str, f64)| CostLine {
        stage: "infer".to_owned(),
        service: service.to_owned(),
        item: "item".to_owned(),
        quantity: usd,
        unit: "unit".to_owned(),
        unit_price: 1.0,
        usd,
    };
    Cost {
        version: COST_VERSION,
        region: "us-east-1".to_owned(),
        prices_of: "2026-11-23".to_owned(),
        lines: [("EC2", machines), ("S3", requests), ("Lambda", rest)].map(line).into(),
        total_usd: machines + requests + rest,
        usd_per_million: None,
        spot_saved_usd: 0.0,
        notes: vec![],
        plan: None,
    }
}

/// The plan of [`estimate`] and the actual figures.
#[must_use]
pub fn compare(usage: &Usage, cost: &Cost, images: u64, not_done: u64) -> PlanVariance {
    PlanVariance::new(estimate(), &RunFacts { images, not_done, engine: ENGINE }, usage, cost)
}

/// 1,200 images in 2 spot hours and 1 of another type on demand: $1.41 instead of $0.75 at most.
#[must_use]
pub fn a_dear_run() -> PlanVariance {
    let machines =
        vec![machine("c7a.2xlarge", "spot", 2.0, 900), machine("c7i.2xlarge", "on-demand", 1.0, 300)];
    compare(&usage(machines, 1500, 7200), &bill(1.2, 0.15, 0.06), 1200, 0)
}
