//! Executions of the state machine: start, describe, list, stop.
//!
//! A start under a used name is not an error, so that an event that comes twice starts one run. It never
//! waits for an execution.

use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::operation::start_execution::StartExecutionError;
use aws_sdk_sfn::primitives::DateTime;
use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::Aws;
use crate::error::ServiceError;

const SERVICE: &str = "Step Functions";
/// The most executions that are listed, the newest; the service keeps those of 90 days.
const MAX_LISTED: usize = 1000;

/// The result of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// It runs, under this ARN; or ran already with the same input.
    New(String),
    /// An execution of this name has another input, or has ended.
    AlreadyExists,
}

/// An execution of a state machine. Times are seconds since 1970, UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// Its name; no other execution can get it.
    pub name: String,
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED` or `PENDING_REDRIVE`.
    pub status: String,
    /// When it was started.
    pub started: u64,
    /// When it ended; `None` while it runs.
    pub stopped: Option<u64>,
    /// Its input, JSON; `None` in a listing.
    pub input: Option<String>,
    /// The error that it failed with; `None` in a listing.
    pub error: Option<String>,
    /// The message of that error; `None` in a listing.
    pub cause: Option<String>,
}

impl Execution {
    /// Whether it may still run steps.
    #[must_use]
    pub fn is_running(&self) -> bool {
        [ExecutionStatus::Running, ExecutionStatus::PendingRedrive].iter().any(|status| self.has(status))
    }

    /// Whether it ended without an error.
    #[must_use]
    pub fn has_succeeded(&self) -> bool {
        self.has(&ExecutionStatus::Succeeded)
    }

    /// Whether a user stopped it.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.has(&ExecutionStatus::Aborted)
    }

    fn has(&self, status: &ExecutionStatus) -> bool {
        self.status == status.as_str()
    }
}

impl Aws {
    /// Starts an execution of the state machine with this ARN; `input` is JSON.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn start_execution(
        &self,
        machine_arn: &str,
        name: &str,
        input: &str,
    ) -> Result<StartOutcome, ServiceError> {
        let start = self.states.start_execution().state_machine_arn(machine_arn).name(name).input(input);
        match start.send().await {
            Ok(started) => Ok(StartOutcome::New(started.execution_arn)),
            Err(error) => {
                let refusal = error.as_service_error();
                if refusal.is_some_and(StartExecutionError::is_execution_already_exists) {
                    return Ok(StartOutcome::AlreadyExists);
                }
                Err(fail("StartExecution", name, &error))
            }
        }
    }

    /// The execution with this ARN.
    ///
    /// # Errors
    /// See [`ServiceError`]; one that does not exist is `Missing`.
    pub async fn describe_execution(&self, arn: &str) -> Result<Execution, ServiceError> {
        let described = self.states.describe_execution().execution_arn(arn).send().await;
        described.map(described_execution).map_err(|error| fail("DescribeExecution", arn, &error))
    }

    /// The executions of a state machine, newest first: at most the last thousand.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn list_executions(&self, machine_arn: &str) -> Result<Vec<Execution>, ServiceError> {
        let mut executions = Vec::new();
        let mut token = None;
        loop {
            let list = self.states.list_executions().state_machine_arn(machine_arn).set_next_token(token);
            let page = list.send().await.map_err(|error| fail("ListExecutions", machine_arn, &error))?;
            executions.extend(page.executions.into_iter().map(listed_execution));
            token = page.next_token;
            if token.is_none() || executions.len() >= MAX_LISTED {
                executions.truncate(MAX_LISTED);
                return Ok(executions);
            }
        }
    }

    /// Stops the execution with this ARN for the reason `cause`; one that has ended stays as it is.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn stop_execution(&self, arn: &str, cause: &str) -> Result<(), ServiceError> {
        let stop = self.states.stop_execution().execution_arn(arn).error("Cancelled").cause(cause);
        stop.send().await.map(|_| ()).map_err(|error| fail("StopExecution", arn, &error))
    }
}

fn fail<E>(action: &str, resource: &str, error: &SdkError<E, HttpResponse>) -> ServiceError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    ServiceError::from_sdk(SERVICE, action, resource, error)
}

fn described_execution(described: DescribeExecutionOutput) -> Execution {
    Execution {
        name: described.name.unwrap_or_else(|| name_of(&described.execution_arn)),
        arn: described.execution_arn,
        status: described.status.as_str().to_owned(),
        started: seconds(&described.start_date),
        stopped: described.stop_date.as_ref().map(seconds),
        input: described.input,
        error: described.error,
        cause: described.cause,
    }
}

fn listed_execution(item: ExecutionListItem) -> Execution {
    Execution {
        arn: item.execution_arn,
        name: item.name,
        status: item.status.as_str().to_owned(),
        started: seconds(&item.start_date),
        stopped: item.stop_date.as_ref().map(seconds),
        input: None,
        error: None,
        cause: None,
    }
}

/// An execution's ARN ends in its name.
fn name_of(arn: &str) -> String {
    arn.rsplit(':').next().unwrap_or_default().to_owned()
}

fn seconds(time: &DateTime) -> u64 {
    u64::try_from(time.secs()).unwrap_or(0)
}
