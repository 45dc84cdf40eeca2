//! Folders with links as an archive or a repository may bring them.

use std::fs;
use std::os::unix::fs::symlink;

use crate::folder::{Model, ModelOptions};
use crate::testing::Toy;

/// A secret next to `model`, a folder with the toy that takes any number of labels.
struct Planted {
    outer: tempfile::TempDir,
}

impl Planted {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        fs::create_dir_all(outer.path().join("secret")).unwrap();
        fs::write(outer.path().join("secret/credentials"), "a\nb\nc\nd\n").unwrap();
        Toy::default().write(&outer.path().join("model"), "model.onnx");
        Self { outer }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.outer.path().join(name)
    }

    fn link(&self, target: &str, name: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn opened(&self, folder: &str) -> Result<Model, String> {
        let root = format!("{}/", self.outer.path().display());
        let model = Model::open(&self.path(folder), &ModelOptions::default());
        model.map_err(|error| error.to_string().replace(&root, ""))
    }
}

#[test]
fn no_file_of_the_user_is_taken_for_labels_or_a_configuration() {
    for name in ["labels.txt", "config.json", "preprocessor_config.json", "tagfleet.toml", "synset.txt"] {
        let planted = Planted::new();
        planted.link("../secret/credentials", &format!("model/{name}"));
        let error = planted.opened("model").unwrap_err();
        let expected = format!(
            "model/{name} is a link, and what describes a model is read from its own folder only: put the file itself there"
        );
        assert!(error.ends_with(&expected), "{error}");
    }
}

#[test]
fn a_link_is_refused_by_whatever_way_it_leads_out() {
    let planted = Planted::new();
    planted.link("../secret", "model/inside");
    fs::write(planted.path("model/tagfleet.toml"), "labels = \"inside/credentials\"").unwrap();
    assert!(planted.opened("model").is_err());
    // Selected by its name alone, and hashed.
    let planted = Planted::new();
    planted.link("../secret/credentials", "model/selected_tags.csv");
    assert!(planted.opened("model").unwrap_err().contains("link"));
    // The graph, by itself and through a folder.
    let planted = Planted::new();
    fs::rename(planted.path("model/model.onnx"), planted.path("secret/model.onnx")).unwrap();
    planted.link("../secret/model.onnx", "model/model.onnx");
    insta::assert_snapshot!(planted.opened("model").unwrap_err(), @"model/model.onnx is a link that leads out of the model's folder: put the file itself there");
    planted.link("../secret", "other/onnx");
    insta::assert_snapshot!(planted.opened("other").unwrap_err(), @"other/onnx/model.onnx is a link that leads out of the model's folder: put the file itself there");
}

#[test]
fn weights_come_from_their_folder_by_links_too() {
    let planted = Planted::new();
    Toy { external: Some("weights.bin"), ..Toy::default() }.write(&planted.path("model"), "model.onnx");
    fs::write(planted.path("secret/weights"), [0; 48]).unwrap();
    fs::write(planted.path("model/real"), [0; 48]).unwrap();
    planted.link("real", "model/weights.bin");
    assert!(planted.opened("model").is_ok());
    fs::remove_file(planted.path("model/weights.bin")).unwrap();
    planted.link("../secret/weights", "model/weights.bin");
    insta::assert_snapshot!(planted.opened("model").unwrap_err(), @"model/weights.bin is a link that leads out of the model's folder: put the file itself there");
}

#[test]
fn hugging_faces_cache_is_made_of_links_and_no_other_folder_passes_for_one() {
    let planted = Planted::new();
    fs::create_dir_all(planted.path("cache/blobs")).unwrap();
    fs::rename(planted.path("model/model.onnx"), planted.path("cache/blobs/aaaa")).unwrap();
    fs::write(planted.path("cache/blobs/bbbb"), "red\ngreen\nblue\nnone\n").unwrap();
    planted.link("../../blobs/aaaa", "cache/snapshots/abc/model.onnx");
    planted.link("../../blobs/bbbb", "cache/snapshots/abc/labels.txt");
    assert_eq!(planted.opened("cache/snapshots/abc").unwrap().spec.labels[0], "red");
    // `blobs` leads elsewhere, or the link passes through it.
    planted.link("../secret", "forged/blobs");
    fs::copy(planted.path("cache/blobs/aaaa"), planted.path("secret/model.onnx")).unwrap();
    planted.link("../../blobs/credentials", "forged/snapshots/abc/labels.txt");
    fs::copy(planted.path("secret/model.onnx"), planted.path("forged/snapshots/abc/model.onnx")).unwrap();
    assert!(planted.opened("forged/snapshots/abc").unwrap_err().contains("is a link"));
    fs::remove_file(planted.path("cache/snapshots/abc/labels.txt")).unwrap();
    planted.link("../../blobs/../../secret/credentials", "cache/snapshots/abc/labels.txt");
    assert!(planted.opened("cache/snapshots/abc").unwrap_err().contains("is a link"));
}
