//! A model's graph as a device gets it: fed with bytes, complete in itself, and in 16-bit floats where that is asked for.
//!
//! It exists because a crop as bytes is a quarter of what it is as floats, and the way to a device is narrow. The values
//! that the model sees are the very ones that the processor would have computed. The model's own file is never changed.

mod bytes;
mod half;
mod inline;
#[cfg(test)]
mod tests;

use prost::Message;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::Framework;

pub(crate) use self::bytes::INPUT;
use crate::folder::{Model, ModelError};
use crate::graph::Element;
use crate::tensor::Table;

/// The largest message that protobuf's readers take.
const LARGEST: usize = i32::MAX as usize;

/// The graph of `model`, encoded: its input is [`INPUT`], `[n, height, width, channels]` as unsigned bytes, which `tables`
/// turn into what the model's own input takes. Its outputs keep their names. With `half` it computes in 16-bit floats.
///
/// # Errors
/// Where the model's files can't be read, or it has functions, operators older than those that are added, names of ours or
/// what can't be narrowed, or it is larger than 2 GB.
pub(crate) fn for_device(model: &Model, tables: &[Table], half: bool) -> Result<Vec<u8>, ModelError> {
    let path = model.path();
    let about = |error: ModelError| error.about(&path);
    let mut proto = tract_onnx::onnx()
        .proto_model_for_path(&path)
        .map_err(|error| ModelError::new(format!("{} is not an ONNX model: {error}", path.display())))?;
    if !proto.functions.is_empty() {
        return Err(about(ModelError::new(
            "it has functions of its own, of which a device would not get all: export the model with its functions \
             inlined, or give --device cpu",
        )));
    }
    proto.training_info.clear();
    let most = if half { 2 * LARGEST } else { LARGEST };
    inline::weights(&mut proto, &path, most as u64)?;
    let mut element = model.spec.input.element;
    if half && half::is_wide(&proto) {
        half::narrow(&mut proto).map_err(about)?;
        element = Element::F16;
    }
    bytes::feed(&mut proto, &model.spec, tables, element).map_err(about)?;
    encoded(&proto).map_err(about)
}

fn encoded(proto: &ModelProto) -> Result<Vec<u8>, ModelError> {
    let length = proto.encoded_len();
    if length > LARGEST {
        return Err(ModelError::new(too_large(length as u64)));
    }
    Ok(proto.encode_to_vec())
}

fn too_large(length: u64) -> String {
    format!(
        "it takes {length} bytes with its weights, and a graph of more than {LARGEST} can't be handed to a device yet: \
         give --device cpu, or --precision fp16 to halve it"
    )
}
