//! The command line, as clap sees it: every flag and its help.
//!
//! Parsing only; each option is explained where it is used.

mod choice;
mod count;
mod fit;
mod fleet;
mod prices;
mod results;
mod select;
mod shell;
mod thresholds;
mod version;
mod wrong;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use tagfleet_fleet::request::TagOverrides;
use tagfleet_model::engine::{DeviceChoice, EngineChoice, Precision};
use tagfleet_model::isolation::Patience;
use tagfleet_pipeline::earlier::EarlierChoice;
use tagfleet_pipeline::run::VectorType;

use crate::tagger_process;

pub(crate) use fit::FitOptions;
pub(crate) use fleet::{
    CancelOptions, DEFAULT_STACK, DoctorOptions, FleetCommand, ResumeOptions, StackOptions, StatusOptions,
    SubmitOptions,
};
pub(crate) use prices::{PricesCommand, PricesOptions, RefreshPricesOptions, ShowPricesOptions};
pub(crate) use results::{DiffOptions, EvaluateOptions, ReportOptions, ShowOptions};
pub(crate) use select::SelectOptions;
pub(crate) use shell::{CompletionsOptions, ManOptions};
pub(crate) use thresholds::Thresholds;
pub(crate) use version::SHORT as VERSION;

/// Tags every image of a folder or an S3 bucket with your own ONNX model.
#[derive(Debug, Parser)]
#[command(version = VERSION, propagate_version = true, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print the details behind an error
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// The command line of this process. An error, `--help` and `--version` end the process.
pub(crate) fn parse() -> Args {
    if std::env::args_os().nth(1).is_some_and(|first| first == tagger_process::SUBCOMMAND) {
        return Args { command: Command::TaggerProcess, verbose: false };
    }
    let mut command = command();
    if version::is_asked(std::env::args_os()) {
        command = command.long_version(version::long());
    }
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let args = parsed.and_then(|matches| Args::from_arg_matches(&matches));
    args.unwrap_or_else(|error| wrong::stop(error.format(&mut command), &command))
}

/// The command line that clap parses. A request file has all options of a fleet's run, so no variable sets
/// those options of `submit`.
pub(crate) fn command() -> clap::Command {
    let of_request = fleet::REQUEST_FLAGS;
    Args::command().mut_subcommand("submit", |submit| {
        submit.mut_args(|arg| {
            let is_of_request = of_request.contains(&arg.get_id().as_str());
            if is_of_request { arg.env(None) } else { arg }
        })
    })
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tag the images of folders, files, a bucket's prefixes, or a list of keys
    Run(RunOptions),
    /// Estimate time and cost of a fleet run
    Plan(PlanOptions),
    /// Show how a model is read, and the tags of one picture
    Inspect(InspectOptions),
    /// Find a model's preprocessing on sample pictures and write it to tagfleet.toml
    Fit(FitOptions),
    /// Show rows of a run: the first, a label's, the least certain or the failed
    Show(ShowOptions),
    /// Compare a run's tags with the truth: accuracy, confusions, thresholds
    Evaluate(EvaluateOptions),
    /// Compare two runs: which tags changed, which images are new, deleted or failed
    Diff(DiffOptions),
    /// Show or refresh AWS prices
    Prices(PricesOptions),
    /// Show a run's summary and cost, and open its report
    Report(ReportOptions),
    /// Print completions for a shell
    Completions(CompletionsOptions),
    /// Print a manual page, or write all of them
    Man(ManOptions),
    /// The child process that tagfleet starts. Clap does not know it, because it would suggest a hidden
    /// command.
    #[command(skip)]
    TaggerProcess,
    #[command(flatten)]
    Fleet(FleetCommand),
}

const EXIT_CODES: &str = "\
Exit codes:
  0  finished: every image is tagged
  1  broken: a full disk, a failing engine, a bug
  2  bad usage or bad input
  3  finished, some images failed: their rows say why
  4  interrupted or incomplete: run the same command to resume";

#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RunOptions {
    /// Folders (read recursively) and image files, or prefixes of one bucket, s3://bucket/prefix
    #[arg(required = true)]
    pub(crate) input: Vec<OsString>,
    #[command(flatten)]
    pub(crate) model: ModelOptions,
    /// Folder or s3://bucket/prefix for the results; each run gets a folder of its own in it
    #[arg(long, value_name = "PLACE", env = "TAGFLEET_OUT", hide_env_values = true)]
    pub(crate) out: OsString,
    #[command(flatten)]
    pub(crate) select: SelectOptions,
    #[command(flatten)]
    pub(crate) tags: TagOptions,
    /// Write this output of the model whole, as the column `vector`
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    /// How `vector` is stored
    #[arg(long, requires = "output", default_value = "f32", value_parser = choice::vector_type())]
    pub(crate) vector: VectorType,
    /// Device that runs the model; auto uses a GPU if ONNX Runtime can use one
    #[arg(long, default_value = "auto", value_parser = choice::run_device(), env = "TAGFLEET_DEVICE", hide_env_values = true)]
    pub(crate) device: DeviceChoice,
    /// Start a new run even if an unfinished one could be resumed
    #[arg(long)]
    pub(crate) new: bool,
    /// Keep the rows of this earlier run in --out for images that are the same, and tag only new and changed
    /// ones; `latest` is the latest run that fits
    #[arg(long, value_name = "RUN", conflicts_with = "retry")]
    pub(crate) since: Option<EarlierChoice>,
    /// Exit with code 5 if a larger share of the images tagged in both runs has other tags: 0.01 or 1%
    #[arg(long, value_name = "SHARE", value_parser = results::share, requires = "since")]
    pub(crate) max_flips: Option<f64>,
    /// Tag only the failed images of this earlier run in --out again, and keep its other rows
    #[arg(long, value_name = "RUN", conflicts_with_all = ["keys", "manifest", "include", "exclude", "all_files"])]
    pub(crate) retry: Option<EarlierChoice>,
    /// Record any number of unreadable images as failed rows; by default a run
    /// stops if they are more than 1 % and more than 10
    #[arg(long)]
    pub(crate) accept_denied: bool,
    /// Seconds that an image may take before it fails as `crashed`; 1 to 90
    #[arg(long, value_name = "SECONDS", default_value_t = Patience::IMAGE_SECONDS,
        value_parser = clap::value_parser!(u64).range(1..=Patience::MAX_IMAGE_SECONDS))]
    pub(crate) image_timeout: u64,
    /// Count what would be read, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress, no notes: only the summary, and errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
    // Last, because its heading holds for every flag after it.
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
    #[command(flatten)]
    pub(crate) buckets: BucketOptions,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PlanOptions {
    /// Folders and image files, or prefixes of one bucket, s3://bucket/prefix; a sample is measured on this
    /// machine
    #[arg(required = true)]
    pub(crate) input: Vec<OsString>,
    #[command(flatten)]
    pub(crate) model: ModelOptions,
    #[command(flatten)]
    pub(crate) select: SelectOptions,
    /// Plan a run that keeps the rows of this earlier run in --out; `latest` is the latest one of this input
    /// and model
    #[arg(long, value_name = "RUN", requires = "out")]
    pub(crate) since: Option<EarlierChoice>,
    /// Folder or s3://bucket/prefix where the earlier run is
    #[arg(long, value_name = "PLACE", requires = "since")]
    pub(crate) out: Option<OsString>,
    /// Plan for this many images instead of the input's: 300000, 300k, 300M, 3B
    #[arg(long, value_name = "N", value_parser = count::count)]
    pub(crate) images: Option<u64>,
    /// Finish within this time: 6h, 90m
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<String>,
    /// The most vCPUs at once [default: the stack's MaxVcpus; 256 if there is no stack]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_vcpus: Option<u32>,
    /// Price file from `tagfleet prices refresh`; overrides built-in prices
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// Write the recommended run as a request file for `submit --request`; publishes a local model
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    pub(crate) save: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    // Last, because its heading holds for every flag after it.
    #[command(flatten)]
    pub(crate) stack: StackOptions,
    #[command(flatten)]
    pub(crate) buckets: BucketOptions,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InspectOptions {
    /// The model, as --model of `run` names it
    pub(crate) model: PathBuf,
    /// A picture to tag
    pub(crate) image: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) loading: LoadOptions,
    /// Device that runs the model; auto uses a GPU if ONNX Runtime can use one
    #[arg(long, default_value = "auto", value_parser = choice::run_device())]
    pub(crate) device: DeviceChoice,
    #[command(flatten)]
    pub(crate) tags: TagOptions,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ModelOptions {
    /// An .onnx file, a folder as Hugging Face's ONNX export makes it, a name on its hub (OWNER/NAME), an
    /// https address of an .onnx file, or s3://bucket/prefix
    #[arg(long, value_name = "MODEL", env = "TAGFLEET_MODEL", hide_env_values = true)]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) loading: LoadOptions,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct LoadOptions {
    /// Which .onnx file of the model's folder, such as model_quantized.onnx
    #[arg(long, value_name = "NAME")]
    pub(crate) model_file: Option<String>,
    /// Download a model from the Hugging Face hub or an https address if it is not on this machine
    #[arg(long)]
    pub(crate) download: bool,
    /// Inference engine; auto prefers OpenVINO for int8 (QDQ) models, else ONNX Runtime, else the built-in
    /// tract
    #[arg(long, default_value = "auto", value_parser = choice::engine(), env = "TAGFLEET_ENGINE", hide_env_values = true)]
    pub(crate) engine: EngineChoice,
    /// Precision of floats; bf16 needs OpenVINO and a suitable processor, fp16 a GPU; both are faster and
    /// less exact
    #[arg(long, default_value = "fp32", value_parser = choice::precision())]
    pub(crate) precision: Precision,
    /// ONNX Runtime's library, its folder, or a Python environment that has it
    #[arg(long, value_name = "PATH", env = "TAGFLEET_ONNXRUNTIME", hide_env_values = true)]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// The library of OpenVINO's C interface, or its folder, instead of the usual places
    #[arg(long, value_name = "PATH", env = "TAGFLEET_OPENVINO", hide_env_values = true)]
    pub(crate) openvino: Option<PathBuf>,
    /// Ignore EXIF orientation
    #[arg(long)]
    pub(crate) no_exif: bool,
    /// Decode large JPEGs at full size (slower); by default they are decoded at a reduced size where that is
    /// safe
    #[arg(long)]
    pub(crate) exact: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TagOptions {
    /// At most this many tags per image [default: 5; with sigmoid 50]
    #[arg(long, value_name = "N")]
    pub(crate) top_k: Option<u32>,
    /// Only tags with at least this score [default: none; with sigmoid 0.5]
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub(crate) threshold: Option<f32>,
    /// Thresholds of single labels, as `tagfleet evaluate --precision` writes them
    #[arg(long, value_name = "FILE", value_parser = Thresholds::read)]
    pub(crate) thresholds: Option<Thresholds>,
    /// Only this label; may be given several times
    #[arg(long, value_name = "LABEL")]
    pub(crate) labels: Vec<String>,
}

impl TagOptions {
    /// The defaults of a model that they override.
    pub(crate) fn overrides(&self) -> TagOverrides {
        TagOverrides {
            top_k: self.top_k,
            threshold: self.threshold,
            labels: Some(self.labels.clone()).filter(|labels| !labels.is_empty()),
            thresholds: self.thresholds.as_ref().map(|thresholds| thresholds.0.clone()),
        }
    }
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "AWS")]
pub(crate) struct AwsOptions {
    /// A profile of the AWS configuration files
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The region of the buckets and the stack
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Option<String>,
    /// Where AWS is, instead of its own endpoints
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
}

/// How requests to buckets of other people are made.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "AWS")]
pub(crate) struct BucketOptions {
    /// Read a public bucket without credentials
    #[arg(long)]
    pub(crate) no_sign_request: bool,
    /// Pay for the requests and the transfer if the bucket's owner makes the requester pay
    #[arg(long, value_enum, value_name = "WHO")]
    pub(crate) request_payer: Option<RequestPayer>,
}

/// Who pays for requests, as the AWS CLI spells it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RequestPayer {
    Requester,
}
