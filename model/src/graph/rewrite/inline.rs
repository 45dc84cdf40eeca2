//! Weights that a model keeps in files beside it, brought into the graph.
//!
//! A graph in memory has no folder that such names could be read against. Lengths come from the model and are hostile: no
//! more is taken than the file has.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};

use crate::folder::ModelError;
use crate::graph::external;

/// Reads every tensor of `proto`, the model at `path`, that is kept elsewhere.
pub(super) fn weights(proto: &mut ModelProto, path: &Path) -> Result<(), ModelError> {
    external::change_tensors(proto, &mut |tensor| {
        if external::is_external(tensor) {
            tensor.raw_data = read(tensor, path)?;
            tensor.external_data.clear();
            tensor.data_location = None;
        }
        Ok(())
    })
}

fn read(tensor: &TensorProto, path: &Path) -> Result<Vec<u8>, ModelError> {
    let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key);
    let location = entry("location").map_or("", |entry| entry.value.as_str());
    let unreadable = |why: String| {
        ModelError::new(format!("the weights of {} in {location:?} can't be read: {why}", path.display()))
    };
    let inside =
        external::inside(location).ok_or_else(|| unreadable("it is outside its folder".to_owned()))?;
    let number = |key| entry(key).map(|entry| entry.value.parse::<u64>()).transpose();
    let numbers = number("offset").and_then(|offset| Ok((offset.unwrap_or(0), number("length")?)));
    let (offset, length) = numbers.map_err(|error| unreadable(error.to_string()))?;
    let length = length.or_else(|| size(tensor));
    let mut bytes = Vec::new();
    File::open(path.parent().unwrap_or(Path::new(".")).join(inside))
        .and_then(|mut file| {
            file.seek(SeekFrom::Start(offset))?;
            file.take(length.unwrap_or(u64::MAX)).read_to_end(&mut bytes)
        })
        .map_err(|error| unreadable(error.to_string()))?;
    match length {
        Some(length) if length > bytes.len() as u64 => {
            Err(unreadable(format!("it wants {length} bytes and has {}", bytes.len())))
        }
        _ => Ok(bytes),
    }
}

/// The bytes of a tensor whose length is left out, as the format allows; none where its type is none that weights have.
fn size(tensor: &TensorProto) -> Option<u64> {
    let element = match DataType::try_from(tensor.data_type).ok()? {
        DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Float16 | DataType::Bfloat16 | DataType::Int16 | DataType::Uint16 => 2,
        DataType::Int8 | DataType::Uint8 | DataType::Bool => 1,
        _ => return None,
    };
    tensor.dims.iter().try_fold(element, |size: u64, dim| size.checked_mul(u64::try_from(*dim).ok()?))
}
