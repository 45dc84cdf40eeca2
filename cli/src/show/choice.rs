//! Which rows `show` takes: by failure, by label, by score.
//!
//! With softmax every image has every label a little, so a label is that of an image only if it is the best
//! one. It reads the labels of a run's request, and no row by itself.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs;

use serde::Deserialize;
use tagfleet_model::scores::check_label;

use super::row::Row;
use crate::args::ShowOptions;
use crate::exit::{Failure, bad_input, tell};
use crate::finished::FinishedRun;

pub(super) struct Choice {
    only_failed: bool,
    label: Option<String>,
    /// Whether each label holds by itself.
    multi_label: bool,
    below: Option<f32>,
}

/// The labels of a model in a request of any version.
#[derive(Deserialize)]
struct Labels {
    labels: Vec<String>,
    multi_label: bool,
}

#[derive(Deserialize)]
struct Model {
    spec: Labels,
}

#[derive(Deserialize)]
struct Request {
    model: Model,
}

impl Choice {
    pub(super) fn new(options: &ShowOptions, run: &FinishedRun) -> Result<Self, Failure> {
        if options.below.is_some_and(|score| !score.is_finite()) {
            return Err(bad_input("--below needs a number, such as 0.5"));
        }
        let mut multi_label = false;
        if let Some(label) = &options.label {
            match labels(run) {
                Ok(known) => {
                    check_label(label, &known.labels)
                        .map_err(|error| bad_input(format!("--label: {error}")))?;
                    multi_label = known.multi_label;
                }
                Err(failure) => tell(&format!(
                    "warning: {}: {}: --label takes images whose best tag it is, and cannot check its spelling",
                    run.request.display(),
                    failure.message()
                )),
            }
        }
        let (label, below) = (options.label.clone(), options.below);
        Ok(Self { only_failed: options.failed, label, multi_label, below })
    }

    pub(super) fn takes(&self, row: &Row) -> bool {
        if row.failed.is_some() {
            return self.only_failed || (self.label.is_none() && self.below.is_none());
        }
        !self.only_failed && self.is_label_of(row) && self.below.is_none_or(|score| best(row) < score)
    }

    fn is_label_of(&self, row: &Row) -> bool {
        let Some(wanted) = &self.label else { return true };
        let considered = if self.multi_label { row.tags.len() } else { 1 };
        row.tags.iter().take(considered).any(|tag| tag.label == *wanted)
    }
}

fn labels(run: &FinishedRun) -> Result<Labels, Failure> {
    let text = fs::read(&run.request).map_err(bad_input)?;
    let request: Request = serde_json::from_slice(&text).map_err(bad_input)?;
    Ok(request.model.spec)
}

/// An image without a tag is less certain than any with one: its best score was below the run's threshold.
fn best(row: &Row) -> f32 {
    row.tags.first().map_or(f32::NEG_INFINITY, |tag| tag.score)
}

/// A row by its best score, then by its place in key order.
struct Ranked {
    place: usize,
    row: Row,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        best(&self.row).total_cmp(&best(&other.row)).then(self.place.cmp(&other.place))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

/// The `limit` rows with the lowest best scores, lowest first; no more than that is ever held.
pub(super) fn lowest(
    rows: impl Iterator<Item = Result<Row, Failure>>,
    limit: usize,
) -> Result<Vec<Row>, Failure> {
    let mut kept = BinaryHeap::new();
    for (place, row) in rows.enumerate() {
        kept.push(Ranked { place, row: row? });
        if kept.len() > limit {
            kept.pop();
        }
    }
    Ok(kept.into_sorted_vec().into_iter().map(|ranked| ranked.row).collect())
}

#[cfg(test)]
mod tests {
    use super::super::row::ShownTag;
    use super::*;

    fn row(key: &str, tags: &[(&str, f32)]) -> Row {
        let tag = |(label, score): &(&str, f32)| ShownTag { label: (*label).to_owned(), score: *score };
        Row { key: key.to_owned(), failed: None, tags: tags.iter().map(tag).collect() }
    }

    fn choice(label: &str, multi_label: bool, below: Option<f32>) -> Choice {
        Choice { only_failed: false, label: Some(label.to_owned()), multi_label, below }
    }

    #[test]
    fn a_label_is_the_best_tag_unless_each_holds_by_itself() {
        let photo = row("a", &[("cat", 0.9), ("dog", 0.05)]);
        assert!(choice("cat", false, None).takes(&photo));
        assert!(!choice("dog", false, None).takes(&photo));
        assert!(choice("dog", true, None).takes(&photo));
        assert!(!choice("cat", false, Some(0.9)).takes(&photo), "not below its own score");
        assert!(choice("cat", false, Some(0.91)).takes(&photo));
    }

    #[test]
    fn the_least_certain_come_first() {
        let rows =
            [("a", 0.9), ("b", 0.1), ("c", 0.5), ("d", 0.1)].map(|(key, score)| row(key, &[("x", score)]));
        let rows = rows.into_iter().chain([row("e", &[])]);
        let keys: Vec<String> = lowest(rows.map(Ok), 3).unwrap().into_iter().map(|row| row.key).collect();
        assert_eq!(keys, ["e", "b", "d"]);
    }
}
