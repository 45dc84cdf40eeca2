//! What a plan promises for the line that it recommends: kept with the run's request, to compare it with the
//! bill.
//!
//! Figures only, in the stored form of a request; [`crate::variance`] compares them with the run.

use serde::{Deserialize, Serialize};

use super::fixed::{Fixed, FixedCosts};
use super::{Line, Range};
use crate::assumptions::BOOT_SECONDS;

/// The version of the stored form.
pub const ESTIMATE_VERSION: u32 = 1;

/// What a run is expected to take and cost. Dollars are US dollars at list price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// [`ESTIMATE_VERSION`].
    pub version: u32,
    /// Images of the run.
    pub images: u64,
    /// `onnxruntime 1.32.0 fp32`
    pub engine: String,
    /// `c7a.2xlarge`
    pub instance_type: String,
    /// Machines at once.
    pub instances: u32,
    /// The share of machine hours that was to be of spot machines, 0 to 1.
    pub spot_share: f64,
    /// Images a second, all machines together.
    pub images_per_second: Range,
    /// Hours in which machines tag, from the first to the last.
    pub tagging_hours: Range,
    /// Machine hours paid for, boot included.
    pub instance_hours: Range,
    /// Dollars in all.
    pub usd: Range,
    /// Of these, for machines with their disks and addresses.
    pub machines_usd: Range,
    /// Requests to S3 and SQS.
    pub requests: u64,
    /// Dollars for them.
    pub requests_usd: f64,
    /// Dollars for everything else: functions, state transitions, mails.
    pub rest_usd: f64,
}

impl Estimate {
    /// What this line of a plan is expected to take on spot machines.
    pub(super) fn of(line: &Line, images: u64, fixed: &FixedCosts) -> Self {
        let is_request = |fixed: &Fixed| matches!(fixed.service.as_str(), "S3" | "SQS" | "KMS");
        let tagging = |hours: f64| hours - BOOT_SECONDS as f64 / 3600.0;
        let all = fixed.usd(|_| true);
        Self {
            version: ESTIMATE_VERSION,
            images,
            engine: line.engine.clone(),
            instance_type: line.instance_type.clone(),
            instances: line.instances,
            spot_share: 1.0,
            images_per_second: line.images_per_second,
            tagging_hours: line.hours.map(tagging),
            instance_hours: line.instance_hours,
            usd: line.spot_usd,
            machines_usd: line.spot_usd.map(|usd| usd - all),
            requests: fixed.requests,
            requests_usd: fixed.usd(is_request),
            rest_usd: fixed.usd(|fixed| !is_request(fixed)),
        }
    }

    /// What is wrong with an estimate from outside; `None` if it can be compared with.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        if self.version != ESTIMATE_VERSION {
            return Some(format!("version {}: this tagfleet reads {ESTIMATE_VERSION}", self.version));
        }
        let ranges = [
            ("images_per_second", self.images_per_second),
            ("tagging_hours", self.tagging_hours),
            ("instance_hours", self.instance_hours),
            ("usd", self.usd),
            ("machines_usd", self.machines_usd),
        ];
        let is_wrong = |range: &Range| !(range.low > 0.0 && range.low <= range.high);
        if let Some((name, _)) = ranges.iter().find(|(_, range)| is_wrong(range)) {
            return Some(format!("{name}: give two figures above 0, the lower one first"));
        }
        let is_counted = self.images > 0 && self.instances > 0 && self.requests > 0;
        let is_amount = self.requests_usd >= 0.0 && self.rest_usd >= 0.0;
        let is_share = (0.0..=1.0).contains(&self.spot_share);
        (!(is_counted && is_amount && is_share)).then(|| "it has a figure that no plan can have".to_owned())
    }
}
