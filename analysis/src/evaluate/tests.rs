//! Figures by hand, against scikit-learn's, and what people and programs read.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use tagfleet_pipeline::bucket::KeyRange;
use tagfleet_pipeline::bucket::memory::MemoryBucket;
use tagfleet_pipeline::earlier::{RowColumns, RunRows};
use tagfleet_pipeline::run::{RunId, RunKeys, TagOptions};
use tagfleet_pipeline::tags::{Reason, Row};
use tagfleet_pipeline::testing::stored_run::{failed, put_slice, tagged};
use tempfile::TempDir;
use tokio::runtime::Builder;

use super::*;
use crate::truth::{Sources, TruthFile};

fn subject(labels: &[&str], counted: Counted) -> Subject {
    Subject {
        run: RunId::try_from("monday".to_owned()).unwrap(),
        model: "pets@0a1b2c3d".to_owned(),
        engine: "tract 0.23.9 fp32".to_owned(),
        source: "photos".to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        counted,
        tags: TagOptions::new(5, 0.0),
    }
}

/// The truth as a file, or none for folders.
fn truth(csv: Option<&str>) -> Truth {
    let Some(csv) = csv else { return Truth::Folders };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("labels.csv");
    fs::write(&path, csv).unwrap();
    Truth::File(TruthFile::read(&path, &Sources::new("")).unwrap())
}

fn evaluated(
    rows: &[Row],
    subject: Subject,
    truth: &Truth,
    precision: Option<f64>,
) -> Result<Evaluation, AnalysisError> {
    let runtime = Builder::new_current_thread().build().unwrap();
    let labels = subject.labels.clone();
    let resolve =
        |text: &str| labels.iter().filter(|label| label.as_str() == text).cloned().collect::<Vec<_>>();
    runtime.block_on(async {
        let bucket = MemoryBucket::default();
        let keys = RunKeys::in_bucket("tags/", &subject.run);
        put_slice(&bucket, (&subject.run, &keys), (0, 0), rows).await;
        let columns = RowColumns { etag: false, tags: true };
        let mut rows = RunRows::open(Arc::new(bucket), &keys, columns, KeyRange::default()).await.unwrap();
        evaluate(Evaluated { subject, rows: &mut rows, truth, resolve: &resolve, precision }).await
    })
}

const PETS: [&str; 3] = ["cat", "dog", "emu"];

fn pets() -> Vec<Row> {
    vec![
        tagged("a.jpg", "1", &[("cat", 0.9), ("dog", 0.1)]),
        tagged("b.jpg", "1", &[("dog", 0.6), ("cat", 0.4)]),
        tagged("c.jpg", "1", &[("dog", 0.8), ("emu", 0.2)]),
        tagged("d.jpg", "1", &[("emu", 0.7), ("dog", 0.3)]),
        tagged("e.jpg", "1", &[]),
        failed("f.jpg", Reason::Corrupt),
        tagged("g.jpg", "1", &[("cat", 1.0)]),
        tagged("h.jpg", "1", &[("cat", 1.0)]),
        tagged("i.jpg", "1", &[("cat", 0.5), ("emu", 0.5)]),
    ]
}

const TRUTH: &str = "key,label\nzzz.jpg,cat\nd.jpg,cat\na.jpg,cat\nb.jpg,cat\nc.jpg,dog\ne.jpg,emu\nf.jpg,cat\ng.jpg,gnu\nh.jpg,\n";

#[test]
fn figures_of_one_label_per_image() {
    let evaluation = evaluated(&pets(), subject(&PETS, Counted::Best), &truth(Some(TRUTH)), None).unwrap();
    let counts = ImageCounts {
        evaluated: 5,
        failed: 1,
        unknown_label: 1,
        without_label: 1,
        only_in_truth: 1,
        only_in_run: 1,
    };
    assert_eq!(evaluation.images, counts);
    // a and c are right at once, b by its second tag.
    assert_eq!((evaluation.top_1, evaluation.top_5, evaluation.exact), (Some(0.4), Some(0.6), None));
    let cat = &evaluation.labels[0];
    assert_eq!((cat.scores.precision, cat.scores.recall, cat.support, cat.predicted), (1.0, 1.0 / 3.0, 3, 1));
    insta::assert_snapshot!(evaluation.text());
    insta::assert_json_snapshot!(evaluation);
}

#[test]
fn figures_of_several_labels_per_image() {
    let text = "key,label\na.jpg,cat|dog\nb.jpg,cat\nb.jpg,emu\nc.jpg,dog;gnu\nh.jpg,\n";
    let evaluation = evaluated(&pets(), subject(&PETS, Counted::All), &truth(Some(text)), Some(0.9)).unwrap();
    assert_eq!((evaluation.images.evaluated, evaluation.images.only_in_run), (4, 5));
    assert_eq!((evaluation.exact, evaluation.top_1), (Some(0.25), Some(0.5)));
    insta::assert_snapshot!(evaluation.text());
}

#[test]
fn folders_are_labels() {
    let rows = [
        tagged("cat/1.jpg", "1", &[("cat", 0.9)]),
        tagged("cat/winter/2.jpg", "1", &[("dog", 0.9)]),
        tagged("dog/cat/3.jpg", "1", &[("cat", 0.9)]),
        tagged("gnu/4.jpg", "1", &[("cat", 0.9)]),
        tagged("top.jpg", "1", &[("cat", 0.9)]),
    ];
    let evaluation = evaluated(&rows, subject(&PETS, Counted::Best), &truth(None), None).unwrap();
    let images = evaluation.images;
    assert_eq!((images.evaluated, images.unknown_label, images.only_in_run), (3, 1, 1));
    assert_eq!(evaluation.top_1, Some(2.0 / 3.0));
    assert_eq!(evaluation.unknown_labels[0].label, "gnu");
    let flat = [tagged("top.jpg", "1", &[("cat", 0.9)])];
    let error = evaluated(&flat, subject(&PETS, Counted::Best), &truth(None), None).unwrap_err();
    insta::assert_snapshot!(error, @"no image of the run is in a folder: name folders after labels, or give --truth a file");
}

#[test]
fn a_truth_of_other_keys_is_an_error() {
    let other = truth(Some("key,label\nphotos/a.jpg,cat\n"));
    let error = evaluated(&pets(), subject(&PETS, Counted::Best), &other, None).unwrap_err();
    insta::assert_snapshot!(error, @r#"no key of the truth is in the run: the first key of the truth is "photos/a.jpg", of the run "a.jpg"; use keys as `tagfleet show RUN --keys-only` prints them"#);
}

#[test]
fn a_label_that_rows_do_not_hold_is_named() {
    let tags = TagOptions { labels: Some(vec!["cat".to_owned()]), ..TagOptions::new(1, 0.5) };
    let subject = Subject { tags, ..subject(&PETS, Counted::Best) };
    let evaluation = evaluated(&pets(), subject, &truth(Some(TRUTH)), None).unwrap();
    assert_eq!(evaluation.top_5, None);
    insta::assert_snapshot!(evaluation.notes.join("\n"));
}

#[test]
fn scores_that_are_not_probabilities_have_no_calibration() {
    let rows = [tagged("a.jpg", "1", &[("cat", 7.5), ("dog", -2.0)])];
    let evaluation = evaluated(&rows, subject(&PETS, Counted::Best), &truth(Some(TRUTH)), None).unwrap();
    assert_eq!(evaluation.calibration, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is missing on either side.
    #[test]
    fn every_key_is_counted_once(
        run in prop::collection::btree_map("[a-c]{1,3}", 0_usize..5, 0..30),
        truth in prop::collection::btree_map("[a-c]{1,3}", 0_usize..5, 1..30),
    ) {
        let labels = ["cat", "dog", "emu", "gnu", ""];
        let rows: Vec<Row> = run.iter().map(|(key, label)| match label {
            3 => failed(key, Reason::Empty),
            4 => tagged(key, "1", &[]),
            label => tagged(key, "1", &[(labels[*label], 0.5)]),
        }).collect();
        let csv: String = truth.iter().rev().map(|(key, label)| format!("{key},{}\n", labels[*label])).collect();
        let truth_file = super::tests::truth(Some(&format!("key,label\n{csv}")));
        let found = match evaluated(&rows, subject(&PETS, Counted::Best), &truth_file, None) {
            Ok(found) => found,
            Err(error) => {
                prop_assert!(run.keys().all(|key| !truth.contains_key(key)), "{}", error);
                return Ok(());
            }
        };
        let ImageCounts { evaluated, failed, unknown_label, without_label, only_in_truth, only_in_run } = found.images;
        let both = run.keys().filter(|key| truth.contains_key(*key)).count() as u64;
        prop_assert_eq!(evaluated + failed + unknown_label + without_label, both);
        prop_assert_eq!(only_in_truth, truth.len() as u64 - both);
        prop_assert_eq!(only_in_run, run.len() as u64 - both);
        let support: u64 = found.labels.iter().map(|label| label.support).sum();
        prop_assert_eq!(support, evaluated);
    }
}

/// Numbers in a fixed order, the same as in `scikit_learn.py`.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn name(label: u64) -> String {
    format!("label {label:02}")
}

/// 10,000 rows and the truth of all but some, as `scikit_learn.py` makes them.
fn drawn(several: bool) -> (Vec<Row>, String) {
    let mut numbers = Numbers(7);
    let (mut rows, mut csv) = (Vec::new(), "key,label\n".to_owned());
    for number in 0..10_000 {
        let key = format!("{number:05}.jpg");
        let mut labels = vec![numbers.below(20)];
        if several {
            labels.extend((0..numbers.below(3)).map(|_| numbers.below(20)));
        }
        for label in &labels {
            csv.push_str(&format!("{key},{}\n", name(*label)));
        }
        let mut tags: BTreeMap<u64, f32> = BTreeMap::new();
        for place in 0..5 {
            let is_right = numbers.below(10) < 7 && place < labels.len();
            let label = if is_right { labels[place] } else { numbers.below(20) };
            let score = if is_right { 500 + numbers.below(501) } else { numbers.below(901) };
            tags.entry(label).or_insert(score as f32 / 1000.0);
        }
        let mut tags: Vec<(String, f32)> =
            tags.into_iter().map(|(label, score)| (name(label), score)).collect();
        tags.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let tags: Vec<(&str, f32)> = tags.iter().map(|(label, score)| (label.as_str(), *score)).collect();
        rows.push(tagged(&key, "1", &tags));
    }
    (rows, csv)
}

/// Panics unless two trees have the same fields and numbers.
fn assert_close(found: &Value, expected: &Value, path: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (name, expected) in expected {
                assert_close(&found[name], expected, &format!("{path}.{name}"));
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{path}");
            for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_close(found, expected, &format!("{path}[{place}]"));
            }
        }
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((found - expected).abs() < 1e-9, "{path}: {found} instead of {expected}");
        }
        _ => assert_eq!(found, expected, "{path}"),
    }
}

/// `tests/scikit_learn.py` writes the file with scikit-learn; it is in no environment of the tests.
#[test]
fn figures_are_those_of_scikit_learn() {
    let expected: Value = serde_json::from_str(include_str!("../../tests/scikit_learn.json")).unwrap();
    let labels: Vec<String> = (0..20).map(name).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    for (which, counted) in [("best", Counted::Best), ("all", Counted::All)] {
        let (rows, csv) = drawn(counted == Counted::All);
        let subject = subject(&labels, counted);
        let found = evaluated(&rows, subject, &truth(Some(&csv)), Some(0.75)).unwrap();
        assert_close(&serde_json::to_value(&found).unwrap(), &expected[which], which);
    }
}
