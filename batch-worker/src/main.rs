//! `batch-worker`: an AWS Batch job that tags shards until the queue is empty or it is asked to stop.
//!
//! Only wires: the pipeline decides what a worker does with a shard, and the model crate has everything about
//! models. Exit codes: 0 if the queue is empty or its share of the budget is spent, 1 if something broke, 2
//! for bad configuration, 75 if it was interrupted and gave its shards back. The job definitions have AWS
//! Batch replace it then.

mod budgeted_queue;
mod configuration;
mod gpu;
mod job;
mod log;
mod published_model;
mod shutdown;
mod tagger_process;
mod usage;

use std::process::ExitCode;

use configuration::Configuration;
use tagfleet_model::engine::telemetry;

fn main() -> ExitCode {
    tagfleet_model::decode::quiet_panics();
    if let Err(error) = telemetry::disable() {
        return log::failure(&error, 1);
    }
    if tagger_process::is_this() {
        return tagger_process::serve();
    }
    let variable = |name: &str| std::env::var(name).ok();
    let configuration = match Configuration::new(variable, std::process::id()) {
        Ok(configuration) => configuration,
        Err(error) => return log::failure(&error, 2),
    };
    match job::run(&configuration) {
        Ok(outcome) => outcome.into(),
        Err(error) => log::failure(&format!("run {}: {error:#}", configuration.run), 1),
    }
}
