//! The examples in README and guide run as shown: those that read results and keys.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tagfleet_pipeline::run::{RunId, RunRequest};
use tagfleet_pipeline::tags::table::RunTable;
use tagfleet_tests::command::{run, tagfleet};
use tagfleet_tests::project;
use tagfleet_tests::rows::{rows_of, runs};

/// The fenced blocks of one language, in a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(project(page)).unwrap();
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

/// The most frequent best tags of a run.
fn best_tags(folder: &Path) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::new();
    for row in rows_of(folder) {
        if let Some((label, _, _)) = row.tags.into_iter().next() {
            *counts.entry(label).or_insert(0) += 1;
        }
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    counts
}

/// Two runs are in one folder. Only the best tags of the later run count.
#[test]
fn duckdb_pandas_and_datasets_count_the_best_tags_of_the_latest_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("tags");
    for choice in ["*", "summer/*"] {
        let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model", "--include", choice]);
        assert_eq!(run(command.arg("--out").arg(&out)).code, Some(0));
    }
    let counts = best_tags(runs(&out).last().unwrap());
    let (label, most) = &counts[0];
    let scripts = blocks("docs/results.md", "python");
    assert_eq!(scripts.len(), 3, "one example for each reader");
    for (script, reader) in scripts.iter().zip(["duckdb", "pandas", "datasets"]) {
        assert!(script.contains(reader), "{script}");
        let printed = python(script, folder.path());
        let shown = |line: &str| line.contains(label.as_str()) && line.contains(&most.to_string());
        assert!(printed.lines().any(shown), "{label} {most} is not what {reader} printed:\n{printed}");
        let mut rest = printed.clone();
        // The longest label first, because one label may be part of another.
        let mut best: Vec<&str> = counts.iter().map(|(label, _)| label.as_str()).collect();
        best.sort_by_key(|label| std::cmp::Reverse(label.len()));
        for label in best {
            rest = rest.replace(label, "");
        }
        for label in model_labels() {
            assert!(!rest.contains(&label), "{label} is best of no image:\n{printed}");
        }
    }
    let latest = &blocks("docs/results.md", "sql")[0];
    let script = format!("import duckdb\nprint(len(duckdb.sql(\"\"\"{latest}\"\"\").fetchall()))");
    assert_eq!(python(&script, folder.path()), "60\n", "one row per key of all runs");
}

/// The view for Athena, over two runs of 60 and 20 pictures. DuckDB runs the SQL that it shares with Athena.
#[test]
fn the_view_for_athena_has_the_latest_row_of_each_key() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("tags");
    for choice in ["*", "summer/*"] {
        let mut command = tagfleet(["run", "demo/photos", "--model", "demo/model", "--include", choice]);
        assert_eq!(run(command.arg("--out").arg(&out)).code, Some(0));
    }
    let id = RunId::try_from("20261126-012330-a62884".to_owned()).unwrap();
    let request = fs::read(runs(&out)[0].join("request.json")).unwrap();
    let request: RunRequest = serde_json::from_slice(&request).unwrap();
    let table = RunTable { runs: "s3://b/", results: "s3://b/r/", run: &id, model: &request.model };
    let statements = table.statements();
    let statements: Vec<&str> = statements.split(";\n").collect();
    let (name, view) = (table.name(), statements[2]);
    let script = format!(
        "import duckdb\n\
         duckdb.sql(\"CREATE TABLE {name} AS FROM 'tags/*/results/*.parquet'\")\n\
         for _ in range(2): duckdb.sql(\"\"\"{view}\"\"\")\n\
         print(duckdb.sql('SELECT count(*), count(DISTINCT key), count(DISTINCT run) FROM {name}_latest').fetchall())"
    );
    // Two runs that start in one second sort by their hashes.
    let sources = if rows_of(runs(&out).last().unwrap()).len() < 60 { 2 } else { 1 };
    assert_eq!(python(&script, folder.path()), format!("[(60, 60, {sources})]\n"));
}

fn model_labels() -> Vec<String> {
    let config = fs::read(project("demo/model/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let labels = config["id2label"].as_object().unwrap();
    labels.values().map(|label| label.as_str().unwrap().to_owned()).collect()
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
fn the_readme_shows_the_guides_first_example() {
    assert_eq!(blocks("README.md", "python"), blocks("docs/results.md", "python")[..1]);
}

/// The guide's function returns the file names that the keys encode.
#[test]
fn a_key_gives_back_the_name() {
    let scripts = blocks("docs/inputs.md", "py");
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
