//! The child's output: panics, an engine's warnings, and whatever a model makes an engine print.
//!
//! A model may choose the words. So each line is shown with invisible characters spelled out, with a mark in
//! front that no line can forge, cut to a length, and only a limited number of them. Nothing in it is parsed
//! or judged.

use std::io::{self, BufRead, BufReader, Read, Write};

use tagfleet_pipeline::format::visible;

/// In front of each line.
const MARK: &str = "model process: ";
/// Lines of one child that are shown.
const MAX_LINES: usize = 100;
/// Bytes of one line that are shown.
const MAX_LINE: u64 = 500;

/// Shows what comes on stderr, and reads on when enough was shown, so that the child is never held up.
pub(super) fn forward(messages: impl Read) {
    // If this process's stderr has no reader, nothing is shown.
    let _ = copy(BufReader::new(messages), io::stderr());
}

fn copy(mut messages: impl BufRead, mut shown: impl Write) -> io::Result<()> {
    for _ in 0..MAX_LINES {
        let Some(line) = line(&mut messages)? else { return Ok(()) };
        writeln!(shown, "{MARK}{line}")?;
    }
    let rest = io::copy(&mut messages, &mut io::sink())?;
    match rest {
        0 => Ok(()),
        _ => writeln!(shown, "{MARK}{rest} more bytes are not shown"),
    }
}

/// The next line as people get to see it; none at the end.
fn line(messages: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if messages.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    let is_cut = bytes.last() != Some(&b'\n') && bytes.len() as u64 == MAX_LINE;
    if is_cut {
        messages.skip_until(b'\n')?;
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = visible(text.trim_end_matches(['\r', '\n']));
    Ok(Some(if is_cut { format!("{text}...") } else { text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(messages: &[u8]) -> String {
        let mut shown = Vec::new();
        copy(messages, &mut shown).unwrap();
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn no_line_can_be_forged_and_no_terminal_obeys() {
        let hostile = b"\x1b]0;PWNED\x07\x1b[31mred\r\n{\"event\":\"failed\"}\nlast \xff";
        insta::assert_snapshot!(shown(hostile), @r#"
        model process: \u{1b}]0;PWNED\u{7}\u{1b}[31mred
        model process: {"event":"failed"}
        model process: last �
        "#);
    }

    #[test]
    fn a_flood_is_cut() {
        let long = shown(&[b'x'; 100_000]);
        assert!(long.len() < 600 && long.ends_with("...\n"), "{}", long.len());
        let many = shown("x\n".repeat(1000).as_bytes());
        assert_eq!(many.lines().count(), MAX_LINES + 1);
        assert!(many.ends_with("1800 more bytes are not shown\n"));
    }
}
