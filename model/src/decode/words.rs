//! The messages of decoders, without what they quote of the file.
//!
//! Libraries put structs, lists of bytes and strings of the file into their errors, as Rust's `Debug` prints
//! them. In rows these would be a hostile file's bytes in front of a person. What is left is ASCII; nothing
//! here explains an error.

/// `text` with each struct replaced by the first of its values if that is a plain word, without lists of
/// numbers, without quotes and escapes, and without anything that is not ASCII.
pub(super) fn without_quotes(text: &str) -> String {
    let ascii: String = text.chars().filter(|c| c.is_ascii() && *c != '"').collect();
    let unescaped = ascii.replace("\\n", " ").replace("\\r", " ").replace("\\t", " ").replace("\\0", "");
    without_lists(&without_structs(&unescaped)).trim().to_owned()
}

/// `while decoding ChunkType { type: IDAT, critical: true } chunk` to `while decoding IDAT chunk`.
fn without_structs(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once(" {") {
        let (name_of_struct, behind) = (before.rfind(' ').map_or(0, |at| at + 1), end_of_struct(inside));
        kept.push_str(&before[..name_of_struct]);
        kept.push_str(first_value(&inside[..behind]));
        rest = inside.get(behind + 1..).unwrap_or_default();
    }
    kept.push_str(rest);
    kept
}

/// The position of the brace that closes the one before `inside`; the end of `inside` if there is none.
fn end_of_struct(inside: &str) -> usize {
    let mut open = 1;
    for (at, c) in inside.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return at;
        }
    }
    inside.len()
}

fn first_value(fields: &str) -> &str {
    let first = fields.split(',').next().unwrap_or_default();
    let value = first.split_once(':').map_or("", |(_, value)| value.trim());
    let is_word = !value.is_empty() && value.len() <= 16 && value.chars().all(char::is_alphanumeric);
    if is_word { value } else { "unknown" }
}

/// `Invalid header: [52, 49, 46, 46]` to `Invalid header: [...]`.
fn without_lists(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once('[') {
        let Some((list, behind)) = inside.split_once(']') else { break };
        kept.push_str(before);
        let is_list = list.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | ' '));
        kept.push_str(&if is_list { "[...]".to_owned() } else { format!("[{list}]") });
        rest = behind;
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_rust_prints_of_a_file_is_left_out() {
        for (said, kept) in [
            (
                "CRC error: expected 0x1 have 0x2 while decoding ChunkType { type: IDAT, critical: true } chunk.",
                "CRC error: expected 0x1 have 0x2 while decoding IDAT chunk.",
            ),
            ("decoding ChunkType { type: \u{9}\u{ed}, x: A { b: 1 } } chunk", "decoding unknown chunk"),
            ("ChunkType { type: ", "unknown"),
            ("Invalid Chunk header: [52, 49, 46, 46]", "Invalid Chunk header: [...]"),
            ("expected [u8; 4], got \"\\nGI\u{e9}F\\0\"", "expected [u8; 4], got  GIF"),
        ] {
            assert_eq!(without_quotes(said), kept);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said(text in "[a-z {}\\[\\]:,0-9\"\\\\é]*") {
            let kept = without_quotes(&text);
            prop_assert!(kept.is_ascii() && !kept.contains('"'));
        }
    }
}
