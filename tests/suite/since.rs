//! Nightly runs on one machine: `--since` keeps the rows of unchanged images, and `--retry` tags failed ones
//! again.

use std::fs;
use std::path::{Path, PathBuf};

use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::photos::files;
use tagfleet_tests::project;
use tagfleet_tests::rows::{Row, rows_of, runs};
use tempfile::TempDir;

/// A folder of photos, and the output of its runs.
struct Shop {
    folder: TempDir,
    pictures: Vec<Vec<u8>>,
}

impl Shop {
    fn new(photos: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("photos")).unwrap();
        let pictures = files(&project("demo/photos")).iter().map(|file| fs::read(file).unwrap()).collect();
        let shop = Self { folder, pictures };
        for number in 0..photos {
            shop.put(&format!("{number:02}.jpg"), number);
        }
        shop
    }

    fn photo(&self, name: &str) -> PathBuf {
        self.folder.path().join("photos").join(name)
    }

    fn put(&self, name: &str, picture: usize) {
        fs::write(self.photo(name), &self.pictures[picture % self.pictures.len()]).unwrap();
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("tags")
    }

    fn tag(&self, options: &[&str]) -> Ran {
        self.tag_into(&self.out(), options)
    }

    fn tag_into(&self, out: &Path, options: &[&str]) -> Ran {
        let mut command = tagfleet(["run", "--model", "demo/model"]);
        run(command.arg(self.folder.path().join("photos")).arg("--out").arg(out).args(options))
    }

    fn rows(&self) -> Vec<Row> {
        rows_of(runs(&self.out()).last().unwrap())
    }

    /// The rows of a run that keeps no rows.
    fn full_rows(&self) -> Vec<Row> {
        let out = self.folder.path().join("full");
        self.tag_into(&out, &["--quiet", "--new"]);
        rows_of(runs(&out).last().unwrap())
    }
}

fn summary(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn a_nightly_run_tags_new_images_and_has_the_rows_of_a_full_run() {
    let shop = Shop::new(6);
    let first = shop.tag(&["--since", "latest", "--json"]);
    assert!(first.stderr.contains("has no complete run yet: all images are tagged"), "{}", first.stderr);
    assert_eq!(summary(&first).get("since"), None);

    shop.put("new.jpg", 7);
    shop.put("01.jpg", 8);
    fs::remove_file(shop.photo("02.jpg")).unwrap();
    let second = shop.tag(&["--since", "latest", "--json"]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    let found = summary(&second);
    let expected = serde_json::json!({"new": 1, "changed": 1, "retried": 0, "kept": 4, "deleted": 1});
    assert_eq!(found["difference"], expected);
    assert_eq!((&found["images"], &found["rows"], &found["images_here"]), (&6.into(), &6.into(), &2.into()));
    assert_eq!(shop.rows(), shop.full_rows());

    let third = shop.tag(&["--since", "latest"]);
    assert!(third.stdout.contains("0 new, 0 changed, 0 tried again, 6 kept, 0 deleted"), "{}", third.stdout);
    assert_eq!(shop.rows(), shop.full_rows());
}

#[test]
fn a_night_counts_flips_as_a_diff_does_and_ends_with_5_above_the_limit() {
    let shop = Shop::new(8);
    shop.tag(&["--quiet"]);
    for number in 0..4 {
        shop.put(&format!("{number:02}.jpg"), number + 20);
    }
    shop.put("new.jpg", 9);
    fs::remove_file(shop.photo("07.jpg")).unwrap();
    let night = shop.tag(&["--since", "latest", "--max-flips", "0", "--json"]);
    let found = summary(&night);

    let both = runs(&shop.out());
    let diff = run(tagfleet(["diff", "--json", "--out"]).arg(shop.folder.path()).args(&both));
    let images = &serde_json::from_str::<serde_json::Value>(&diff.stdout).unwrap()["images"];
    assert_eq!(found["flips"]["same"], images["kept"]);
    assert_eq!(found["flips"]["flipped"], images["flipped"]);
    assert!(images["flipped"].as_u64() > Some(0), "the other pictures have other tags: {images}");
    assert_eq!(night.code, Some(5), "{}", night.stderr);

    shop.put("00.jpg", 30);
    let allowed = shop.tag(&["--since", "latest", "--max-flips", "100%"]);
    assert_eq!(allowed.code, Some(0), "{}", allowed.stderr);
    assert!(allowed.stdout.contains("within the limit of 100\u{a0}%"), "{}", allowed.stdout);
    let alone = shop.tag(&["--max-flips", "0"]);
    assert!(alone.code == Some(2) && alone.stderr.contains("--since"), "{}", alone.stderr);
}

#[test]
fn a_dry_run_counts_what_a_nightly_run_would_tag() {
    let shop = Shop::new(4);
    shop.tag(&["--quiet"]);
    shop.put("new.jpg", 5);
    let dry = shop.tag(&["--since", "latest", "--dry-run"]);
    assert!(dry.stdout.starts_with("1 image, "), "{}", dry.stdout);
    assert!(dry.stdout.contains("since the earlier run: 1 new, 0 changed"), "{}", dry.stdout);
    assert_eq!(runs(&shop.out()).len(), 1);
}

#[test]
fn a_run_with_other_options_is_not_continued() {
    let shop = Shop::new(2);
    shop.tag(&["--quiet"]);
    let run = runs(&shop.out()).remove(0).file_name().unwrap().to_str().unwrap().to_owned();
    let other = shop.tag(&["--since", "latest", "--top-k", "2"]);
    assert_eq!(other.code, Some(2));
    let expected = format!("rows of run {run} cannot be kept: its choice of tags is ");
    assert!(other.stderr.contains(&expected), "{}", other.stderr);
    assert!(other.stderr.contains("run once without --since"), "{}", other.stderr);
    let unknown = shop.tag(&["--since", "20200101-000000-000000"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("has no complete run 20200101-000000-000000"), "{}", unknown.stderr);
    assert_eq!(runs(&shop.out()).len(), 1, "nothing was started");
}

#[test]
fn the_reports_command_tags_failed_images_again() {
    let shop = Shop::new(4);
    fs::write(shop.photo("bad.jpg"), b"\x89PNG\r\n\x1a\n").unwrap();
    let first = shop.tag(&["--json"]);
    assert_eq!(first.code, Some(3));
    let retry = summary(&first)["retry"].as_str().unwrap().to_owned();
    shop.put("bad.jpg", 3);
    shop.put("later.jpg", 3);
    let run_id = retry.rsplit(' ').next().unwrap();
    assert!(retry.ends_with(&format!("--retry {run_id}")), "{retry}");
    let second = shop.tag(&["--json", "--retry", run_id]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    let expected = serde_json::json!({"new": 0, "changed": 0, "retried": 1, "kept": 4, "deleted": 0});
    assert_eq!(summary(&second)["difference"], expected);
    let keys: Vec<String> = shop.rows().into_iter().map(|row| row.key).collect();
    assert_eq!(
        keys,
        ["00.jpg", "01.jpg", "02.jpg", "03.jpg", "bad.jpg"],
        "later.jpg is not an input of the first run"
    );
}
