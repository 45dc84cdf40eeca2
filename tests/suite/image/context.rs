//! The context of a build, laid out in a folder by the rules of a `.dockerignore` file. The last pattern that
//! matches a path or a folder above it decides, and `!` includes a path again.
//!
//! It implements all that the file's reference documents: `*`, `?`, `**` and `!`.

use std::fs;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use tagfleet_tests::{project, root};
use tempfile::TempDir;

struct Pattern {
    lets_in: bool,
    text: String,
    glob: GlobMatcher,
}

struct Rules(Vec<Pattern>);

impl Rules {
    fn parse(file: &str) -> Self {
        let lines = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let pattern = |line: &str| {
            let text = line.trim_start_matches('!').trim_matches('/').to_owned();
            let glob = GlobBuilder::new(&text).literal_separator(true).build().unwrap();
            Pattern { lets_in: line.starts_with('!'), glob: glob.compile_matcher(), text }
        };
        Self(lines.map(pattern).collect())
    }

    fn is_ignored(&self, path: &Path) -> bool {
        let matches = |pattern: &&Pattern| {
            let mut above = path.ancestors().filter(|it| !it.as_os_str().is_empty());
            above.any(|it| pattern.glob.is_match(it))
        };
        self.0.iter().rev().find(matches).is_some_and(|pattern| !pattern.lets_in)
    }

    /// Whether a file below an ignored folder may be included again.
    fn may_include_below(&self, folder: &Path) -> bool {
        let below = format!("{}/", folder.display());
        self.0.iter().any(|it| it.lets_in && (it.text.starts_with(&below) || it.text.contains("**")))
    }
}

/// The context of the worker images. It is deleted when dropped.
pub(super) struct Context(TempDir);

impl Context {
    pub(super) fn lay_out() -> Self {
        let rules = fs::read_to_string(project("batch-worker/Dockerfile.dockerignore")).unwrap();
        let context = Self(tempfile::tempdir().unwrap());
        copy(&Rules::parse(&rules), Path::new(""), context.root());
        context
    }

    pub(super) fn root(&self) -> &Path {
        self.0.path()
    }
}

fn copy(rules: &Rules, folder: &Path, to: &Path) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        let is_ignored = rules.is_ignored(&path);
        if entry.file_type().unwrap().is_dir() {
            if !is_ignored || rules.may_include_below(&path) {
                copy(rules, &path, to);
            }
        } else if !is_ignored {
            fs::create_dir_all(to.join(folder)).unwrap();
            fs::copy(entry.path(), to.join(&path)).unwrap();
        }
    }
}

#[test]
fn the_last_rule_that_matches_decides() {
    let rules = Rules::parse("# a comment\n\n*\n!model\n!scripts/cpu.txt\n**/target\n/notes?.md\n!a/**/b\n");
    let is_ignored = |path: &str| rules.is_ignored(Path::new(path));
    for ignored in
        ["bench", "bench/Cargo.toml", "model/target", "model/target/a", "target", "scripts/b", "notes1.md"]
    {
        assert!(is_ignored(ignored), "{ignored}");
    }
    for let_in in ["model", "model/src/lib.rs", "model/targets", "scripts/cpu.txt", "a/b", "a/x/y/b"] {
        assert!(!is_ignored(let_in), "{let_in}");
    }
    assert!(rules.may_include_below(Path::new("scripts")));
    let without = Rules::parse("*\n!model\n**/target");
    assert!(!without.may_include_below(Path::new("bench")));
}
