//! Why no request can be made: a sentence with the remedy, and the messages of the layers below.
//!
//! It never holds a secret: a proxy's password and a key are left out before a text gets here.

use std::error::Error;

use thiserror::Error as ThisError;

/// The configuration of this machine does not lead to AWS.
#[derive(Clone, Debug, ThisError)]
#[error("{message}")]
pub struct SetupError {
    message: String,
    detail: Option<String>,
}

impl SetupError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), detail: None }
    }

    /// The same with every layer of `error` as its detail.
    pub(crate) fn because(self, error: &dyn Error) -> Self {
        Self { detail: Some(layers(error).join(": ")), ..self }
    }

    /// The messages of the layers below; one line, for people who look for the cause.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

/// The texts of an error and of its causes, outermost first; a text that repeats its cause is left out.
pub(crate) fn layers(error: &dyn Error) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if texts.last().is_none_or(|last| !last.ends_with(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts
}
