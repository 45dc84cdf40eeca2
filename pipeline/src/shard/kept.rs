//! Which rows of an earlier run a shard keeps, and how the inputs differ from that run's.
//!
//! Rows are counted in key order, not named: what a shard stores of a million kept rows is a few numbers. It
//! never reads a row.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bucket::KeyRange;
use crate::format::count;

/// How the inputs of a run differ from those of an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Inputs that the earlier run did not have: they are tagged.
    #[serde(default)]
    pub new: u64,
    /// Inputs whose object is another by now: they are tagged again.
    #[serde(default)]
    pub changed: u64,
    /// Inputs that failed for a reason that may pass: they are tagged again.
    #[serde(default)]
    pub retried: u64,
    /// Inputs that are the same: the earlier run's rows are kept.
    #[serde(default)]
    pub kept: u64,
    /// Rows of the earlier run without an input: they are dropped.
    #[serde(default)]
    pub deleted: u64,
}

impl Difference {
    /// Adds the counts of other keys.
    pub fn add(&mut self, other: &Self) {
        self.new += other.new;
        self.changed += other.changed;
        self.retried += other.retried;
        self.kept += other.kept;
        self.deleted += other.deleted;
    }
}

/// `1,203 new, 40 changed, 3 tried again, 298,754 kept, 512 deleted`
impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (new, changed, retried) = (count(self.new), count(self.changed), count(self.retried));
        let (kept, deleted) = (count(self.kept), count(self.deleted));
        write!(
            formatter,
            "{new} new, {changed} changed, {retried} tried again, {kept} kept, {deleted} deleted"
        )
    }
}

/// The rows that an earlier run has in one range of keys, and which of them are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRows {
    /// The range. It starts behind that of the shard before.
    pub range: KeyRange,
    /// Numbers of rows in key order: kept, not kept, kept, and so on.
    pub spans: Vec<u64>,
    /// The counts of this range.
    pub difference: Difference,
}

impl KeptRows {
    /// No row yet, of the range behind `after`.
    #[must_use]
    pub fn behind(range: &KeyRange, after: Option<String>) -> Self {
        let range = KeyRange { after, up_to: None, ..range.clone() };
        Self { range, ..Self::default() }
    }

    /// Adds the next row of the earlier run.
    pub fn push(&mut self, is_kept: bool) {
        // Spans at even places are kept.
        let is_last_kept = self.spans.len() % 2 == 1;
        match self.spans.last_mut() {
            Some(last) if is_last_kept == is_kept => *last += 1,
            None if !is_kept => self.spans.extend([0, 1]),
            _ => self.spans.push(1),
        }
    }

    /// All rows of the earlier run in this range.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.spans.iter().fold(0, |sum, rows| sum.saturating_add(*rows))
    }

    /// Whether each of its rows is kept, in key order.
    pub fn mask(&self) -> impl Iterator<Item = bool> + Send + use<> {
        let spans = self.spans.clone().into_iter().enumerate();
        spans.flat_map(|(place, rows)| (0..rows).map(move |_| place % 2 == 0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_mask_is_what_was_pushed(rows: Vec<bool>) {
            let mut kept = KeptRows::default();
            for row in &rows {
                kept.push(*row);
            }
            prop_assert_eq!(kept.rows(), rows.len() as u64);
            prop_assert_eq!(kept.mask().collect::<Vec<_>>(), rows);
        }
    }
}
