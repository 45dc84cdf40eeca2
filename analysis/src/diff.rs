//! Diff: the rows of two runs -> which labels changed, and which images are new, deleted, failed or healed.
//!
//! It merges two streams in key order. Of each row it looks at the key, the etag, the error code and the
//! labels; scores decide nothing. Each key has one fate, so the fates add up to all keys.

mod psi;
mod tally;
mod text;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use tagfleet_pipeline::earlier::{RowView, RunRows};
use tagfleet_pipeline::reduce::Counted;

use crate::{AnalysisError, Example, Subject};
use tally::Tally;

/// The version of the stored form.
pub const DIFF_VERSION: u32 = 1;

/// What became of the images from one run to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// [`DIFF_VERSION`].
    pub version: u32,
    /// The earlier run.
    pub a: Subject,
    /// The later run.
    pub b: Subject,
    /// Which tags of an image were compared: the best one, or all of them, if both models have several labels
    /// per image.
    pub counted: Counted,
    /// Images by their fate.
    pub images: Fates,
    /// The share of flipped images among those that are tagged in both runs; none if no image is.
    pub flip_share: Option<f64>,
    /// The largest share of flips that is allowed, if there is one.
    pub max_flips: Option<f64>,
    /// Whether more images flipped.
    pub exceeds_max_flips: bool,
    /// Population stability index over all labels; none if several labels count, or a run has no tagged
    /// image.
    pub psi: Option<f64>,
    /// Images that are tagged in A and failed in B, by error code.
    pub failed: BTreeMap<String, u64>,
    /// Images that failed in A and are tagged in B, by the error code in A.
    pub healed: BTreeMap<String, u64>,
    /// Labels of either run, those whose share changed most first.
    pub labels: Vec<LabelShare>,
    /// Which label became which, the most frequent first; at most 100.
    pub flips: Vec<Flip>,
    /// Flips of all other pairs of labels.
    pub other_flips: u64,
}

/// Images by what became of them; all but the last two are disjoint and add up to the keys of both runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fates {
    /// Tagged in both, with the same label, or the same set of labels.
    pub kept: u64,
    /// Tagged in both, with another label.
    pub flipped: u64,
    /// Only in B.
    pub new: u64,
    /// Only in A.
    pub deleted: u64,
    /// Tagged in A, failed in B.
    pub failed: u64,
    /// Failed in A, tagged in B.
    pub healed: u64,
    /// Failed in both.
    pub failed_in_both: u64,
    /// In both, with another etag: the image was replaced.
    pub replaced: u64,
    /// Of these, flipped.
    pub replaced_and_flipped: u64,
}

/// How many images have a label in each run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelShare {
    /// The label; none for tagged images without a tag.
    pub label: Option<String>,
    /// Images that have it in A.
    pub images_a: u64,
    /// Images that have it in B.
    pub images_b: u64,
    /// Its share of the tagged images of A, from 0 to 1.
    pub share_a: f64,
    /// Its share of the tagged images of B.
    pub share_b: f64,
    /// Population stability index of having the label or not; 0 if a run has no tagged image.
    pub psi: f64,
}

/// Images whose label changed from one to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// The label in A; none for no tag. If several labels count: a label that was lost, and `to` is none.
    pub from: Option<String>,
    /// The label in B; none for no tag. If several labels count: a label that was gained, and `from` is none.
    pub to: Option<String>,
    /// Images.
    pub images: u64,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// One image that flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flipped<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its label in A, or those that it lost, with ` | ` between them; empty for none.
    pub from: &'a str,
    /// Its label in B, or those that it gained.
    pub to: &'a str,
}

/// The rows of two runs, and what they are of.
pub struct Pair<'a> {
    /// The earlier run.
    pub a: (Subject, &'a mut RunRows),
    /// The later run.
    pub b: (Subject, &'a mut RunRows),
}

/// Compares two runs; both streams have etags and tags and are before their first row. `flipped` gets every
/// image that flipped, in key order.
///
/// # Errors
/// If rows cannot be read, or `flipped` fails.
pub async fn diff(
    pair: Pair<'_>,
    max_flips: Option<f64>,
    flipped: &mut dyn FnMut(&Flipped<'_>) -> io::Result<()>,
) -> Result<Diff, AnalysisError> {
    let ((of_a, a), (of_b, b)) = (pair.a, pair.b);
    let counted = match (of_a.counted, of_b.counted) {
        (Counted::All, Counted::All) => Counted::All,
        _ => Counted::Best,
    };
    let mut tally = Tally::new(counted);
    a.advance().await?;
    b.advance().await?;
    while let Some(order) = order(a.row(), b.row()) {
        match (a.row(), b.row()) {
            (Some(row), _) if order.is_lt() => tally.deleted(row),
            (_, Some(row)) if order.is_gt() => tally.added(row),
            (Some(before), Some(after)) => tally.both(before, after, flipped)?,
            _ => {}
        }
        if order.is_le() {
            a.advance().await?;
        }
        if order.is_ge() {
            b.advance().await?;
        }
    }
    Ok(tally.finish(of_a, of_b, max_flips))
}

/// Which row comes first; none if there is no row. A stream that has ended is behind every key.
fn order(a: Option<RowView<'_>>, b: Option<RowView<'_>>) -> Option<Ordering> {
    match (a, b) {
        (None, None) => None,
        (Some(_), None) => Some(Ordering::Less),
        (None, Some(_)) => Some(Ordering::Greater),
        (Some(a), Some(b)) => Some(a.key().cmp(b.key())),
    }
}

#[cfg(test)]
mod tests;
