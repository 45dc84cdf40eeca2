//! Laws of the choice: who gets a picture first, how many there are, and what it does not depend on.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use tagfleet_pipeline::reduce::TagCount;
use tagfleet_pipeline::tags::{Reason, Tag};
use tagfleet_pipeline::thumbnails::THUMBNAILS_VERSION;

fn run() -> RunId {
    RunId::try_from("r".to_owned()).unwrap()
}

fn picture(key: &str, best: Option<(u8, u8)>) -> Picture {
    let tag = |(label, score): (u8, u8)| Tag {
        label: format!("label {label}"),
        index: u32::from(label),
        score: f32::from(score) / 255.0,
    };
    Picture {
        key: key.to_owned(),
        width: 4,
        height: 3,
        tags: best.map(tag).into_iter().collect(),
        jpeg: "/9g=".to_owned(),
    }
}

/// A shard of these best tags (label and score), all of which are in its random sample but for every fifth.
fn shard(number: usize, images: &[Option<(u8, u8)>]) -> ShardSample {
    let mut sample = ShardSample { version: THUMBNAILS_VERSION, ..ShardSample::default() };
    for (place, best) in images.iter().enumerate() {
        let picture = picture(&format!("{number:03}/{place:04}"), *best);
        let is_unsure = place % 5 == 4 && best.is_some();
        if is_unsure { sample.unsure.push(picture) } else { sample.random.push(picture) }
    }
    for place in 0..images.len() % 4 {
        let key = format!("{number:03}/bad {place}");
        sample.failures.push(FailedImage {
            key,
            reason: Reason::Corrupt,
            message: String::new(),
            jpeg: None,
        });
    }
    sample
}

/// How often each label is the best tag.
fn counts(shards: &[ShardSample]) -> TagCounts {
    let mut counts = TagCounts::default();
    for picture in shards.iter().flat_map(|shard| shard.random.iter().chain(&shard.unsure)) {
        let Some(best) = picture.tags.first() else { continue };
        let count: &mut TagCount = counts.labels.entry(best.label.clone()).or_default();
        count.images += 1;
        count.best += 1;
    }
    counts
}

fn chosen<'a>(shards: impl Iterator<Item = &'a ShardSample>, tags: &TagCounts) -> Samples {
    let run = run();
    let mut chooser = Chooser::new(&run, tags);
    shards.for_each(|shard| chooser.add(Some(shard.clone())));
    chooser.finish(0)
}

fn shown(samples: &Samples) -> usize {
    samples.labels.iter().map(|label| label.pictures.len()).sum()
}

/// 800 photos of 300 labels, as a model with a thousand classes answers: most labels once or twice.
#[test]
fn eight_hundred_photos_of_a_thousand_classes_fill_the_page() {
    let label = |image: usize| u8::try_from(image * image % 251).unwrap();
    let images: Vec<_> = (0..200).map(|image| Some((label(image), 100))).collect();
    let shards: Vec<_> = (0..4).map(|number| shard(number, &images)).collect();
    let samples = chosen(shards.iter(), &counts(&shards));
    assert_eq!((shown(&samples), samples.random.len(), samples.unsure.len()), (PICTURES, RANDOM, UNSURE));
}

#[test]
fn few_labels_have_several_pictures_each() {
    let shards = [shard(0, &[Some((1, 9)); 50]), shard(1, &[Some((2, 9)); 3])];
    let samples = chosen(shards.iter(), &counts(&shards));
    let found: Vec<_> = samples
        .labels
        .iter()
        .map(|label| (label.label.as_str(), label.images, label.pictures.len()))
        .collect();
    assert_eq!(found, [("label 1", 50, PER_LABEL), ("label 2", 3, 3)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_label_has_a_picture_before_any_has_two(
        images in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.9, (any::<u8>(), any::<u8>())), 0..120), 0..8)
    ) {
        let shards: Vec<_> = images.iter().enumerate().map(|(number, images)| shard(number, images)).collect();
        let tags = counts(&shards);
        let samples = chosen(shards.iter(), &tags);
        let with_picture: BTreeSet<&str> = samples.labels.iter().map(|label| label.label.as_str()).collect();
        let ranked = tags.most_frequent(usize::MAX, Counted::Best);
        // The most frequent labels first, each with a picture of its own.
        for (label, _) in ranked.iter().take(PICTURES) {
            prop_assert!(with_picture.contains(label), "{label}");
        }
        prop_assert_eq!(with_picture.len(), ranked.len().min(PICTURES));
        prop_assert!(shown(&samples) <= PICTURES);
        let fewest = samples.labels.iter().map(|label| label.pictures.len()).min().unwrap_or(0);
        let most = samples.labels.iter().map(|label| label.pictures.len()).max().unwrap_or(0);
        prop_assert!(most <= PER_LABEL && (ranked.is_empty() || fewest >= 1));
        if ranked.len() >= PICTURES {
            prop_assert_eq!(most, 1);
        }
        for label in &samples.labels {
            prop_assert!(label.pictures.iter().all(|picture| picture.tags[0].label == label.label));
        }
    }

    #[test]
    fn the_order_of_shards_does_not_matter_and_the_page_is_bounded(
        images in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.9, (0..40_u8, 0..4_u8)), 0..80), 0..10), seed: usize
    ) {
        let shards: Vec<_> = images.iter().enumerate().map(|(number, images)| shard(number, images)).collect();
        let tags = counts(&shards);
        let mut order: Vec<usize> = (0..shards.len()).collect();
        order.sort_by_key(|number| number.wrapping_mul(seed | 1).wrapping_add(seed));
        let samples = chosen(shards.iter(), &tags);
        prop_assert_eq!(&chosen(order.iter().map(|number| &shards[*number]), &tags), &samples);
        prop_assert!(samples.random.len() <= RANDOM && samples.unsure.len() <= UNSURE);
        prop_assert!(samples.failures.values().all(|failures| failures.len() <= FAILURES));
        let mut scores = samples.unsure.iter().map(|picture| picture.tags[0].score);
        prop_assert!(scores.clone().zip(scores.by_ref().skip(1)).all(|(a, b)| a <= b), "the least certain first");
    }
}
