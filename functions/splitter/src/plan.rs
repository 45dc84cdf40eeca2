//! Plan, in the order that starts nothing if the request is wrong: the request, the source's region, the
//! plan, and only then the queue.

use tagfleet_cost::usage::Machine;
use tagfleet_fleet::plan::plan as plan_run;
use tagfleet_fleet::steps::Planned;
use tagfleet_fleet::{FleetRun, Stack};
use tagfleet_function::CallError;
use tagfleet_pipeline::bucket::{BucketError, Kind};

/// Plans a run and makes the queue of the execution, which comes last: it may still be refused by the day's
/// limit. `own_region` is that of the function.
pub(crate) async fn plan(
    stack: &Stack,
    fleet: &FleetRun,
    own_region: &str,
    source_region: impl AsyncFnOnce() -> Result<String, BucketError>,
    create_queue: impl AsyncFnOnce() -> Result<String, CallError>,
) -> Result<Planned, CallError> {
    if !fleet.valid.request.any_region {
        let found = source_region().await;
        check_region(fleet, own_region, &found.map_err(|error| of_source(fleet, error))?)?;
    }
    let planned = plan_run(stack, fleet).await?;
    Ok(Planned {
        output: fleet.valid.output.to_string(),
        queue_url: create_queue().await?,
        ranges: planned.ranges,
        device: fleet.valid.request.device,
        resumed: planned.resumed,
        notify: !fleet.valid.request.notify.is_empty(),
    })
}

/// A stack that was deployed without its image for GPUs names no machines that have one.
pub(crate) fn check_machines(machines: &[Machine]) -> Result<(), CallError> {
    if machines.is_empty() {
        return Err(CallError::bad_request(
            "the request is wrong: device: the stack was deployed without its image for GPUs: deploy it again with \
             GPU=yes, or ask for \"cpu\"",
        ));
    }
    Ok(())
}

fn check_region(fleet: &FleetRun, own: &str, found: &str) -> Result<(), CallError> {
    if own == found {
        return Ok(());
    }
    let source = &fleet.valid.source;
    Err(CallError::bad_request(format!(
        "the request is wrong: input: s3://{source} is in {found}, the stack in {own}: each image would pay for the \
         transfer; deploy a stack there, or set \"any_region\": true"
    )))
}

pub(crate) fn of_source(fleet: &FleetRun, error: BucketError) -> CallError {
    let source = &fleet.valid.source;
    let why = match error.kind {
        Kind::Temporary => return error.into(),
        Kind::Missing => format!("there is no bucket {source}"),
        Kind::Denied => {
            format!("s3://{source} cannot be listed ({error}): name the bucket in the stack's SourceBuckets")
        }
        _ => error.to_string(),
    };
    CallError::bad_request(format!("the request is wrong: input: {why}"))
}

#[cfg(test)]
mod tests;
