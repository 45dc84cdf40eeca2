//! The graph of an ONNX file: read within limits, encoded again so that every parser reads the same in it,
//! and decoded.
//!
//! It never reads the weights in other files.

use std::path::Path;

use prost::Message;
use tract_onnx::pb::ModelProto;

use super::functions;
use super::wire::{self, Refusal, Written};
use crate::error::ModelError;
use crate::files;

/// The largest message that protobuf's readers take.
pub(crate) const LARGEST: u64 = i32::MAX as u64;

/// The graph of the file at `path`, encoded again: every parser reads the same in it.
pub(super) fn encoded(path: &Path) -> Result<Vec<u8>, ModelError> {
    super::refuse_text(path)?;
    let file = files::read(path, LARGEST)?;
    super::refuse_foreign(path, &file)?;
    Ok(reencoded(&file, path)?.graph)
}

/// The graph in `file`, encoded again; `path` is for errors.
pub(crate) fn reencoded(file: &[u8], path: &Path) -> Result<Written, ModelError> {
    wire::reencoded(file).map_err(|refusal| explain(refusal, path))
}

/// The error that a refusal of the file at `path` means.
pub(crate) fn explain(refusal: Refusal, path: &Path) -> ModelError {
    let shown = path.display();
    match refusal {
        Refusal::Broken(why) => ModelError::new(format!("{shown} is not an ONNX model: {why}")),
        Refusal::Refused(why) => ModelError::new(format!("{shown} {why}: refused; export the model again")),
        Refusal::Weights(error) => error,
    }
}

/// The graph of `encoded`, from the file at `path`.
pub(crate) fn decoded(encoded: &[u8], path: &Path) -> Result<ModelProto, ModelError> {
    let proto = ModelProto::decode(encoded)
        .map_err(|error| ModelError::new(format!("{} is not an ONNX model: {error}", path.display())))?;
    functions::check(&proto).map_err(|error| error.about(path))?;
    Ok(proto)
}
