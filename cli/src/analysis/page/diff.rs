//! The page of a diff: figures, flips with pictures, and the share of each label.
//!
//! Pure but for the pictures, which were read before.

use std::collections::BTreeSet;

use maud::{Markup, html};
use tagfleet_analysis::diff::{Diff, Flip, LabelShare};
use tagfleet_pipeline::format::{count, percent};
use tagfleet_report::html::name;
use tagfleet_report::html::table::{Table, text};

use super::super::pictures::Pictures;
use super::{Figure, Heads, ROWS, Section, cut, figures, keys, label, note, pairs};

/// The keys whose pictures the page shows.
pub(in super::super) fn shown(diff: &Diff) -> BTreeSet<&str> {
    keys(diff.flips.iter().map(|flip| flip.examples.as_slice()))
}

pub(in super::super) fn page(diff: &Diff, pictures: &Pictures) -> String {
    let main = html! { (key_figures(diff)) (flips(diff, pictures)) (failures(diff)) (labels(diff)) };
    let heads = Heads {
        title: format!("tagfleet diff {}", diff.b.run),
        heading: format!("What changed in {}", diff.b.run),
        lead: format!("From {} to {}", diff.a.in_words(), diff.b.in_words()),
    };
    heads.page(&main)
}

fn key_figures(diff: &Diff) -> Markup {
    let images = &diff.images;
    let share = diff.flip_share.map_or_else(String::new, percent);
    let limit = diff.max_flips.map_or(share.clone(), |max| format!("{share}, limit {}", percent(max)));
    let replaced = match images.replaced_and_flipped {
        0 => String::new(),
        replaced => format!("{} replaced images", count(replaced)),
    };
    let psi = diff.psi.map_or("by label".to_owned(), |psi| format!("{psi:.4}"));
    figures(&[
        Figure::new("Kept", count(images.kept), "same label"),
        Figure::new("Flipped", count(images.flipped), limit),
        Figure::new("Flipped and replaced", count(images.replaced_and_flipped), replaced),
        Figure::new("New", count(images.new), ""),
        Figure::new("Deleted", count(images.deleted), ""),
        Figure::new("Failed", count(images.failed), "tagged before"),
        Figure::new("Healed", count(images.healed), "failed before"),
        Figure::new("PSI", psi, "0.1 is a shift"),
    ])
}

fn heading(flip: &Flip) -> Markup {
    let [from, to] = [&flip.from, &flip.to].map(|side| label(side.as_deref(), "no tag"));
    html! { (from) " became " (to) " " small { (count(flip.images)) } }
}

fn flips(diff: &Diff, pictures: &Pictures) -> Markup {
    if diff.flips.is_empty() {
        return Markup::default();
    }
    let row = |flip: &Flip| {
        let [from, to] = [&flip.from, &flip.to].map(|side| label(side.as_deref(), "no tag"));
        vec![from, to, text(count(flip.images))]
    };
    let list = Table {
        caption: "Pairs of labels",
        columns: &[("From", false), ("To", false), ("Images", true)],
        rows: diff.flips.iter().map(row).collect(),
        foot: vec![],
    };
    let all = diff.flips.iter().map(|flip| (heading(flip), flip.examples.as_slice()));
    let lead = "The most frequent changes, with images drawn at random. flips.csv has all keys.";
    let content = html! { (note(pictures)) (pairs(all, pictures)) (list) };
    Section { id: "flips", heading: "Flipped", lead }.html(&content)
}

fn failures(diff: &Diff) -> Markup {
    let failed = diff.failed.iter().map(|found| ("newly failed", found));
    let healed = diff.healed.iter().map(|found| ("healed", found));
    let row =
        |(what, (code, images)): (&str, (&String, &u64))| vec![text(what), name(code), text(count(*images))];
    let rows: Vec<Vec<Markup>> = failed.chain(healed).map(row).collect();
    if rows.is_empty() {
        return Markup::default();
    }
    let columns = &[("What", false), ("Error code", false), ("Images", true)];
    let table = Table { caption: "Failed and healed images", columns, rows, foot: vec![] };
    let lead = "Images that failed in one of the runs.";
    Section { id: "failures", heading: "Failed and healed", lead }.html(&text(table))
}

fn labels(diff: &Diff) -> Markup {
    let columns = &[
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
            text(percent(share.share_a)),
            text(percent(share.share_b)),
            text(count(share.images_a)),
            text(count(share.images_b)),
            text(format!("{:.4}", share.psi)),
        ]
    };
    let rows = diff.labels.iter().take(ROWS).map(row).collect();
    let lead = format!(
        "Of the tagged images, those whose share changed most first. A population stability index below 0.1 is stable, above \
         0.25 it is a large shift.{}",
        cut(diff.labels.len(), "labels")
    );
    let table = Table { caption: "Labels", columns, rows, foot: vec![] };
    Section { id: "labels", heading: "Share of each label", lead: &lead }.html(&text(table))
}
