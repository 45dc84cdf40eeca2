//! Colour and bold, as clap's own errors have them: on a terminal, unless `NO_COLOR` is set.
//!
//! It marks the first word of a message and the levels of `doctor`. `anstream` removes the marks if the
//! output is not a terminal.

use anstyle::{AnsiColor, Style};

/// Words at the start of a line, with their colour.
const WORDS: [(&str, AnsiColor); 7] = [
    ("error:", AnsiColor::Red),
    ("warning:", AnsiColor::Yellow),
    ("WARNING:", AnsiColor::Yellow),
    ("note:", AnsiColor::Cyan),
    ("FAIL ", AnsiColor::Red),
    ("WARN ", AnsiColor::Yellow),
    ("ok ", AnsiColor::Green),
];

/// The text with the first word of each line marked, if it is one of [`WORDS`].
pub(crate) fn marked(text: &str) -> String {
    text.split_inclusive('\n').map(marked_line).collect()
}

fn marked_line(line: &str) -> String {
    match WORDS.iter().find(|(word, _)| line.starts_with(word)) {
        Some((word, color)) => {
            let style = Style::new().bold().fg_color(Some((*color).into()));
            format!("{style}{word}{style:#}{}", &line[word.len()..])
        }
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_word_of_a_line_is_marked() {
        assert_eq!(marked("error: an error: x\n"), "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m an error: x\n");
        assert_eq!(marked("\nWARN  mail\n  note: x"), "\n\u{1b}[1m\u{1b}[33mWARN \u{1b}[0m mail\n  note: x");
        assert_eq!(marked("a.jpg  tench 0.9\n"), "a.jpg  tench 0.9\n");
    }
}
