//! Every broken, odd and malicious image that we have, in one run: no crash, no hang, one row per file,
//! bounded memory.
//!
//! The images are not part of the project, so this test skips where they are absent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tagfleet_pipeline::tags::Cause;
use tagfleet_tests::command::{ended_with_peak_memory, start, tagfleet};
use tagfleet_tests::rows::{Row, rows};
use tagfleet_tests::{photos, shared};

/// Formats that are decoded, by Pillow's names.
const DECODED: [&str; 7] = ["AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"];

/// The files of a decoded format that Pillow reads: name and format.
fn readable(manifest: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(manifest).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let column = |name: &str| header.iter().position(|found| *found == name).unwrap();
    let (file, pil, format) = (column("file"), column("pil"), column("fmt"));
    let mut readable = BTreeMap::new();
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields[pil] == "ok" && DECODED.contains(&fields[format]) {
            readable.insert(fields[file].to_owned(), fields[format].to_owned());
        }
    }
    readable
}

#[test]
fn one_row_per_file_and_every_readable_one_is_tagged() {
    let Some(hostile) = shared("hostile") else { return };
    let out = tempfile::tempdir().unwrap();
    let mut command = tagfleet(["run", "--model", "demo/model", "--quiet", "--all-files"]);
    command.arg(&hostile).arg("--out").arg(out.path());
    let (code, peak) = ended_with_peak_memory(start(&mut command));
    assert_eq!(code, Some(3));
    eprintln!("peak memory: {peak} kB");
    assert!(peak < 1_000_000, "{peak} kB");

    let rows = rows(out.path());
    let found: BTreeSet<String> = rows.iter().map(|row| row.key.clone()).collect();
    let wanted: BTreeSet<String> = photos::files(&hostile)
        .iter()
        .map(|path| path.strip_prefix(&hostile).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, wanted);
    assert_eq!(rows.len(), found.len());
    messages_can_be_grouped(&rows);
    insta::assert_snapshot!(refused(&rows, &readable(&hostile.join("MANIFEST.tsv"))));
}

/// Checks that there are few messages, all from the closed list, and that no detail has bytes of a file.
fn messages_can_be_grouped(rows: &[Row]) {
    let listed: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.message()).collect();
    let mut found = BTreeSet::new();
    for row in rows.iter().filter(|row| row.status == "failed") {
        let message = row.error_message.as_deref().unwrap();
        assert!(listed.contains(message), "{}: {message}", row.key);
        found.insert(message);
        let detail = row.error_detail.as_deref().unwrap_or_default();
        let is_plain = detail.chars().all(|c| (' '..='~').contains(&c)) && detail.len() <= 200;
        assert!(is_plain && !detail.contains(['{', '}', '"', '\\']), "{}: {detail}", row.key);
    }
    assert!(found.len() <= 25, "{} messages: {found:#?}", found.len());
}

/// Files that Pillow reads and tagfleet refuses, each with its reason. All of them were reviewed by hand.
fn refused(rows: &[Row], readable: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for row in rows {
        if let (Some(format), Some(code)) = (readable.get(&row.key), &row.error_code) {
            text.push_str(&format!(
                "{format} {}: {code}: {} ({})\n",
                row.key,
                row.error_message.as_deref().unwrap_or_default(),
                row.error_detail.as_deref().unwrap_or_default()
            ));
        }
    }
    let tagged =
        rows.iter().filter(|row| row.error_code.is_none() && readable.contains_key(&row.key)).count();
    format!("{tagged} of {} readable files are tagged\n{text}", readable.len())
}
