//! Networks in the form of each exporter, without a description of their preprocessing. They are right
//! without a fit, or after one `fit`.
//!
//! `tests/origins/make_origins.py` writes them. Each recognises the colour or the background of the demo's
//! products, and has other tags for any channel order and range that the authors of its origin do not use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tagfleet_tests::command::{run, tagfleet};
use tagfleet_tests::project;
use tagfleet_tests::rows::rows;

/// The number of the demo's sixty photos that must have the right tag.
const ENOUGH: usize = 54;

/// Origins whose authors mostly agree on the preprocessing.
const RIGHT_AS_THEY_ARE: [&str; 20] = [
    "caffe2",
    "cntk",
    "cntk_gray",
    "cntk_transfer",
    "keras",
    "keras_as_nchw",
    "keras_gray",
    "keras_mobilenetv2",
    "keras_rescaling",
    "keras_uint8",
    "keras_vgg16",
    "matlab_im2double",
    "matlab_none",
    "matlab_zerocenter",
    "mxnet",
    "paddle",
    "torch",
    "torch_dynamo",
    "torch_normalising",
    "torch_unit",
];

/// Networks that look like others with another preprocessing.
const RIGHT_AFTER_A_FIT: [&str; 1] = ["torch_half"];

/// The right label of each photo among `labels`.
fn truth(labels: &[String]) -> BTreeMap<String, String> {
    let text = fs::read_to_string(project("demo/truth.tsv")).unwrap();
    let mut truth = BTreeMap::new();
    for line in text.lines().skip(1) {
        let (key, tags) = line.split_once('\t').unwrap();
        let label = tags.split(", ").find(|tag| labels.iter().any(|label| label == tag)).unwrap();
        truth.insert(key.to_owned(), label.to_owned());
    }
    truth
}

/// A copy of an origin's folder, and the truth of the photos for it.
struct Place {
    folder: tempfile::TempDir,
    truth: BTreeMap<String, String>,
}

impl Place {
    fn new(origin: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("model")).unwrap();
        for entry in fs::read_dir(project("tests/origins").join(origin)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join("model").join(path.file_name().unwrap())).unwrap();
        }
        let kinds = ["white background", "studio", "gradient", "wood", "fabric"];
        let colours =
            ["black", "white", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"];
        let labels: &[&str] = if origin.ends_with("gray") { &kinds } else { &colours };
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        Self { folder, truth: truth(&labels) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The number of photos with the right best tag, and the printed warnings.
    fn right(&self) -> (usize, String) {
        let out = tempfile::tempdir_in(self.folder.path()).unwrap();
        let mut command = tagfleet(["run", "--engine", "tract", "--quiet", "demo/photos"]);
        let ran = run(command.arg("--model").arg(self.path("model")).arg("--out").arg(out.path()));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let rows = rows(out.path());
        assert_eq!(rows.len(), self.truth.len());
        let is_right = |key: &str, tags: &[(String, i32, f32)]| {
            tags.first().is_some_and(|tag| Some(&tag.0) == self.truth.get(key))
        };
        (rows.iter().filter(|row| is_right(&row.key, &row.tags)).count(), ran.stderr)
    }

    /// Ten photos, spread over the labels, as a user would label them.
    fn label_ten(&self) -> PathBuf {
        let mut by_label: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (key, label) in &self.truth {
            by_label.entry(label).or_default().push(key);
        }
        let (folder, mut copied) = (self.path("ten"), 0);
        for turn in 0..self.truth.len() {
            for (label, keys) in &by_label {
                if let Some(key) = keys.get(turn).filter(|_| copied < 10) {
                    copy(&project("demo/photos").join(key), &folder.join(label), copied);
                    copied += 1;
                }
            }
        }
        folder
    }

    /// A fit with ten labelled photos, which replaces the description.
    fn fit(&self) -> String {
        let mut command = tagfleet(["fit", "--force", "--engine", "tract", "--images"]);
        command.arg(self.label_ten()).arg(self.path("model")).arg("--page").arg(self.path("fit.html"));
        let ran = run(&mut command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    }
}

fn copy(photo: &Path, folder: &Path, number: usize) {
    fs::create_dir_all(folder).unwrap();
    let ending = photo.extension().unwrap().to_str().unwrap();
    fs::copy(photo, folder.join(format!("{number}.{ending}"))).unwrap();
}

#[test]
fn every_origin_is_listed() {
    let mut folders: Vec<String> = Vec::new();
    for entry in fs::read_dir(project("tests/origins")).unwrap() {
        let path = entry.unwrap().path();
        if path.join("model.onnx").exists() {
            folders.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    let mut listed: Vec<&str> = RIGHT_AS_THEY_ARE.iter().chain(&RIGHT_AFTER_A_FIT).copied().collect();
    listed.sort_unstable();
    folders.sort();
    assert_eq!(folders, listed);
}

#[test]
fn common_origins_are_right_without_a_fit() {
    let mut wrong = Vec::new();
    for origin in RIGHT_AS_THEY_ARE {
        let (right, said) = Place::new(origin).right();
        if right < ENOUGH || !said.contains("Guessed from the graph") {
            wrong.push(format!("{origin}: {right} right: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn other_origins_warn_and_are_right_after_a_fit_with_ten_pictures() {
    for origin in RIGHT_AFTER_A_FIT {
        let place = Place::new(origin);
        let (right, said) = place.right();
        assert!(right < ENOUGH, "{origin} needs no fit: {right} right");
        assert!(said.contains("results are probably wrong") && said.contains("tagfleet fit"), "{said}");
        let fitted = place.fit();
        let (right, said) = place.right();
        assert!(right >= ENOUGH && said.is_empty(), "{origin}: {right} right: {said}\n{fitted}");
    }
}

/// A network for each kind of samples, next to a description that is wrong for all of them.
#[test]
fn a_fit_finds_the_preprocessing_of_each_kind_of_network() {
    for origin in ["caffe2", "cntk", "cntk_gray", "keras_mobilenetv2", "mxnet"] {
        let place = Place::new(origin);
        let wrong = "scale = 0.05\noffset = 0.0\nmean = 0.0\nstd = 1.0\n";
        fs::write(place.path("model/tagfleet.toml"), wrong).unwrap();
        assert!(place.right().0 < ENOUGH, "{origin} takes any samples");
        let fitted = place.fit();
        let (right, said) = place.right();
        assert!(right >= ENOUGH && said.is_empty(), "{origin}: {right} right: {said}\n{fitted}");
    }
}
