//! Weights that a model keeps in files beside it: which files, and whether they are there and long enough.
//!
//! Names come from the model and are hostile: none may lead out of the model's folder. Nothing is read but lengths.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataLocation;

use crate::folder::ModelError;

/// A file that holds weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalFile {
    /// Its path, relative to the model's own folder.
    pub location: String,
    /// The least number of bytes it must have.
    pub bytes: u64,
}

/// Finds the files named by `tensors` and checks each against the folder of `model`.
pub(super) fn files(tensors: &[&TensorProto], model: &Path) -> Result<Vec<ExternalFile>, ModelError> {
    let mut needed = BTreeMap::new();
    for tensor in tensors.iter().filter(|tensor| tensor.data_location == Some(DataLocation::External as i32))
    {
        let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key);
        let location = entry("location").map_or("", |entry| entry.value.as_str());
        let number = |key| entry(key).and_then(|entry| entry.value.parse::<u64>().ok()).unwrap_or(0);
        let end = number("offset").saturating_add(number("length"));
        let bytes: &mut u64 = needed.entry(location).or_default();
        *bytes = end.max(*bytes);
    }
    let mut files = Vec::new();
    for (location, bytes) in needed {
        check(location, bytes, model)?;
        files.push(ExternalFile { location: location.to_owned(), bytes });
    }
    Ok(files)
}

fn check(location: &str, bytes: u64, model: &Path) -> Result<(), ModelError> {
    let shown = model.display();
    if !stays_inside(location) {
        return Err(ModelError::new(format!(
            "{shown} wants its weights from {location:?}, outside its own folder: refused; export the model again"
        )));
    }
    let folder = model.parent().unwrap_or(Path::new("."));
    let path = folder.join(location);
    let Ok(metadata) = path.metadata() else {
        return Err(ModelError::new(format!(
            "{shown} needs {location} beside it, which holds its weights: copy that file into {}",
            folder.display()
        )));
    };
    if !metadata.is_file() {
        return Err(ModelError::new(format!(
            "{} is not a file, but {shown} wants its weights from it",
            path.display()
        )));
    }
    if metadata.len() < bytes {
        if metadata.len() < 512 {
            super::refuse_text(&path)?;
        }
        return Err(ModelError::new(format!(
            "{} has {} bytes, but {shown} wants {bytes} from it: copy it again",
            path.display(),
            metadata.len()
        )));
    }
    Ok(())
}

fn stays_inside(location: &str) -> bool {
    let mut parts = Path::new(location).components();
    !location.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}
