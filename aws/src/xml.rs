//! A small reader of the XML that the query services answer with: names, text, children.
//!
//! roxmltree reads it. Attributes, namespaces and comments are left out; a document type is refused, because
//! none of the services sends one.

use roxmltree::{Document, Node, ParsingOptions};
use thiserror::Error;

/// Deeper than any answer.
const MAX_DEPTH: usize = 32;
/// More elements and texts than any answer of at most 4 MiB that is asked for.
const MAX_NODES: u32 = 1 << 20;

/// Why a document is not an answer.
#[derive(Debug, Error)]
pub enum XmlError {
    /// It is not well-formed, has a document type, or has more nodes than any answer.
    #[error(transparent)]
    Invalid(#[from] roxmltree::Error),
    /// Its elements are nested deeper than those of any answer.
    #[error("more than {MAX_DEPTH} levels")]
    TooDeep,
}

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
    /// See [`XmlError`].
    pub fn parse(document: &str) -> Result<Self, XmlError> {
        let options =
            ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(document, options)?;
        Self::read(document.root_element(), 1)
    }

    fn read(node: Node<'_, '_>, depth: usize) -> Result<Self, XmlError> {
        if depth > MAX_DEPTH {
            return Err(XmlError::TooDeep);
        }
        let texts = node.children().filter(Node::is_text).filter_map(|child| child.text());
        let children = node.children().filter(Node::is_element).map(|child| Self::read(child, depth + 1));
        Ok(Self {
            name: node.tag_name().name().to_owned(),
            text: texts.collect(),
            children: children.collect::<Result<_, _>>()?,
        })
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

    /// The text of the first element of this name at any depth; empty if there is none.
    #[must_use]
    pub fn text_of(&self, name: &str) -> &str {
        self.find(name).map_or("", |found| found.text.as_str())
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
