//! The jobs of a run on AWS Batch: how many workers wait, why, and how to end them.
//!
//! Step Functions submits them; nothing here starts a job.

use std::collections::BTreeMap;

use aws_sdk_batch::types::{JobStatus, JobSummary, KeyValuesPair};

use crate::Aws;
use crate::error::ServiceError;

/// The state of a worker that waits for a machine.
pub const WAITING: &str = "RUNNABLE";

const SERVICE: &str = "Batch";
/// Waiting workers whose reasons are read; an array's children nearly always share one.
const MAX_REASONS: i32 = 20;

/// A run's job: one worker, or an array of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetJob {
    /// What Batch calls it.
    pub id: String,
    /// `RUNNABLE`, `RUNNING`, `SUCCEEDED`, ...: of an array, `PENDING` until all its workers have ended.
    pub status: String,
    /// How many workers are in which state.
    pub workers: BTreeMap<String, u32>,
    /// Why workers wait, in Batch's words, each reason once; empty if Batch gives none.
    pub reasons: Vec<String>,
}

impl FleetJob {
    /// True if no worker will run any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.status == JobStatus::Succeeded.as_str() || self.status == JobStatus::Failed.as_str()
    }

    /// Workers that no machine was found for yet.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.workers.get(WAITING).copied().unwrap_or(0)
    }
}

impl Aws {
    /// The newest job of this name in `queue`, with the reasons of workers that wait.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn fleet_job(&self, queue: &str, name: &str) -> Result<Option<FleetJob>, ServiceError> {
        let by_name = KeyValuesPair::builder().name("JOB_NAME").values(name).build();
        let listed = self.batch.list_jobs().job_queue(queue).filters(by_name).send().await;
        let listed = listed.map_err(|error| ServiceError::from_sdk(SERVICE, "ListJobs", name, &error))?;
        let jobs = listed.job_summary_list.unwrap_or_default();
        let Some(newest) = jobs.into_iter().max_by_key(|job| job.created_at) else { return Ok(None) };
        let mut job = self.described(newest.job_id.as_deref().unwrap_or_default()).await?;
        if job.waiting() > 0 && job.reasons.is_empty() {
            job.reasons = self.reasons(&job).await?;
        }
        Ok(Some(job))
    }

    async fn described(&self, id: &str) -> Result<FleetJob, ServiceError> {
        let described = self.batch.describe_jobs().jobs(id).send().await;
        let described =
            described.map_err(|error| ServiceError::from_sdk(SERVICE, "DescribeJobs", id, &error))?;
        let Some(detail) = described.jobs.unwrap_or_default().into_iter().next() else {
            return Ok(FleetJob { id: id.to_owned(), ..FleetJob::default() });
        };
        let status = detail.status.map_or_else(String::new, |status| status.as_str().to_owned());
        let children = detail.array_properties.and_then(|array| array.status_summary);
        let workers = match children {
            Some(children) => children
                .into_iter()
                .map(|(state, count)| (state, u32::try_from(count).unwrap_or(0)))
                .collect(),
            None => BTreeMap::from([(status.clone(), 1)]),
        };
        Ok(FleetJob {
            id: id.to_owned(),
            status,
            workers,
            reasons: detail.status_reason.into_iter().collect(),
        })
    }

    /// Why children of an array wait.
    async fn reasons(&self, job: &FleetJob) -> Result<Vec<String>, ServiceError> {
        let list = self.batch.list_jobs().array_job_id(&job.id).job_status(JobStatus::Runnable);
        let listed = list.max_results(MAX_REASONS).send().await;
        let listed = listed.map_err(|error| ServiceError::from_sdk(SERVICE, "ListJobs", &job.id, &error))?;
        let reason = |child: JobSummary| child.status_reason;
        let mut reasons: Vec<String> =
            listed.job_summary_list.unwrap_or_default().into_iter().filter_map(reason).collect();
        reasons.sort();
        reasons.dedup();
        Ok(reasons)
    }

    /// Ends the job with this id and all its workers: each gets SIGTERM and keeps what is done.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn terminate_job(&self, id: &str, reason: &str) -> Result<(), ServiceError> {
        let terminated = self.batch.terminate_job().job_id(id).reason(reason).send().await;
        terminated.map(|_| ()).map_err(|error| ServiceError::from_sdk(SERVICE, "TerminateJob", id, &error))
    }
}
