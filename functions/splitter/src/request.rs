//! A request that came as the input of an execution: it is stored as the request of any other run, and plan
//! reads it there.
//!
//! The execution's name becomes the run's id, so that the caller that starts an execution knows its run. The
//! request is not judged here: plan does that for every run, so that the mail and `tagfleet status` report
//! what is wrong with it.

use serde_json::Value;
use tagfleet_fleet::request::MAX_REQUEST_BYTES;
use tagfleet_function::CallError;
use tagfleet_pipeline::bucket::{Bucket, Put};
use tagfleet_pipeline::run::{RunId, StackKeys};

/// Stores the request of a run that has none yet. Repeated with the same request, it changes nothing.
pub(crate) async fn store(bucket: &dyn Bucket, execution: &str, request: &Value) -> Result<RunId, CallError> {
    let run = RunId::try_from(execution.to_owned()).map_err(|error| {
        CallError::bad_request(format!(
            "an execution that is started with a request gives its run its name, and {error}: start it under another \
             name, or without one"
        ))
    })?;
    let key = StackKeys::run(&run);
    if bucket.put_if_absent(&key, request.to_string().into()).await? == Put::Created {
        return Ok(run);
    }
    let stored = bucket.get(&key, None, MAX_REQUEST_BYTES).await?.bytes;
    // It may have been written by hand, with its fields in another order.
    if serde_json::from_slice::<Value>(&stored).is_ok_and(|stored| stored == *request) {
        return Ok(run);
    }
    Err(CallError::bad_request(format!(
        "there is a run {run} with another request already: start the execution under another name, or continue that run \
         with the input {{\"run\": \"{run}\"}}"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tagfleet_fleet::ErrorType;
    use tagfleet_pipeline::bucket::memory::MemoryBucket;

    use super::*;

    #[tokio::test]
    async fn a_request_is_stored_once_and_another_of_the_same_name_refused() {
        let bucket = MemoryBucket::default();
        let request = json!({"version": 1, "input": ["s3://shop/a/"], "model": "s3://stack/models/m/"});
        for _ in 0..2 {
            assert_eq!(store(&bucket, "nightly-7", &request).await.unwrap().as_str(), "nightly-7");
        }
        let error = store(&bucket, "nightly-7", &json!({"version": 1})).await.unwrap_err();
        assert_eq!(error.error_type, ErrorType::BadRequest);
        assert!(error.message.contains("a run nightly-7 with another request"), "{}", error.message);
        let stored = bucket.get("runs/nightly-7.json", None, MAX_REQUEST_BYTES).await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&stored.bytes).unwrap(), request);
    }

    #[tokio::test]
    async fn a_name_that_no_run_can_have_is_refused() {
        let bucket = MemoryBucket::default();
        let error = store(&bucket, "Nightly_7", &json!({})).await.unwrap_err();
        assert_eq!(error.error_type, ErrorType::BadRequest);
        assert!(error.message.contains("\"Nightly_7\" is not a run ID"), "{}", error.message);
    }
}
