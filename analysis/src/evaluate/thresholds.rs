//! For each label the lowest score from which its tags are right as often as asked for.
//!
//! A tag is right if the truth has its label, whatever its place in the row: a run with thresholds keeps tags
//! by their score alone. The lowest such score keeps most tags. A label of few tags gets no threshold,
//! because few tags prove little: with ten right ones of ten, the precision is at least 0.74 with 95 %
//! confidence (0.05 to the power of a tenth).

use serde::Serialize;
use tagfleet_pipeline::format::visible;

use crate::labels::{LabelId, Labels, OTHER};

/// Tags of a label that a threshold must keep at least.
const MIN_TAGS: u64 = 10;

/// Thresholds for a precision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Thresholds {
    /// The share of right tags that was asked for.
    pub precision: f64,
    /// Every label that has tags among the evaluated rows, in the order of names.
    pub labels: Vec<LabelThreshold>,
}

/// The threshold of one label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelThreshold {
    /// The label.
    pub label: String,
    /// Tags of the label in the evaluated rows.
    pub tags: u64,
    /// Of these, right.
    pub right: u64,
    /// Whether there are too few tags to find a threshold.
    pub too_few: bool,
    /// The lowest score; none if no score reaches the precision, or there are too few tags.
    pub threshold: Option<f32>,
    /// Tags with at least that score.
    pub kept: u64,
    /// Of these, right.
    pub kept_right: u64,
}

/// The scores of a label's tags.
#[derive(Clone, Debug, Default)]
struct TagScores {
    right: Vec<f32>,
    wrong: Vec<f32>,
}

/// The scores of all tags of evaluated rows, by label: four bytes per tag.
#[derive(Debug, Default)]
pub(super) struct AllScores(Vec<TagScores>);

impl AllScores {
    pub(super) fn add(&mut self, id: LabelId, score: f32, is_right: bool) {
        if id >= OTHER {
            return;
        }
        let place = id as usize;
        if place >= self.0.len() {
            self.0.resize(place + 1, TagScores::default());
        }
        let scores = &mut self.0[place];
        if is_right { scores.right.push(score) } else { scores.wrong.push(score) }
    }

    pub(super) fn finish(&self, precision: f64, labels: &Labels) -> Thresholds {
        let mut found = Vec::new();
        for (id, name) in labels.iter() {
            let Some(scores) = self.0.get(id as usize) else { continue };
            let (tags, right) = ((scores.right.len() + scores.wrong.len()) as u64, scores.right.len() as u64);
            if tags == 0 {
                continue;
            }
            let lowest = scores.lowest(precision);
            found.push(LabelThreshold {
                label: name.to_owned(),
                tags,
                right,
                too_few: tags < MIN_TAGS,
                threshold: lowest.map(|kept| kept.threshold),
                kept: lowest.map_or(0, |kept| kept.tags),
                kept_right: lowest.map_or(0, |kept| kept.right),
            });
        }
        found.sort_by(|a, b| a.label.cmp(&b.label));
        Thresholds { precision, labels: found }
    }
}

/// What a threshold keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kept {
    threshold: f32,
    tags: u64,
    right: u64,
}

impl TagScores {
    /// Goes down the scores, tags of one score together, and keeps the last that reaches the precision.
    fn lowest(&self, precision: f64) -> Option<Kept> {
        let right = self.right.iter().map(|score| (*score, true));
        let mut tags: Vec<(f32, bool)> =
            right.chain(self.wrong.iter().map(|score| (*score, false))).collect();
        tags.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut lowest = None;
        let mut kept = Kept { threshold: f32::INFINITY, tags: 0, right: 0 };
        for group in tags.chunk_by(|a, b| a.0 == b.0) {
            kept.threshold = group[0].0;
            kept.tags += group.len() as u64;
            kept.right += group.iter().filter(|(_, is_right)| *is_right).count() as u64;
            if kept.tags >= MIN_TAGS && kept.right as f64 / kept.tags as f64 >= precision {
                lowest = Some(kept);
            }
        }
        lowest
    }
}

impl Thresholds {
    /// The file that `tagfleet run --thresholds` reads. A label for which no score is good enough is never
    /// given; a label with too few tags has the run's own threshold.
    #[must_use]
    pub fn toml(&self, run: &str, truth: &str) -> String {
        let mut toml = format!(
            "# Thresholds for a precision of {} of each label, found by tagfleet {} on the run {run}\n\
             # with the truth {}. Labels that are not here have the run's --threshold.\n\n[thresholds]\n",
            self.precision,
            env!("CARGO_PKG_VERSION"),
            visible(truth)
        );
        for label in &self.labels {
            let (name, of) = (quoted(&label.label), format!("{} of {} tags", label.kept_right, label.kept));
            match label.threshold {
                Some(threshold) => toml.push_str(&format!("{name} = {threshold:?} # {of} are right\n")),
                None if label.too_few => {
                    toml.push_str(&format!("# {}: only {} tags\n", visible(&label.label), label.tags));
                }
                None => toml.push_str(&format!(
                    "{name} = \"never\" # no score is good enough: {} of {} tags are right\n",
                    label.right, label.tags
                )),
            }
        }
        toml
    }
}

/// A basic string of TOML: JSON's escapes, and DEL, which JSON does not escape.
fn quoted(text: &str) -> String {
    // A string always has a JSON form.
    serde_json::to_string(text).unwrap_or_default().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scores(tags: &[(u8, bool)]) -> TagScores {
        let mut scores = AllScores::default();
        for (score, is_right) in tags {
            scores.add(0, f32::from(*score) / 50.0, *is_right);
        }
        scores.0.pop().unwrap_or_default()
    }

    proptest! {
        /// Against every score that a tag has.
        #[test]
        fn no_lower_score_reaches_the_precision(
            tags in prop::collection::vec((0_u8..50, any::<bool>()), 0..80), precision in 0.0..=1.0,
        ) {
            let found = scores(&tags).lowest(precision);
            let mut expected: Option<Kept> = None;
            for (score, _) in &tags {
                let kept: Vec<bool> =
                    tags.iter().filter(|(other, _)| other >= score).map(|(_, is_right)| *is_right).collect();
                let right = kept.iter().filter(|is_right| **is_right).count() as u64;
                let kept = Kept { threshold: f32::from(*score) / 50.0, tags: kept.len() as u64, right };
                let reaches = kept.tags >= MIN_TAGS && right as f64 / kept.tags as f64 >= precision;
                if reaches && expected.is_none_or(|lowest| kept.threshold < lowest.threshold) {
                    expected = Some(kept);
                }
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_file_names_every_label() {
        let label = |label: &str, tags, right, threshold| LabelThreshold {
            label: label.to_owned(),
            tags,
            right,
            too_few: tags < MIN_TAGS,
            threshold,
            kept: if threshold.is_some() { 20 } else { 0 },
            kept_right: if threshold.is_some() { 19 } else { 0 },
        };
        let labels = vec![
            label("a \"b\"\n\u{7f}", 40, 30, Some(0.1)),
            label("cat", 40, 1, None),
            label("rare\n[thresholds]", 3, 3, None),
        ];
        let thresholds = Thresholds { precision: 0.95, labels };
        let toml = thresholds.toml("nightly-1", "labels\n.csv");
        insta::assert_snapshot!(toml.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }
}
