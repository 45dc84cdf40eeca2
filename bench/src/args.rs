//! The command line of `bench`, as clap sees it.
//!
//! It only parses.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::gpu::options::{AloneOptions, GpuDevice};
use crate::results::Part;

/// Measures tagfleet on this machine: each stage alone, whole runs, and its peers.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tag a folder with `tagfleet run`, as a peer of the harness
    #[command(hide = true)]
    AsPeer(AsPeerOptions),
    /// Measure one stage of a run on a GPU
    #[command(hide = true)]
    Alone(AloneOptions),
    /// Serve taggers that look at nothing, as a run's child process
    #[command(hide = true)]
    ConstantTaggerProcess,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Options {
    /// A folder of JPEGs to measure with, instead of generated pictures
    #[arg(long, value_name = "DIR")]
    pub(crate) photos: Option<PathBuf>,
    /// A folder with the peers: bench.py, peer_*.py, and their Python environment in venv/
    #[arg(long, value_name = "DIR")]
    pub(crate) peers: Option<PathBuf>,
    /// The Python of the peers' environment, if it is not their venv/
    #[arg(long, value_name = "PATH", requires = "peers")]
    pub(crate) peers_python: Option<PathBuf>,
    /// The Python that exports the models; it needs bench/requirements.txt
    #[arg(long, value_name = "PATH", default_value = ".venv-bench/bin/python")]
    pub(crate) python: PathBuf,
    /// The tagfleet to measure, instead of the one that was built with this program
    #[arg(long, value_name = "PATH")]
    pub(crate) tagfleet: Option<PathBuf>,
    /// How often each figure is measured; its median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repetitions: u32,
    /// Measure only this part; may be given several times. The others keep their figures
    #[arg(long, value_name = "PART", value_enum)]
    pub(crate) only: Vec<Part>,
    /// Check that everything works, on a few pictures; BENCHMARKS.md does not change
    #[arg(long)]
    pub(crate) quick: bool,
    /// The device that replaces a GPU in a quick try
    #[arg(long, value_enum, default_value_t = GpuDevice::Cuda, requires = "quick", hide = true)]
    pub(crate) device: GpuDevice,
    /// Measure nothing: write BENCHMARKS.md again from bench/results.json
    #[arg(long, conflicts_with_all = ["photos", "peers", "only", "quick"])]
    pub(crate) render: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AsPeerOptions {
    /// The folder of pictures
    #[arg(long)]
    pub(crate) images: PathBuf,
    /// The graph in a model's folder
    #[arg(long)]
    pub(crate) model: PathBuf,
    /// The folder of the results
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// The cores that the harness gives to each competitor
    #[arg(long)]
    pub(crate) threads: usize,
    /// The tagfleet to start
    #[arg(long)]
    pub(crate) tagfleet: PathBuf,
    /// The folder of the model, instead of the harness's
    #[arg(long)]
    pub(crate) instead: Option<PathBuf>,
    /// Further arguments of `tagfleet run`
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}
