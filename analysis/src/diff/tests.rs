//! The merge against a join of two maps, and its text and JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use tagfleet_pipeline::bucket::KeyRange;
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::earlier::RowColumns;
use tagfleet_pipeline::run::{RunId, RunKeys, TagOptions};
use tagfleet_pipeline::tags::{Reason, Row};
use tagfleet_pipeline::testing::stored_run::{failed, put_slice, tagged};
use tokio::runtime::Builder;

use super::*;

const LABELS: [&str; 3] = ["cat", "dog", "emu"];

/// A row: failed, or its labels, and the version of its image.
#[derive(Clone, Debug, PartialEq)]
struct State {
    is_failed: bool,
    labels: Vec<usize>,
    version: u8,
}

type Run = BTreeMap<String, State>;

impl State {
    fn row(&self, key: &str) -> Row {
        if self.is_failed {
            return failed(key, Reason::Corrupt);
        }
        let tags: Vec<(&str, f32)> = self.labels.iter().map(|label| (LABELS[*label], 0.5)).collect();
        tagged(key, &self.version.to_string(), &tags)
    }
}

fn run(name: &str) -> RunId {
    RunId::try_from(name.to_owned()).unwrap()
}

fn subject(name: &str, counted: Counted) -> Subject {
    Subject {
        run: run(name),
        model: "pets@0a1b2c3d".to_owned(),
        engine: "tract 0.23.9 fp32".to_owned(),
        source: "photos".to_owned(),
        labels: LABELS.map(str::to_owned).to_vec(),
        counted,
        tags: TagOptions::new(5, 0.0),
    }
}

/// Stores a run in two groups, the second with two slices.
async fn rows(name: &str, of: &Run) -> RunRows {
    let (bucket, run) = (MemoryBucket::default(), run(name));
    let keys = RunKeys::in_bucket("tags/", &run);
    let mut places: BTreeMap<(u32, u32), Vec<Row>> = BTreeMap::new();
    for (number, (key, state)) in of.iter().enumerate() {
        let place = if number < of.len() / 2 { (0, 0) } else { (1, number as u32 % 2) };
        places.entry(place).or_default().push(state.row(key));
    }
    for (place, rows) in places {
        put_slice(&bucket, (&run, &keys), place, &rows).await;
    }
    let columns = RowColumns { etag: true, tags: true };
    RunRows::open(Arc::new(bucket), &keys, columns, KeyRange::default()).await.unwrap()
}

/// The diff, and every flip.
fn compare(a: &Run, b: &Run, counted: Counted, max_flips: Option<f64>) -> (Diff, Vec<[String; 3]>) {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut rows_a, mut rows_b) = (rows("monday", a).await, rows("tuesday", b).await);
        let mut flips = Vec::new();
        let pair = Pair {
            a: (subject("monday", counted), &mut rows_a),
            b: (subject("tuesday", counted), &mut rows_b),
        };
        let mut keep = |flip: &Flipped<'_>| {
            flips.push([flip.key, flip.from, flip.to].map(str::to_owned));
            Ok(())
        };
        let diff = diff(pair, max_flips, &mut keep).await.unwrap();
        (diff, flips)
    })
}

/// The labels that count, in the order of the row.
fn counting(state: &State, counted: Counted) -> Vec<&'static str> {
    let labels = state.labels.iter().map(|label| LABELS[*label]);
    match counted {
        Counted::Best => labels.take(1).collect(),
        Counted::All => labels.collect(),
    }
}

/// The expected diff, by looking up keys in maps.
fn joined(a: &Run, b: &Run, counted: Counted) -> (Fates, Vec<[String; 3]>) {
    let mut fates = Fates::default();
    let mut flips = Vec::new();
    for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
        let (before, after) = match (a.get(key), b.get(key)) {
            (Some(before), Some(after)) => (before, after),
            (Some(_), None) => {
                fates.deleted += 1;
                continue;
            }
            _ => {
                fates.new += 1;
                continue;
            }
        };
        let is_known = !before.is_failed && !after.is_failed;
        let is_replaced = is_known && before.version != after.version;
        fates.replaced += u64::from(is_replaced);
        let (from, to) = (counting(before, counted), counting(after, counted));
        let sets = [&from, &to].map(|labels| labels.iter().copied().collect::<BTreeSet<_>>());
        match (before.is_failed, after.is_failed) {
            (true, true) => fates.failed_in_both += 1,
            (false, true) => fates.failed += 1,
            (true, false) => fates.healed += 1,
            (false, false) if sets[0] == sets[1] => fates.kept += 1,
            (false, false) => {
                fates.flipped += 1;
                fates.replaced_and_flipped += u64::from(is_replaced);
                let only = |labels: &[&str], others: &BTreeSet<&str>| {
                    let only: Vec<&str> =
                        labels.iter().copied().filter(|label| !others.contains(label)).collect();
                    only.join(" | ")
                };
                flips.push([key.clone(), only(&from, &sets[1]), only(&to, &sets[0])]);
            }
        }
    }
    (fates, flips)
}

fn state() -> impl Strategy<Value = State> {
    let labels = Just(vec![0, 1, 2])
        .prop_shuffle()
        .prop_flat_map(|labels| (0..=labels.len()).prop_map(move |kept| labels[..kept].to_vec()));
    (prop::bool::weighted(0.2), labels, 0_u8..2).prop_map(|(is_failed, labels, version)| State {
        is_failed,
        labels,
        version,
    })
}

fn stored() -> impl Strategy<Value = Run> {
    prop::collection::btree_map("[a-d]{1,3}", state(), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_merge_finds_what_a_join_finds(a in stored(), b in stored(), all: bool) {
        let counted = if all { Counted::All } else { Counted::Best };
        let (diff, flips) = compare(&a, &b, counted, None);
        let (fates, expected) = joined(&a, &b, counted);
        prop_assert_eq!(diff.images, fates);
        prop_assert_eq!(flips, expected);
        let Fates { kept, flipped, new, deleted, failed, healed, failed_in_both, .. } = diff.images;
        let keys = a.keys().chain(b.keys()).collect::<BTreeSet<_>>().len() as u64;
        prop_assert_eq!(kept + flipped + new + deleted + failed + healed + failed_in_both, keys);
        for share in &diff.labels {
            let has = |state: &&State| {
                let labels = counting(state, counted);
                !state.is_failed && share.label.as_deref().map_or(labels.is_empty(), |label| labels.contains(&label))
            };
            let images = [&a, &b].map(|run| run.values().filter(has).count() as u64);
            prop_assert_eq!([share.images_a, share.images_b], images, "{:?}", share.label);
        }
        if counted == Counted::Best {
            let paired: u64 = diff.flips.iter().map(|flip| flip.images).sum();
            prop_assert_eq!(paired, flipped);
        }
    }

    #[test]
    fn a_run_equals_itself(run in stored()) {
        let (diff, flips) = compare(&run, &run, Counted::Best, Some(0.0));
        prop_assert!(flips.is_empty() && !diff.exceeds_max_flips);
        prop_assert!(diff.psi.unwrap_or(0.0) == 0.0);
        prop_assert!(diff.labels.iter().all(|share| share.psi == 0.0));
    }
}

fn at(label: usize, version: u8) -> State {
    State { is_failed: false, labels: vec![label, (label + 1) % 3], version }
}

fn nights() -> (Run, Run) {
    let lost = State { is_failed: true, ..at(0, 0) };
    let bare = State { labels: vec![], ..at(0, 0) };
    let a = [at(0, 0), at(0, 0), at(0, 0), at(1, 0), at(1, 0), lost.clone(), at(2, 0), at(2, 0)];
    let b = [at(0, 0), at(1, 1), at(1, 0), at(1, 0), bare, at(2, 0), lost, at(2, 0)];
    let named = |states: [State; 8]| -> Run {
        (0..).zip(states).map(|(number, state)| (format!("{number}.jpg"), state)).collect()
    };
    let (mut a, mut b) = (named(a), named(b));
    a.insert("old\u{202e}.jpg".to_owned(), at(0, 0));
    b.insert("new.jpg".to_owned(), at(2, 0));
    (a, b)
}

#[test]
fn what_people_and_programs_read() {
    let (a, b) = nights();
    let (diff, _) = compare(&a, &b, Counted::Best, Some(0.5));
    assert!(!diff.exceeds_max_flips);
    insta::assert_snapshot!(diff.text());
    insta::assert_json_snapshot!(diff);
    let (diff, _) = compare(&a, &b, Counted::All, Some(0.25));
    assert!(diff.exceeds_max_flips);
    insta::assert_snapshot!("of_several_labels", diff.text());
    insta::assert_snapshot!(diff.line(), @"50.0 % of the labels changed since monday (limit 25.0 %)");
    let (diff, _) = compare(&Run::new(), &b, Counted::Best, Some(0.0));
    insta::assert_snapshot!("of_nothing", diff.text());
}
