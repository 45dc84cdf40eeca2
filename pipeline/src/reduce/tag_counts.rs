//! How often each label was given, and with which scores: counted while rows are copied, for the report.
//!
//! Bounded in labels, so that a model with a million of them costs no more than one with ten thousand. It
//! decides nothing.

use std::collections::{BTreeMap, HashMap};

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};

use super::scores::ScoreCounts;
use crate::run::RunRequest;
use crate::tags::parquet::TableError;
use crate::tags::parquet::stored::TagColumn;

/// Labels that are counted each by itself; tags with any other are counted together.
const MAX_LABELS: usize = 10_000;

/// Tags counted by label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagCounts {
    /// By label.
    pub labels: BTreeMap<String, TagCount>,
    /// Tags with labels beyond the first ten thousand.
    #[serde(default)]
    pub beyond: u64,
    /// The scores of the best tags.
    #[serde(default)]
    pub scores: ScoreCounts,
}

/// Which of an image's tags count as its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// The best one: of a model with one label per image the others are only what it was less sure of.
    #[default]
    Best,
    /// Every tag that a row keeps, of a model with several labels per image.
    All,
}

impl Counted {
    /// What a run counts for people.
    #[must_use]
    pub fn of_run(request: &RunRequest) -> Self {
        if request.model.multi_label { Self::All } else { Self::Best }
    }
}

/// How often one label was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagCount {
    /// Images that have the tag.
    pub images: u64,
    /// Of these, images of which it is the best tag.
    pub best: u64,
}

impl TagCount {
    /// Images that count.
    #[must_use]
    pub fn of(self, counted: Counted) -> u64 {
        match counted {
            Counted::Best => self.best,
            Counted::All => self.images,
        }
    }
}

impl TagCounts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.beyond += other.beyond;
        self.scores.add(&other.scores);
        for (label, count) in &other.labels {
            self.add_label(label, *count);
        }
    }

    /// The labels of most images, the most frequent first, equal ones in the order of their names. Labels of
    /// no image are left out.
    #[must_use]
    pub fn most_frequent(&self, labels: usize, counted: Counted) -> Vec<(&str, TagCount)> {
        let known = self.labels.iter().map(|(label, count)| (label.as_str(), *count));
        let mut all: Vec<_> = known.filter(|(_, count)| count.of(counted) > 0).collect();
        let rank = |count: TagCount| (count.of(counted), count.best);
        all.sort_by(|a, b| rank(b.1).cmp(&rank(a.1)).then(a.0.cmp(b.0)));
        all.truncate(labels);
        all
    }

    fn add_label(&mut self, label: &str, count: TagCount) {
        if let Some(known) = self.labels.get_mut(label) {
            known.images += count.images;
            known.best += count.best;
        } else if self.labels.len() < MAX_LABELS {
            self.labels.insert(label.to_owned(), count);
        } else {
            self.beyond += count.images;
        }
    }

    /// Counts the tags of some rows. Within them a label is known by its index, which costs less than its
    /// name.
    pub(super) fn of_batch(batch: &RecordBatch) -> Result<Self, TableError> {
        let tags = TagColumn::new(batch)?;
        let indices = tags.indices()?;
        let mut counts = Self::default();
        let mut by_index: HashMap<i32, (usize, TagCount)> = HashMap::new();
        for row in 0..tags.rows() {
            let places = tags.places(row);
            if !places.is_empty() {
                counts.scores.add_score(tags.score(places.start));
            }
            for tag in places.clone() {
                let (_, count) = by_index.entry(indices.value(tag)).or_insert((tag, TagCount::default()));
                count.images += 1;
                count.best += u64::from(tag == places.start);
            }
        }
        let mut found: Vec<_> = by_index.into_iter().collect();
        found.sort_unstable_by_key(|(index, _)| *index);
        for (_, (tag, count)) in found {
            counts.add_label(tags.label(tag), count);
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunId;
    use crate::tags::parquet::RunColumns;
    use crate::tags::{Failure, Outcome, Reason, Row, Tag, Tagged, parquet};

    fn row(labels: &[(u32, &str)]) -> Row {
        let tag =
            |(index, label): &(u32, &str)| Tag { label: (*label).to_owned(), index: *index, score: 0.5 };
        let tags = labels.iter().map(tag).collect();
        let tagged = Tagged { width: 1, height: 1, tags, vector: None, second_decoder: false };
        Row { key: "a".to_owned(), bytes: None, etag: None, outcome: Outcome::Tagged(tagged) }
    }

    #[test]
    fn tags_are_counted_by_label_and_the_best_ones_apart() {
        let failure = Failure::new(Reason::Empty, "");
        let failed = Row { outcome: Outcome::Failed(failure), ..row(&[]) };
        // Two outputs of a model may have the same name.
        let rows =
            [row(&[(0, "crane"), (7, "cat")]), failed, row(&[]), row(&[(3, "crane")]), row(&[(7, "cat")])];
        let run = RunId::try_from("r".to_owned()).unwrap();
        let columns = RunColumns { run, model: "m".to_owned(), vector: None };
        let counts = TagCounts::of_batch(&parquet::batch(&rows, &columns).unwrap()).unwrap();
        let (crane, cat) = (TagCount { images: 2, best: 2 }, TagCount { images: 2, best: 1 });
        assert_eq!(counts.most_frequent(9, Counted::All), [("crane", crane), ("cat", cat)]);
        assert_eq!(counts.most_frequent(1, Counted::Best), [("crane", crane)]);
        assert_eq!(counts.scores.scores(), 3, "the best tags of three images");
    }

    #[test]
    fn a_label_that_is_never_the_best_does_not_count_if_one_label_is_right() {
        let (terrier, pug) = (TagCount { images: 12, best: 0 }, TagCount { images: 4, best: 3 });
        let labels = [("toy terrier".to_owned(), terrier), ("pug".to_owned(), pug)].into();
        let counts = TagCounts { labels, ..TagCounts::default() };
        assert_eq!(counts.most_frequent(9, Counted::Best), [("pug", pug)]);
        assert_eq!(counts.most_frequent(9, Counted::All), [("toy terrier", terrier), ("pug", pug)]);
    }

    #[test]
    fn labels_beyond_the_bound_are_counted_together() {
        let one = TagCount { images: 1, best: 0 };
        let labels = (0..MAX_LABELS).map(|number| (format!("{number:05}"), one)).collect();
        let mut counts = TagCounts { labels, ..TagCounts::default() };
        let labels = [("new".to_owned(), one), ("00000".to_owned(), one)].into();
        let more = TagCounts { labels, beyond: 3, ..TagCounts::default() };
        counts.add(&more);
        assert_eq!((counts.labels.len(), counts.beyond), (MAX_LABELS, 4));
        assert_eq!(counts.most_frequent(1, Counted::All)[0], ("00000", TagCount { images: 2, best: 0 }));
    }
}
