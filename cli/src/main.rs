//! The `tagfleet` command. It only wires: the stages are in the pipeline, models in the model crate.

mod analysis;
mod args;
mod bar;
mod command_line;
mod connection;
mod dispatch;
mod exit;
mod finished;
mod fit;
mod fleet;
mod inputs;
mod inspect;
mod loading;
mod model_source;
mod place;
mod plan;
mod prices;
mod report;
mod run;
mod run_id;
mod runtime;
mod shell;
mod show;
mod style;
mod summary_output;
mod tagger_process;

use std::process::ExitCode;

fn main() -> ExitCode {
    tagfleet_model::decode::quiet_panics();
    if let Err(error) = tagfleet_model::engine::telemetry::disable() {
        return exit::code(Err(exit::broken(error)), false);
    }
    let args = args::parse();
    exit::code(dispatch::execute(args.command), args.verbose)
}
