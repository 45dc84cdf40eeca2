//! Rules for the whole tree: the promises of ARCHITECTURE.md that no compiler checks.

mod cycles;
mod prose;

use std::fs;
use std::path::{Path, PathBuf};

use tagfleet_tests::photos::files;
use tagfleet_tests::{project, root};

const CRATES: [&str; 14] = [
    "pipeline",
    "cost",
    "report",
    "fleet",
    "analysis",
    "model",
    "aws",
    "batch-worker",
    "cli",
    "functions/common",
    "functions/splitter",
    "functions/reducer",
    "bench",
    "tests",
];

/// The libraries that only the model crate may link.
const ENGINES_AND_DECODERS: [&str; 13] = [
    "ort",
    "openvino",
    "openvino-sys",
    "tract-onnx",
    "turbojpeg",
    "image",
    "fast_image_resize",
    "kamadak-exif",
    "re_rav1d",
    "png",
    "gif",
    "fax",
    "weezl",
];

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut files = files(&project(folder));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    files
}

fn all_sources() -> Vec<PathBuf> {
    let fuzz = ["fuzz/src", "fuzz/fuzz_targets"];
    CRATES.iter().chain(&fuzz).flat_map(|folder| sources(folder)).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn is_test(path: &Path) -> bool {
    let path = path.strip_prefix(root()).unwrap().display().to_string();
    path.starts_with("tests/")
        || path.contains("tests")
        || path.contains("testing")
        || path.contains("contract")
        || path.contains("samples")
}

/// The lines that satisfy `is_bad`, with their files.
fn offences(files: &[PathBuf], is_bad: impl Fn(&str) -> bool) -> Vec<String> {
    let mut offences = Vec::new();
    for file in files {
        for line in read(file).lines().filter(|line| is_bad(line)) {
            offences.push(format!("{}: {}", file.strip_prefix(root()).unwrap().display(), line.trim()));
        }
    }
    offences
}

fn manifest(folder: &str) -> toml::Table {
    read(&project(folder).join("Cargo.toml")).parse().unwrap()
}

fn dependencies(folder: &str) -> Vec<String> {
    manifest(folder)["dependencies"].as_table().unwrap().keys().cloned().collect()
}

#[test]
fn every_module_has_a_header() {
    let silent: Vec<_> = all_sources().into_iter().filter(|path| !read(path).starts_with("//! ")).collect();
    assert_eq!(silent, Vec::<PathBuf>::new());
}

#[test]
fn no_file_has_more_than_400_lines() {
    let large: Vec<_> = all_sources().into_iter().filter(|path| read(path).lines().count() > 400).collect();
    assert_eq!(large, Vec::<PathBuf>::new());
}

#[test]
fn main_only_wires() {
    let mains = ["cli", "batch-worker", "functions/splitter", "functions/reducer", "bench"];
    for main in mains {
        assert!(read(&project(main).join("src/main.rs")).lines().count() <= 40, "{main}");
    }
}

/// The crates of this project that each crate may depend on: those below it, never one above.
const LAYERS: [(&str, &[&str]); CRATES.len()] = [
    ("pipeline", &[]),
    ("cost", &["pipeline"]),
    ("report", &["pipeline", "cost"]),
    ("fleet", &["pipeline", "cost", "report"]),
    ("analysis", &["pipeline"]),
    ("model", &["pipeline"]),
    ("aws", &["pipeline", "cost"]),
    ("batch-worker", &["pipeline", "cost", "report", "fleet", "model", "aws"]),
    ("cli", &["pipeline", "cost", "report", "fleet", "analysis", "model", "aws"]),
    ("functions/common", &["pipeline", "cost", "fleet", "aws"]),
    ("functions/splitter", &["function", "pipeline", "cost", "fleet", "aws"]),
    ("functions/reducer", &["function", "pipeline", "cost", "report", "fleet", "aws"]),
    ("bench", &["pipeline", "model"]),
    ("tests", &["pipeline", "cost", "report", "fleet"]),
];

#[test]
fn dependencies_point_down_only() {
    assert_eq!(LAYERS.map(|(folder, _)| folder), CRATES);
    for (folder, below) in LAYERS {
        let dependencies = dependencies(folder);
        let own = dependencies.iter().filter_map(|name| name.strip_prefix("tagfleet-"));
        let upwards: Vec<_> = own.filter(|name| !below.contains(name)).collect();
        assert_eq!(upwards, Vec::<&str>::new(), "{folder}");
    }
}

#[test]
fn the_pipeline_names_no_cloud_no_engine_and_no_mode() {
    for name in &dependencies("pipeline") {
        assert!(!name.starts_with("aws") && !ENGINES_AND_DECODERS.contains(&name.as_str()), "{name}");
    }
    let named = offences(&sources("pipeline/src"), |line| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let is_code = !line.trim_start().starts_with("//");
        is_code
            && words.any(|word| {
                word.starts_with("aws_") || ["ort", "tract_onnx", "turbojpeg", "env"].contains(&word)
            })
    });
    assert_eq!(named, Vec::<String>::new());
}

#[test]
fn only_the_model_crate_links_an_engine_or_a_decoder() {
    // The benchmark encodes JPEGs and decodes none.
    for folder in CRATES.into_iter().filter(|folder| *folder != "model" && *folder != "bench") {
        let dependencies = dependencies(folder);
        assert!(dependencies.iter().all(|name| !ENGINES_AND_DECODERS.contains(&name.as_str())), "{folder}");
    }
}

#[test]
fn only_the_aws_crate_names_an_aws_sdk() {
    for folder in CRATES.into_iter().filter(|folder| *folder != "aws") {
        let dependencies = dependencies(folder);
        assert!(dependencies.iter().all(|name| !name.starts_with("aws-")), "{folder}");
    }
}

#[test]
fn versions_are_in_the_root_manifest_only() {
    for folder in CRATES {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let manifest = manifest(folder);
            let Some(table) = manifest.get(kind).and_then(toml::Value::as_table) else { continue };
            for (name, dependency) in table {
                assert_eq!(
                    dependency.get("workspace"),
                    Some(&toml::Value::Boolean(true)),
                    "{folder}: {name}"
                );
            }
        }
    }
}

#[test]
fn only_one_module_spells_a_key() {
    let spelling = [
        "\"work/",
        "results/\"",
        "_SUCCESS\"",
        "request.json\"",
        "summary.json\"",
        "report.html\"",
        ".parquet\"",
        ".jsonl",
    ];
    let mut files: Vec<_> = [
        "pipeline/src",
        "cost/src",
        "report/src",
        "fleet/src",
        "analysis/src",
        "model/src",
        "batch-worker/src",
        "cli/src",
        "functions",
    ]
    .iter()
    .flat_map(|folder| sources(folder))
    .collect();
    let spellers = ["pipeline/src/run/keys.rs", "pipeline/src/run/stack_keys.rs"];
    files.retain(|path| !spellers.iter().any(|speller| path.ends_with(speller)) && !is_test(path));
    let spelled = offences(&files, |line| {
        !line.trim_start().starts_with("//") && spelling.iter().any(|key| line.contains(key))
    });
    assert_eq!(spelled, Vec::<String>::new());
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let (allow, expect) = (["#[", "allow("].concat(), ["#[", "expect("].concat());
    let inner = (["#![", "allow("].concat(), ["#![", "expect("].concat());
    let allowed = offences(&all_sources(), |line| line.contains(&allow) || line.contains(&inner.0));
    assert_eq!(allowed, Vec::<String>::new());
    for file in all_sources() {
        let text = read(&file);
        for (start, _) in text.match_indices(&expect).chain(text.match_indices(&inner.1)) {
            let end = text[start..].find(")]").map_or(text.len(), |end| start + end);
            assert!(text[start..end].contains("reason"), "{}: {}", file.display(), &text[start..end]);
        }
    }
}

#[test]
fn no_test_sleeps() {
    let sleep = ["sleep", "("].concat();
    let tests: Vec<_> = all_sources().into_iter().filter(|path| is_test(path)).collect();
    assert_eq!(offences(&tests, |line| line.contains(&sleep)), Vec::<String>::new());
}

#[test]
fn ci_runs_the_command_of_the_readme() {
    assert!(read(&project(".ci/run")).lines().any(|line| line == "make test"));
    assert!(read(&project("README.md")).contains("make test"));
}

#[test]
fn architecture_is_short_and_knows_every_crate() {
    let text = read(&project("ARCHITECTURE.md"));
    assert!(text.lines().count() <= 150);
    for folder in CRATES {
        assert!(text.contains(&format!("| `{folder}`")), "{folder} is not on the map");
    }
}
