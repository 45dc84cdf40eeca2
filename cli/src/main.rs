//! The `tagfleet` command. Only wires: every stage stands in the pipeline, everything about models in the model crate.

mod args;
mod bar;
mod begin;
mod command_line;
mod ending;
mod exit;
mod finished;
mod fit;
mod fleet;
mod inputs;
mod inspect;
mod loading;
mod place;
mod plan;
mod prices;
mod report;
mod run;
mod show;
mod tagger_process;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    tagfleet_model::decode::quiet_panics();
    let outcome = match Args::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Plan(options) => plan::plan(&options),
        Command::Inspect(options) => inspect::inspect(&options),
        Command::Fit(options) => fit::fit(&options),
        Command::Show(options) => show::show(&options),
        Command::Prices(options) => prices::prices(&options),
        Command::Report(options) => report::report(&options),
        Command::TaggerProcess => tagger_process::serve(),
        Command::Fleet(command) => fleet::run(&command),
    };
    exit::code(outcome)
}
