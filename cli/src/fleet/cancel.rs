//! `tagfleet cancel`: stops a run's execution, its job on AWS Batch, and its workers by deleting their queue.
//!
//! Finished work is kept: `tagfleet resume` continues from there.

use tagfleet_aws::{ServiceError, queues};
use tagfleet_fleet::FleetRun;

use super::executions::Executions;
use super::jobs;
use super::local_run;
use super::stack::{FleetStack, FoundRun};
use crate::args::CancelOptions;
use crate::connection;
use crate::exit::{Exit, Failure, bad_input, broken, print};

pub(super) async fn cancel(options: &CancelOptions) -> Result<Exit, Failure> {
    local_run::refuse(&options.run)?;
    let stack = FleetStack::find(&options.stack).await?;
    let FoundRun { run, fleet } = stack.run(&options.run).await?;
    let executions = Executions::of(&stack, &run).await?;
    let Some(execution) = executions.running() else {
        let why = match executions.latest() {
            Some(ended) => format!("run {run} has ended already ({})", ended.status.to_lowercase()),
            None => format!("run {run} has no execution that is known"),
        };
        return Err(bad_input(format!(
            "{why}: nothing to cancel; see `{}`",
            stack.command(&format!("status {run}"))
        )));
    };
    stack.aws.stop_execution(&execution.arn, &options.cause).await.map_err(connection::of_service)?;
    // Step Functions ends the job, too, if it can; a worker that gets its signal twice ends once.
    if let Some(fleet) = &fleet {
        end_job(&stack, fleet, &options.cause).await?;
    }
    delete_queue(&stack, &execution.name).await.map_err(|error| {
        broken(format!(
            "{error}\nrun {run} is cancelled, but its queue is still there, so workers may continue for a while: \
             delete the queue {}",
            queue_name(&stack, &execution.name)
        ))
    })?;
    print(&format!(
        "run {run} is cancelled; workers stop within minutes, and finished work is kept\nto resume: {}\n",
        stack.command(&format!("resume {run}"))
    ))?;
    Ok(Exit::Finished)
}

async fn end_job(stack: &FleetStack, fleet: &FleetRun, cause: &str) -> Result<(), Failure> {
    let ended = match jobs::latest(stack, fleet).await {
        Ok(Some(job)) if !job.has_ended() => stack.aws.terminate_job(&job.id, cause).await,
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    ended.map_err(|error| {
        broken(format!(
            "{error}\nrun {} is cancelled, but its workers may run until they have noticed: end the job tagfleet-{} in AWS Batch",
            fleet.run, fleet.run
        ))
    })
}

/// Workers whose queue is deleted give up their shards and end.
async fn delete_queue(stack: &FleetStack, execution: &str) -> Result<(), ServiceError> {
    match stack.aws.find_queue(&queue_name(stack, execution)).await? {
        Some(url) => stack.aws.delete_queue(&url).await,
        // The run was cancelled before it had a queue.
        None => Ok(()),
    }
}

fn queue_name(stack: &FleetStack, execution: &str) -> String {
    queues::queue_name(&stack.outputs.queue_prefix, execution)
}
