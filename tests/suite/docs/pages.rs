//! The pages of the project, and what is in them: links, headings, prose, code, names of tests.
//!
//! It reads the parts of Markdown that the pages use. It never renders anything.

use std::fs;
use std::path::{Path, PathBuf};

use tagfleet_tests::photos::files;
use tagfleet_tests::{project, root};

/// One page.
pub(super) struct Page {
    /// Its path below the root.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Page {
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap()
    }

    /// The targets of its links and pictures, without those in code.
    pub(super) fn links(&self) -> Vec<String> {
        let text: Vec<&str> = lines(&self.text).filter(|line| !line.is_code).map(|line| line.text).collect();
        let targets = text.join("\n");
        let targets = targets.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.map(|(target, _)| target.to_owned()).collect()
    }

    pub(super) fn headings(&self) -> impl Iterator<Item = &str> {
        let headings = lines(&self.text).filter(|line| !line.is_code && line.text.starts_with('#'));
        headings.map(|line| line.text.trim_start_matches('#').trim())
    }
}

/// Every page except those that a program writes: the benchmarks, and that of the demo's model.
pub(super) fn all() -> Vec<Page> {
    let root = root().canonicalize().unwrap();
    let mut paths: Vec<PathBuf> = files(&root.join("docs"));
    paths.extend(fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()));
    paths.push(project("infra/README.md").canonicalize().unwrap());
    paths.retain(|path| path.extension().is_some_and(|end| end == "md") && !path.ends_with("BENCHMARKS.md"));
    paths.sort();
    let page = |path: PathBuf| Page {
        name: path.strip_prefix(&root).unwrap().display().to_string(),
        text: fs::read_to_string(&path).unwrap(),
        path,
    };
    paths.into_iter().map(page).collect()
}

/// A line of a page.
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) text: &'a str,
    /// Within a fence, or indented after a blank line.
    pub(super) is_code: bool,
}

/// The lines of a page; lines of code are marked.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let (mut is_fenced, mut is_indented, mut was_blank) = (false, false, true);
    text.lines().enumerate().map(move |(index, text)| {
        let is_fence = text.starts_with("```");
        let is_list = text.trim_start().starts_with("- ");
        is_indented = text.starts_with("    ") && !is_list && (was_blank || is_indented);
        was_blank = text.trim().is_empty();
        is_fenced ^= is_fence;
        Line { number: index + 1, text, is_code: is_fenced || is_fence || is_indented }
    })
}

/// Lines that are wrapped by hand. Code, tables, pictures and the contents are left out.
pub(super) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_wrapped = |line: &Line<'_>| {
        let is_entry = line.text.trim_start().starts_with("- [") && line.text.ends_with(".md)");
        !line.is_code && !line.text.starts_with('|') && !line.text.starts_with('!') && !is_entry
    };
    lines(text).filter(is_wrapped).map(|line| (line.number, line.text))
}

/// The fragment of a heading, in the repository and in the book.
pub(super) fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The texts between backticks.
pub(super) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names in the last column of the tables `Threat | Defence | Test`.
pub(super) fn tests_in_tables(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_threats = false;
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells.as_slice() {
            ["", "Threat", "Defence", "Test", ""] => is_threats = true,
            ["", _, _, tests, ""] if is_threats => names.extend(quoted(tests).map(str::to_owned)),
            _ => is_threats = false,
        }
    }
    names
}

/// The names after `Tests:`, up to the end of their item.
pub(super) fn tests_in_items(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for rest in text.split("Tests:").skip(1) {
        let sentence = rest.split(".\n").next().unwrap();
        names.extend(quoted(sentence).map(str::to_owned));
    }
    names
}

#[test]
fn code_and_prose_are_separated() {
    let text = "Run this:\n\n    make\n    make test\n\n```sh\nmake\n```\n- item\n    more of it\n";
    let code: Vec<usize> = lines(text).filter(|line| line.is_code).map(|line| line.number).collect();
    assert_eq!(code, [3, 4, 6, 7, 8]);
}

#[test]
fn headings_have_the_fragments_of_the_repository() {
    assert_eq!(slug("doctor: cpu workers and gpu workers"), "doctor-cpu-workers-and-gpu-workers");
    assert_eq!(slug("Runs: stop, resume, exit codes"), "runs-stop-resume-exit-codes");
}
