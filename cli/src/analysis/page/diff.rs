//! The page of a diff: figures, flips with pictures, and the share of each label.
//!
//! Pure but for the pictures, which were read before.

use std::collections::{BTreeMap, BTreeSet};

use tagfleet_analysis::diff::{Diff, Flip, LabelShare};
use tagfleet_analysis::percent;
use tagfleet_pipeline::number::count;
use tagfleet_report::html::name;
use tagfleet_report::html::table::table;

use super::super::pictures::Pictures;
use super::{ROWS, cut, figures, keys, label, note, pairs, section, whole};

/// The keys whose pictures the page shows.
pub(in super::super) fn shown(diff: &Diff) -> BTreeSet<&str> {
    keys(diff.flips.iter().map(|flip| flip.examples.as_slice()))
}

pub(in super::super) fn page(diff: &Diff, pictures: &Pictures) -> String {
    let main = [key_figures(diff), flips(diff, pictures), failures(diff), labels(diff)];
    let lead = format!("From {} to {}", diff.a.in_words(), diff.b.in_words());
    let title = format!("tagfleet diff {}", diff.b.run);
    whole(&title, (&format!("What changed in {}", diff.b.run), &lead), &main.concat())
}

fn key_figures(diff: &Diff) -> String {
    let images = &diff.images;
    let share = diff.flip_share.map_or_else(String::new, percent);
    let limit = diff.max_flips.map_or(share.clone(), |max| format!("{share}, limit {}", percent(max)));
    let replaced = match images.replaced_and_flipped {
        0 => String::new(),
        replaced => format!("{} replaced images", count(replaced)),
    };
    let psi = diff.psi.map_or("by label".to_owned(), |psi| format!("{psi:.4}"));
    figures(&[
        ("Kept", count(images.kept), "same label".to_owned()),
        ("Flipped", count(images.flipped), limit),
        ("Flipped and replaced", count(images.replaced_and_flipped), replaced),
        ("New", count(images.new), String::new()),
        ("Deleted", count(images.deleted), String::new()),
        ("Failed", count(images.failed), "tagged before".to_owned()),
        ("Healed", count(images.healed), "failed before".to_owned()),
        ("PSI", psi, "0.1 is a shift".to_owned()),
    ])
}

fn heading(flip: &Flip) -> String {
    let (from, to) = (label(flip.from.as_deref(), "no tag"), label(flip.to.as_deref(), "no tag"));
    format!("{from} became {to} <small>{}</small>", count(flip.images))
}

fn flips(diff: &Diff, pictures: &Pictures) -> String {
    let content = pairs(diff.flips.iter().map(|flip| (heading(flip), flip.examples.as_slice())), pictures);
    if content.is_empty() {
        return String::new();
    }
    let columns = [("From", false), ("To", false), ("Images", true)];
    let row = |flip: &Flip| {
        let [from, to] = [&flip.from, &flip.to].map(|side| label(side.as_deref(), "no tag"));
        vec![from, to, count(flip.images)]
    };
    let rows: Vec<Vec<String>> = diff.flips.iter().map(row).collect();
    let list = table("Pairs of labels", &columns, &rows, None);
    let lead = "The most frequent changes, with images drawn at random. flips.csv has all keys.";
    section(("flips", "Flipped"), lead, &(note(pictures) + &content + &list))
}

fn failures(diff: &Diff) -> String {
    let rows_of = |what: &str, counts: &BTreeMap<String, u64>| -> Vec<Vec<String>> {
        counts.iter().map(|(code, images)| vec![what.to_owned(), name(code), count(*images)]).collect()
    };
    let mut rows = rows_of("newly failed", &diff.failed);
    rows.extend(rows_of("healed", &diff.healed));
    if rows.is_empty() {
        return String::new();
    }
    let columns = [("What", false), ("Error code", false), ("Images", true)];
    let content = table("Failed and healed images", &columns, &rows, None);
    section(("failures", "Failed and healed"), "Images that failed in one of the runs.", &content)
}

fn labels(diff: &Diff) -> String {
    let columns = [
        ("Label", false),
        ("Share in A", true),
        ("Share in B", true),
        ("Images in A", true),
        ("Images in B", true),
        ("PSI", true),
    ];
    let row = |share: &LabelShare| {
        vec![
            label(share.label.as_deref(), "no tag"),
            percent(share.share_a),
            percent(share.share_b),
            count(share.images_a),
            count(share.images_b),
            format!("{:.4}", share.psi),
        ]
    };
    let rows: Vec<Vec<String>> = diff.labels.iter().take(ROWS).map(row).collect();
    let lead = format!(
        "Of the tagged images, those whose share changed most first. A population stability index below 0.1 is stable, above \
         0.25 it is a large shift.{}",
        cut(diff.labels.len(), "labels")
    );
    section(("labels", "Share of each label"), &lead, &table("Labels", &columns, &rows, None))
}
