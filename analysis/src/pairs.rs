//! Pairs of labels and how often each occurred, with examples: flips from one label to another, confusions of
//! one with another.
//!
//! Bounded: pairs beyond the bound are counted together, and examples are a random sample over all pairs, so
//! that frequent pairs have some.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tagfleet_pipeline::thumbnails::lowest::Lowest;

use crate::labels::{LabelId, Labels};

/// Pairs that are counted each by itself; a map of them takes about 4 MB.
const MAX_PAIRS: usize = 100_000;
/// Examples of all pairs together; with keys of 1 kB they take 1 MB.
const SAMPLE: usize = 1000;
/// Examples of one pair.
const EXAMPLES: usize = 6;

/// An image to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Its key.
    pub key: String,
    /// The score of its label in the earlier run; none if there is no earlier run, or it had no such tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_before: Option<f32>,
    /// The score of its label; none if it has no such tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
}

/// A pair that was counted; `None` is an image without a tag.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CountedPair {
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) images: u64,
    pub(crate) examples: Vec<Example>,
}

type Pair = (LabelId, LabelId);

/// Pairs counted so far.
#[derive(Debug)]
pub(crate) struct Pairs {
    counts: HashMap<Pair, u64>,
    beyond: u64,
    sample: Lowest<(u64, Pair), (Pair, Example)>,
}

impl Pairs {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { counts: HashMap::new(), beyond: 0, sample: Lowest::new(SAMPLE) }
    }

    /// Counts one image of a pair.
    pub(crate) fn add(&mut self, pair: Pair, key: &str, score_before: Option<f32>, score: Option<f32>) {
        if let Some(count) = self.counts.get_mut(&pair) {
            *count += 1;
        } else if self.counts.len() < MAX_PAIRS {
            self.counts.insert(pair, 1);
        } else {
            self.beyond += 1;
            return;
        }
        let rank = (priority(key), pair);
        if self.sample.bound().is_none_or(|bound| rank < bound) {
            let _ = self.sample.offer(rank, (pair, Example { key: key.to_owned(), score_before, score }));
        }
    }

    /// The most frequent pairs, the most frequent first, and how many images have any other.
    pub(crate) fn top(self, pairs: usize, labels: &Labels) -> (Vec<CountedPair>, u64) {
        let name = |id| labels.name(id).map(str::to_owned);
        let mut examples: HashMap<Pair, Vec<Example>> = HashMap::new();
        for (pair, example) in self.sample.into_values() {
            let known = examples.entry(pair).or_default();
            if known.len() < EXAMPLES {
                known.push(example);
            }
        }
        let mut all: Vec<CountedPair> = Vec::with_capacity(self.counts.len());
        for (pair, images) in self.counts {
            let examples = examples.remove(&pair).unwrap_or_default();
            all.push(CountedPair { from: name(pair.0), to: name(pair.1), images, examples });
        }
        all.sort_by(|a, b| b.images.cmp(&a.images).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to))));
        let others = all.iter().skip(pairs).map(|pair| pair.images).sum::<u64>() + self.beyond;
        all.truncate(pairs);
        (all, others)
    }
}

/// The place of a key in a random order that is the same for every run, so that two evaluations show the same
/// images: FNV-1a, with its bits mixed as in MurmurHash3.
fn priority(key: &str) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}
