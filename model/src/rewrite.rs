//! A model's graph in the form that an engine needs if the stored form does not fit, complete in itself.
//!
//! For a device it is fed with bytes, because a crop as bytes is a quarter of its size as floats and the
//! transfer is slow. The values that the model sees are exactly those that the processor would have computed.
//! 32-bit floats are narrowed to 16 on request, and 16 widened to 32 for processors. The model's own file is
//! never changed.

mod bytes;
mod half;
mod shapes;
#[cfg(test)]
mod tests;
pub(crate) mod weights;
mod wide;

use prost::Message;
use tract_onnx::pb::ModelProto;

pub(crate) use self::bytes::INPUT;
use self::weights::too_large;
use crate::error::ModelError;
use crate::folder::Model;
use crate::graph::stored::LARGEST;
use crate::graph::{Element, maps};
use crate::tensor::Table;

/// The graph of `model`, encoded: its input is [`INPUT`], `[n, height, width, channels]` as unsigned bytes,
/// which `tables` turn into what the model's own input takes. Its outputs keep their names. With `half` it
/// computes in 16-bit floats.
///
/// # Errors
/// If the model's files can't be read, or it has functions, operators older than those that are added, names
/// of ours or what can't be narrowed, or it is larger than 2 GB.
pub(crate) fn for_device(model: &Model, tables: &[Table], half: bool) -> Result<Vec<u8>, ModelError> {
    let path = model.path();
    let about = |error: ModelError| error.about(&path);
    let instead = "give --device cpu";
    let most = if half { 2 * LARGEST } else { LARGEST };
    let mut proto = whole(model, most, instead)?;
    expose(&mut proto, model);
    let mut element = model.spec.input.element;
    if half && half::is_wide(&proto) {
        half::narrow(&mut proto).map_err(about)?;
        if element == Element::F32 {
            element = Element::F16;
        }
    }
    bytes::feed(&mut proto, &model.spec, tables, element).map_err(about)?;
    let instead = if half { instead } else { "give --device cpu, or --precision fp16 to halve it" };
    encoded(&proto, instead).map_err(about)
}

/// The graph of `model`, encoded, with 32-bit floats wherever it has 16-bit ones, and tensors in the place of
/// maps.
///
/// # Errors
/// If the model's files can't be read, or it has functions, or it is larger than 2 GB then.
pub(crate) fn for_processor(model: &Model) -> Result<Vec<u8>, ModelError> {
    let path = model.path();
    let about = |error: ModelError| error.about(&path);
    let instead = "give --engine openvino";
    let mut proto = whole(model, LARGEST, instead)?;
    let length = (proto.encoded_len() + wide::growth(&proto)) as u64;
    if length > LARGEST {
        return Err(about(ModelError::new(too_large(length, instead))));
    }
    expose(&mut proto, model);
    if model.spec.half || model.spec.input.element == Element::F16 {
        wide::widen(&mut proto).map_err(about)?;
    }
    encoded(&proto, instead).map_err(about)
}

/// Makes the tensors that are read the outputs of `proto`, if it has maps in their place.
pub(crate) fn expose(proto: &mut ModelProto, model: &Model) {
    if model.spec.has_maps {
        let ports = model.spec.scores.iter().chain(&model.spec.vector);
        let names: Vec<String> = ports.map(|port| port.name.clone()).collect();
        maps::expose(proto, &names);
    }
}

/// The graph of `model` with its weights, `most` bytes in all, wherever it keeps them; or what to do
/// `instead`.
fn whole(model: &Model, most: u64, instead: &str) -> Result<ModelProto, ModelError> {
    let proto = weights::decoded(model, most, instead)?;
    if !proto.functions.is_empty() {
        let refusal = ModelError::new(format!(
            "it has functions of its own, of which not all would be kept where it is rewritten: export the model with its \
             functions inlined, or {instead}"
        ));
        return Err(refusal.about(&model.path()));
    }
    Ok(proto)
}

fn encoded(proto: &ModelProto, instead: &str) -> Result<Vec<u8>, ModelError> {
    let length = proto.encoded_len() as u64;
    if length > LARGEST {
        return Err(ModelError::new(too_large(length, instead)));
    }
    Ok(proto.encode_to_vec())
}
