//! What a shard stores for the report, whatever the order in which its images were tagged.

use proptest::prelude::*;

use super::*;
use crate::tags::{Failure, Reason, Tag, Tagged};

fn run() -> RunId {
    RunId::try_from("r".to_owned()).unwrap()
}

fn shard(number: u32) -> ShardId {
    ShardId { range: 0, number }
}

fn tagged(score: Option<f32>) -> Outcome {
    let tags = score.map(|score| Tag { label: "cat".to_owned(), index: 0, score }).into_iter().collect();
    Outcome::Tagged(Tagged { width: 1, height: 1, tags, vector: None, second_decoder: false })
}

fn failed() -> Outcome {
    Outcome::Failed(Failure::new(Reason::NotFinite, "why"))
}

/// Makes the thumbnails that are asked for, as a tagger does.
fn seen(wanted: Wanted, outcome: &Outcome) -> Seen {
    let is_wanted = match (wanted, outcome) {
        (Wanted::Never, _) => false,
        (Wanted::Always, _) | (Wanted::IfBelow(_), Outcome::Failed(_)) => true,
        (Wanted::IfBelow(bound), Outcome::Tagged(tagged)) => {
            tagged.tags.first().is_some_and(|tag| tag.score < bound)
        }
    };
    Seen { outcome: outcome.clone(), thumbnail: is_wanted.then(|| vec![0xff]), milliseconds: None }
}

/// Tags images with these outcomes in `order`, and reports how many thumbnails were held at once.
fn sample_of(number: u32, outcomes: &[Outcome], order: &[usize]) -> (ShardSample, usize) {
    let keys: Vec<String> = (0..outcomes.len()).map(|index| format!("{index:04}")).collect();
    let mut candidates = Candidates::new(&run(), shard(number), keys.iter().map(String::as_str));
    let mut held = 0;
    for &index in order {
        let mut seen = seen(candidates.wanted(index), &outcomes[index]);
        candidates.keep(index, &mut seen);
        held = held.max(candidates.thumbnails.len());
    }
    let row =
        |(key, outcome): (String, &Outcome)| Row { key, bytes: None, etag: None, outcome: outcome.clone() };
    let rows: Vec<Row> = keys.into_iter().zip(outcomes).map(row).collect();
    (candidates.sample(&rows), held)
}

fn in_order(number: u32, outcomes: &[Outcome]) -> ShardSample {
    let order: Vec<usize> = (0..outcomes.len()).collect();
    sample_of(number, outcomes, &order).0
}

#[test]
fn every_image_of_a_small_run_has_a_thumbnail() {
    let sample = in_order(0, &vec![tagged(Some(0.5)); 100]);
    assert_eq!((sample.random.len(), sample.unsure.len()), (100, 0));
}

#[test]
fn the_least_certain_of_a_shard_are_all_there() {
    let outcomes: Vec<Outcome> =
        (0..1000_u16).map(|number| tagged(Some(f32::from(number) / 1000.0))).collect();
    let sample = in_order(7, &outcomes);
    assert_eq!(sample.random.len(), 32);
    let keys = |pictures: &[Picture]| pictures.iter().map(|picture| picture.key.clone()).collect::<Vec<_>>();
    let mut least: Vec<String> = [keys(&sample.random), keys(&sample.unsure)].concat();
    least.sort();
    least.truncate(UNSURE);
    assert_eq!(least, (0..UNSURE).map(|number| format!("{number:04}")).collect::<Vec<_>>());
}

#[test]
fn failures_keep_their_thumbnails() {
    let outcomes = [vec![failed(); 9], vec![tagged(None); 300]].concat();
    let sample = in_order(9, &outcomes);
    assert_eq!(sample.failures.len(), FAILURES);
    assert!(sample.failures.iter().all(|failure| failure.jpeg.is_some()));
    assert!(sample.unsure.is_empty(), "an image without a tag has no score");
}

#[test]
fn a_tagger_that_makes_no_thumbnails_leaves_no_pictures() {
    let mut candidates = Candidates::new(&run(), shard(0), ["a", "b"].into_iter());
    candidates.keep(0, &mut Seen::from(tagged(Some(0.5))));
    candidates.keep(1, &mut Seen::from(failed()));
    let rows = [("a", tagged(Some(0.5))), ("b", failed())];
    let rows = rows.map(|(key, outcome)| Row { key: key.to_owned(), bytes: None, etag: None, outcome });
    let sample = candidates.sample(&rows);
    assert_eq!((sample.random.len(), sample.failures[0].jpeg.as_deref()), (0, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_of_tagging_does_not_matter_and_memory_is_bounded(
        // Few different scores, so that many are equal.
        scores in prop::collection::vec(prop::option::of(prop::option::of(0..6_u8)), 0..400), number in 0..6_u32, seed in any::<usize>()
    ) {
        let outcome = |score: &Option<Option<u8>>| match score {
            None => failed(),
            Some(score) => tagged(score.map(|score| f32::from(score) / 5.0)),
        };
        let outcomes: Vec<Outcome> = scores.iter().map(outcome).collect();
        let mut order: Vec<usize> = (0..outcomes.len()).collect();
        order.sort_by_key(|index| index.wrapping_mul(seed | 1).wrapping_add(seed));
        let (sample, held) = sample_of(number, &outcomes, &order);
        prop_assert_eq!(sample, in_order(number, &outcomes));
        prop_assert!(held <= random_pictures(shard(number)) + UNSURE + FAILURES, "{held} thumbnails");
    }
}
