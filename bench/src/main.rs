//! `make bench`: what tagfleet costs on this machine, by stage and as a whole, and what its peers cost.
//!
//! It measures and records; it never asserts that something is fast. Generated files are below
//! `target/bench`.

mod args;
mod child;
mod context;
mod embedded;
mod engines;
mod goals;
mod gpu;
mod machine;
mod measure;
mod models;
mod output;
mod peers;
mod pictures;
mod place;
mod render;
mod results;
mod rows;
mod runs;
mod session;
mod stages;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    tagfleet_model::decode::quiet_panics();
    let args = args::Args::parse();
    output::code(output::quiet_engines().and_then(|()| session::run(&args)))
}
