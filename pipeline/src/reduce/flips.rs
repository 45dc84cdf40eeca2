//! Which images have other tags than the run before gave them: counted while rows are merged.
//!
//! A run that continues another tags again what was replaced, and keeps the other rows. So its images that
//! are tagged in both runs are the kept ones and the replaced ones, and only the latter can differ. It
//! decides nothing.

use std::collections::BTreeSet;

use arrow_array::{Array, RecordBatch, StringArray};
use serde::{Deserialize, Serialize};

use super::Counted;
use crate::tags::parquet::TableError;
use crate::tags::parquet::stored::{TagColumn, text};

/// Images that are tagged both in a run and in the one that it continues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Flips {
    /// Images with the same label, or the same set of labels.
    pub same: u64,
    /// Images with another one.
    pub flipped: u64,
}

impl Flips {
    /// Adds the counts of other rows.
    pub fn add(&mut self, other: &Self) {
        self.same += other.same;
        self.flipped += other.flipped;
    }

    /// The share of flipped images, from 0 to 1; `None` if no image is tagged in both runs.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let all = self.same + self.flipped;
        (all > 0).then(|| self.flipped as f64 / all as f64)
    }

    /// True if there is nothing to count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The columns of rows that decide about flips, in key order.
pub(super) struct TaggedRows<'a> {
    keys: &'a StringArray,
    codes: &'a StringArray,
    tags: TagColumn,
}

impl<'a> TaggedRows<'a> {
    /// Of rows with the columns of a run.
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self, TableError> {
        let (keys, codes) = (text(batch, "key")?, text(batch, "error_code")?);
        Ok(Self { keys, codes, tags: TagColumn::new(batch)? })
    }

    /// Counts rows of both that have a key in common and are tagged.
    pub(super) fn compare(&self, later: &Self, counted: Counted) -> Flips {
        let mut flips = Flips::default();
        let mut next = 0;
        for row in 0..self.keys.len() {
            while next < later.keys.len() && later.keys.value(next) < self.keys.value(row) {
                next += 1;
            }
            if next == later.keys.len() {
                break;
            }
            let is_in_both = later.keys.value(next) == self.keys.value(row);
            if is_in_both && self.is_tagged(row) && later.is_tagged(next) {
                let is_same = self.tags(row, counted) == later.tags(next, counted);
                flips.same += u64::from(is_same);
                flips.flipped += u64::from(!is_same);
            }
        }
        flips
    }

    /// How many rows are tagged.
    pub(super) fn tagged(&self) -> u64 {
        self.codes.null_count() as u64
    }

    fn is_tagged(&self, row: usize) -> bool {
        self.codes.is_null(row)
    }

    /// The labels that count; the best tag is the first.
    fn tags(&self, row: usize, counted: Counted) -> BTreeSet<&str> {
        let places = self.tags.places(row);
        let most = match counted {
            Counted::Best => 1,
            Counted::All => places.len(),
        };
        places.take(most).map(|place| self.tags.label(place)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunId;
    use crate::tags::parquet::{RunColumns, batch};
    use crate::tags::{Cause, Failure, Outcome, Row, Tag, Tagged};

    fn rows(rows: &[(&str, Option<&[&str]>)]) -> RecordBatch {
        let run = RunId::try_from("r".to_owned()).unwrap();
        let columns = RunColumns { run, model: String::new(), vector: None };
        let row = |(key, labels): &(&str, Option<&[&str]>)| {
            let outcome = labels.map_or_else(
                || Outcome::Failed(Failure::new(Cause::Damaged, "")),
                |labels| Outcome::Tagged(tagged(labels)),
            );
            Row { key: (*key).to_owned(), bytes: None, etag: None, outcome }
        };
        batch(&rows.iter().map(row).collect::<Vec<_>>(), &columns).unwrap()
    }

    fn tagged(labels: &[&str]) -> Tagged {
        let tag = |label: &&str| Tag { label: (*label).to_owned(), index: 0, score: 0.5 };
        let tags = labels.iter().map(tag).collect();
        Tagged { width: 1, height: 1, tags, vector: None, second_decoder: false }
    }

    #[test]
    fn only_images_that_are_tagged_in_both_are_compared() {
        let before = rows(&[
            ("a", Some(&["cat", "dog"])),
            ("b", Some(&["cat"])),
            ("c", None),
            ("d", Some(&["cat"])),
            ("e", Some(&[])),
            ("gone", Some(&["cat"])),
        ]);
        let after = rows(&[
            ("a", Some(&["cat", "cow"])),
            ("b", Some(&["dog", "cat"])),
            ("c", Some(&["cat"])),
            ("d", None),
            ("e", Some(&[])),
            ("new", Some(&["cat"])),
        ]);
        let compared =
            |counted| TaggedRows::new(&before).unwrap().compare(&TaggedRows::new(&after).unwrap(), counted);
        assert_eq!(compared(Counted::Best), Flips { same: 2, flipped: 1 });
        assert_eq!(compared(Counted::All), Flips { same: 1, flipped: 2 });
        assert_eq!(compared(Counted::Best).share(), Some(1.0 / 3.0));
        assert_eq!(Flips::default().share(), None);
    }
}
