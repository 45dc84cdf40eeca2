//! A small reader of the XML that the query services answer with: names, text, children.
//!
//! Attributes, namespaces and comments are left out; entities of a document type are refused, for none of the services
//! sends one.

use xmlparser::{ElementEnd, StrSpan, Token, Tokenizer};

/// Deeper than any answer.
const MAX_DEPTH: usize = 32;

/// An element of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name, without a namespace.
    pub name: String,
    /// Its text, without that of its children.
    pub text: String,
    /// Its children, in order.
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a document.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(document: &str) -> Result<Self, String> {
        // The bottom holds the root.
        let mut open = vec![Self::default()];
        for token in Tokenizer::from(document) {
            match token.map_err(|error| error.to_string())? {
                Token::ElementStart { local, .. } if open.len() <= MAX_DEPTH => {
                    open.push(Self { name: local.to_string(), ..Self::default() });
                }
                Token::ElementStart { .. } => return Err(format!("more than {MAX_DEPTH} levels")),
                Token::ElementEnd { end: ElementEnd::Close(_, name), .. } => close(&mut open, Some(name))?,
                Token::ElementEnd { end: ElementEnd::Empty, .. } => close(&mut open, None)?,
                Token::Text { text } => last(&mut open)?.text.push_str(&unescaped(&text)?),
                Token::Cdata { text, .. } => last(&mut open)?.text.push_str(&text),
                Token::DtdStart { .. } | Token::EmptyDtd { .. } => {
                    return Err("it has a document type".to_owned());
                }
                _ => {}
            }
        }
        let [bottom] = open.as_mut_slice() else { return Err("it ends too early".to_owned()) };
        bottom.children.pop().ok_or_else(|| "it is empty".to_owned())
    }

    /// The first child of this name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first element of this name at any depth, this one included.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }

    /// The text of the first element of this name at any depth; empty where there is none.
    #[must_use]
    pub fn text_of(&self, name: &str) -> &str {
        self.find(name).map_or("", |found| found.text.as_str())
    }
}

fn last(open: &mut [Element]) -> Result<&mut Element, String> {
    open.last_mut().ok_or_else(|| "an end without a start".to_owned())
}

fn close(open: &mut Vec<Element>, name: Option<StrSpan<'_>>) -> Result<(), String> {
    let closed = open.pop().ok_or("an end without a start")?;
    if name.is_some_and(|name| name.as_str() != closed.name) {
        return Err(format!("{} is not closed", closed.name));
    }
    let parent = open.last_mut().ok_or("an end without a start")?;
    parent.children.push(closed);
    Ok(())
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut pieces = text.split('&');
    let mut unescaped = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once(';').ok_or("an & that begins no entity")?;
        unescaped.push(entity(name).ok_or_else(|| format!("unknown entity &{name};"))?);
        unescaped.push_str(rest);
    }
    Ok(unescaped)
}

fn entity(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_is_read() {
        let answer =
            "<?xml version='1.0'?><R xmlns='x'><a>1 &lt; 2&#10;</a><b/><m><a><![CDATA[&]]></a></m></R>";
        let root = Element::parse(answer).unwrap();
        assert_eq!((root.name.as_str(), root.children.len()), ("R", 3));
        assert_eq!(root.text_of("a"), "1 < 2\n");
        assert_eq!(root.child("m").unwrap().text_of("a"), "&");
        assert_eq!(root.text_of("missing"), "");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let deep = "<a>".repeat(1000);
        for wrong in ["", "<a>", "</a>", "<a></b>", "<a>&x;</a>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", &deep]
        {
            assert!(Element::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(text in "[<>/a&;#x! '\"\\[\\]-]{0,60}") {
            let _ = Element::parse(&text);
        }
    }
}
