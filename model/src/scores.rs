//! One row of a model's scores to tags: activation, threshold, the labels asked for, order.
//!
//! It computes in f64 and in index order, so that the same scores give the same tags wherever they are
//! computed. It knows neither the image nor the engine.

use std::collections::{BTreeMap, HashSet};

use tagfleet_pipeline::run::TagOptions;
use tagfleet_pipeline::tags::Tag;
use thiserror::Error;

use crate::nearest::nearest;
use crate::preprocessing::Activation;

/// The default tags: the best 5, or of a multi-label model every label of at least 0.5, up to 50.
///
/// Scores that are used as they are may be negative, so the best 5 have no threshold: the lowest number there
/// is, because JSON has no infinity.
#[must_use]
pub fn default_options(activation: Activation, multi_label: bool) -> TagOptions {
    match activation {
        _ if multi_label => TagOptions::new(50, 0.5),
        Activation::None => TagOptions::new(5, f32::MIN),
        Activation::Softmax
        | Activation::Sigmoid
        | Activation::BinaryLogit
        | Activation::BinaryProbability => TagOptions::new(5, 0.0),
    }
}

/// Why options don't fit a model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OptionsError {
    /// `top_k` is 0.
    #[error("--top-k is 0, so no image would get a tag: give at least 1")]
    TopK,
    /// The threshold is not a number from 0 to 1.
    #[error("--threshold is {0}, but scores are between 0 and 1")]
    Threshold(String),
    /// The scores are used as they are, but the threshold is not a number that could be one.
    #[error("--threshold is {0}, which is not a finite number")]
    NotFinite(String),
    /// A label's threshold is not a number.
    #[error("the threshold of {label:?} is {threshold}, which is not a finite number")]
    LabelThreshold {
        /// The label.
        label: String,
        /// Its threshold.
        threshold: String,
    },
    /// A threshold is given for a label that the model does not have.
    #[error("a threshold is given for {label:?}, and the model has no such label; the nearest are {nearest}")]
    UnknownThreshold {
        /// The label.
        label: String,
        /// Those most like it, quoted.
        nearest: String,
    },
    /// `labels` is an empty list.
    #[error("--labels names no label")]
    NoLabels,
    /// Labels are asked for of a model that is run for its vector alone.
    #[error("the model gives no scores: --labels has nothing to choose from")]
    NoScores,
    /// A label that the model doesn't have.
    #[error("the model has no label {label:?}; the nearest are {nearest}")]
    UnknownLabel {
        /// The label asked for.
        label: String,
        /// Those most like it, quoted.
        nearest: String,
    },
}

/// Why a row of scores gives no tags: the model failed, whatever the image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScoresError {
    /// A score is NaN or infinite, so there is no order.
    #[error("the model's score for {label:?} is not a finite number")]
    NotFinite {
        /// The first such label.
        label: String,
    },
    /// Another number of scores than of labels.
    #[error("the model gave {scores} scores, but has {labels} labels")]
    Count {
        /// How many scores there were.
        scores: usize,
        /// How many labels there are.
        labels: usize,
    },
}

/// Ranks rows of scores; made once per run.
#[derive(Clone, Debug)]
pub struct Ranker {
    labels: Vec<String>,
    activation: Activation,
    top_k: usize,
    /// The outputs that may become tags, in the order of their indices.
    wanted: Vec<Wanted>,
}

/// An output of the model that may become a tag.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Wanted {
    index: u32,
    /// The lowest score of a tag.
    threshold: f32,
}

impl Ranker {
    /// A ranker for a model's labels.
    ///
    /// # Errors
    /// If the options can't be met by any image.
    pub fn new(
        labels: &[String],
        activation: Activation,
        options: &TagOptions,
    ) -> Result<Self, OptionsError> {
        if options.top_k == 0 {
            return Err(OptionsError::TopK);
        }
        check_threshold(activation, options.threshold)?;
        check_thresholds(labels, &options.thresholds)?;
        let threshold = |index: u32| {
            let own = labels.get(index as usize).and_then(|label| options.thresholds.get(label));
            Wanted { index, threshold: own.copied().unwrap_or(options.threshold) }
        };
        let wanted = wanted(labels, options.labels.as_deref())?.into_iter().map(threshold).collect();
        Ok(Self { labels: labels.to_vec(), activation, top_k: options.top_k as usize, wanted })
    }

    /// The tags of one image, highest score first, ties to the lower index. `scores` is the model's row for
    /// it.
    ///
    /// # Errors
    /// If a score is not a finite number, or there are more or fewer scores than labels.
    pub fn tags(&self, scores: &[f32]) -> Result<Vec<Tag>, ScoresError> {
        let expected = if self.activation.is_binary() { 1 } else { self.labels.len() };
        if scores.len() != expected {
            return Err(ScoresError::Count { scores: scores.len(), labels: self.labels.len() });
        }
        let probabilities = self.probabilities(scores)?;
        let mut ranked = Vec::new();
        for &Wanted { index, threshold } in &self.wanted {
            let score = probabilities[index as usize];
            if score >= threshold {
                ranked.push((score, index));
            }
        }
        let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if ranked.len() > self.top_k {
            ranked.select_nth_unstable_by(self.top_k - 1, order);
            ranked.truncate(self.top_k);
        }
        ranked.sort_unstable_by(order);
        let tag = |(score, index)| Tag { label: self.labels[index as usize].clone(), index, score };
        Ok(ranked.into_iter().map(tag).collect())
    }

    fn probabilities(&self, scores: &[f32]) -> Result<Vec<f32>, ScoresError> {
        let probabilities = match self.activation {
            Activation::Softmax => softmax(scores),
            Activation::Sigmoid => scores.iter().map(|&score| sigmoid(score)).collect(),
            Activation::None => scores.iter().map(|&score| score + 0.0).collect(),
            Activation::BinaryLogit => scores.first().map_or(vec![], |&score| both(sigmoid(score))),
            Activation::BinaryProbability => scores.first().map_or(vec![], |&score| both(score)),
        };
        match probabilities.iter().position(|probability| !probability.is_finite()) {
            Some(index) => Err(ScoresError::NotFinite { label: self.labels[index].clone() }),
            None => Ok(probabilities),
        }
    }
}

/// Probabilities are between 0 and 1; scores that are used as they are can be anything.
fn check_threshold(activation: Activation, threshold: f32) -> Result<(), OptionsError> {
    match activation {
        Activation::None if threshold.is_finite() => Ok(()),
        Activation::None => Err(OptionsError::NotFinite(threshold.to_string())),
        _ if (0.0..=1.0).contains(&threshold) => Ok(()),
        _ => Err(OptionsError::Threshold(threshold.to_string())),
    }
}

/// Every label that has a threshold is one of the model's, and every threshold is a number.
fn check_thresholds(labels: &[String], thresholds: &BTreeMap<String, f32>) -> Result<(), OptionsError> {
    let known: HashSet<&str> = labels.iter().map(String::as_str).collect();
    for (label, threshold) in thresholds {
        if !threshold.is_finite() {
            let threshold = threshold.to_string();
            return Err(OptionsError::LabelThreshold { label: label.clone(), threshold });
        }
        if !known.contains(label.as_str()) {
            let nearest = nearest_quoted(label, labels);
            return Err(OptionsError::UnknownThreshold { label: label.clone(), nearest });
        }
    }
    Ok(())
}

/// Makes sure that a model with `labels` has this one.
///
/// # Errors
/// [`OptionsError::UnknownLabel`], which names the labels that are spelt most alike.
pub fn check_label(label: &str, labels: &[String]) -> Result<(), OptionsError> {
    if labels.iter().any(|known| known == label) {
        return Ok(());
    }
    Err(OptionsError::UnknownLabel { label: label.to_owned(), nearest: nearest_quoted(label, labels) })
}

fn nearest_quoted(label: &str, labels: &[String]) -> String {
    nearest(label, labels).iter().map(|label| format!("{label:?}")).collect::<Vec<_>>().join(", ")
}

fn wanted(labels: &[String], only: Option<&[String]>) -> Result<Vec<u32>, OptionsError> {
    let Some(only) = only else { return Ok((0..labels.len() as u32).collect()) };
    if only.is_empty() {
        return Err(OptionsError::NoLabels);
    }
    if labels.is_empty() {
        return Err(OptionsError::NoScores);
    }
    for label in only {
        check_label(label, labels)?;
    }
    let indices = labels.iter().enumerate().filter(|(_, label)| only.contains(label));
    Ok(indices.map(|(index, _)| index as u32).collect())
}

/// The probabilities of two labels, from that of the second.
fn both(second: f32) -> Vec<f32> {
    vec![1.0 - second, second]
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f64> =
        scores.iter().map(|&score| (f64::from(score) - f64::from(largest)).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|exponential| (exponential / sum) as f32).collect()
}

fn sigmoid(score: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(score)).exp())) as f32
}

#[cfg(test)]
mod tests;
