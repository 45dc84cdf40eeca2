//! Comments keep to STYLE.md as far as a test can check: the words that it replaces, and the width.

use std::path::Path;

use super::{CRATES, offences, read, sources};

/// Words and phrases that STYLE.md replaces, in lower case.
const BANNED: [&str; 51] = [
    "go on",
    "goes on",
    "going on",
    "gone on",
    "went on",
    "whoever",
    "nobody",
    "somebody",
    "anybody",
    "everybody",
    "beside",
    "begin",
    "begins",
    "began",
    "begun",
    "anew",
    "all the same",
    "none where",
    "only where",
    "false where",
    "empty where",
    "mend",
    "mends",
    "mended",
    "stand",
    "stands",
    "stood",
    "so many",
    "so much",
    "so long",
    "tell",
    "tells",
    "told",
    "say",
    "says",
    "said",
    "is no",
    "are no",
    "made up",
    "meanwhile",
    "come about",
    "comes about",
    "came about",
    "in the name of",
    "what came of",
    "taken away",
    "gone away",
    "come to its end",
    "comes to its end",
    "so often",
    "for whatever reason",
];

/// Phrases that contain a banned one and are plain English.
const PERMITTED: [&str; 3] = ["there is no", "there are no", "is no longer"];

/// The banned phrases of a comment. Text in backticks is code and does not count.
fn banned_in(comment: &str) -> Vec<&'static str> {
    let prose: String = comment.split('`').step_by(2).collect::<Vec<_>>().join(" code ").to_lowercase();
    let words: Vec<&str> =
        prose.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut text = format!(" {} ", words.join(" "));
    for phrase in PERMITTED {
        text = text.replace(&format!(" {phrase} "), " permitted ");
    }
    BANNED.into_iter().filter(|phrase| text.contains(&format!(" {phrase} "))).collect()
}

/// The comments of a file, each as one text: lines that follow one another belong together.
fn comments(file: &Path) -> Vec<String> {
    let mut comments = vec![String::new()];
    for line in read(file).lines() {
        match line.trim_start().strip_prefix("//") {
            Some(text) => {
                comments.last_mut().unwrap().push_str(&format!("{}\n", text.trim_start_matches(['/', '!'])));
            }
            None => comments.push(String::new()),
        }
    }
    comments.retain(|comment| !comment.is_empty());
    comments
}

#[test]
fn banned_phrases_are_found_across_lines_and_plain_english_is_not() {
    assert_eq!(banned_in("Whoever reads it goes\non."), ["goes on", "whoever"]);
    assert_eq!(banned_in("It is no object."), ["is no"]);
    assert_eq!(banned_in("There is no part, and `begin` is no longer needed besides."), Vec::<&str>::new());
}

#[test]
fn comments_keep_to_the_words_of_style_md() {
    let mut offences = Vec::new();
    for file in CRATES.iter().flat_map(|folder| sources(folder)) {
        for comment in comments(&file) {
            let banned = banned_in(&comment);
            if !banned.is_empty() {
                offences.push(format!("{}: {banned:?} in: {comment}", file.display()));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn comments_are_at_most_110_columns_wide() {
    let files: Vec<_> = CRATES.iter().flat_map(|folder| sources(folder)).collect();
    let wide = offences(&files, |line| {
        let line_is_comment = line.trim_start().starts_with("//");
        line_is_comment && !line.contains("//! | ") && line.chars().count() > 110
    });
    assert_eq!(wide, Vec::<String>::new());
}
