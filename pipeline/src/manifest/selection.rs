//! Selects the smallest keys of any number of entries, within bounded memory.
//!
//! What does not fit is left for another pass, which starts behind the last key of this one. It never drops
//! one of several lines of a key that it keeps.

use super::entry::Entry;
use crate::bucket::KeyRange;

/// Entries of one pass at most: 400,000, twice that many while it is filled, which take about 200 MB.
pub(super) const MOST: usize = 400_000;

/// The smallest entries of a range.
pub(super) struct Smallest {
    range: KeyRange,
    most: usize,
    entries: Vec<Entry>,
    /// Entries of this key and behind it are left for the next pass.
    before: Option<String>,
}

impl Smallest {
    pub(super) fn new(range: KeyRange, most: usize) -> Self {
        Self { range, most: most.max(1), entries: Vec::new(), before: None }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if !self.range.contains(&entry.key) || self.before.as_ref().is_some_and(|before| entry.key >= *before)
        {
            return;
        }
        self.entries.push(entry);
        if self.entries.len() >= 2 * self.most {
            self.compact();
        }
    }

    /// The entries in key order, each once, and whether greater ones were left.
    pub(super) fn finish(mut self) -> (Vec<Entry>, bool) {
        self.compact();
        (self.entries, self.before.is_some())
    }

    fn compact(&mut self) {
        self.entries.sort_unstable_by(Entry::order);
        self.entries.dedup_by(|next, kept| {
            let is_same = next.is_same(kept);
            if is_same {
                kept.merge(next);
            }
            is_same
        });
        let Some(first_left) = self.entries.get(self.most).map(|entry| entry.key.clone()) else { return };
        let mut end = self.entries.partition_point(|entry| entry.key < first_left);
        if end == 0 {
            // One key fills it: all of its lines are kept, which are three at most.
            end = self.entries.partition_point(|entry| entry.key <= first_left);
        }
        if let Some(first_left) = self.entries.get(end) {
            self.before = Some(first_left.key.clone());
            self.entries.truncate(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However many passes it takes, every key comes once and in order.
        #[test]
        fn passes_together_are_a_sort(
            keys in prop::collection::vec("[a-c]{0,3}", 0..80),
            most in 1..9usize,
            after in prop::option::of("[a-c]{0,2}"),
        ) {
            let mut range = KeyRange { after, ..KeyRange::default() };
            let wanted: BTreeSet<String> = keys.iter().filter(|key| range.contains(key)).cloned().collect();
            let mut selected: Vec<String> = Vec::new();
            loop {
                let mut smallest = Smallest::new(range.clone(), most);
                for key in &keys {
                    smallest.push(Entry::new(key.clone()));
                    prop_assert!(smallest.entries.len() < 2 * most + 1);
                }
                let (entries, has_more) = smallest.finish();
                prop_assert!(entries.len() <= most);
                range.after = entries.last().map(|entry| entry.key.clone()).or(range.after);
                selected.extend(entries.into_iter().map(|entry| entry.key));
                if !has_more {
                    break;
                }
            }
            prop_assert_eq!(selected, wanted.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn lines_that_contradict_each_other_are_not_believed() {
        let line = |size: Option<u64>, etag: Option<&str>| Entry {
            size,
            etag: etag.map(str::to_owned),
            ..Entry::new("a.jpg".to_owned())
        };
        let merged = |lines: [Entry; 3]| {
            let mut smallest = Smallest::new(KeyRange::default(), 10);
            lines.into_iter().for_each(|line| smallest.push(line));
            let (entries, _) = smallest.finish();
            assert_eq!(entries.len(), 1);
            (entries[0].size, entries[0].etag.clone())
        };
        let known = || line(Some(7), Some("e"));
        assert_eq!(merged([line(None, None), known(), known()]), (Some(7), Some("e".to_owned())));
        assert_eq!(merged([known(), line(Some(7), Some("f")), known()]), (None, None));
        assert_eq!(merged([known(), known(), line(Some(8), None)]), (None, None));
    }
}
