//! The run that is analysed: what its request records and an analysis needs.
//!
//! It reads requests of any version that has these fields, and ignores all others. It never reads a row.

use serde::{Deserialize, Serialize};
use tagfleet_pipeline::reduce::Counted;
use tagfleet_pipeline::run::{EngineRecord, ModelRecord, RunId, TagOptions};
use thiserror::Error;

/// A request is not one of this tagfleet.
#[derive(Debug, Error)]
#[error("its request cannot be read: {0}")]
pub struct SubjectError(#[from] serde_json::Error);

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Subject {
    /// The run.
    pub run: RunId,
    /// Its model: [`ModelRecord::id`].
    pub model: String,
    /// Engine, version and precision.
    pub engine: String,
    /// Where its images are.
    #[serde(skip)]
    pub source: String,
    /// All labels of the model, by index.
    #[serde(skip)]
    pub labels: Vec<String>,
    /// Which tags of an image count.
    #[serde(skip)]
    pub counted: Counted,
    /// Which tags its rows hold.
    #[serde(skip)]
    pub tags: TagOptions,
}

#[derive(Deserialize)]
struct Request {
    input: Input,
    model: ModelRecord,
    engine: EngineRecord,
    tags: TagOptions,
}

#[derive(Deserialize)]
struct Input {
    location: String,
}

#[derive(Deserialize)]
struct Spec {
    labels: Vec<String>,
    #[serde(default)]
    multi_label: bool,
}

impl Subject {
    /// From the stored request of `run`.
    ///
    /// # Errors
    /// If it is not a request.
    pub fn parse(run: RunId, request: &[u8]) -> Result<Self, SubjectError> {
        let Request { input, model, engine, tags } = serde_json::from_slice(request)?;
        let id = model.id();
        let spec: Spec = serde_json::from_value(model.spec)?;
        let counted = if model.multi_label || spec.multi_label { Counted::All } else { Counted::Best };
        Ok(Self {
            run,
            model: id,
            engine: engine.to_string(),
            source: input.location,
            labels: spec.labels,
            counted,
            tags,
        })
    }

    /// `20261130-012330-a62884 (mobilenet@1a2b3c4d, onnxruntime 1.32.0 fp32)`
    #[must_use]
    pub fn in_words(&self) -> String {
        format!("{} ({}, {})", self.run, self.model, self.engine)
    }
}
