//! A model's graph and weights for an engine, from the files that were recorded and no others.
//!
//! The bytes that are hashed are the bytes that are used: no engine opens a file of a model by itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{ModelProto, StringStringEntryProto, TensorProto};

use crate::error::ModelError;
use crate::folder::Model;
use crate::graph::external;
use crate::graph::stored::{self, LARGEST};
use crate::graph::wire::{self, Stands, Written};

/// The graph of `model`, encoded again, if its file is the one that was recorded.
fn recorded(model: &Model) -> Result<Written, ModelError> {
    let path = model.path();
    stored::reencoded(&model.read(&model.spec.model, LARGEST)?, &path)
}

/// The graph of `model` with its weights, `most` bytes in all, wherever it keeps them; or what to do
/// `instead`.
///
/// # Errors
/// If a file is missing, is not the one that was recorded, or is too short.
pub(crate) fn decoded(model: &Model, most: u64, instead: &str) -> Result<ModelProto, ModelError> {
    let mut proto = stored::decoded(&recorded(model)?.graph, &model.path())?;
    let mut weights = Weights::new(model, most, instead);
    external::change_tensors(&mut proto, &mut |tensor| {
        if external::is_external(tensor) {
            *tensor = weights.bring(tensor)?;
        }
        Ok(())
    })?;
    Ok(proto)
}

/// A graph, encoded, and the files that hold the weights that are not in it, whole.
pub(crate) struct GraphAndFiles {
    pub(crate) graph: Vec<u8>,
    /// By the names that the graph calls them.
    pub(crate) files: BTreeMap<String, Arc<[u8]>>,
}

/// The graph of `model` with its weights in it, encoded; or what to do `instead` if that takes more than 2
/// GB.
///
/// # Errors
/// Those of [`decoded`].
pub(crate) fn encoded(model: &Model, instead: &str) -> Result<Vec<u8>, ModelError> {
    let path = model.path();
    let recorded = recorded(model)?;
    if recorded.is_whole {
        return Ok(recorded.graph);
    }
    let mut weights = Weights::new(model, LARGEST, instead);
    let whole = wire::with_weights(&recorded.graph, &mut |tensor, _| weights.bring(tensor).map(Some));
    let whole = whole.map_err(|refusal| stored::explain(refusal, &path))?;
    if whole.len() as u64 > LARGEST {
        return Err(ModelError::new(too_large(whole.len() as u64, instead)).about(&path));
    }
    Ok(whole)
}

/// The graph of `model`, with its weights in it if that takes no more than `most` bytes, else with the files
/// that hold weights of the graph itself.
///
/// # Errors
/// Those of [`decoded`].
pub(crate) fn encoded_with_files(model: &Model, most: u64) -> Result<GraphAndFiles, ModelError> {
    let path = model.path();
    let Written { graph: recorded, is_whole } = recorded(model)?;
    if is_whole {
        return Ok(GraphAndFiles { graph: recorded, files: BTreeMap::new() });
    }
    let external = external_bytes(&recorded, &path)?;
    let is_inside = external.saturating_add(recorded.len() as u64) <= most;
    let mut weights = Weights::new(model, u64::MAX, "");
    let graph = wire::with_weights(&recorded, &mut |tensor, stands| {
        if is_inside || stands == Stands::Elsewhere {
            return weights.bring(tensor).map(Some);
        }
        weights.name(tensor).map(Some)
    });
    let graph = graph.map_err(|refusal| stored::explain(refusal, &path))?;
    if graph.len() as u64 > LARGEST {
        let instead = "export the model with its weights next to its file";
        return Err(ModelError::new(too_large(graph.len() as u64, instead)).about(&path));
    }
    Ok(GraphAndFiles { graph, files: weights.named() })
}

/// Bytes of weights that are in other files.
fn external_bytes(encoded: &[u8], path: &Path) -> Result<u64, ModelError> {
    let mut bytes = 0_u64;
    let count = wire::with_weights(encoded, &mut |tensor, _| {
        let place = external::Place::of(tensor, path)?;
        bytes = bytes.saturating_add(place.length.or_else(|| of_type(tensor)).unwrap_or(0));
        Ok(None)
    });
    count.map_err(|refusal| stored::explain(refusal, path))?;
    Ok(bytes)
}

/// The files next to a model, each read once and used at most once in all: otherwise many tensors with the
/// same bytes would make a small model that takes any amount of memory.
struct Weights<'a> {
    model: &'a Model,
    most: u64,
    instead: &'a str,
    taken: u64,
    /// By location.
    files: BTreeMap<String, File>,
}

struct File {
    bytes: Arc<[u8]>,
    /// Bytes that no tensor has had yet.
    left: u64,
    /// Whether a graph refers to it.
    is_named: bool,
}

impl<'a> Weights<'a> {
    fn new(model: &'a Model, most: u64, instead: &'a str) -> Self {
        Self { model, most, instead, taken: 0, files: BTreeMap::new() }
    }

    /// `tensor` with its values in it.
    fn bring(&mut self, tensor: &TensorProto) -> Result<TensorProto, ModelError> {
        let range = self.range(tensor)?;
        let raw_data = self.files[&range.location].bytes[range.start..range.end].to_vec();
        // Values of its own, which it should not have, don't count.
        let (name, dims, data_type) = (tensor.name.clone(), tensor.dims.clone(), tensor.data_type);
        Ok(TensorProto { name, dims, data_type, raw_data, ..TensorProto::default() })
    }

    /// `tensor` with the name of its file and the place in it, and nothing else that could be taken for
    /// either.
    fn name(&mut self, tensor: &TensorProto) -> Result<TensorProto, ModelError> {
        let Range { location, start, end } = self.range(tensor)?;
        if let Some(file) = self.files.get_mut(&location) {
            file.is_named = true;
        }
        let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
        let external_data = vec![
            entry("location", location),
            entry("offset", start.to_string()),
            entry("length", (end - start).to_string()),
        ];
        let (name, dims, data_type) = (tensor.name.clone(), tensor.dims.clone(), tensor.data_type);
        let data_location = Some(DataLocation::External as i32);
        Ok(TensorProto { name, dims, data_type, external_data, data_location, ..TensorProto::default() })
    }

    fn named(self) -> BTreeMap<String, Arc<[u8]>> {
        let named = self.files.into_iter().filter(|(_, file)| file.is_named);
        named.map(|(location, file)| (location, file.bytes)).collect()
    }

    fn range(&mut self, tensor: &TensorProto) -> Result<Range, ModelError> {
        let path = self.model.path();
        let place = external::Place::of(tensor, &path)?;
        if !self.files.contains_key(&place.location) {
            let file = self.read(&place.location)?;
            self.files.insert(place.location.clone(), file);
        }
        let location = place.location.clone();
        self.taken_range(tensor, place).map_err(|why| {
            let shown = path.display();
            ModelError::new(format!("the weights of {shown} in {location:?} can't be read: {why}"))
        })
    }

    fn read(&self, location: &str) -> Result<File, ModelError> {
        let folder = self.model.spec.model.rsplit_once('/').map_or("", |(folder, _)| folder);
        let name = if folder.is_empty() { location.to_owned() } else { format!("{folder}/{location}") };
        let bytes = self.model.read(&name, u64::MAX)?;
        Ok(File { left: bytes.len() as u64, bytes, is_named: false })
    }

    fn taken_range(&mut self, tensor: &TensorProto, place: external::Place) -> Result<Range, String> {
        let Some(file) = self.files.get_mut(&place.location) else {
            return Err("it is not a file".to_owned());
        };
        let size = file.bytes.len() as u64;
        let length = place.length.or_else(|| of_type(tensor)).unwrap_or(size.saturating_sub(place.offset));
        let end = place.offset.saturating_add(length);
        if end > size {
            return Err(format!("it wants {end} bytes and has {size}"));
        }
        file.left = file.left.checked_sub(length).ok_or_else(|| {
            format!("all of its tensors together want more than the {size} bytes that it has: export the model again")
        })?;
        self.taken = self.taken.saturating_add(length);
        if self.taken > self.most {
            return Err(too_large(self.taken, self.instead));
        }
        let (start, end) = (place.offset as usize, end as usize);
        Ok(Range { location: place.location, start, end })
    }
}

/// Some bytes of a file.
struct Range {
    location: String,
    start: usize,
    end: usize,
}

/// The bytes of a tensor whose length is left out, as the format allows; `None` if its type is none that
/// weights have.
fn of_type(tensor: &TensorProto) -> Option<u64> {
    let element = match DataType::try_from(tensor.data_type).ok()? {
        DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Float16 | DataType::Bfloat16 | DataType::Int16 | DataType::Uint16 => 2,
        DataType::Int8 | DataType::Uint8 | DataType::Bool => 1,
        _ => return None,
    };
    tensor.dims.iter().try_fold(element, |size: u64, dim| size.checked_mul(u64::try_from(*dim).ok()?))
}

pub(crate) fn too_large(length: u64, instead: &str) -> String {
    format!(
        "it takes {length} bytes with its weights, and a graph of more than {LARGEST} can't be handed over in memory: {instead}"
    )
}
