//! The commands that use a stack on AWS: what they take.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use tagfleet_fleet::request::Device;
use tagfleet_pipeline::run::VectorType;

use super::{AwsOptions, LoadOptions, TagOptions, choice};

#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// Tag the images of a bucket with a fleet on AWS
    Submit(Box<SubmitOptions>),
    /// Show the progress of a fleet run, or list recent runs
    Status(StatusOptions),
    /// Stop a fleet run; finished work is kept
    Cancel(CancelOptions),
    /// Resume a cancelled, failed, incomplete or over-budget fleet run
    Resume(ResumeOptions),
    /// Check that the stack, or this machine, can run, and what to fix
    Doctor(DoctorOptions),
}

/// The stack that is meant if none is named.
pub(crate) const DEFAULT_STACK: &str = "tagfleet";

const EXIT_CODES: &str = "\
Exit codes:
  0  started; with --wait: finished, and every image is tagged
  1  broken: AWS or the run failed, and the error says where
  2  bad usage, or a request that is wrong: nothing was started
  3  with --wait: finished, some images failed: their rows say why
  4  with --wait: the run was cancelled, is incomplete or stopped at its budget; or this command was interrupted and the run continues";

/// The options that `--request` replaces: the file has all of them.
pub(super) const REQUEST_FLAGS: [&str; 31] = [
    "since",
    "max_flips",
    "input",
    "model",
    "model_file",
    "download",
    "engine",
    "precision",
    "onnxruntime",
    "openvino",
    "no_exif",
    "exact",
    "out",
    "manifest",
    "key_column",
    "include",
    "exclude",
    "all_files",
    "top_k",
    "threshold",
    "thresholds",
    "labels",
    "output",
    "device",
    "workers",
    "max_usd",
    "deadline",
    "notify",
    "no_mail_link",
    "any_region",
    "plan",
];

#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct SubmitOptions {
    /// S3 prefixes to tag (same bucket, not nested)
    #[arg(value_name = "PREFIX", required_unless_present_any = ["request", "retry"])]
    pub(crate) input: Vec<String>,
    /// A model to publish, as --model of `run` names it, or a published one, s3://bucket/models/NAME/
    #[arg(long, value_name = "PLACE", required_unless_present_any = ["request", "retry"])]
    pub(crate) model: Option<OsString>,
    #[command(flatten)]
    pub(crate) loading: LoadOptions,
    /// Request file, as --save writes it
    #[arg(long, value_name = "FILE", conflicts_with_all = REQUEST_FLAGS)]
    pub(crate) request: Option<PathBuf>,
    /// Tag only the failed images of this run again, and keep its other rows; everything else is as that run
    /// was requested
    #[arg(long, value_name = "RUN", conflicts_with_all = REQUEST_FLAGS, conflicts_with = "request")]
    pub(crate) retry: Option<String>,
    /// Keep the rows of this earlier run with the same output for images that are the same, and tag only new
    /// and changed ones; `latest` is the latest run that fits
    #[arg(long, value_name = "RUN")]
    pub(crate) since: Option<String>,
    /// Warn in the mail if a larger share of the images tagged in both runs has other tags: 0.01 or 1%
    #[arg(long, value_name = "SHARE", value_parser = super::results::share, requires = "since")]
    pub(crate) max_flips: Option<f64>,
    /// s3://bucket/prefix for the results [default: tags/ in the stack's bucket]; each run gets a folder of
    /// its own in it
    #[arg(long, value_name = "PLACE")]
    pub(crate) out: Option<String>,
    /// List of objects in place of a listing, s3://bucket/key: S3 Inventory's manifest.json, or a file or
    /// folder of Parquet, CSV or JSON lines with a column of keys
    #[arg(long, value_name = "LIST")]
    pub(crate) manifest: Option<String>,
    /// The manifest's column of keys, or its number in CSV without a header [default: key, path and others]
    #[arg(long, value_name = "NAME")]
    pub(crate) key_column: Option<String>,
    /// Tag only keys that match this glob; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Exclude keys that match this glob; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Also read hidden files, system files and plain text, which are skipped by default
    #[arg(long)]
    pub(crate) all_files: bool,
    #[command(flatten)]
    pub(crate) tags: TagOptions,
    /// Write this output of the model whole, as the column `vector`
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    /// How `vector` is stored
    #[arg(long, requires = "output", default_value = "f32", value_parser = choice::vector_type())]
    pub(crate) vector: VectorType,
    /// Device of the workers
    #[arg(long, default_value = "cpu", value_parser = choice::fleet_device())]
    pub(crate) device: Device,
    /// At most this many workers [default: one per 50,000 images, at most 100]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<u32>,
    /// Stop before the run costs more than this, in dollars; `resume` continues it
    #[arg(long, value_name = "USD")]
    pub(crate) max_usd: Option<f64>,
    /// Finish within this time, such as 6h or 90m, with up to --workers workers
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<String>,
    /// Mail the report to this address at the end; may be given several times
    #[arg(long, value_name = "EMAIL")]
    pub(crate) notify: Vec<String>,
    /// Do not link to the report in the mail
    #[arg(long)]
    pub(crate) no_mail_link: bool,
    /// Allow images from another region; you pay for the transfer
    #[arg(long)]
    pub(crate) any_region: bool,
    /// Plan to compare the bill with, from `tagfleet plan --json`
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    /// Write the request to this file instead of starting a run; publishes a local model
    #[arg(long, value_name = "FILE", conflicts_with_all = ["request", "wait"])]
    pub(crate) save: Option<PathBuf>,
    /// Show progress until the run has ended, then its summary
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print what was started as JSON; with --wait the summary
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress, no notes: only the result, and errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) stack: StackOptions,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StatusOptions {
    /// The run, as `submit` named it; without it, the latest executions
    pub(crate) run: Option<String>,
    /// Refresh every few seconds until the run ends; the exit code is that of `submit --wait`
    #[arg(long, requires = "run", conflicts_with = "json")]
    pub(crate) watch: bool,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) stack: StackOptions,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CancelOptions {
    /// The run, as `submit` named it
    pub(crate) run: String,
    /// Reason for the cancellation
    #[arg(long, value_name = "TEXT", default_value = "cancelled with tagfleet cancel")]
    pub(crate) cause: String,
    #[command(flatten)]
    pub(crate) stack: StackOptions,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ResumeOptions {
    /// The run, as `submit` named it
    pub(crate) run: String,
    /// New limit in dollars, including the cost so far
    #[arg(long, value_name = "USD")]
    pub(crate) max_usd: Option<f64>,
    /// Record any number of unreadable images as failed rows; by default a run
    /// stops if they are more than 1 % and more than 10
    #[arg(long)]
    pub(crate) accept_denied: bool,
    /// Show progress until the run has ended, then its summary
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print what was started as JSON; with --wait the summary
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress, no notes: only the result, and errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) stack: StackOptions,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exit codes: 0 if a run can start, with or without warnings; 1 if something must be fixed first."
)]
pub(crate) struct DoctorOptions {
    /// Check this machine instead of the stack: engines, processor, memory; asks no network
    #[arg(long, conflicts_with_all = ["profile", "region", "endpoint_url"])]
    pub(crate) local: bool,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) stack: StackOptions,
}

// Last in each command, because its heading holds for every flag after it.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "AWS")]
pub(crate) struct StackOptions {
    /// The CloudFormation stack that `make deploy` made
    #[arg(long, value_name = "NAME", default_value = DEFAULT_STACK, env = "TAGFLEET_STACK", hide_env_values = true)]
    pub(crate) stack: String,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}
