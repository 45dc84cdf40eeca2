//! The engines that this machine has, for people who ask.
//!
//! Each library is looked for as a run looks for it, and loaded to learn its version. Nothing is chosen here.

use std::fmt;
use std::path::PathBuf;

use super::{EngineError, onnxruntime, openvino, tract};

/// An engine, and what a run without flags would use of it.
#[derive(Debug)]
pub struct Found {
    /// The engine, as people know it.
    pub name: &'static str,
    /// The library, or why there is none and how to install it.
    pub library: Result<FoundLibrary, EngineError>,
}

/// The version of an engine, and the file that it was loaded from.
#[derive(Debug)]
pub struct FoundLibrary {
    /// As `1.32.0`.
    pub version: String,
    /// None for the engine that is built in.
    pub path: Option<PathBuf>,
}

impl fmt::Display for FoundLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{} from {}", self.version, path.display()),
            None => write!(f, "{}, built in", self.version),
        }
    }
}

/// All engines, in the order in which most models prefer them.
#[must_use]
pub fn found() -> Vec<Found> {
    let at = |version: String, path: PathBuf| FoundLibrary { version, path: Some(path) };
    let onnxruntime = onnxruntime::load(None).map(|library| at(library.version, library.path));
    let openvino = openvino::load(None).map(|library| at(library.version, library.path));
    let tract = FoundLibrary { version: tract::VERSION.to_owned(), path: None };
    vec![
        Found { name: "ONNX Runtime", library: onnxruntime },
        Found { name: "OpenVINO", library: openvino },
        Found { name: "tract", library: Ok(tract) },
    ]
}
