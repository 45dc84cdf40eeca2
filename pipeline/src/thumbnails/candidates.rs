//! The pictures of one shard from which the report chooses: a random sample, the least certain, and some
//! failures.
//!
//! It decides which images deserve a thumbnail while they are tagged, and holds no more of them than it
//! stores. What it stores follows from the run, the keys and the rows, whatever the order in which images
//! were tagged. It never reads an image.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::lowest::{Lowest, Score, priority};
use super::{FailedImage, Picture, ShardSample, THUMBNAILS_VERSION};
use crate::run::RunId;
use crate::shard::ShardId;
use crate::tagger::{Seen, Wanted};
use crate::tags::{Outcome, Row};

/// The least certain pictures of a shard: as many as a report shows of a whole run, all of which may be in
/// one shard.
pub const UNSURE: usize = 12;
/// Failures of each reason.
const FAILURES: usize = 3;
/// Tags that a picture keeps.
const TAGS: usize = 5;

/// Pictures of a shard's random sample. A run of few shards gets a page from these alone, so the first ones
/// give more; none gives fewer than a report shows of a whole run.
fn random_pictures(shard: ShardId) -> usize {
    match shard.number {
        0 => 128,
        1..4 => 64,
        _ => 32,
    }
}

/// The candidates of a shard in hand.
#[derive(Debug)]
pub(crate) struct Candidates {
    /// Of each image.
    priorities: Vec<u64>,
    /// Whether it is in the random sample.
    is_random: Vec<bool>,
    /// Of those that have been tagged so far.
    unsure: Lowest<(Score, u64), usize>,
    failed: BTreeMap<&'static str, Lowest<u64, usize>>,
    thumbnails: BTreeMap<usize, Vec<u8>>,
}

impl Default for Candidates {
    /// Of a shard without images.
    fn default() -> Self {
        Self {
            priorities: Vec::new(),
            is_random: Vec::new(),
            unsure: Lowest::new(UNSURE),
            failed: BTreeMap::new(),
            thumbnails: BTreeMap::new(),
        }
    }
}

impl Candidates {
    pub(crate) fn new<'a>(run: &RunId, shard: ShardId, keys: impl Iterator<Item = &'a str>) -> Self {
        let priorities: Vec<u64> = keys.map(|key| priority(run, key)).collect();
        let mut sample = Lowest::new(random_pictures(shard));
        for (index, priority) in priorities.iter().enumerate() {
            let _ = sample.offer(*priority, index);
        }
        let mut is_random = vec![false; priorities.len()];
        sample.into_values().into_iter().for_each(|index| is_random[index] = true);
        Self { priorities, is_random, ..Self::default() }
    }

    /// Of which scores a thumbnail of image `index` is worth making.
    pub(crate) fn wanted(&self, index: usize) -> Wanted {
        if self.is_random[index] {
            return Wanted::Always;
        }
        match self.unsure.bound() {
            None => Wanted::IfBelow(f32::INFINITY),
            Some((Score(score), last)) if self.priorities[index] < last => Wanted::IfBelow(score.next_up()),
            Some((Score(score), _)) => Wanted::IfBelow(score),
        }
    }

    /// Keeps the thumbnail of image `index` while it may be stored.
    pub(crate) fn keep(&mut self, index: usize, seen: &mut Seen) {
        let priority = self.priorities[index];
        let dropped = match &seen.outcome {
            Outcome::Failed(failure) => {
                let known = self.failed.entry(failure.reason().code());
                known.or_insert_with(|| Lowest::new(FAILURES)).offer(priority, index)
            }
            Outcome::Tagged(tagged) => match tagged.tags.first() {
                Some(best) => self.unsure.offer((Score(best.score), priority), index),
                None => Some(index),
            },
        };
        if let Some(thumbnail) = seen.thumbnail.take() {
            self.thumbnails.insert(index, thumbnail);
        }
        if let Some(dropped) = dropped.filter(|dropped| !self.is_random[*dropped]) {
            self.thumbnails.remove(&dropped);
        }
    }

    /// What is stored once every image has its row; `rows` are in the order of the images.
    pub(crate) fn sample(mut self, rows: &[Row]) -> ShardSample {
        let mut random = BTreeMap::new();
        let mut unsure = Lowest::new(UNSURE);
        let mut failed: BTreeMap<&str, Lowest<u64, usize>> = BTreeMap::new();
        for (index, (row, priority)) in rows.iter().zip(&self.priorities).enumerate() {
            match &row.outcome {
                Outcome::Tagged(_) if self.is_random[index] => _ = random.insert(*priority, index),
                Outcome::Tagged(_) => {}
                Outcome::Failed(failure) => {
                    let known = failed.entry(failure.reason().code());
                    let _ = known.or_insert_with(|| Lowest::new(FAILURES)).offer(*priority, index);
                }
            }
            if let Some(score) = best_score(row) {
                let _ = unsure.offer((Score(score), *priority), index);
            }
        }
        let failed: Vec<usize> = failed.into_values().flat_map(Lowest::into_values).collect();
        let mut unsure = unsure.into_values();
        unsure.retain(|index| !self.is_random[*index]);
        ShardSample {
            version: THUMBNAILS_VERSION,
            random: self.pictures(rows, random.into_values()),
            unsure: self.pictures(rows, unsure.into_iter()),
            failures: failed.into_iter().filter_map(|index| self.failure(rows, index)).collect(),
        }
    }

    fn pictures(&mut self, rows: &[Row], indices: impl Iterator<Item = usize>) -> Vec<Picture> {
        indices.filter_map(|index| self.picture(rows, index)).collect()
    }

    /// None if no thumbnail could be made of it.
    fn picture(&mut self, rows: &[Row], index: usize) -> Option<Picture> {
        let Outcome::Tagged(tagged) = &rows[index].outcome else { return None };
        Some(Picture {
            key: rows[index].key.clone(),
            width: tagged.width,
            height: tagged.height,
            tags: tagged.tags.iter().take(TAGS).cloned().collect(),
            jpeg: self.thumbnail(index)?,
        })
    }

    fn failure(&mut self, rows: &[Row], index: usize) -> Option<FailedImage> {
        let Outcome::Failed(failure) = &rows[index].outcome else { return None };
        Some(FailedImage {
            key: rows[index].key.clone(),
            reason: failure.reason(),
            message: failure.to_string(),
            jpeg: self.thumbnail(index),
        })
    }

    fn thumbnail(&mut self, index: usize) -> Option<String> {
        self.thumbnails.remove(&index).map(|jpeg| STANDARD.encode(jpeg))
    }
}

fn best_score(row: &Row) -> Option<f32> {
    let Outcome::Tagged(tagged) = &row.outcome else { return None };
    tagged.tags.first().map(|tag| tag.score)
}

#[cfg(test)]
mod tests;
