//! The command line of `tagfleet fit`.
//!
//! Parsing only; each option is explained where it is used.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{AwsOptions, LoadOptions};

const ABOUT: &str = "\
Pictures count as labelled if they are in folders that are named after labels, or if --truth names their labels. Labelled \
pictures decide more: ten are often enough.

Exit codes:
  0  finished, also if the pictures cannot decide: the text says so
  1  broken: a full disk, a failing engine, a bug
  2  bad usage or bad input";

#[derive(Debug, ClapArgs)]
#[command(after_help = ABOUT)]
pub(crate) struct FitOptions {
    /// The model, as --model of `run` names it
    pub(crate) model: PathBuf,
    /// Folder of pictures (read recursively), of the kind that the model is meant for
    #[arg(long, value_name = "FOLDER")]
    pub(crate) images: PathBuf,
    /// CSV file with the columns file and label; the files are below --images
    #[arg(long, value_name = "FILE")]
    pub(crate) truth: Option<PathBuf>,
    /// How many of the pictures to try, spread over the labels or folders
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub(crate) sample: u16,
    /// Where to write the page with the pictures and their tags
    #[arg(long, value_name = "FILE", default_value = "fit.html")]
    pub(crate) page: PathBuf,
    /// Where to write the description that was found [default: tagfleet.toml in the model's folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace an existing tagfleet.toml; write it also if the pictures cannot decide
    #[arg(long)]
    pub(crate) force: bool,
    /// Print the ranking, write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) loading: LoadOptions,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}
