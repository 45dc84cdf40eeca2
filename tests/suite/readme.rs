//! What the README shows: its examples of reading results run as they stand there.

use std::fs;
use std::path::Path;
use std::process::Command;

use tagfleet_tests::command::{run, tagfleet};
use tagfleet_tests::project;

/// The fenced blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let text = fs::read_to_string(project("README.md")).unwrap();
    let mut blocks = Vec::new();
    for block in text.split(&format!("```{language}\n")).skip(1) {
        blocks.push(block.split("```").next().unwrap().to_owned());
    }
    blocks
}

fn python(script: &str, folder: &Path) -> String {
    let python = project(".venv/bin/python");
    assert!(python.exists(), "{} is not there: run `make test`", python.display());
    let mut command = Command::new(python);
    command.args(["-c", script]).current_dir(folder);
    command.env("HF_HOME", folder.join("cache")).env("HF_HUB_OFFLINE", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn duckdb_pandas_and_datasets_read_the_results() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model"]);
    assert_eq!(run(command.arg("--out").arg(folder.path().join("tags"))).code, Some(0));
    let scripts = blocks("python");
    assert_eq!(scripts.len(), 3, "one example for each reader");
    for (script, reader) in scripts.iter().zip(["duckdb", "pandas", "datasets"]) {
        assert!(script.contains(reader), "{script}");
        let printed = python(script, folder.path());
        assert!(printed.contains("white background"), "{reader} printed:\n{printed}");
    }
}

#[test]
fn half_float_vectors_are_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut command =
        tagfleet(["run", "demo/photos", "--model", "demo/model", "--output", "logits", "--vector", "f16"]);
    assert_eq!(run(command.arg("--out").arg(folder.path().join("tags"))).code, Some(0));
    let script = "import duckdb, pandas, glob\n\
        print(duckdb.sql(\"SELECT len(vector) FROM 'tags/*/results/*.parquet' LIMIT 1\").fetchall())\n\
        print(pandas.read_parquet(glob.glob('tags/*/results')[0]).vector[0].dtype)";
    assert_eq!(python(script, folder.path()), "[(29,)]\nfloat16\n");
}

#[test]
fn every_command_of_the_readme_exists() {
    let makefile = fs::read_to_string(project("Makefile")).unwrap();
    let readme = fs::read_to_string(project("README.md")).unwrap();
    let commands = readme.lines().filter_map(|line| line.trim().strip_prefix("make "));
    let targets: Vec<&str> = commands.filter_map(|rest| rest.split_whitespace().next()).collect();
    assert_eq!(targets, ["demo", "test", "install", "demo-aws", "storm", "bench", "bench", "bench"]);
    for target in targets {
        assert!(
            makefile.contains(&format!("\n{target}:")),
            "make {target} is in the README and not in the Makefile"
        );
    }
}

/// What the README says of names gives back the names that keys are made of.
#[test]
fn a_key_gives_back_the_name() {
    let scripts = blocks("py");
    let [script] = scripts.as_slice() else { panic!("one way to decode a key") };
    let names: [&[u8]; 7] = [
        b"a%20b.jpg",
        b"caf\xe9.jpg",
        b"caf%E9.jpg",
        b"caf%25E9.jpg",
        b"100%\xff",
        b"%C3%A9",
        "ü%".as_bytes(),
    ];
    let keys: Vec<String> =
        names.iter().map(|name| tagfleet_pipeline::bucket::dir::names::key_of(name)).collect();
    let asked = format!("{script}\nfor key in {keys:?}: print(name(key).hex())");
    let hex = |name: &&[u8]| name.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(python(&asked, folder.path()), names.iter().map(hex).collect::<String>());
}
