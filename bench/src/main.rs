//! `make bench`: what tagfleet costs on this machine, stage by stage and as a whole, beside what others cost.
//!
//! It measures and writes down; it never asserts that something is fast. Everything it makes stands below `target/bench`.

mod args;
mod child;
mod embedded;
mod engines;
mod goals;
mod gpu;
mod machine;
mod measure;
mod models;
mod parts;
mod peers;
mod pictures;
mod place;
mod render;
mod results;
mod runs;
mod stages;
mod told;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    tagfleet_model::decode::quiet_panics();
    let args = Args::parse();
    let outcome = told::quiet_engines().and_then(|()| match &args.command {
        None => parts::measure(&args.options),
        Some(Command::AsPeer(options)) => peers::as_peer::run(options),
        Some(Command::Alone(options)) => gpu::alone::run(options),
        Some(Command::ConstantTaggerProcess) => embedded::serve_constant(),
    });
    told::code(outcome)
}
