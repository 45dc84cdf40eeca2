//! How the scores of the best tags are spread, counted in bins while rows are copied.
//!
//! Bins are 0.05 wide if all scores lie between 0 and 1, as probabilities do; else as wide as it takes for a
//! few dozen of them to hold every score. The width follows from the lowest and the highest bin alone, so
//! that it does not matter in which order parts are counted. It decides nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bins of the narrowest width from 0 to 1.
const BINS_OF_ONE: f64 = 20.0;
/// From the lowest bin to the highest there are fewer than this many.
const MAX_BINS: i64 = 40;

/// A histogram of scores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreCounts {
    /// How often the width of a bin was doubled, from 0.05.
    pub doublings: u32,
    /// Scores in each bin that has any. Bin n holds those from n widths on, below n + 1 widths; the last one
    /// below 1 holds 1, too.
    pub bins: BTreeMap<i64, u64>,
}

/// One bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// The lowest score.
    pub from: f64,
    /// The end of it.
    pub to: f64,
    /// Scores in it.
    pub scores: u64,
}

impl ScoreCounts {
    /// Counts a score. One that is not a number does not occur in a row.
    pub fn add_score(&mut self, score: f32) {
        let scaled = (f64::from(score) * BINS_OF_ONE).floor();
        // A float beyond the integers becomes the nearest one.
        let bin = if score == 1.0 { BINS_OF_ONE as i64 - 1 } else { scaled as i64 };
        *self.bins.entry(bin >> self.doublings).or_default() += 1;
        self.narrow();
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.widen(other.doublings);
        let more = self.doublings - other.doublings;
        for (bin, count) in &other.bins {
            *self.bins.entry(bin >> more).or_default() += count;
        }
        self.narrow();
    }

    /// Every bin from the lowest to the highest, the empty ones between them included; all of 0 to 1 if there
    /// is no other score.
    #[must_use]
    pub fn spread(&self) -> Vec<Bin> {
        let (Some(low), Some(high)) = (self.bins.keys().next(), self.bins.keys().next_back()) else {
            return Vec::new();
        };
        let is_of_one = self.doublings == 0 && *low >= 0 && *high < BINS_OF_ONE as i64;
        let (low, high) = if is_of_one { (0, BINS_OF_ONE as i64 - 1) } else { (*low, *high) };
        let width = f64::exp2(f64::from(self.doublings)) / BINS_OF_ONE;
        let bin = |number: i64| Bin {
            from: number as f64 * width,
            to: (number as f64 + 1.0) * width,
            scores: self.bins.get(&number).copied().unwrap_or(0),
        };
        (low..=high).map(bin).collect()
    }

    /// Scores in all bins.
    #[must_use]
    pub fn scores(&self) -> u64 {
        self.bins.values().sum()
    }

    /// Doubles the width until there are few enough bins.
    fn narrow(&mut self) {
        let span = |bins: &BTreeMap<i64, u64>| {
            let (low, high) = (bins.keys().next().copied(), bins.keys().next_back().copied());
            high.unwrap_or(0).saturating_sub(low.unwrap_or(0))
        };
        while span(&self.bins) >= MAX_BINS {
            self.widen(self.doublings + 1);
        }
    }

    fn widen(&mut self, doublings: u32) {
        if doublings <= self.doublings {
            return;
        }
        let more = doublings - self.doublings;
        for (bin, count) in std::mem::take(&mut self.bins) {
            *self.bins.entry(bin >> more).or_default() += count;
        }
        self.doublings = doublings;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(scores: &[f32]) -> ScoreCounts {
        let mut counts = ScoreCounts::default();
        scores.iter().for_each(|score| counts.add_score(*score));
        counts
    }

    #[test]
    fn probabilities_have_twenty_bins_from_0_to_1() {
        let spread = counted(&[0.0, 0.049, 0.05, 0.5, 0.999, 1.0]).spread();
        assert_eq!((spread.len(), spread[0].from, spread[19].to), (20, 0.0, 1.0));
        let filled: Vec<u64> = [0, 1, 10, 19].map(|bin| spread[bin].scores).to_vec();
        assert_eq!(filled, [2, 1, 1, 2]);
        assert_eq!(ScoreCounts::default().spread(), []);
    }

    #[test]
    fn any_scores_have_a_few_dozen_bins() {
        for scores in
            [vec![-3.5, 12.0, 7.0], vec![f32::MIN, f32::MAX], vec![1e9, 1e9 + 4096.0], vec![-0.2, 0.4]]
        {
            let spread = counted(&scores).spread();
            assert!(spread.len() <= MAX_BINS as usize, "{scores:?}: {}", spread.len());
            assert_eq!(spread.iter().map(|bin| bin.scores).sum::<u64>(), scores.len() as u64);
        }
        let spread = counted(&[-3.5, 12.0, 7.0]).spread();
        assert!(spread[0].from <= -3.5 && spread.last().unwrap().to > 12.0, "{spread:?}");
    }

    proptest! {
        #[test]
        fn parts_add_up_in_any_order(
            scores in prop::collection::vec(prop_oneof![0_f32..1.0, -1e6_f32..1e6, any::<f32>().prop_filter("a number", |score| score.is_finite())], 0..80),
            at in 0..80_usize
        ) {
            let whole = counted(&scores);
            let (left, right) = scores.split_at(at.min(scores.len()));
            let (mut first, mut second) = (counted(left), counted(right));
            let before = first.clone();
            first.add(&second);
            second.add(&before);
            prop_assert_eq!(&first, &whole);
            prop_assert_eq!(&second, &whole);
        }
    }
}
