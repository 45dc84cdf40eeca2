//! Foreign text as people see it: on one line, with nothing invisible in it.
//!
//! Keys, labels, prefixes and messages come from users and their objects. In a page, a mail or an error,
//! characters without a shape, line ends and characters that turn the direction of text are spelled out. It
//! never cuts anything off, and no row and no key is ever changed by it.

/// `text` with every character spelled out that cannot be seen: `a\u{a}b` for two lines.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) {
            visible.extend(c.escape_unicode());
        } else {
            visible.push(c);
        }
    }
    visible
}

/// Control characters, line breaks, and what turns the direction of others or cannot be seen at all.
fn is_invisible(c: char) -> bool {
    let turns_or_hides = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    turns_or_hides || c.is_control() || (u32::from(c) & 0xfffe) == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_cannot_be_seen_stays_as_it_is() {
        assert_eq!(visible("a\u{202e}gpj.\0\r\n\u{1b}[1m"), "a\\u{202e}gpj.\\u{0}\\u{d}\\u{a}\\u{1b}[1m");
        assert_eq!(visible("ü/שלום 🦓 <b>"), "ü/שלום 🦓 <b>");
    }
}
