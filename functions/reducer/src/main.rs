//! The reducer: compares shards and parts, compacts, finishes a run, sends its mail.

mod action;
mod mail;
mod metrics;
mod reducer;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

use reducer::Reducer;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let reducer = Reducer::from_environment().await.map_err(|error| error.message)?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| reducer.answer(event))).await
}
