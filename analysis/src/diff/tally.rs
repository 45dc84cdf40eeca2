//! Counts of a diff, row by row.
//!
//! Bounded by the number of labels and of pairs of labels, not by that of rows. It reads no stream.

use std::collections::BTreeMap;
use std::io;

use tagfleet_pipeline::earlier::RowView;
use tagfleet_pipeline::reduce::Counted;

use super::psi::{self, Part};
use super::{DIFF_VERSION, Diff, Fates, Flip, Flipped, LabelShare};
use crate::Subject;
use crate::labels::{Counts, LabelId, Labels, NO_TAG};
use crate::pairs::Pairs;

/// Pairs of labels that a diff names.
const FLIPS: usize = 100;

/// Tagged images of one run, by label.
#[derive(Default)]
struct Side {
    tagged: u64,
    without_tag: u64,
    labels: Counts,
}

/// What was counted so far.
pub(super) struct Tally {
    counted: Counted,
    labels: Labels,
    fates: Fates,
    a: Side,
    b: Side,
    failed: BTreeMap<String, u64>,
    healed: BTreeMap<String, u64>,
    pairs: Pairs,
}

/// A label of a row, with its score.
type Tag<'a> = (&'a str, f32);

impl Tally {
    pub(super) fn new(counted: Counted) -> Self {
        Self {
            counted,
            labels: Labels::default(),
            fates: Fates::default(),
            a: Side::default(),
            b: Side::default(),
            failed: BTreeMap::new(),
            healed: BTreeMap::new(),
            pairs: Pairs::new(),
        }
    }

    pub(super) fn deleted(&mut self, row: RowView<'_>) {
        self.fates.deleted += 1;
        self.a.add(row, self.counted, &mut self.labels);
    }

    pub(super) fn added(&mut self, row: RowView<'_>) {
        self.fates.new += 1;
        self.b.add(row, self.counted, &mut self.labels);
    }

    pub(super) fn both(
        &mut self,
        before: RowView<'_>,
        after: RowView<'_>,
        flipped: &mut dyn FnMut(&Flipped<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.a.add(before, self.counted, &mut self.labels);
        self.b.add(after, self.counted, &mut self.labels);
        let is_replaced = matches!((before.etag(), after.etag()), (Some(a), Some(b)) if a != b);
        self.fates.replaced += u64::from(is_replaced);
        match (before.error_code(), after.error_code()) {
            (Some(_), Some(_)) => self.fates.failed_in_both += 1,
            (None, Some(code)) => {
                self.fates.failed += 1;
                count(&mut self.failed, code);
            }
            (Some(code), None) => {
                self.fates.healed += 1;
                count(&mut self.healed, code);
            }
            (None, None) => {
                let is_flipped = match self.counted {
                    Counted::Best => self.compare_best(before, after, flipped)?,
                    Counted::All => self.compare_all(before, after, flipped)?,
                };
                self.fates.kept += u64::from(!is_flipped);
                self.fates.flipped += u64::from(is_flipped);
                self.fates.replaced_and_flipped += u64::from(is_flipped && is_replaced);
            }
        }
        Ok(())
    }

    fn compare_best(
        &mut self,
        before: RowView<'_>,
        after: RowView<'_>,
        flipped: &mut dyn FnMut(&Flipped<'_>) -> io::Result<()>,
    ) -> io::Result<bool> {
        let (from, to) = (before.tags().next(), after.tags().next());
        let names = [from, to].map(|tag| tag.map(|(label, _)| label));
        if names[0] == names[1] {
            return Ok(false);
        }
        let key = after.key();
        self.add_pair(from, to, key);
        let [from, to] = names.map(Option::unwrap_or_default);
        flipped(&Flipped { key, from, to })?;
        Ok(true)
    }

    fn compare_all(
        &mut self,
        before: RowView<'_>,
        after: RowView<'_>,
        flipped: &mut dyn FnMut(&Flipped<'_>) -> io::Result<()>,
    ) -> io::Result<bool> {
        let (a, b) = (distinct(before), distinct(after));
        let lost = without(&a, &b);
        let gained = without(&b, &a);
        if lost.is_empty() && gained.is_empty() {
            return Ok(false);
        }
        let key = after.key();
        for tag in &lost {
            self.add_pair(Some(*tag), None, key);
        }
        for tag in &gained {
            self.add_pair(None, Some(*tag), key);
        }
        let [from, to] = [lost, gained].map(|tags| names(&tags));
        flipped(&Flipped { key, from: &from, to: &to })?;
        Ok(true)
    }

    fn add_pair(&mut self, from: Option<Tag<'_>>, to: Option<Tag<'_>>, key: &str) {
        let mut id = |tag: Option<Tag<'_>>| tag.map_or(NO_TAG, |(label, _)| self.labels.id(label));
        let pair = (id(from), id(to));
        self.pairs.add(pair, key, from.map(|(_, score)| score), to.map(|(_, score)| score));
    }

    pub(super) fn finish(self, a: Subject, b: Subject, max_flips: Option<f64>) -> Diff {
        let labels = self.shares();
        let psi = self.psi();
        let Fates { kept, flipped, .. } = self.fates;
        let tagged_in_both = kept + flipped;
        let flip_share = (tagged_in_both > 0).then(|| flipped as f64 / tagged_in_both as f64);
        let exceeds = |max| flip_share.is_some_and(|share| share > max);
        let (flips, other_flips) = self.pairs.top(FLIPS, &self.labels);
        let flip = |pair: crate::pairs::CountedPair| Flip {
            from: pair.from,
            to: pair.to,
            images: pair.images,
            examples: pair.examples,
        };
        Diff {
            version: DIFF_VERSION,
            a,
            b,
            counted: self.counted,
            images: self.fates,
            flip_share,
            max_flips,
            exceeds_max_flips: max_flips.is_some_and(exceeds),
            psi,
            failed: self.failed,
            healed: self.healed,
            labels,
            flips: flips.into_iter().map(flip).collect(),
            other_flips,
        }
    }

    /// Every label, and none, with its share in both runs.
    fn shares(&self) -> Vec<LabelShare> {
        let mut shares: Vec<LabelShare> =
            self.labels.iter().map(|(id, name)| self.share(id, Some(name.to_owned()))).collect();
        shares.push(self.share(NO_TAG, None));
        shares.retain(|share| share.images_a + share.images_b > 0);
        shares.sort_by(|a, b| b.psi.total_cmp(&a.psi).then_with(|| a.label.cmp(&b.label)));
        shares
    }

    fn share(&self, id: LabelId, label: Option<String>) -> LabelShare {
        let (images_a, images_b) = (self.a.of(id), self.b.of(id));
        let share = |images: u64, all: u64| if all == 0 { 0.0 } else { images as f64 / all as f64 };
        LabelShare {
            label,
            images_a,
            images_b,
            share_a: share(images_a, self.a.tagged),
            share_b: share(images_b, self.b.tagged),
            psi: self.parts(id).map_or(0.0, |(a, b)| psi::of_label(a, b)),
        }
    }

    fn parts(&self, id: LabelId) -> Option<(Part, Part)> {
        let part = |side: &Side| Part { images: side.of(id), all: side.tagged };
        (self.a.tagged > 0 && self.b.tagged > 0).then(|| (part(&self.a), part(&self.b)))
    }

    /// Over all labels that are in either run.
    fn psi(&self) -> Option<f64> {
        if self.counted == Counted::All {
            return None;
        }
        let mut sum = 0.0;
        for id in self.labels.iter().map(|(id, _)| id).chain([NO_TAG]) {
            let (a, b) = self.parts(id)?;
            if a.images + b.images > 0 {
                sum += psi::term(a, b);
            }
        }
        Some(sum)
    }
}

impl Side {
    fn add(&mut self, row: RowView<'_>, counted: Counted, labels: &mut Labels) {
        if row.error_code().is_some() {
            return;
        }
        self.tagged += 1;
        let tags = match counted {
            Counted::Best => row.tags().take(1).collect(),
            Counted::All => distinct(row),
        };
        self.without_tag += u64::from(tags.is_empty());
        for (label, _) in tags {
            self.labels.add(labels.id(label));
        }
    }

    fn of(&self, id: LabelId) -> u64 {
        if id == NO_TAG { self.without_tag } else { self.labels.of(id) }
    }
}

/// The tags of a row, each label once: two outputs of a model may have one name.
fn distinct(row: RowView<'_>) -> Vec<Tag<'_>> {
    let mut tags: Vec<Tag<'_>> = Vec::new();
    for tag in row.tags() {
        if !has(&tags, tag) {
            tags.push(tag);
        }
    }
    tags
}

fn has(tags: &[Tag<'_>], (label, _): Tag<'_>) -> bool {
    tags.iter().any(|(known, _)| *known == label)
}

fn without<'a>(tags: &[Tag<'a>], others: &[Tag<'_>]) -> Vec<Tag<'a>> {
    tags.iter().copied().filter(|tag| !has(others, *tag)).collect()
}

fn names(tags: &[Tag<'_>]) -> String {
    tags.iter().map(|(label, _)| *label).collect::<Vec<_>>().join(" | ")
}

fn count(counts: &mut BTreeMap<String, u64>, code: &str) {
    match counts.get_mut(code) {
        Some(count) => *count += 1,
        None => _ = counts.insert(code.to_owned(), 1),
    }
}
