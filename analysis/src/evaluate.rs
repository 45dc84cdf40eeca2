//! Evaluation: the rows of a run against the truth -> accuracy, precision and recall of each label,
//! confusions, calibration, and thresholds.
//!
//! It merges two streams in key order. A row without a truth, a truth without a row, a failed row and a label
//! that the model does not have are counted and named, and are in no figure. It guesses no label: the caller
//! resolves what a text of the truth means.

mod calibration;
mod figures;
mod join;
mod text;
mod thresholds;

use std::collections::BTreeMap;

use serde::Serialize;
use tagfleet_pipeline::earlier::RunRows;
use tagfleet_pipeline::reduce::Counted;

pub use calibration::{Calibration, CalibrationBin};
pub use thresholds::{LabelThreshold, Thresholds};

use crate::truth::Truth;
use crate::{AnalysisError, Example, Subject};
use join::Join;

/// The version of the stored form.
pub const EVALUATION_VERSION: u32 = 1;

/// How good the tags of a run are, by a truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// [`EVALUATION_VERSION`].
    pub version: u32,
    /// The run.
    pub run: Subject,
    /// Where the truth is from: a file, or `folders`.
    pub truth: String,
    /// `best` if an image has one label, and its best tag is the model's answer; `all` if it may have
    /// several, and every tag is an answer.
    pub counted: Counted,
    /// Images by what could be done with them.
    pub images: ImageCounts,
    /// Failed rows that have a truth, by error code.
    pub failed: BTreeMap<String, u64>,
    /// Some keys that only the truth has.
    pub only_in_truth: Vec<String>,
    /// Some keys that only the run has.
    pub only_in_run: Vec<String>,
    /// Labels of the truth that the model does not have, the most frequent first; at most 100.
    pub unknown_labels: Vec<UnknownLabel>,
    /// The share of evaluated images whose best tag is right; none if there are none.
    pub top_1: Option<f64>,
    /// The share of which one of the best five tags is right; none if rows hold fewer than five.
    pub top_5: Option<f64>,
    /// If several labels count: the share whose tags are exactly the labels of the truth.
    pub exact: Option<f64>,
    /// Means over labels and images.
    pub averages: Averages,
    /// Every label that is in the truth or was given, in the order of names.
    pub labels: Vec<LabelFigures>,
    /// Which label was taken for which, the most frequent first; at most 100.
    pub confusions: Vec<Confusion>,
    /// Images of all other confusions.
    pub other_confusions: u64,
    /// How far scores are probabilities; none if they are not between 0 and 1.
    pub calibration: Option<Calibration>,
    /// Thresholds for the precision that was asked for.
    pub thresholds: Option<Thresholds>,
    /// What limits the figures.
    pub notes: Vec<String>,
}

/// Images by what could be done with them; they add up to the keys of the run and the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageCounts {
    /// In the figures.
    pub evaluated: u64,
    /// In both, but failed in the run.
    pub failed: u64,
    /// In both, but the model has none of the labels of the truth.
    pub unknown_label: u64,
    /// In both, but the truth names no label.
    pub without_label: u64,
    /// Only in the truth.
    pub only_in_truth: u64,
    /// Only in the run.
    pub only_in_run: u64,
}

/// A label of the truth that the model does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnknownLabel {
    /// As the truth spells it.
    pub label: String,
    /// Images of the truth that have it.
    pub images: u64,
}

/// Precision, recall and their harmonic mean, from 0 to 1. A ratio of nothing is 0, as in scikit-learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// Of the images that were given the label, the share that has it.
    pub precision: f64,
    /// Of the images that have the label, the share that was given it.
    pub recall: f64,
    /// 2 · precision · recall / (precision + recall).
    pub f1: f64,
}

/// Means of [`Scores`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Averages {
    /// Every label counts the same.
    #[serde(rename = "macro")]
    pub of_labels: Scores,
    /// Every label counts as often as it is in the truth.
    pub weighted: Scores,
    /// Every image counts the same: of all answers and all labels together.
    pub micro: Scores,
}

/// The figures of one label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelFigures {
    /// The label, as the model names it.
    pub label: String,
    /// Its scores.
    #[serde(flatten)]
    pub scores: Scores,
    /// Images that have it by the truth.
    pub support: u64,
    /// Images that were given it.
    pub predicted: u64,
}

/// Images with a label that were given another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confusion {
    /// The label of the truth; none for a tag that is wrong, if several labels count.
    pub truth: Option<String>,
    /// The label that was given; none for no tag, or for a label that was missed, if several labels count.
    pub predicted: Option<String>,
    /// Images.
    pub images: u64,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// Finds the labels of the model that a text of a truth means; none if there are none.
pub type Resolve<'a> = dyn Fn(&str) -> Vec<String> + 'a;

/// What is evaluated.
pub struct Evaluated<'a> {
    /// The run.
    pub subject: Subject,
    /// Its rows, with tags, before the first.
    pub rows: &'a mut RunRows,
    /// The right labels.
    pub truth: &'a Truth,
    /// What the truth's labels mean.
    pub resolve: &'a Resolve<'a>,
    /// The share of right tags that thresholds should reach, from 0 to 1.
    pub precision: Option<f64>,
}

/// Evaluates a run.
///
/// # Errors
/// If rows cannot be read, or truth and run have no key in common.
pub async fn evaluate(evaluated: Evaluated<'_>) -> Result<Evaluation, AnalysisError> {
    let Evaluated { subject, rows, truth, resolve, precision } = evaluated;
    let mut join = Join::new(&subject, resolve, precision.is_some());
    match truth {
        Truth::File(file) => join.with_file(rows, file).await?,
        Truth::Folders => join.with_folders(rows).await?,
    }
    let name = truth.name().to_owned();
    Ok(join.finish(subject, name, precision))
}

#[cfg(test)]
mod tests;
