//! What is known of one failure beyond its cause, for a person: the decoder's own words, sizes, limits.
//!
//! It exists so that nothing hostile gets into rows and pages: whatever a library or a file puts into such a
//! text, it is one printable line of bounded length. It explains nothing and is never parsed.

use serde::{Deserialize, Serialize};

/// The most characters of a detail.
const MAX_CHARS: usize = 200;

/// One printable line of at most 200 characters, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Detail(String);

impl Detail {
    /// The text; `None` if it is empty.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(self.0.as_str())
    }
}

impl From<String> for Detail {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&str> for Detail {
    fn from(text: &str) -> Self {
        // The text to cut off is not processed: a hostile library may return gigabytes.
        let plain = text.chars().take(16 * MAX_CHARS).map(|c| if is_printable(c) { c } else { ' ' });
        let plain: String = plain.collect();
        let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.chars().count() <= MAX_CHARS {
            return Self(line);
        }
        let kept: String = line.chars().take(MAX_CHARS - 3).collect();
        Self(format!("{}...", kept.trim_end()))
    }
}

impl From<Detail> for String {
    fn from(detail: Detail) -> Self {
        detail.0
    }
}

/// Neither a control character, nor one that is invisible or turns the direction of what follows.
fn is_printable(c: char) -> bool {
    let is_invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}'
        | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..);
    !c.is_control() && !is_invisible
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_detail_is_one_printable_line() {
        let text = |text: &str| String::from(Detail::from(text));
        assert_eq!(text(" Bad\nchunk \u{1b}[31m\0  ü\u{202e}gpj "), "Bad chunk [31m ü gpj");
        assert_eq!(Detail::from("\0\n").text(), None);
        assert_eq!(text(&"x".repeat(200)).len(), 200);
        assert!(text(&"xy ".repeat(5000)).ends_with("xy..."));
    }

    proptest! {
        #[test]
        fn whatever_a_library_says(text: String) {
            let detail = Detail::from(text.as_str());
            let line = String::from(detail.clone());
            prop_assert!(line.chars().count() <= MAX_CHARS && line.chars().all(is_printable));
            prop_assert_eq!(&Detail::from(line.as_str()), &detail);
            let stored = serde_json::to_string(&detail).unwrap();
            prop_assert_eq!(serde_json::from_str::<Detail>(&stored).unwrap(), detail);
        }
    }
}
