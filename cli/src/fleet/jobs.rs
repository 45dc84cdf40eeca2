//! A run's workers as AWS Batch sees them: how many wait for a machine, and why.
//!
//! If access to Batch is denied, that is reported, and nothing else depends on it.

use serde::Serialize;
use std::collections::BTreeMap;
use tagfleet_aws::ServiceError;
use tagfleet_aws::batch::{FleetJob, WAITING};
use tagfleet_fleet::FleetRun;
use tagfleet_fleet::request::Device;

use super::stack::FleetStack;

/// Batch's description of a run's latest job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Jobs {
    /// How many workers are in which of Batch's states: `RUNNABLE` ones wait for a machine.
    pub(super) workers: BTreeMap<String, u32>,
    /// Why workers wait, in Batch's words.
    pub(super) reasons: Vec<String>,
    /// Why Batch could not be asked.
    pub(super) problem: Option<String>,
}

impl Jobs {
    /// Asks Batch; `None` if the run has no job yet.
    pub(super) async fn of(stack: &FleetStack, fleet: &FleetRun) -> Option<Self> {
        match latest(stack, fleet).await {
            Ok(job) => job.map(|job| Self { workers: job.workers, reasons: job.reasons, problem: None }),
            Err(error) => Some(Self { problem: Some(error.to_string()), ..Self::default() }),
        }
    }

    /// `12 running, 88 wait for a machine: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ...`
    pub(super) fn in_words(&self) -> String {
        if let Some(problem) = &self.problem {
            return format!("not known: {problem}");
        }
        let words: Vec<String> = self.workers.iter().filter(|(_, count)| **count > 0).map(state).collect();
        let mut text = words.join(", ");
        if !self.reasons.is_empty() {
            text.push_str(&format!(": {}", self.reasons.join("; ")));
        }
        text
    }
}

fn state((state, count): (&String, &u32)) -> String {
    match state.as_str() {
        WAITING => format!("{count} waiting for a machine"),
        other => format!("{count} {}", other.to_lowercase()),
    }
}

/// The run's newest job.
pub(super) async fn latest(stack: &FleetStack, fleet: &FleetRun) -> Result<Option<FleetJob>, ServiceError> {
    let queue = match fleet.valid.request.device {
        Device::Cpu => &stack.outputs.cpu_job_queue,
        Device::Gpu => &stack.outputs.gpu_job_queue,
    };
    stack.aws.fleet_job(queue, &name(fleet)).await
}

/// What the state machine calls a run's jobs.
fn name(fleet: &FleetRun) -> String {
    format!("tagfleet-{}", fleet.run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_wait_say_why() {
        let workers = BTreeMap::from([
            ("RUNNABLE".to_owned(), 88),
            ("RUNNING".to_owned(), 12),
            ("FAILED".to_owned(), 0),
        ]);
        let mut jobs = Jobs { workers, ..Jobs::default() };
        assert_eq!(jobs.in_words(), "88 waiting for a machine, 12 running");
        jobs.reasons = vec!["CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no spot".to_owned()];
        assert_eq!(
            jobs.in_words(),
            "88 waiting for a machine, 12 running: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - no spot"
        );
        jobs.problem = Some("Batch ListJobs: denied".to_owned());
        assert_eq!(jobs.in_words(), "not known: Batch ListJobs: denied");
    }
}
