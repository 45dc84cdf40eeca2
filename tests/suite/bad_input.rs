//! Wrong inputs of a user: each gives one sentence that names the thing and the remedy, and exit code 2.

use std::fs;
use std::path::Path;

use tagfleet_tests::command::{run, tagfleet};
use tagfleet_tests::{project, shared};
use tempfile::TempDir;

/// The error of a run on the demo with these additional arguments. FOLDER means the temporary folder in both.
fn refused(folder: &TempDir, arguments: &[&str]) -> String {
    let path = folder.path().canonicalize().unwrap();
    let path = path.to_str().unwrap();
    let with = |flag: &str, value: &str| {
        if arguments.contains(&flag) { vec![] } else { vec![flag.to_owned(), value.to_owned()] }
    };
    let mut all: Vec<String> = vec!["run".to_owned()];
    all.extend(arguments.iter().map(|argument| argument.replace("FOLDER", path)));
    all.extend(with("--model", "demo/model"));
    all.extend(with("--out", &format!("{path}/out")));
    let ran = run(&mut tagfleet(&all));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_eq!(ran.stdout, "");
    let error =
        ran.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect::<Vec<_>>().join("\n");
    error.replace(path, "FOLDER").replace(project("").to_str().unwrap(), "PROJECT/")
}

fn folder_of(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
    folder
}

fn copy_of_the_demos_model(folder: &Path) {
    for name in ["model.onnx", "config.json", "preprocessor_config.json"] {
        fs::copy(project("demo/model").join(name), folder.join(name)).unwrap();
    }
}

#[test]
fn inputs() {
    let folder = folder_of(&[("empty.txt", b""), ("photos/a.jpg", b"x")]);
    fs::create_dir(folder.path().join("none")).unwrap();
    let refused = |arguments: &[&str]| refused(&folder, arguments);
    insta::assert_snapshot!(refused(&["FOLDER/nowhere"]), @"error: FOLDER/nowhere: No such file or directory (os error 2)");
    insta::assert_snapshot!(refused(&["FOLDER/none"]), @"error: FOLDER/none: the input has no files: nothing to tag");
    insta::assert_snapshot!(
        refused(&["FOLDER/photos", "--include", "*.png"]),
        @"error: FOLDER/photos: 1 file, and none passes --include and --exclude (globs are case-sensitive): nothing to tag"
    );
    insta::assert_snapshot!(
        refused(&["FOLDER/photos", "--exclude", "["]),
        @r#"error: glob "[": unclosed character class; missing ']'"#
    );
    insta::assert_snapshot!(
        refused(&["FOLDER/photos", "--keys", "FOLDER/empty.txt"]),
        @"error: the list of keys is empty: give one key per line"
    );
    insta::assert_snapshot!(
        refused(&["FOLDER/photos/a.jpg", "--keys", "FOLDER/empty.txt"]),
        @"error: FOLDER/photos/a.jpg: --keys needs the folder that the keys are relative to"
    );
}

#[test]
fn outputs() {
    let folder = folder_of(&[("file", b"x"), ("photos/a.jpg", b"x")]);
    let refused = |arguments: &[&str]| refused(&folder, arguments);
    insta::assert_snapshot!(
        refused(&["FOLDER/photos", "--out", "FOLDER/file"]),
        @"error: --out FOLDER/file: cannot be written: File exists (os error 17)"
    );
    insta::assert_snapshot!(
        refused(&["FOLDER/photos", "--out", "FOLDER/photos/tags"]),
        @"error: --out FOLDER/photos/tags: is inside the input FOLDER/photos, so results would be inputs of the next run: choose another"
    );
    insta::assert_snapshot!(
        refused(&["FOLDER/photos", "--out", "/proc/tags"]),
        @"error: --out /proc/tags: cannot be written: No such file or directory (os error 2)"
    );
}

#[test]
fn options() {
    let folder = folder_of(&[("photos/a.jpg", b"x")]);
    let refused = |arguments: &[&str]| refused(&folder, &[&["FOLDER/photos"], arguments].concat());
    insta::assert_snapshot!(
        refused(&["--top-k", "0"]),
        @"error: --top-k is 0, so no image would get a tag: give at least 1"
    );
    insta::assert_snapshot!(
        refused(&["--threshold", "7"]),
        @"error: --threshold is 7, but scores are between 0 and 1"
    );
    insta::assert_snapshot!(
        refused(&["--labels", "shoes"]),
        @r#"error: the model has no label "shoes"; the nearest are "shoe", "blue", "book""#
    );
    insta::assert_snapshot!(refused(&["--output", "pooled"]), @r#"error: demo/model/model.onnx: the model has no output "pooled": it has logits [n, 29]"#);
    insta::assert_snapshot!(
        refused(&["--onnxruntime", "FOLDER/photos/a.jpg"]),
        @"error: ONNX Runtime could not be loaded (FOLDER/photos/a.jpg: failed to load from `FOLDER/photos/a.jpg`: dlopen failed): give --onnxruntime the path of libonnxruntime.so, version 1.24.1 or newer"
    );
}

#[test]
fn an_absent_gpu_is_refused() {
    let folder = folder_of(&[("photos/a.jpg", b"x")]);
    let mut places = vec![project(".venv")];
    let for_gpus = project(".venv-gpu");
    if for_gpus.is_dir() {
        places.push(for_gpus);
    } else {
        eprintln!("SKIPPED: no ONNX Runtime for GPUs: `scripts/setup.sh gpu` installs it");
    }
    if Path::new("/dev/nvidia0").exists() {
        eprintln!("SKIPPED: this machine has a GPU");
        return;
    }
    for place in places {
        let place = place.to_str().unwrap();
        let error = refused(&folder, &["FOLDER/photos", "--device", "gpu", "--onnxruntime", place]);
        let asked = "no GPU can be used with the ONNX Runtime at ";
        assert!(error.contains(asked) && error.contains("give --device cpu"), "{error}");
        let missing = ["there is no NVIDIA driver", "was built without CUDA"];
        assert!(missing.iter().any(|missing| error.contains(missing)), "{error}");
    }
}

#[test]
fn models() {
    let folder = folder_of(&[
        ("photos/a.jpg", b"x"),
        ("text/model.onnx", b"weights\n"),
        ("nothing/README.md", b"x"),
        ("labels/labels.txt", b"mug\nshoe\n"),
    ]);
    copy_of_the_demos_model(&folder.path().join("labels"));
    fs::remove_file(folder.path().join("labels/config.json")).unwrap();
    let refused = |model: &str| refused(&folder, &["FOLDER/photos", "--model", model]);
    insta::assert_snapshot!(refused("FOLDER/nowhere"), @"error: FOLDER/nowhere can't be read as a model: No such file or directory (os error 2)");
    insta::assert_snapshot!(refused("FOLDER/nothing"), @"error: FOLDER/nothing has no .onnx file, neither in it nor in its onnx/: export the model to ONNX first");
    insta::assert_snapshot!(refused("FOLDER/text"), @"error: FOLDER/text/model.onnx is a text file, not an ONNX model");
    insta::assert_snapshot!(refused("FOLDER/labels"), @"error: FOLDER/labels/model.onnx: labels.txt has 2 label(s), but the model gives 29 scores per image: give it one label per score, in their order");
}

#[test]
fn damaged_models_are_refused() {
    let Some(broken) = shared("models/broken") else { return };
    let folder = folder_of(&[("photos/a.jpg", b"x")]);
    let refused = |name: &str| {
        let model = broken.join(name);
        let text = refused(&folder, &["FOLDER/photos", "--model", model.to_str().unwrap()]);
        text.replace(broken.to_str().unwrap(), "BROKEN")
    };
    insta::assert_snapshot!(refused("lfs_pointer_densenet-12.onnx"), @"error: BROKEN/lfs_pointer_densenet-12.onnx is a Git LFS pointer, not a model: run `git lfs pull` where it came from");
    insta::assert_snapshot!(refused("mobilenetv2_fp32_external_data_missing.onnx"), @"error: BROKEN/mobilenetv2_fp32_external_data_missing.onnx needs mobilenet_v2_fp32.onnx.data next to it, which holds its weights: copy that file into BROKEN");
}
