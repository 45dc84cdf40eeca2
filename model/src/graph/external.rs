//! Weights that a model keeps in files next to it: which files, and whether they exist and are long enough.
//!
//! Names come from the model and are hostile: none may lead out of the model's folder, nor may a link there,
//! unless it leads into the cache that the folder is part of. Nothing is read but lengths.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

use crate::error::ModelError;
use crate::files::links;

/// A file that holds weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalFile {
    /// Its path, relative to the model's own folder.
    pub location: String,
    /// The least number of bytes it must have.
    pub bytes: u64,
}

/// The place of a tensor's values in a file.
pub(crate) struct Place {
    /// The file, relative to the model's own folder and inside it.
    pub(crate) location: String,
    pub(crate) offset: u64,
    /// In bytes; the format lets it be left out.
    pub(crate) length: Option<u64>,
}

impl Place {
    /// The place that `tensor` of `model` names. It may name one only once: engines differ in how they read
    /// two entries.
    pub(crate) fn of(tensor: &TensorProto, model: &Path) -> Result<Self, ModelError> {
        let refused = |why: String| {
            ModelError::new(format!("{} {why}: refused; export the model again", model.display()))
        };
        let entry = |key: &str| {
            let mut entries = tensor.external_data.iter().filter(|entry| entry.key == key);
            let first = entries.next().map(|entry| entry.value.as_str());
            match entries.next() {
                Some(_) => Err(refused(format!("states the {key} of its weights {:?} twice", tensor.name))),
                None => Ok(first),
            }
        };
        let number = |key: &str| match entry(key)? {
            Some(value) => value.parse().map(Some).map_err(|_| {
                refused(format!(
                    "has {value:?} for the {key} of its weights {:?}, no number of bytes",
                    tensor.name
                ))
            }),
            None => Ok(None),
        };
        let location = entry("location")?.unwrap_or_default();
        if location.contains('*') {
            // Engines take such names for places in memory.
            return Err(refused(format!("wants its weights from {location:?}, which is not a file's name")));
        }
        let location = inside(location)
            .ok_or_else(|| refused(format!("wants its weights from {location:?}, outside its own folder")))?;
        Ok(Self { location, offset: number("offset")?.unwrap_or(0), length: number("length")? })
    }
}

/// Finds the files named by `tensors` and checks each against the folder of `model`.
pub(crate) fn files(tensors: &[&TensorProto], model: &Path) -> Result<Vec<ExternalFile>, ModelError> {
    let mut needed = BTreeMap::new();
    for tensor in tensors.iter().filter(|tensor| is_external(tensor)) {
        let place = Place::of(tensor, model)?;
        let bytes: &mut u64 = needed.entry(place.location).or_default();
        *bytes = place.offset.saturating_add(place.length.unwrap_or(0)).max(*bytes);
    }
    let mut files = Vec::new();
    for (location, bytes) in needed {
        check(&location, bytes, model)?;
        files.push(ExternalFile { location, bytes });
    }
    Ok(files)
}

fn check(location: &str, bytes: u64, model: &Path) -> Result<(), ModelError> {
    let shown = model.display();
    let folder = model.parent().unwrap_or(Path::new("."));
    let path = folder.join(location);
    let Ok(metadata) = path.metadata() else {
        return Err(ModelError::new(format!(
            "{shown} needs {location} next to it, which holds its weights: copy that file into {}",
            folder.display()
        )));
    };
    if !metadata.is_file() {
        return Err(ModelError::new(format!(
            "{} is not a file, but {shown} wants its weights from it",
            path.display()
        )));
    }
    links::refuse_far(folder, &path)?;
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

/// Changes every tensor of `proto`, those of nested graphs and functions included.
pub(crate) fn change_tensors(proto: &mut ModelProto, change: &mut Change<'_>) -> Result<(), ModelError> {
    for function in &mut proto.functions {
        change_nodes(&mut function.node, change)?;
    }
    proto.graph.iter_mut().try_for_each(|graph| change_graph(graph, change))
}

pub(crate) type Change<'a> = dyn FnMut(&mut TensorProto) -> Result<(), ModelError> + 'a;

fn change_graph(graph: &mut GraphProto, change: &mut Change<'_>) -> Result<(), ModelError> {
    let sparse = graph.sparse_initializer.iter_mut();
    let sparse = sparse.flat_map(|tensor| tensor.values.iter_mut().chain(&mut tensor.indices));
    for tensor in graph.initializer.iter_mut().chain(sparse) {
        change(tensor)?;
    }
    change_nodes(&mut graph.node, change)
}

fn change_nodes(nodes: &mut [NodeProto], change: &mut Change<'_>) -> Result<(), ModelError> {
    for attribute in nodes.iter_mut().flat_map(|node| &mut node.attribute) {
        let sparse = attribute.sparse_tensor.iter_mut().chain(&mut attribute.sparse_tensors);
        let sparse = sparse.flat_map(|tensor| tensor.values.iter_mut().chain(&mut tensor.indices));
        for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors).chain(sparse) {
            change(tensor)?;
        }
        for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            change_graph(graph, change)?;
        }
    }
    Ok(())
}

/// Whether a tensor's values are in another file. A tensor that names a file counts as one, even if its
/// location field contradicts that: parsers differ in which of the two they believe.
pub(crate) fn is_external(tensor: &TensorProto) -> bool {
    let is_default = tensor.data_location.is_none_or(|place| place == DataLocation::Default as i32);
    !is_default || !tensor.external_data.is_empty()
}

/// `location` without its `.`, if it names something in the model's folder or below.
fn inside(location: &str) -> Option<String> {
    let mut names = Vec::new();
    for part in Path::new(location).components() {
        match part {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    if names.is_empty() { None } else { Some(names.join("/")) }
}
