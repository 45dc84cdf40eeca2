//! The fleet: the stages of the pipeline as steps that a state machine calls one by one, on many machines.
//!
//! ```text
//! request ──► plan ──► split ──► check ──► infer ──► check ... ──► compact ──► finish
//!             ranges   shards    missing   workers   missing       results     summary, bill, page
//!                                └─ up to three rounds ─┘
//! ```
//!
//! A step takes and returns small values. The result of check, as the state machine sees it:
//!
//! ```text
//! {"shards": 40, "missing": 12, "again": true, "workers": 2, "share_usd": "1.50",
//!  "stopped": null, "groups": 3, "more": ""}
//! ```
//!
//! `infra/state-machine.asl.json` defines the order of the steps. Every step finds out by itself how far the
//! run is, so each may be repeated, and a run may be resumed after any stop. Why not keep progress in the
//! state machine? Its history is bounded and ends with an execution, and the bucket is there anyway.
//!
//! It names no AWS service: a function opens the buckets, and the queue is a parameter. [`budget`] and
//! [`day`] limit dollars, [`deadline`] sets the number of workers, and [`request`] checks what a user asked
//! for.

pub mod address;
pub mod budget;
pub mod day;
pub mod deadline;
pub mod earlier;
pub mod finish;
pub mod manifest;
pub mod model;
pub mod page;
pub mod plan;
pub mod pricing;
pub mod problem;
pub mod request;
pub mod rules;
pub mod steps;

use std::sync::Arc;

use thiserror::Error;

use budget::RunLimit;
use request::{FleetRequest, InvalidRequest, MAX_REQUEST_BYTES, ValidRequest};
use rules::Rules;
use tagfleet_pipeline::bucket::{Bucket, BucketError, Kind};
use tagfleet_pipeline::earlier::EarlierRun;
use tagfleet_pipeline::queue::QueueError;
use tagfleet_pipeline::record::{self, RecordError};
use tagfleet_pipeline::reduce::{Compaction, Counted, ReduceError};
use tagfleet_pipeline::run::{RunId, RunKeys, RunRequest, StackKeys};
use tagfleet_pipeline::split::SplitError;

/// Opens the bucket of a name; whether it exists shows with the first request.
pub type OpenBucket = Arc<dyn Fn(&str) -> Arc<dyn Bucket> + Send + Sync>;

/// The bucket that the stack has for itself, and the way to every other.
#[derive(Clone)]
pub struct Stack {
    /// Requests, published models, and results unless a request names another output.
    pub bucket: Arc<dyn Bucket>,
    /// Its name, without a scheme.
    pub name: String,
    /// Opens any bucket.
    pub open: OpenBucket,
}

/// A run of the fleet, with its request.
#[derive(Clone)]
pub struct FleetRun {
    /// Its id.
    pub run: RunId,
    /// What was asked for.
    pub valid: ValidRequest,
    /// The keys of its objects.
    pub output: Arc<dyn Bucket>,
    /// Their keys.
    pub keys: RunKeys,
}

/// Why a step failed; doing it again is harmless.
#[derive(Debug, Error)]
pub enum FleetError {
    /// No run has this id.
    #[error("there is no run {0} in this stack")]
    NoRun(RunId),
    /// The request is wrong.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// The request asks for what cannot be reached or is not there; another try finds it the same.
    #[error("the request is wrong: {0}")]
    Unusable(String),
    /// Something that a run with a limit may use has no price, so its spending is unknown.
    #[error("the request is wrong: max_usd: a limit needs every price, and {0}")]
    PriceUnknown(String),
    /// What the stack may spend on this day is spent or reserved.
    #[error("{0}")]
    DayIsSpent(String),
    /// A bucket failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A record cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Split failed.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// Reduce failed.
    #[error(transparent)]
    Reduce(#[from] ReduceError),
    /// A number that the state machine gave is none of this run.
    #[error("run {run} has no {what} {number}")]
    NoSuch {
        /// The run.
        run: RunId,
        /// `range` or `group`.
        what: &'static str,
        /// The number.
        number: u32,
    },
}

/// What a state machine does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// The request is wrong: another try cannot succeed.
    BadRequest,
    /// The request may be right, and is for another day.
    DayIsSpent,
    /// Another try may work.
    Temporary,
    /// A bug, or objects that were changed from outside.
    Broken,
}

impl ErrorType {
    /// The name that the state machine knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::DayIsSpent => "DayIsSpent",
            Self::Temporary => "Temporary",
            Self::Broken => "Broken",
        }
    }
}

impl FleetError {
    /// What to do about it.
    #[must_use]
    pub fn error_type(&self) -> ErrorType {
        match self {
            Self::NoRun(_) | Self::Invalid(_) | Self::Unusable(_) | Self::PriceUnknown(_) => {
                ErrorType::BadRequest
            }
            Self::DayIsSpent(_) => ErrorType::DayIsSpent,
            Self::Bucket(error) => of_bucket(Some(error)),
            Self::Record(error) => of_bucket(error.bucket_error()),
            Self::Reduce(error) => of_bucket(error.bucket_error()),
            Self::Queue(_) | Self::Split(SplitError::Queue(_)) => ErrorType::Temporary,
            Self::Split(error) => of_bucket(error.bucket_error()),
            Self::NoSuch { .. } => ErrorType::Broken,
        }
    }
}

fn of_bucket(error: Option<&BucketError>) -> ErrorType {
    let is_temporary = error.is_some_and(|error| error.kind == Kind::Temporary);
    if is_temporary { ErrorType::Temporary } else { ErrorType::Broken }
}

impl Stack {
    /// The run of this id, with its request as it was when it started.
    ///
    /// # Errors
    /// If there is none, or its request is wrong.
    pub async fn find(&self, run: &RunId) -> Result<FleetRun, FleetError> {
        let valid = ValidRequest::parse(&self.request_bytes(run).await?, &self.name)?;
        let output = (self.open)(&valid.output.bucket);
        let keys = RunKeys::in_bucket(&valid.output.prefix, run);
        Ok(FleetRun { run: run.clone(), valid, output, keys })
    }

    /// What a run may cost: the lowest of the request's limit, the stack's limit for a run, and what the
    /// day's ledger left to its latest execution. `None` if it has no limit.
    ///
    /// # Errors
    /// If that cannot be read.
    pub async fn limit(&self, fleet: &FleetRun, rules: &Rules) -> Result<Option<RunLimit>, FleetError> {
        let own = rules.limit(self.asked(fleet).await?);
        if rules.max_usd_per_day.is_none() {
            return Ok(own);
        }
        let share = day::share(self.bucket.as_ref(), &fleet.run).await?;
        Ok(share.filter(|share| own.is_none_or(|own| share.max_usd < own.max_usd)).or(own))
    }

    /// The dollars that the request, or the last resume, names.
    ///
    /// # Errors
    /// If that cannot be read.
    pub async fn asked(&self, fleet: &FleetRun) -> Result<Option<f64>, FleetError> {
        budget::limit_of(self.bucket.as_ref(), &fleet.run, fleet.valid.request.max_usd).await
    }

    /// The recipients that a request names, if it can be read that far: they get the mail about a failure
    /// even if the rest of it is wrong.
    ///
    /// # Errors
    /// If there is no such run, or its request cannot be fetched.
    pub async fn recipients(&self, run: &RunId) -> Result<Vec<String>, FleetError> {
        let bytes = self.request_bytes(run).await?;
        let mut recipients: Vec<String> = match serde_json::from_slice::<FleetRequest>(&bytes) {
            Ok(request) => request.notify,
            Err(_) => serde_json::from_slice::<serde_json::Value>(&bytes)
                .ok()
                .and_then(|value| serde_json::from_value(value.get("notify")?.clone()).ok())
                .unwrap_or_default(),
        };
        recipients.retain(|address| request::is_mail_address(address));
        recipients.truncate(request::MAX_RECIPIENTS);
        Ok(recipients)
    }

    async fn request_bytes(&self, run: &RunId) -> Result<bytes::Bytes, FleetError> {
        match self.bucket.get(&StackKeys::run(run), None, MAX_REQUEST_BYTES).await {
            Ok(stored) => Ok(stored.bytes),
            Err(error) if error.kind == Kind::Missing => Err(FleetError::NoRun(run.clone())),
            Err(error) => Err(error.into()),
        }
    }
}

impl FleetRun {
    /// What decides the run's rows, once it is planned.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn request(&self) -> Result<RunRequest, FleetError> {
        Ok(record::read(self.output.as_ref(), &self.keys.request()).await?)
    }

    /// The run whose rows it keeps, if it continues one.
    #[must_use]
    pub fn earlier(&self, request: &RunRequest) -> Option<EarlierRun> {
        EarlierRun::new(request, &self.output, &self.run, &self.keys)
    }

    /// What compacts its parts.
    #[must_use]
    pub fn compaction<'a>(&'a self, request: &RunRequest, earlier: Option<&'a EarlierRun>) -> Compaction<'a> {
        let vector = request.vector.as_ref().map(|vector| vector.stored);
        let counted = Counted::of_run(request);
        let output = self.output.as_ref();
        Compaction { output, run: &self.run, keys: &self.keys, vector, earlier, counted }
    }
}

#[cfg(test)]
mod tests;
