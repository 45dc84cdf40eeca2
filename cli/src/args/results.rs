//! The command lines of what reads results: `show`, `report`, `evaluate` and `diff`.
//!
//! Parsing only; each option is explained where it is used.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::StackOptions;

const EVALUATE: &str = "\
The file of the truth has a column for the key (key, path, file, filename, ...) and one or more for the labels (label, labels, \
class, ...). A key may have several rows. Labels are found whatever their case, by each synonym between commas, and by number.

Exit codes:
  0  evaluated
  1  broken: a full disk, a failing bucket, a bug
  2  bad usage or bad input, or no key of the truth is in the run";

const DIFF: &str = "\
Exit codes:
  0  compared
  1  broken: a full disk, a failing bucket, a bug
  2  bad usage or bad input
  5  compared, and more images changed their label than --max-flips allows";

#[derive(Debug, ClapArgs)]
pub(crate) struct ShowOptions {
    /// A run's folder, or the folder given as --out (then its latest complete run)
    pub(crate) run: PathBuf,
    /// How many rows at most [default: 20; with --keys-only all]
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) rows: Option<usize>,
    /// Only images that failed
    #[arg(long, conflicts_with_all = ["label", "below"])]
    pub(crate) failed: bool,
    /// Only images with this best tag; with sigmoid, images with this tag
    #[arg(long, value_name = "NAME")]
    pub(crate) label: Option<String>,
    /// Only images whose best score is below this, lowest first
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub(crate) below: Option<f32>,
    /// Print keys only, as `tagfleet run --keys -` reads them: one per line, in key order unless -n is given
    /// with --below; if a key has a line break, a NUL byte follows each key instead
    #[arg(long)]
    pub(crate) keys_only: bool,
    /// Print only the folder of the rows
    #[arg(long, conflicts_with_all = ["rows", "failed", "label", "below", "keys_only", "json"])]
    pub(crate) path: bool,
    /// Print as JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReportOptions {
    /// A run's folder, or the folder given as --out (then its latest run), s3://bucket/prefix/RUN, or a run
    /// of the fleet
    pub(crate) run: OsString,
    /// Open report.html in the browser
    #[arg(long)]
    pub(crate) open: bool,
    /// Write a copy of report.html to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) stack: StackOptions,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = EVALUATE)]
pub(crate) struct EvaluateOptions {
    /// A run's folder, or the folder given as --out (then its latest run), s3://bucket/prefix/RUN, or a run
    /// of the fleet
    pub(crate) run: OsString,
    /// File with the right labels, CSV, JSON lines or Parquet; `folders` if each image's folder is named
    /// after its label
    #[arg(long, value_name = "FILE|folders")]
    pub(crate) truth: PathBuf,
    /// Also find the threshold of each label from which this share of its tags is right, and write
    /// thresholds.toml for `tagfleet run --thresholds`
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) precision: Option<f64>,
    /// Folder for evaluation.json, evaluation.html and thresholds.toml, which replace earlier ones
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) out: PathBuf,
    /// Print evaluation.json instead of text
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) stack: StackOptions,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = DIFF)]
pub(crate) struct DiffOptions {
    /// The earlier run: a folder, s3://bucket/prefix/RUN, or a run of the fleet
    pub(crate) a: OsString,
    /// The later run
    pub(crate) b: OsString,
    /// Exit with code 5 if a larger share of the images tagged in both runs changed its label: 0.01 or 1%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) max_flips: Option<f64>,
    /// Folder for diff.json, diff.html and flips.csv, which replace earlier ones
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) out: PathBuf,
    /// Print diff.json instead of text
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) stack: StackOptions,
}

/// `0.95` or `95%`, from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.trim().parse(),
    };
    let share = share.ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?} is not a share: give a number from 0 to 1, or a percentage"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        assert_eq!(
            ["0.95", "95%", " 95 % ", "0", "1", "100%"].map(share),
            [0.95, 0.95, 0.95, 0.0, 1.0, 1.0].map(Ok)
        );
        for wrong in ["", "%", "95", "-0.1", "101%", "NaN", "inf"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
