//! Why a model cannot be used.
//!
//! It is a module of its own because files, graphs and folders all fail with it. It never explains an image.

use std::path::Path;

use thiserror::Error;

/// Why a model can't be used: one sentence that names the file and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ModelError(String);

impl ModelError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// The message without the lines that it suggests to write.
    pub(crate) fn first_line(&self) -> &str {
        self.0.split(';').next().unwrap_or_default()
    }

    pub(crate) fn about(self, path: &Path) -> Self {
        Self(format!("{}: {}", path.display(), self.0))
    }
}
