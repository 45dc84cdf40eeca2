//! `--output`: a whole output of the model as a column, in both stored types.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type};
use tagfleet_tests::command::{run, tagfleet};
use tagfleet_tests::rows::{batches, runs};

fn vectors(stored: &str) -> RecordBatch {
    let out = tempfile::tempdir().unwrap();
    let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model", "--include", "home/*"]);
    command.args(["--output", "logits", "--vector", stored, "--top-k", "2"]).arg("--out").arg(out.path());
    let ran = run(&mut command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    batches(&runs(out.path())[0].join("results")).remove(0)
}

#[test]
fn logits_give_the_scores_of_the_tags() {
    let batch = vectors("f32");
    let vectors = batch.column_by_name("vector").unwrap().as_list::<i32>();
    let tags = batch.column_by_name("tags").unwrap().as_list::<i32>();
    for row in 0..batch.num_rows() {
        let logits = vectors.value(row).as_primitive::<Float32Type>().clone();
        assert_eq!(logits.len(), 29);
        let tags = tags.value(row);
        let scores = tags.as_struct().column_by_name("score").unwrap().as_primitive::<Float32Type>().clone();
        assert_eq!(scores.len(), 2, "--top-k 2");
        let best = logits.values().iter().copied().fold(f32::MIN, f32::max);
        assert!((1.0 / (1.0 + (-best).exp()) - scores.value(0)).abs() < 1e-6);
    }
}

#[test]
fn half_floats_are_half_as_large_and_nearly_the_same() {
    let (full, half) = (vectors("f32"), vectors("f16"));
    let full = full
        .column_by_name("vector")
        .unwrap()
        .as_list::<i32>()
        .values()
        .as_primitive::<Float32Type>()
        .clone();
    let half = half
        .column_by_name("vector")
        .unwrap()
        .as_list::<i32>()
        .values()
        .as_primitive::<Float16Type>()
        .clone();
    assert_eq!(full.len(), half.len());
    for (full, half) in full.values().iter().zip(half.values()) {
        assert_eq!(half::f16::from_f32(*full), *half);
    }
}
