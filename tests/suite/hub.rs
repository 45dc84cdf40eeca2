//! A model by its name in the local Hugging Face cache, with the links that `hf download` creates.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::project;

const COMMIT: &str = "3f49326eb077187dfe1c2a2bb15fbd74e6ab91e3";

/// `models--acme--tagger` below `home/hub`, with the demo's model.
fn download_the_demos_model(home: &Path) {
    let model = home.join("hub/models--acme--tagger");
    let snapshot = model.join("snapshots").join(COMMIT);
    for folder in [&model.join("refs"), &model.join("blobs"), &snapshot] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(model.join("refs/main"), COMMIT).unwrap();
    for name in ["model.onnx", "config.json", "preprocessor_config.json"] {
        let blob = format!("blobs/of-{name}");
        fs::copy(project("demo/model").join(name), model.join(&blob)).unwrap();
        symlink(format!("../../{blob}"), snapshot.join(name)).unwrap();
    }
}

fn tag(home: &Path, model: &str, out: &Path) -> Ran {
    let out = out.to_str().unwrap();
    let mut command = tagfleet(["run", "demo/photos", "--model", model, "--out", out]);
    run(command.env("HF_HOME", home).env_remove("HF_HUB_CACHE").env_remove("HUGGINGFACE_HUB_CACHE"))
}

#[test]
fn a_model_is_found_by_its_name_and_gives_the_same_tags() {
    let folder = tempfile::tempdir().unwrap();
    download_the_demos_model(folder.path());
    let keys_and_tags = |model: &str, out: &str| {
        let out = folder.path().join(out);
        let ran = tag(folder.path(), model, &out);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        run(&mut tagfleet(["show", out.to_str().unwrap(), "--rows", "100"])).stdout
    };
    let by_name = keys_and_tags("acme/tagger", "by-name");
    assert_eq!(by_name, keys_and_tags("demo/model", "by-path"));
    assert_eq!(by_name, keys_and_tags("hf://acme/tagger", "by-address"));
}

#[test]
fn a_run_is_named_after_the_model_and_not_after_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    download_the_demos_model(folder.path());
    let ran = tag(folder.path(), "acme/tagger", &folder.path().join("out"));
    assert!(!ran.stderr.contains(COMMIT) && !ran.stdout.contains(COMMIT), "{ran:?}");
    assert!(ran.stdout.contains("tagger"), "{ran:?}");
}

#[test]
fn a_model_that_was_not_downloaded_names_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let ran = tag(folder.path(), "acme/tagger", &folder.path().join("out"));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("`hf download acme/tagger` puts it there, or add --download"), "{ran:?}");
}
