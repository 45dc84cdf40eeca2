//! The lowest few of many values: what every choice of pictures is made with.
//!
//! Which values are kept does not depend on the order in which they arrive, and memory is bounded by the
//! limit. A choice at random gives each image a priority that follows from the run and its key: the lowest
//! priorities are a sample in which every image is as likely as any other, and a part of it can be merged
//! with the parts of others.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::run::RunId;

/// At most `limit` values, those with the lowest ranks.
#[derive(Clone, Debug)]
pub struct Lowest<R, T> {
    limit: usize,
    kept: BTreeMap<R, T>,
}

impl<R: Ord + Copy, T> Lowest<R, T> {
    /// `limit` is at least 1.
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: BTreeMap::new() }
    }

    /// Keeps `value` if its rank is among the lowest; returns what is not kept, which may be `value` itself.
    pub fn offer(&mut self, rank: R, value: T) -> Option<T> {
        let replaced = self.kept.insert(rank, value);
        if self.kept.len() > self.limit { self.kept.pop_last().map(|(_, value)| value) } else { replaced }
    }

    /// The highest rank that is kept, once there is no room for another.
    pub fn bound(&self) -> Option<R> {
        let is_full = self.kept.len() >= self.limit;
        self.kept.last_key_value().filter(|_| is_full).map(|(rank, _)| *rank)
    }

    /// In the order of their ranks.
    pub fn into_values(self) -> Vec<T> {
        self.kept.into_values().collect()
    }
}

/// A score with an order.
#[derive(Clone, Copy, Debug)]
pub struct Score(pub f32);

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Score {}

/// The place of an image in the run's random order: the same on every machine.
pub fn priority(run: &RunId, key: &str) -> u64 {
    let mut hash = Sha256::new();
    // No run id holds a NUL, so that no two pairs are hashed alike.
    hash.update(run.to_string());
    hash.update([0]);
    hash.update(key);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lowest(values: &[u64], limit: usize) -> Vec<u64> {
        let mut lowest = Lowest::new(limit);
        for value in values {
            let _ = lowest.offer(*value, *value);
        }
        lowest.into_values()
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_shows_nowhere(
            values in prop::collection::btree_set(0..1000_u64, 0..60), limit in 1..20_usize, seed in any::<u64>()
        ) {
            let sorted: Vec<u64> = values.iter().copied().collect();
            let mut shuffled = sorted.clone();
            shuffled.sort_by_key(|value| value.wrapping_mul(seed | 1));
            prop_assert_eq!(&lowest(&shuffled, limit), &sorted[..limit.min(sorted.len())]);
        }

        #[test]
        fn parts_merge_to_the_whole(
            values in prop::collection::btree_set(0..1000_u64, 0..60), limit in 1..20_usize, at in 0..60_usize
        ) {
            let all: Vec<u64> = values.iter().copied().collect();
            let (left, right) = all.split_at(at.min(all.len()));
            let parts = [lowest(left, limit), lowest(right, limit)].concat();
            prop_assert_eq!(lowest(&parts, limit), lowest(&all, limit));
        }
    }

    /// 20 of 100 images in each of 500 runs: each is expected 100 times, with a standard deviation of 9.
    #[test]
    fn every_image_is_as_likely_as_any_other() {
        let mut drawn = [0_u32; 100];
        for run in 0..500 {
            let run = RunId::try_from(format!("r-{run}")).unwrap();
            let mut sample = Lowest::new(20);
            for image in 0..drawn.len() {
                let _ = sample.offer(priority(&run, &format!("{image}.jpg")), image);
            }
            sample.into_values().into_iter().for_each(|image| drawn[image] += 1);
        }
        assert!(drawn.iter().all(|drawn| (60..140).contains(drawn)), "{drawn:?}");
    }
}
