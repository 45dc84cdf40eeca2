//! Memory of the real `tagfleet diff` over runs of very many rows. CI does not run it: `make load` prints
//! time and peak memory at a tenth of ROWS and at ROWS, and fails if memory grows with the number of rows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tagfleet_pipeline::run::{RunId, RunKeys};
use tagfleet_pipeline::tags::parquet::{RunColumns, TableWriter, batch};
use tagfleet_pipeline::testing::stored_run::tagged;
use tagfleet_tests::command::{ended_with_peak_memory, run, start, tagfleet};
use tagfleet_tests::rows::runs;
use tempfile::TempDir;

/// Rows of one result file.
const FILE_ROWS: usize = 1_000_000;
const BATCH_ROWS: usize = 10_000;
/// The memory limit of the unoptimised program, including its code pages, in kB. 69 MB were measured at
/// 300,000 and at 1,000,000 rows.
const MOST_KB: u64 = 90_000;
const LABELS: [&str; 4] = ["mug", "t-shirt", "shoe", "handbag"];

/// A copy of `of`, a run of the demo, with this many rows. A row's label follows from its number and `night`.
fn synthetic(of: &Path, out: &Path, rows: usize, night: usize) -> PathBuf {
    let run = RunId::try_from(format!("night-{night}-{rows}")).unwrap();
    let keys = RunKeys::new("", &run);
    fs::create_dir_all(out.join(keys.results())).unwrap();
    for name in ["request.json", "summary.json"] {
        fs::copy(of.join(name), out.join(run.as_str()).join(name)).unwrap();
    }
    let columns = RunColumns { run: run.clone(), model: "model@00000000".to_owned(), vector: None };
    for (group, first) in (0..).zip((0..rows).step_by(FILE_ROWS)) {
        let mut writer = TableWriter::new(&run, None).unwrap();
        let last = rows.min(first + FILE_ROWS);
        for start in (first..last).step_by(BATCH_ROWS) {
            let row = |number: usize| {
                let key = format!("photos/2026/{:04}/sku-{number:09}-front.jpg", number / 10_000);
                let etag = format!("{:032x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let label = LABELS[(number + usize::from(number.is_multiple_of(100)) * night) % LABELS.len()];
                tagged(&key, &etag, &[(label, 0.9), ("red", 0.75), ("studio", 0.5)])
            };
            let rows: Vec<_> = (start..last.min(start + BATCH_ROWS)).map(row).collect();
            writer.write(&batch(&rows, &columns).unwrap()).unwrap();
        }
        fs::write(out.join(keys.result(group, 0)), writer.finish(0).unwrap()).unwrap();
    }
    out.join(run.as_str())
}

#[test]
#[ignore = "minutes: `make load`"]
fn the_memory_of_a_diff_does_not_grow_with_rows() {
    let rows = std::env::var("TAGFLEET_LOAD_ROWS").map_or(1_000_000, |rows| rows.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("demo");
    let mut command =
        tagfleet(["run", "demo/photos", "--model", "demo/model", "--engine", "tract", "--quiet"]);
    assert_eq!(run(command.arg("--out").arg(&out)).code, Some(0));
    let demo = runs(&out).pop().unwrap();
    let mut peaks = Vec::new();
    for rows in [rows / 10, rows] {
        let nights = [0, 1].map(|night| synthetic(&demo, folder.path(), rows, night));
        let size: u64 = nights
            .iter()
            .flat_map(|night| fs::read_dir(night.join("results")).unwrap())
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        let began = Instant::now();
        let mut command = tagfleet(["diff"]);
        let (code, peak) =
            ended_with_peak_memory(start(command.args(&nights).arg("--out").arg(folder.path())));
        assert_eq!(code, Some(0));
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "diff of {rows} rows with {rows}: {:.0} MB of results, peak {} MB, {seconds:.1} s",
            size as f64 / 1e6,
            peak / 1000
        );
        let found = fs::read(folder.path().join("diff.json")).unwrap();
        let found: serde_json::Value = serde_json::from_slice(&found).unwrap();
        assert_eq!(found["images"]["flipped"], rows / 100);
        peaks.push(peak);
        for night in nights {
            fs::remove_dir_all(night).unwrap();
        }
    }
    assert!(peaks[1] < MOST_KB && peaks[1] < peaks[0] + peaks[0] / 4, "{peaks:?} kB");
}
