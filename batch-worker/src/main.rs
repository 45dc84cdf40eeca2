//! `batch-worker`: one worker of a fleet, an AWS Batch job that tags shards until the queue is empty or it is told to stop.
//!
//! Only wires: what a worker does with a shard stands in the pipeline, everything about models in the model crate. Exit
//! codes: 0 where the queue is empty or it gave back all it had, 1 where something broke, 2 for bad configuration.

mod configuration;
mod job;
mod loading;
mod log;
mod published_model;
mod shutdown;
mod usage;

use std::process::ExitCode;
use std::time::Duration;

use configuration::Configuration;

/// How long a thread that hangs may hold the process up once all else is done.
const LAST_GRACE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    tagfleet_model::decode::quiet_panics();
    let variable = |name: &str| std::env::var(name).ok();
    let configuration = match Configuration::new(variable, std::process::id()) {
        Ok(configuration) => configuration,
        Err(error) => return log::failure(&error, 2),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return log::failure(&error, 1),
    };
    let outcome = runtime.block_on(job::run(&configuration));
    runtime.shutdown_timeout(LAST_GRACE);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => log::failure(&format!("run {}: {error:#}", configuration.run), 1),
    }
}
