//! Hostile names: labels, keys, places and IDs with markup, line breaks, `../`, NUL, bidirectional marks, or
//! the most bytes of a key. Rows keep them unchanged, and text for people shows them escaped.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::photos::files;
use tagfleet_tests::project;
use tagfleet_tests::rows::{rows, runs};
use tempfile::TempDir;

/// Labels of a hostile model.
fn hostile_labels() -> Vec<String> {
    let mut labels: Vec<String> = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "two\nlines\r\nBcc: everybody@example.com",
        "../../../etc/passwd",
        "nul\0nul",
        "\u{202e}gpj.exe",
        "\u{1b}[31mred\u{1b}]0;title\u{7}",
        "' OR 1=1; DROP TABLE tags; --",
        "שלום\u{2067}/مرحبا",
        "=HYPERLINK(\"http://example.com\")",
        "\u{2028}\u{feff}",
        "",
    ]
    .map(str::to_owned)
    .to_vec();
    labels.push("<".repeat(1024));
    labels
}

/// The demo's model under a hostile name, with hostile labels.
fn model(folder: &Path) -> PathBuf {
    let model = folder.join("<b>model\n\u{202e}");
    fs::create_dir(&model).unwrap();
    for name in ["model.onnx", "preprocessor_config.json"] {
        fs::copy(project("demo/model").join(name), model.join(name)).unwrap();
    }
    let mut config: Value =
        serde_json::from_slice(&fs::read(project("demo/model/config.json")).unwrap()).unwrap();
    let labels = hostile_labels();
    for number in 0..config["id2label"].as_object().unwrap().len() {
        let label = labels.get(number).cloned().unwrap_or(format!("label {number}"));
        config["id2label"][number.to_string()] = json!(label);
    }
    fs::write(model.join("config.json"), config.to_string()).unwrap();
    model
}

struct Tagged {
    folder: TempDir,
    out: PathBuf,
    ran: Ran,
}

/// A run of the demo's pictures with that model. Every row keeps every label.
fn tag() -> Tagged {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out' <i>\n..");
    let model = model(folder.path());
    let mut command = tagfleet(["run", "--threshold", "0", "--top-k", "40"]);
    command.arg(project("demo/photos")).arg("--model").arg(&model).arg("--out").arg(&out);
    let ran = run(&mut command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    Tagged { folder, out, ran }
}

/// The control characters and bidirectional marks of a text.
fn commands(text: &str) -> Option<char> {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().find(|&c| turns(c) || (c.is_control() && c != '\n'))
}

#[test]
fn labels_and_places_are_data_in_rows_and_harmless_everywhere_else() {
    let Tagged { folder, out, ran } = tag();
    let rows = rows(&out);
    let labels: BTreeSet<&str> = rows[0].tags.iter().map(|(label, _, _)| label.as_str()).collect();
    for label in hostile_labels() {
        assert!(labels.contains(label.as_str()), "{label:?} is not what the row keeps");
    }

    let page = fs::read_to_string(runs(&out)[0].join("report.html")).unwrap();
    for markup in ["<script", "<img src=x", "<i>\n", "<b>model"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert_eq!(commands(&page), None);

    let shown = run(tagfleet(["show", "--rows", "100"]).arg(&out));
    assert_eq!(shown.stdout.lines().count(), rows.len(), "one line per row");
    for text in [&shown.stdout, &ran.stdout, &ran.stderr] {
        assert_eq!(commands(text), None, "{text:?}");
    }
    let json = run(tagfleet(["show", "--json", "--rows", "100"]).arg(&out));
    let parsed: Vec<Value> = json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed.len(), rows.len());

    let beside: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(beside.len(), 2, "the model and the output: {beside:?}");
}

/// A list may have any key. Only files below the folder are read, and nothing is written there.
#[test]
fn no_key_leads_out_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
    fs::create_dir(&photos).unwrap();
    let picture = files(&project("demo/photos")).remove(0);
    fs::copy(&picture, folder.path().join("outside.jpg")).unwrap();
    fs::copy(&picture, photos.join("inside.jpg")).unwrap();
    let long = "k".repeat(1024);
    let outside = folder.path().join("outside.jpg");
    let keys = [
        "../outside.jpg",
        "inside.jpg/../../outside.jpg",
        "a/../../outside.jpg",
        "\u{202e}gpj.exe",
        "two\nlines",
        "<script>alert(1)</script>",
        outside.to_str().unwrap(),
        &long,
        "inside.jpg",
    ];
    let list = folder.path().join("keys");
    fs::write(&list, keys.join("\0") + "\0").unwrap();
    let mut command = tagfleet(["run", "--model", "demo/model"]);
    let ran = run(command.arg(&photos).arg("--out").arg(&out).arg("--keys").arg(&list));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let rows = rows(&out);
    assert_eq!(rows.len(), keys.len());
    for row in rows {
        let expected = if row.key == "inside.jpg" { None } else { Some("missing") };
        assert_eq!(row.error_code.as_deref(), expected, "{:?}", row.key);
    }
    assert_eq!(files(&photos).len(), 1);
}

/// An invalid ID is refused before it is part of a path or a request.
#[test]
fn an_invalid_id_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for id in ["../run", "a/b", "<b>", "UPPER", "two\nlines", "\u{202e}run", &"r".repeat(65)] {
        let ran = run(tagfleet(["report", id]).current_dir(folder.path()));
        assert_eq!(ran.code, Some(2), "{id:?}: {ran:?}");
        assert_eq!(commands(&ran.stderr), None, "{:?}", ran.stderr);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
}
