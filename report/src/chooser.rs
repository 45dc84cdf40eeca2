//! Chooses the pictures of a report from what the shards left, one shard after the other, and counts what was
//! unreadable.
//!
//! Every label that is the best tag of a picture gets one before any gets two, the most frequent labels
//! first. What is chosen depends on the run alone, not on the order of the shards, and memory is bounded
//! however many there are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::samples::{LabelSample, Samples};
use tagfleet_pipeline::reduce::{Counted, TagCounts};
use tagfleet_pipeline::run::RunId;
use tagfleet_pipeline::thumbnails::candidates::UNSURE;
use tagfleet_pipeline::thumbnails::lowest::{Lowest, Score, priority};
use tagfleet_pipeline::thumbnails::{FailedImage, Picture, ShardSample};

/// Pictures of all labels together, and labels that have one, at most.
pub(super) const PICTURES: usize = 120;
/// Pictures of one label at most.
const PER_LABEL: usize = 8;
/// Pictures of the random sample.
pub(super) const RANDOM: usize = 24;
/// Failures of each reason.
pub(super) const FAILURES: usize = 4;

/// What is chosen so far.
pub struct Chooser<'a> {
    run: &'a RunId,
    /// Labels by how often each is the best tag, the most frequent first.
    ranked: Vec<(&'a str, u64)>,
    ranks: HashMap<&'a str, usize>,
    /// By rank; at most [`PICTURES`] labels. Pictures of the random samples come first, so that a label is
    /// not judged by its least certain ones.
    labels: BTreeMap<usize, Lowest<(bool, u64), Arc<Picture>>>,
    random: Lowest<u64, Arc<Picture>>,
    unsure: Lowest<(Score, u64), Arc<Picture>>,
    failures: BTreeMap<String, Lowest<u64, FailedImage>>,
    read: u64,
    unread: u64,
}

impl<'a> Chooser<'a> {
    /// A chooser that has seen no shard; `tags` has how often each label is the best tag.
    #[must_use]
    pub fn new(run: &'a RunId, tags: &'a TagCounts) -> Self {
        let all = tags.most_frequent(usize::MAX, Counted::Best);
        let ranked: Vec<(&str, u64)> = all.into_iter().map(|(label, count)| (label, count.best)).collect();
        let ranks = ranked.iter().enumerate().map(|(rank, (label, _))| (*label, rank)).collect();
        Self {
            run,
            ranked,
            ranks,
            labels: BTreeMap::new(),
            random: Lowest::new(RANDOM),
            unsure: Lowest::new(UNSURE),
            failures: BTreeMap::new(),
            read: 0,
            unread: 0,
        }
    }

    /// Adds the sample of a shard; `None` if it could not be read.
    pub fn add(&mut self, sample: Option<ShardSample>) {
        let Some(sample) = sample else {
            self.unread += 1;
            return;
        };
        self.read += 1;
        for (pictures, is_unsure) in [(sample.random, false), (sample.unsure, true)] {
            for picture in pictures {
                self.add_picture(Arc::new(picture), is_unsure);
            }
        }
        for failure in sample.failures {
            let known = self.failures.entry(failure.reason.code().to_owned());
            let priority = priority(self.run, &failure.key);
            let _ = known.or_insert_with(|| Lowest::new(FAILURES)).offer(priority, failure);
        }
    }

    fn add_picture(&mut self, picture: Arc<Picture>, is_unsure: bool) {
        let priority = priority(self.run, &picture.key);
        if !is_unsure {
            let _ = self.random.offer(priority, picture.clone());
        }
        let Some(best) = picture.tags.first() else { return };
        let _ = self.unsure.offer((Score(best.score), priority), picture.clone());
        let Some(rank) = self.ranks.get(best.label.as_str()) else { return };
        let known = self.labels.entry(*rank).or_insert_with(|| Lowest::new(PER_LABEL));
        let _ = known.offer((is_unsure, priority), picture);
        if self.labels.len() > PICTURES {
            self.labels.pop_last();
        }
    }

    /// What was chosen; the run has this many samples of shards.
    #[must_use]
    pub fn finish(self, objects: u64) -> Samples {
        let mut labels: Vec<(usize, Vec<Arc<Picture>>)> =
            self.labels.into_iter().map(|(rank, found)| (rank, found.into_values())).collect();
        share(&mut labels);
        let named = |(rank, pictures): (usize, Vec<Arc<Picture>>)| {
            let (label, images) = self.ranked[rank];
            LabelSample { label: label.to_owned(), images, pictures }
        };
        let failures = self.failures.into_iter().map(|(code, found)| (code, by_key(found.into_values())));
        Samples {
            labels: labels.into_iter().map(named).collect(),
            unsure: self.unsure.into_values(),
            random: self.random.into_values(),
            failures: failures.collect(),
            read: self.read,
            objects,
            unread: self.unread,
        }
    }
}

/// Shares out [`PICTURES`] by turns: each label keeps one before any keeps two.
fn share(labels: &mut [(usize, Vec<Arc<Picture>>)]) {
    let mut kept = vec![0; labels.len()];
    let mut left = PICTURES;
    for turn in 1..=PER_LABEL {
        for ((_, pictures), kept) in labels.iter().zip(&mut kept) {
            if left > 0 && pictures.len() >= turn {
                *kept = turn;
                left -= 1;
            }
        }
    }
    for ((_, pictures), kept) in labels.iter_mut().zip(kept) {
        pictures.truncate(kept);
    }
}

fn by_key(mut failures: Vec<FailedImage>) -> Vec<FailedImage> {
    failures.sort_by(|a, b| a.key.cmp(&b.key));
    failures
}

#[cfg(test)]
mod tests;
