//! An event of the stack's bucket: a request file was put, so its run is started.
//!
//! The run's id is made of what the event names, so an event that comes twice starts one run, and a corrected
//! request another. The request's bytes are copied first, so that later changes of the file do not change the
//! run. The bucket's other objects start nothing.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tagfleet_aws::ServiceError;
use tagfleet_aws::executions::StartOutcome;
use tagfleet_fleet::Stack;
use tagfleet_fleet::request::MAX_REQUEST_BYTES;
use tagfleet_function::CallError;
use tagfleet_pipeline::bucket::{Bucket, Kind};
use tagfleet_pipeline::format::hex;
use tagfleet_pipeline::run::{RunId, StackKeys};

/// What the id keeps of the request's name: with a hash behind it the whole stays within an id's 64.
const MAX_NAME: usize = 34;
/// Bytes of the hash: 12 hexadecimal digits.
const HASH_BYTES: usize = 6;

/// An event of S3, as EventBridge delivers it; its key is not URL-encoded.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct ObjectCreated {
    #[serde(rename = "detail-type")]
    detail_type: String,
    /// When the object was put, UTC, `2026-11-12T00:00:00Z`; the same in each delivery. EventBridge always
    /// gives it.
    time: Option<String>,
    detail: Detail,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Detail {
    bucket: BucketName,
    object: CreatedObject,
}

#[derive(Debug, PartialEq, Deserialize)]
struct BucketName {
    name: String,
}

#[derive(Debug, PartialEq, Deserialize)]
struct CreatedObject {
    key: String,
    etag: Option<String>,
    /// Orders the writes of one key, and differs between them.
    sequencer: String,
}

/// The outcome of an event.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventOutcome {
    /// This run was started, now or by an earlier delivery of the event.
    Started(RunId),
    /// Nothing was started, and why.
    Skipped(String),
}

/// Starts the run of an event's request.
pub(crate) async fn handle(
    stack: &Stack,
    event: &ObjectCreated,
    start: impl AsyncFnOnce(&RunId) -> Result<StartOutcome, ServiceError>,
) -> Result<EventOutcome, CallError> {
    let (bucket, object) = (&event.detail.bucket.name, &event.detail.object);
    if event.detail_type != "Object Created" {
        return Ok(EventOutcome::Skipped(format!(
            "the event is {:?}, not \"Object Created\"",
            event.detail_type
        )));
    }
    if *bucket != stack.name {
        return Ok(EventOutcome::Skipped("the object is in another bucket than the stack's".to_owned()));
    }
    let Some(name) = StackKeys::request_name(&object.key) else {
        return Ok(EventOutcome::Skipped(
            "the object is not a request: those are requests/NAME.json".to_owned(),
        ));
    };
    let run = run_id(name, event.time.as_deref(), &event.detail)?;
    if let Some(why) = copy_request(stack.bucket.as_ref(), object, &run).await? {
        return Ok(EventOutcome::Skipped(why));
    }
    // One that exists was started by an earlier delivery.
    start(&run).await?;
    Ok(EventOutcome::Started(run))
}

/// Copies the request to where its run reads it, or returns why not, if it is no longer the event's version.
async fn copy_request(
    bucket: &dyn Bucket,
    object: &CreatedObject,
    run: &RunId,
) -> Result<Option<String>, CallError> {
    let etag = object.etag.as_deref();
    match bucket.get(&object.key, etag, MAX_REQUEST_BYTES).await {
        Ok(request) => {
            bucket.put_if_absent(&StackKeys::run(run), request.bytes).await?;
            Ok(None)
        }
        Err(error) => match error.kind {
            Kind::Missing => Ok(Some("the request was deleted since".to_owned())),
            Kind::Changed => Ok(Some("the request was put again since, by an event of its own".to_owned())),
            Kind::TooLarge => Err(CallError::bad_request(format!("the request is wrong: {error}"))),
            _ => Err(error.into()),
        },
    }
}

/// The id of the run that a write of a request starts: as much of its name as an id can hold, the time of the
/// write, so that the runs of one file sort by their start, and a hash of what the event names.
fn run_id(name: &str, time: Option<&str>, detail: &Detail) -> Result<RunId, CallError> {
    let Detail { bucket: BucketName { name: bucket }, object: CreatedObject { key, sequencer, .. } } = detail;
    let mut plain = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            plain.push(c);
        } else if !plain.is_empty() && !plain.ends_with('-') {
            plain.push('-');
        }
    }
    plain.truncate(MAX_NAME);
    let plain = match plain.trim_end_matches('-') {
        "" => "run",
        plain => plain,
    };
    let hash = Sha256::digest(format!("{bucket}\0{key}\0{sequencer}"));
    let digits = hex(&hash[..HASH_BYTES]);
    let time = time.and_then(time_in_id).unwrap_or_default();
    RunId::try_from(format!("{plain}{time}-{digits}")).map_err(|error| CallError::broken(error.to_string()))
}

/// `-20261112-000000`, as ids of other runs have it.
fn time_in_id(time: &str) -> Option<String> {
    let digits: String = time.chars().filter(char::is_ascii_digit).take(14).collect();
    let (day, second) = digits.split_at_checked(8)?;
    (digits.len() == 14).then(|| format!("-{day}-{second}"))
}

#[cfg(test)]
mod tests;
