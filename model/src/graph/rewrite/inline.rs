//! Weights that a model keeps in files beside it, brought into the graph.
//!
//! A graph in memory has no folder that such names could be read against. Lengths come from the model and are hostile: no
//! more is taken than the file has.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};

use crate::folder::ModelError;
use crate::graph::external::{self, Place};

/// Reads every tensor of `proto`, the model at `path`, that is kept elsewhere, `most` bytes in all; or says what to do
/// `instead`.
pub(super) fn weights(
    proto: &mut ModelProto,
    path: &Path,
    most: u64,
    instead: &str,
) -> Result<(), ModelError> {
    let mut files = Files { model: path, most, instead, taken: 0, left: BTreeMap::new() };
    external::change_tensors(proto, &mut |tensor| {
        if external::is_external(tensor) {
            let raw_data = files.read(tensor)?;
            // Values of its own, which it should not have, don't count.
            let (name, dims) = (std::mem::take(&mut tensor.name), std::mem::take(&mut tensor.dims));
            let data_type = tensor.data_type;
            *tensor = TensorProto { name, dims, data_type, raw_data, ..TensorProto::default() };
        }
        Ok(())
    })
}

/// The files beside a model, each read at most once in all: many tensors that want the same bytes would be a small model
/// that takes any memory.
struct Files<'a> {
    model: &'a Path,
    most: u64,
    instead: &'a str,
    taken: u64,
    /// Bytes of each file that no tensor has had yet, by location.
    left: BTreeMap<String, u64>,
}

impl Files<'_> {
    fn read(&mut self, tensor: &TensorProto) -> Result<Vec<u8>, ModelError> {
        let place = Place::of(tensor, self.model)?;
        let location = place.location.clone();
        let why = match self.try_read(tensor, place) {
            Ok(bytes) => return Ok(bytes),
            Err(why) => why,
        };
        let shown = self.model.display();
        Err(ModelError::new(format!("the weights of {shown} in {location:?} can't be read: {why}")))
    }

    fn try_read(&mut self, tensor: &TensorProto, place: Place) -> Result<Vec<u8>, String> {
        let path = self.model.parent().unwrap_or(Path::new(".")).join(&place.location);
        let metadata = path.metadata().map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("it is no file".to_owned());
        }
        let size = metadata.len();
        let length = place.length.or_else(|| of_type(tensor)).unwrap_or(size.saturating_sub(place.offset));
        let end = place.offset.saturating_add(length);
        let wanting = |has: u64| format!("it wants {end} bytes and has {has}");
        if end > size {
            return Err(wanting(size));
        }
        self.take(place.location, length, size)?;
        let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(|error| error.to_string())?);
        File::open(path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(place.offset))?;
                file.take(length).read_to_end(&mut bytes)
            })
            .map_err(|error| error.to_string())?;
        let read = bytes.len() as u64;
        if read < length { Err(wanting(place.offset + read)) } else { Ok(bytes) }
    }

    fn take(&mut self, location: String, length: u64, size: u64) -> Result<(), String> {
        let left = self.left.entry(location).or_insert(size);
        *left = left.checked_sub(length).ok_or_else(|| {
            format!("all of its tensors together want more than the {size} bytes that it has: export the model again")
        })?;
        self.taken = self.taken.saturating_add(length);
        if self.taken > self.most {
            return Err(super::too_large(self.taken, self.instead));
        }
        Ok(())
    }
}

/// The bytes of a tensor whose length is left out, as the format allows; none where its type is none that weights have.
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
