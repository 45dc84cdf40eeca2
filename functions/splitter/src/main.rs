//! The splitter: takes requests that were put into the stack's bucket, plans runs, splits their key ranges.

mod action;
mod event;
mod limits;
mod plan;
mod request;
mod splitter;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

use splitter::Splitter;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let splitter = Splitter::from_environment().await.map_err(|error| error.message)?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| splitter.answer(event))).await
}
