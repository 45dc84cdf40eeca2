//! Ranking against a plain sort, and options that no image could meet.

use proptest::prelude::*;

use super::*;

fn labels(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("label {index}")).collect()
}

fn options(top_k: u32, threshold: f32) -> TagOptions {
    TagOptions::new(top_k, threshold)
}

fn ranked(activation: Activation, options: &TagOptions, scores: &[f32]) -> Vec<(u32, f32)> {
    let ranker = Ranker::new(&labels(scores.len()), activation, options).unwrap();
    ranker.tags(scores).unwrap().iter().map(|tag| (tag.index, tag.score)).collect()
}

#[test]
fn ties_go_to_the_lower_index() {
    let found = ranked(Activation::None, &options(3, 0.0), &[0.25, 0.5, 0.5, -0.0, 0.25]);
    assert_eq!(found, [(1, 0.5), (2, 0.5), (0, 0.25)]);
}

#[test]
fn zero_and_minus_zero_tie() {
    let found = ranked(Activation::None, &options(3, 0.0), &[-0.0, 0.0, -0.0]);
    assert_eq!(found.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn softmax_is_stable_for_large_logits() {
    let found = ranked(Activation::Softmax, &options(2, 0.0), &[1e30, 1e30, f32::NEG_INFINITY]);
    assert_eq!(found, [(0, 0.5), (1, 0.5)]);
}

#[test]
fn sigmoid_keeps_what_reaches_the_threshold() {
    let found = ranked(Activation::Sigmoid, &default_options(Activation::Sigmoid, true), &[0.0, 2.0, -0.1]);
    assert_eq!(found.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn a_multi_label_model_has_the_same_defaults_whoever_applies_the_sigmoid() {
    assert_eq!(default_options(Activation::None, true), default_options(Activation::Sigmoid, true));
    assert_eq!(default_options(Activation::None, true).threshold, 0.5);
    assert_eq!(default_options(Activation::Softmax, false), options(5, 0.0));
}

#[test]
fn scores_that_are_used_as_they_are_may_be_negative() {
    let defaults = default_options(Activation::None, false);
    let json = serde_json::to_string(&defaults).unwrap();
    let read: TagOptions = serde_json::from_str(&json).unwrap();
    assert_eq!(read, defaults);
    let scores = [-3.0, -0.1, f32::MIN];
    assert_eq!(ranked(Activation::None, &read, &scores), [(1, -0.1), (0, -3.0), (2, f32::MIN)]);
    assert_eq!(ranked(Activation::None, &options(5, -1.5), &scores), [(1, -0.1)]);
    assert_eq!(ranked(Activation::None, &options(5, 7.5), &[7.0, 8.0]), [(1, 8.0)]);
    let refused = Ranker::new(&labels(3), Activation::None, &options(5, f32::INFINITY)).unwrap_err();
    insta::assert_snapshot!(refused, @"--threshold is inf, which is not a finite number");
}

#[test]
fn scores_that_are_no_numbers_are_an_error() {
    for (activation, bad) in [
        (Activation::Softmax, f32::NAN),
        (Activation::Softmax, f32::INFINITY),
        (Activation::Sigmoid, f32::NAN),
        (Activation::None, f32::INFINITY),
    ] {
        let ranker = Ranker::new(&labels(3), activation, &options(1, 0.0)).unwrap();
        assert!(
            matches!(ranker.tags(&[0.1, bad, 0.2]), Err(ScoresError::NotFinite { .. })),
            "{activation:?} {bad}"
        );
    }
}

#[test]
fn another_number_of_scores_is_an_error() {
    let ranker = Ranker::new(&labels(3), Activation::None, &options(1, 0.0)).unwrap();
    insta::assert_snapshot!(ranker.tags(&[0.1]).unwrap_err(), @"the model gave 1 scores, but has 3 labels");
}

#[test]
fn only_these_labels() {
    let names = ["crane", "goldfish", "crane"].map(str::to_owned);
    let only = TagOptions { labels: Some(vec!["crane".to_owned()]), ..options(5, 0.0) };
    let ranker = Ranker::new(&names, Activation::None, &only).unwrap();
    let found: Vec<u32> = ranker.tags(&[0.1, 0.8, 0.1]).unwrap().iter().map(|tag| tag.index).collect();
    assert_eq!(found, [0, 2]);
}

#[test]
fn a_label_has_its_own_threshold() {
    let names = ["crane", "goldfish", "tench", "crane"].map(str::to_owned);
    let thresholds = [("crane".to_owned(), 0.3), ("tench".to_owned(), TagOptions::NEVER)].into();
    let own = TagOptions { thresholds, ..options(5, 0.1) };
    let stored: TagOptions = serde_json::from_str(&serde_json::to_string(&own).unwrap()).unwrap();
    assert_eq!(stored, own);
    let ranker = Ranker::new(&names, Activation::None, &stored).unwrap();
    let found = |scores: &[f32]| {
        ranker.tags(scores).unwrap().iter().map(|tag| (tag.index, tag.score)).collect::<Vec<_>>()
    };
    assert_eq!(found(&[0.3, 0.1, 1.0, 0.2]), [(0, 0.3), (1, 0.1)]);
    assert_eq!(found(&[0.1, 0.05, 0.2, 0.4]), [(3, 0.4)]);
}

#[test]
fn a_threshold_of_no_label_is_refused() {
    let names = ["tabby, tabby cat", "goldfish"].map(str::to_owned);
    let refused = |label: &str, threshold| {
        let own = TagOptions { thresholds: [(label.to_owned(), threshold)].into(), ..options(5, 0.1) };
        Ranker::new(&names, Activation::Softmax, &own).unwrap_err().to_string()
    };
    insta::assert_snapshot!(refused("tabby", 0.5), @r#"a threshold is given for "tabby", and the model has no such label; the nearest are "tabby, tabby cat", "goldfish""#);
    insta::assert_snapshot!(refused("goldfish", f32::NAN), @r#"the threshold of "goldfish" is NaN, which is not a finite number"#);
}

#[test]
fn options_that_no_image_can_meet_are_refused() {
    let names = ["tabby, tabby cat", "goldfish", "crane"].map(str::to_owned);
    let refused =
        |options: &TagOptions| Ranker::new(&names, Activation::Softmax, options).unwrap_err().to_string();
    let labelled = |label: &str| TagOptions { labels: Some(vec![label.to_owned()]), ..options(5, 0.0) };
    insta::assert_snapshot!(refused(&options(0, 0.0)), @"--top-k is 0, so no image would get a tag: give at least 1");
    insta::assert_snapshot!(refused(&options(5, 1.5)), @"--threshold is 1.5, but scores are between 0 and 1");
    insta::assert_snapshot!(refused(&options(5, f32::NAN)), @"--threshold is NaN, but scores are between 0 and 1");
    insta::assert_snapshot!(
        refused(&labelled("tabby")),
        @r#"the model has no label "tabby"; the nearest are "tabby, tabby cat", "crane", "goldfish""#
    );
}

proptest! {
    #[test]
    fn equals_a_plain_sort(
        scores in prop::collection::vec((0_u8..40).prop_map(|step| f32::from(step) / 40.0), 1..60),
        top_k in 1_u32..70,
        threshold in 0.0_f32..1.0,
    ) {
        let mut plain: Vec<(u32, f32)> = (0..).zip(scores.iter().copied()).filter(|(_, s)| *s >= threshold).collect();
        plain.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap());
        plain.truncate(top_k as usize);
        prop_assert_eq!(ranked(Activation::None, &options(top_k, threshold), &scores), plain);
    }

    #[test]
    fn softmax_sums_to_one(scores in prop::collection::vec(-100.0_f32..100.0, 1..50)) {
        let sum: f64 = softmax(&scores).iter().map(|&score| f64::from(score)).sum();
        prop_assert!((sum - 1.0).abs() < 1e-5);
    }
}
