//! Calibration: how often tags of each score are right.
//!
//! Ten bins of equal width. The expected calibration error is the mean distance between a bin's score and its
//! share of right tags, weighted by the bin's tags (C. Guo et al., On Calibration of Modern Neural Networks,
//! 2017). A score on the edge of two bins is in the lower one, as in scikit-learn's `calibration_curve`.

use serde::Serialize;

const BINS: usize = 10;

/// How often tags of each score are right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error, from 0 to 1.
    pub ece: f64,
    /// Bins that have tags, in the order of scores.
    pub bins: Vec<CalibrationBin>,
}

/// Tags whose score is greater than `from` and at most `to`; the first bin includes 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Lower edge.
    pub from: f64,
    /// Upper edge.
    pub to: f64,
    /// Tags in the bin.
    pub tags: u64,
    /// The mean of their scores.
    pub mean_score: f64,
    /// The share that is right.
    pub right: f64,
}

#[derive(Clone, Copy, Default)]
struct Bin {
    tags: u64,
    right: u64,
    scores: f64,
}

/// Tags counted by their scores.
#[derive(Default)]
pub(super) struct Bins {
    bins: [Bin; BINS],
    is_other: bool,
}

impl Bins {
    pub(super) fn add(&mut self, score: f32, is_right: bool) {
        if !(0.0..=1.0).contains(&score) {
            self.is_other = true;
            return;
        }
        let score = f64::from(score);
        let place = (1..BINS).filter(|edge| score > *edge as f64 / BINS as f64).count();
        let bin = &mut self.bins[place];
        bin.tags += 1;
        bin.right += u64::from(is_right);
        bin.scores += score;
    }

    /// None if a score is not a probability, or there is no tag.
    pub(super) fn finish(&self) -> Option<Calibration> {
        let all: u64 = self.bins.iter().map(|bin| bin.tags).sum();
        if self.is_other || all == 0 {
            return None;
        }
        let mut bins = Vec::new();
        let mut ece = 0.0;
        for (place, bin) in self.bins.iter().enumerate().filter(|(_, bin)| bin.tags > 0) {
            let tags = bin.tags as f64;
            let (mean_score, right) = (bin.scores / tags, bin.right as f64 / tags);
            ece += (mean_score - right).abs() * tags / all as f64;
            let edge = |place: usize| place as f64 / BINS as f64;
            bins.push(CalibrationBin {
                from: edge(place),
                to: edge(place + 1),
                tags: bin.tags,
                mean_score,
                right,
            });
        }
        Some(Calibration { ece, bins })
    }
}
