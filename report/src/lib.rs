//! The report of a run: its summary as JSON for programs and as text for people, a mail and a page.
//!
//! ```text
//! counts, usage, bill ──► Summary ──┬──► text for a terminal, JSON
//!                                   ├──► mail: text and HTML
//! thumbnails ──► samples, chooser ──┴──► html: one self-contained page
//! ```
//!
//! A summary starts like this:
//!
//! ```text
//! run      20261126-012330-a62884: complete
//! images   60: 60 tagged, 0 failed
//! ```
//!
//! Why not a template engine with files? Keys, labels and messages are hostile, and `maud` escapes them where
//! the markup is written, checked by the compiler. Why no dashboard? A page without requests can be kept,
//! mailed and opened years later.
//!
//! Pure: values in, text and bytes out, so that every form of it is a snapshot test. It never reads a bucket
//! or a clock; `tagfleet_fleet::page` stores what it makes.

pub mod binding;
pub mod chooser;
pub mod command;
pub mod html;
pub mod mail;
mod reasons;
pub mod samples;
mod summary_text;
mod text;
pub mod throughput;
mod verdict;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::binding::Binding;
use tagfleet_cost::Cost;
use tagfleet_cost::usage::Usage;
use tagfleet_pipeline::filter::Skipped;
use tagfleet_pipeline::format::{count, images, share};
use tagfleet_pipeline::reduce::{Counted, Flips, TagCounts};
use tagfleet_pipeline::run::{RunId, Since};
use tagfleet_pipeline::shard::kept::Difference;
use tagfleet_pipeline::tags::slowest::Slowest;

/// The version of the summary's stored form.
pub const SUMMARY_VERSION: u32 = 1;

/// The version of tagfleet, as the summary records it.
pub const TAGFLEET_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Labels that a summary names.
const LABELS: usize = 5;

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Every input has its row.
    Complete,
    /// It was stopped and can be taken up again.
    Interrupted,
    /// Some shards could not be tagged in any round.
    Incomplete,
    /// What it may cost is spent.
    StoppedAtBudget,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Summary {
    /// [`SUMMARY_VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// Its state.
    pub state: State,
    /// Inputs of the run.
    pub images: u64,
    /// Inputs that have a row.
    pub rows: u64,
    /// Of these, tagged.
    pub tagged: u64,
    /// Of these, failed, by error code.
    pub failed: BTreeMap<String, u64>,
    /// Its most frequent tags.
    #[serde(default)]
    pub tags: TopTags,
    /// The earlier run that it continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// How its inputs differ from those of the earlier run, if it continues one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// How its tags differ from those of the earlier run, if it continues one and is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flips: Option<Flips>,
    /// The largest share of flipped images that the user accepts, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_flips: Option<f64>,
    /// Files that are not meant as images and were not read.
    #[serde(default, skip_serializing_if = "Skipped::is_empty")]
    pub skipped: Skipped,
    /// Tagged images that the first decoder refused and the second read.
    pub second_decoder: u64,
    /// Images that took the longest. Those that were kept from before a stop are not among them.
    #[serde(default, skip_serializing_if = "Slowest::is_empty")]
    pub slowest: Slowest,
    /// Shards without a part, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_shards: Vec<String>,
    /// The model's name.
    pub model: String,
    /// Over all files of the model.
    pub model_sha256: String,
    /// Why the results are probably wrong, if the model's preprocessing had to be guessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Engine, version, precision: `onnxruntime 1.32.0 fp32`.
    pub engine: String,
    /// Threads that tagged.
    pub threads: usize,
    /// Images that a thread tagged at once in the end, which was the fastest number; 0 if that is not known.
    #[serde(default)]
    pub batch_size: u64,
    /// Images tagged or failed by this process, or all workers of a fleet. It differs from `rows` if a run
    /// was resumed or a shard came twice.
    pub images_here: u64,
    /// Wall time that this process took to split, infer and reduce, or the fleet to infer, in seconds.
    pub seconds_here: f64,
    /// The place of the rows, for people.
    pub results: String,
    /// When it ended, in seconds since 1970, UTC; 0 if that is not known.
    #[serde(default)]
    pub ended: u64,
    /// The version of tagfleet that ended it, `0.1.0`.
    #[serde(default)]
    pub tagfleet: String,
    /// The command line that started it, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The folder that the command line was given in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_folder: Option<String>,
    /// Commands, a line each, that tag the failed images again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// Its bottleneck, if a device ran the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Binding>,
    /// What a fleet used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it cost, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Why the cost is not known, if it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_problem: Option<String>,
    /// What went wrong in the last round, if the run is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The most frequent tags of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TopTags {
    /// Which tags of an image count.
    pub counted: Counted,
    /// At most five, the most frequent first.
    pub labels: Vec<LabelCount>,
    /// Different labels that were counted.
    pub different: u64,
}

/// A label and the images that have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LabelCount {
    /// The label.
    pub label: String,
    /// Images of which it is the best tag, or that have it at all.
    pub images: u64,
}

impl TopTags {
    /// The most frequent of `tags`.
    #[must_use]
    pub fn new(tags: &TagCounts, counted: Counted) -> Self {
        let all = tags.most_frequent(usize::MAX, counted);
        let named = all
            .iter()
            .take(LABELS)
            .map(|(label, count)| LabelCount { label: (*label).to_owned(), images: count.of(counted) });
        Self { counted, labels: named.collect(), different: all.len() as u64 }
    }
}

impl Summary {
    /// Images per second of this process; 0 if it had none.
    #[must_use]
    pub fn images_per_second(&self) -> f64 {
        if self.seconds_here > 0.0 { self.images_here as f64 / self.seconds_here } else { 0.0 }
    }

    /// The earlier run that it continues, and how its inputs differ; `None` if it continues none.
    fn since_in_words(&self) -> Option<String> {
        Some(format!("{}: {}", self.since.as_ref()?.run, self.difference?))
    }

    /// How many images have other tags than in the earlier run; `None` if that is not known.
    fn flips_in_words(&self) -> Option<String> {
        let flips = self.flips?;
        let (flipped, all) = (flips.flipped as f64, flips.same + flips.flipped);
        let limit = match self.max_flips {
            Some(max) if self.has_too_many_flips() => format!(", more than the limit of {}", share(max, 1.0)),
            Some(max) => format!(", within the limit of {}", share(max, 1.0)),
            None => String::new(),
        };
        let have = if flips.flipped == 1 { "has another tag" } else { "have other tags" };
        Some(format!(
            "{} of {} tagged in both runs {have} ({}){limit}",
            count(flips.flipped),
            images(all),
            share(flipped, all as f64)
        ))
    }

    /// True if a larger share of images has other tags than the user accepts.
    #[must_use]
    pub fn has_too_many_flips(&self) -> bool {
        let share = self.flips.and_then(|flips| flips.share());
        share.zip(self.max_flips).is_some_and(|(share, max)| share > max)
    }

    /// All failed rows.
    #[must_use]
    pub fn all_failed(&self) -> u64 {
        self.failed.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests;
