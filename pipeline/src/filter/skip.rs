//! Files that are not meant as images: what systems leave behind, hidden files, plain text.
//!
//! It judges names alone, because a listing has nothing else, and so that a folder, a bucket and a fleet skip
//! the same. What the user wrote out (a prefix, a file) is never judged. Nothing is skipped without being
//! counted and named.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::format::{count, visible};

/// Keys of each reason that are kept as examples: the first ones in key order.
const EXAMPLES: usize = 3;
/// Characters of an example that people are shown.
const SHOWN: usize = 60;

/// Why a file is not an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// An operating system, a NAS, a job or a tool left it behind: `Thumbs.db`, `._photo.jpg`, all below
    /// `.git/`.
    System,
    /// Its name, or that of a folder above, starts with a dot.
    Hidden,
    /// A plain text file by its name: `labels.csv`, `README`.
    Text,
    /// An empty object whose key ends in `/`, with which consoles draw a folder.
    FolderMarker,
    /// An object that was deleted, as a manifest of versions lists it.
    DeleteMarker,
    /// An older version of an object, in such a manifest.
    OldVersion,
}

/// The skipped files of one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SkippedFiles {
    /// How many.
    pub files: u64,
    /// The keys of the first three.
    pub examples: Vec<String>,
}

/// All skipped files, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Skipped(BTreeMap<SkipReason, SkippedFiles>);

/// Names of files, in lower case.
const SYSTEM_FILES: [&str; 13] = [
    ".ds_store",
    ".localized",
    ".picasa.ini",
    "_success",
    "desktop.ini",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "icon\r",
    "picasa.ini",
    "pspbrwse.jbf",
    "thumbs.db",
    "thumbs.db:encryptable",
    "zbthumbnail.info",
];

/// The first characters of such names, in lower case: AppleDouble, Office's locks, markers of Spark jobs.
const SYSTEM_BEGINNINGS: [&str; 4] = ["._", "~$", "_committed_", "_started_"];

/// Names of folders, in lower case.
const SYSTEM_FOLDERS: [&str; 23] = [
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    ".appledouble",
    ".documentrevisions-v100",
    ".fseventsd",
    ".git",
    ".hg",
    ".ipynb_checkpoints",
    ".spotlight-v100",
    ".svn",
    ".temporaryitems",
    ".trash",
    ".trashes",
    "@eadir",
    "@tmp",
    "__macosx",
    "__pycache__",
    "lost+found",
    "network trash folder",
    "recycler",
    "system volume information",
    "temporary items",
];

/// Extensions of plain text, in lower case; SVG is not among them, because it is a picture that tagfleet does
/// not read.
const TEXT_EXTENSIONS: [&str; 59] = [
    "aae",
    "bash",
    "bat",
    "bib",
    "cfg",
    "cmd",
    "conf",
    "css",
    "csv",
    "desktop",
    "geojson",
    "htm",
    "html",
    "ini",
    "ipynb",
    "js",
    "json",
    "jsonl",
    "list",
    "log",
    "lst",
    "m3u",
    "m3u8",
    "markdown",
    "md",
    "md5",
    "mjs",
    "names",
    "ndjson",
    "nfo",
    "pbtxt",
    "properties",
    "prototxt",
    "ps1",
    "py",
    "rmd",
    "rst",
    "sfv",
    "sh",
    "sha1",
    "sha256",
    "sha512",
    "sql",
    "srt",
    "tab",
    "tex",
    "text",
    "toml",
    "tsv",
    "txt",
    "url",
    "vtt",
    "webloc",
    "xhtml",
    "xml",
    "xmp",
    "xsd",
    "yaml",
    "yml",
];

/// Names of plain text files without an extension, in lower case.
const TEXT_NAMES: [&str; 15] = [
    "authors",
    "changelog",
    "checksums",
    "contributors",
    "copying",
    "dockerfile",
    "licence",
    "license",
    "makefile",
    "md5sums",
    "notice",
    "readme",
    "sha1sums",
    "sha256sums",
    "todo",
];

/// Why the file of this key is skipped, if it is. `chosen` is what the user wrote out of it: a prefix or a
/// whole key.
#[must_use]
pub fn reason(key: &str, chosen: &str) -> Option<SkipReason> {
    if key == chosen {
        return None;
    }
    let names = || names_behind(key, chosen.len());
    if names().any(is_left_behind) || key.ends_with("_$folder$") {
        return Some(SkipReason::System);
    }
    if names().any(is_hidden) {
        return Some(SkipReason::Hidden);
    }
    key.rsplit('/').next().is_some_and(is_text).then_some(SkipReason::Text)
}

/// The names of a key that start at this byte or later.
fn names_behind(key: &str, chosen: usize) -> impl Iterator<Item = &str> {
    let mut start = 0;
    key.split('/').filter(move |name| {
        let is_behind = start >= chosen;
        start += name.len() + 1;
        is_behind
    })
}

fn is_left_behind(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SYSTEM_FILES.contains(&name.as_str())
        || SYSTEM_FOLDERS.contains(&name.as_str())
        || SYSTEM_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || name.starts_with(".trash-")
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.') && name != "." && name != ".."
}

fn is_text(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match name.rsplit_once('.') {
        Some((_, extension)) => TEXT_EXTENSIONS.contains(&extension),
        None => TEXT_NAMES.contains(&name.as_str()),
    }
}

impl SkipReason {
    fn in_words(self, files: u64) -> String {
        let plural = if files == 1 { "" } else { "s" };
        let files = count(files);
        match self {
            Self::System => format!("{files} left behind by a system"),
            Self::Hidden => format!("{files} hidden"),
            Self::Text => format!("{files} text file{plural}"),
            Self::FolderMarker => format!("{files} folder marker{plural}"),
            Self::DeleteMarker => format!("{files} deleted"),
            Self::OldVersion => format!("{files} old version{plural}"),
        }
    }
}

impl Skipped {
    /// Counts one more.
    pub fn add(&mut self, reason: SkipReason, key: &str) {
        let files = self.0.entry(reason).or_default();
        files.files = files.files.saturating_add(1);
        if files.examples.len() < EXAMPLES {
            files.examples.push(key.to_owned());
        }
    }

    /// Adds what was skipped behind this.
    pub fn merge(&mut self, behind: &Self) {
        for (reason, more) in &behind.0 {
            let files = self.0.entry(*reason).or_default();
            files.files = files.files.saturating_add(more.files);
            let room = EXAMPLES.saturating_sub(files.examples.len());
            files.examples.extend(more.examples.iter().take(room).cloned());
        }
    }

    /// All of them together.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.0.values().fold(0, |sum, files| sum.saturating_add(files.files))
    }

    /// Those of one reason.
    #[must_use]
    pub fn of(&self, reason: SkipReason) -> u64 {
        self.0.get(&reason).map_or(0, |files| files.files)
    }

    /// True if nothing was skipped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `2 text files (labels.csv, notes.txt), 1 hidden (.cache/a.jpg)`, with the option that reads them
    /// anyway.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = String::new();
        for (reason, files) in &self.0 {
            let separator = if words.is_empty() { "" } else { ", " };
            let _ = write!(words, "{separator}{}", reason.in_words(files.files));
            if *reason != SkipReason::FolderMarker {
                let _ = write!(words, " ({})", examples(files));
            }
        }
        let never_read = [SkipReason::FolderMarker, SkipReason::DeleteMarker, SkipReason::OldVersion];
        if self.files() > never_read.iter().map(|reason| self.of(*reason)).sum() {
            words.push_str("; --all-files reads them");
        }
        words
    }
}

fn examples(files: &SkippedFiles) -> String {
    let shown: Vec<String> = files.examples.iter().map(|key| shortened(&visible(key))).collect();
    let more = if files.files > shown.len() as u64 { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// Its last characters, because the name is more informative than the folder.
fn shortened(key: &str) -> String {
    let length = key.chars().count();
    if length <= SHOWN {
        return key.to_owned();
    }
    let end: String = key.chars().skip(length - SHOWN).collect();
    format!("...{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_meant_as_images() {
        use SkipReason::{Hidden, System, Text};
        let cases = [
            ("a/.DS_Store", Some(System)),
            ("a/._IMG_0001.png", Some(System)),
            ("Thumbs.db", Some(System)),
            ("a/THUMBS.DB", Some(System)),
            ("Desktop.ini", Some(System)),
            ("Icon\r", Some(System)),
            ("__MACOSX/a/b.jpg", Some(System)),
            ("a/@eaDir/b.jpg/SYNOPHOTO_THUMB_XL.jpg", Some(System)),
            ("$RECYCLE.BIN/S-1-5/$R1.jpg", Some(System)),
            (".Trash-1000/files/a.jpg", Some(System)),
            ("lost+found/#123", Some(System)),
            (".git/objects/00/aa", Some(System)),
            ("a/.ipynb_checkpoints/a-checkpoint.png", Some(System)),
            ("tags/_success", Some(System)),
            ("photos_$folder$", Some(System)),
            (".cache/a.jpg", Some(Hidden)),
            ("a/.photo.jpg", Some(Hidden)),
            ("labels.csv", Some(Text)),
            ("a/IMG.XMP", Some(Text)),
            ("README", Some(Text)),
            ("a/README.md", Some(Text)),
            ("a.jpg", None),
            ("no extension", None),
            ("logo.svg", None),
            ("a/../b.jpg", None),
            (" .jpg", None),
            ("success", None),
            ("my.git/a.jpg", None),
            ("text/a.jpg", None),
            ("txt", None),
        ];
        for (key, wanted) in cases {
            assert_eq!(reason(key, ""), wanted, "{key:?}");
        }
    }

    #[test]
    fn what_the_user_wrote_out_is_not_judged() {
        assert_eq!(reason(".cache/photos/a.jpg", ".cache/photos/"), None);
        assert_eq!(reason(".cache/photos/a.jpg", ".ca"), None);
        assert_eq!(reason(".cache/.b/a.jpg", ".cache/"), Some(SkipReason::Hidden));
        assert_eq!(reason("notes.txt", "notes.txt"), None);
        assert_eq!(reason("notes.txt.bak.txt", "notes.txt"), Some(SkipReason::Text));
    }

    #[test]
    fn they_are_counted_and_the_first_are_named() {
        let mut skipped = Skipped::default();
        for number in 0..1234 {
            skipped.add(SkipReason::Text, &format!("labels/{number:04}.txt"));
        }
        skipped.add(SkipReason::System, &format!("{}.DS_Store", "deep/".repeat(20)));
        let mut all = Skipped::default();
        all.add(SkipReason::FolderMarker, "a/");
        assert_eq!(all.in_words(), "1 folder marker");
        all.merge(&skipped);
        insta::assert_snapshot!(all.in_words(), @"1 left behind by a system (.../deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/.DS_Store), 1,234 text files (labels/0000.txt, labels/0001.txt, labels/0002.txt, ...), 1 folder marker; --all-files reads them");
        assert_eq!(all.files(), 1236);
        insta::assert_snapshot!(serde_json::to_string(&all).unwrap(), @r#"{"system":{"files":1,"examples":["deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/.DS_Store"]},"text":{"files":1234,"examples":["labels/0000.txt","labels/0001.txt","labels/0002.txt"]},"folder_marker":{"files":1,"examples":["a/"]}}"#);
    }
}
